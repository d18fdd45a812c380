"""From core types to messages.

Messages are filled in place: one that is handed to another is copied into it.
"""

import functools
from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from kraiter.domains.v1 import domain_pb2 as pb
from kraiter.domains.v1 import sending_service_pb2 as sending_pb

from service.core import advice, names
from service.core.deliveries import BatchAnswer
from service.core.domain import Domain, Event
from service.core.health import HealthReport
from service.core.records import Record, RecordState
from service.core.sending import SendDecision
from service.core.uses import DomainUse
from service.rpc import enums

_displayed = functools.lru_cache(maxsize=4096)(names.display)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def domain(of: Domain) -> pb.Domain:
    """Return the message of a domain."""
    message = pb.Domain()
    put_domain(message, of, full=True)
    return message


# A domain is asked for far more often than it changes.
@functools.lru_cache(maxsize=2048)
def domain_octets(of: Domain) -> bytes:
    """Return the message of a domain, serialised."""
    return domain(of).SerializeToString()


def put_domain(message: pb.Domain, of: Domain, *, full: bool) -> None:
    """Fill an empty message with a domain; without `full` it lacks the records."""
    message.domain = of.name
    message.display_domain = _displayed(of.name)
    message.status = enums.STATUS[of.status]
    message.status_reason = enums.STATUS_REASON[of.status_reason]
    message.health = enums.HEALTH[of.health]
    if of.health_report is not None:
        _put_report(message.health_report, of.health_report)
    message.sending_enabled = of.sending_enabled
    message.disable_reason = of.disable_reason
    message.region = of.region
    message.dns_provider = of.dns_provider
    message.contested = of.contested
    for piece in advice.for_domain(of):
        message.advice.add(code=enums.ADVICE_CODE[piece.code], text=piece.text)
    _put_time(message.create_time, of.create_time)
    _put_time(message.update_time, of.update_time)
    if of.verify_time is not None:
        _put_time(message.verify_time, of.verify_time)
    if of.checks.last_check_time is not None:
        _put_time(message.last_check_time, of.checks.last_check_time)
    _put_time(message.next_check_time, of.checks.next_check_time)
    if of.verification_deadline is not None:
        _put_time(message.verification_deadline, of.verification_deadline)
    message.revision = of.revision
    message.dmarc_policy = enums.DMARC_POLICY[of.dmarc_policy]
    message.dmarc_report_address = of.dmarc_report_address
    message.mail_from_domain = of.mail_from
    if full:
        for record in of.records:
            _put_record(message.dns_records.add(), record, of.checks.last_check_time)


def put_event(message: pb.StatusEvent, of: Event, *, full: bool) -> None:
    """Fill an empty message with an event; without `full` its state lacks the records."""
    message.revision = of.revision
    _put_time(message.event_time, of.time)
    message.type = enums.EVENT_TYPE[of.type]
    message.domain = of.domain
    if of.previous_status is not None:
        message.previous_status = enums.STATUS[of.previous_status]
    if of.previous_health is not None:
        message.previous_health = enums.HEALTH[of.previous_health]
    message.reason = of.reason
    message.actor = of.actor
    put_domain(message.state, of.state, full=full)
    message.held_sends = of.held_sends


def decisions_octets(decisions: Sequence[SendDecision]) -> bytes:
    """Return a `CheckSendingResponse`, serialised."""
    message = sending_pb.CheckSendingResponse()
    for of in decisions:
        decision = message.decisions.add()
        decision.domain = of.domain
        decision.decision = enums.DECISION[of.ruling.decision]
        if of.ruling.reason is not None:
            decision.reason = enums.DECISION_REASON[of.ruling.reason]
        decision.messages_per_hour = of.ruling.messages_per_hour
        decision.revision = of.revision
    return message.SerializeToString()


def put_use(message: sending_pb.DomainUse, of: DomainUse) -> None:
    """Fill an empty message with a use."""
    message.domain = of.domain
    message.kind = enums.USE_KIND[of.kind]
    message.use_id = of.use_id
    message.state = enums.USE_STATE[of.state]
    message.application = of.application
    if of.scheduled_time is not None:
        _put_time(message.scheduled_time, of.scheduled_time)
    if of.expire_time is not None:
        _put_time(message.expire_time, of.expire_time)
    _put_time(message.create_time, of.create_time)
    _put_time(message.update_time, of.update_time)


def batch_answer(of: BatchAnswer) -> sending_pb.ReportDeliveriesResponse:
    """Return the message of what became of a batch of reports."""
    message = sending_pb.ReportDeliveriesResponse(accepted=of.accepted)
    for rejected in of.rejected:
        message.rejected.add(index=rejected.index, reason=rejected.reason)
    return message


def _put_report(message: pb.HealthReport, of: HealthReport) -> None:
    counts, thresholds = of.counts, of.thresholds
    message.sent = counts.sent
    message.delivered = counts.delivered
    message.hard_bounces = counts.hard_bounces
    message.complaints = counts.complaints
    message.bounce_rate = of.bounce_rate
    message.complaint_rate = of.complaint_rate
    _put_time(message.window_start, of.window.start)
    _put_time(message.window_end, of.window.end)
    message.bounce_warning_threshold = thresholds.bounce.warning
    message.bounce_critical_threshold = thresholds.bounce.critical
    message.complaint_warning_threshold = thresholds.complaint.warning
    message.complaint_critical_threshold = thresholds.complaint.critical
    if of.reason is not None:
        message.reason = enums.HEALTH_REASON[of.reason]
    _put_time(message.since_time, of.since)


def _put_record(message: pb.DnsRecord, record: Record, last_check: datetime | None) -> None:
    finding = record.finding
    message.purpose = enums.PURPOSE[record.purpose]
    message.type = enums.RECORD_TYPE[record.type]
    message.name = record.name
    message.value = record.value
    message.priority = record.priority
    message.ttl = record.ttl
    message.required = record.required
    message.state = enums.RECORD_STATE[finding.state]
    message.observed.extend(finding.observed)
    if finding.problem is not None:
        message.problem = enums.PROBLEM[finding.problem]
    message.hint = finding.hint
    if last_check is not None and finding.state is not RecordState.PENDING:
        _put_time(message.check_time, last_check)
    message.checked_server = finding.server


def _put_time(message: Timestamp, moment: datetime) -> None:
    # A quarter of the cost of Timestamp.FromDatetime, and as exact.
    since = moment - _EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1000
