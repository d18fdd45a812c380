"""The enums of the contract beside those of core.

Values have the same names on both sides: one that the contract lacks stops the
import.
"""

from kraiter.domains.v1 import domain_pb2 as pb
from kraiter.domains.v1 import domain_service_pb2 as service_pb
from kraiter.domains.v1 import sending_service_pb2 as sending_pb

from service.core.advice import AdviceCode
from service.core.answers import RecordType
from service.core.domain import EventType, Status, StatusReason
from service.core.exports import Format
from service.core.health import Health, HealthReason
from service.core.records import DmarcPolicy, Problem, Purpose, RecordState
from service.core.sending import Decision, DecisionReason
from service.core.uses import UseKind, UseState
from service.usecases.watch_status import Start

STATUS = {status: pb.Domain.Status.Value(status) for status in Status}
STATUS_REASON = {reason: pb.Domain.StatusReason.Value(reason) for reason in StatusReason}
HEALTH = {
    health: pb.Domain.HEALTH_UNSPECIFIED if health is Health.UNSPECIFIED else pb.Domain.Health.Value(health)
    for health in Health
}
HEALTH_REASON = {reason: pb.HealthReport.Reason.Value(reason) for reason in HealthReason}
DMARC_POLICY = {policy: pb.Domain.DmarcPolicy.Value(policy) for policy in DmarcPolicy}
EVENT_TYPE = {kind: pb.StatusEvent.Type.Value(kind) for kind in EventType}
PURPOSE = {purpose: pb.DnsRecord.Purpose.Value(purpose) for purpose in Purpose}
PUBLISHED_TYPES = (RecordType.CNAME, RecordType.MX, RecordType.TXT)
"""The types that an owner may have to publish; the others are only asked for."""
RECORD_TYPE = {kind: pb.DnsRecord.Type.Value(kind) for kind in PUBLISHED_TYPES}
RECORD_STATE = {state: pb.DnsRecord.State.Value(state) for state in RecordState}
PROBLEM = {problem: pb.DnsRecord.Problem.Value(problem) for problem in Problem}
ADVICE_CODE = {code: pb.Advice.Code.Value(code) for code in AdviceCode}
START = {start: service_pb.WatchStatusRequest.Start.Value(start.value) for start in Start}
FORMAT = {form: service_pb.ExportDnsRecordsRequest.Format.Value(form.value) for form in Format}
DECISION = {decision: sending_pb.SendDecision.Decision.Value(decision) for decision in Decision}
DECISION_REASON = {reason: sending_pb.SendDecision.Reason.Value(reason) for reason in DecisionReason}
USE_KIND = {kind: sending_pb.DomainUse.Kind.Value(kind) for kind in UseKind}
USE_STATE = {state: sending_pb.DomainUse.State.Value(state) for state in UseState}
