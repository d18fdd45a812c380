"""From core types to messages. GetDomain's speed is mostly made here."""

import functools
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from kraiter.domains.v1 import domain_pb2 as pb

from service.core import advice, names
from service.core.domain import Domain, Event
from service.core.records import Record, RecordState
from service.rpc import enums

_displayed = functools.lru_cache(maxsize=4096)(names.display)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def domain(of: Domain, *, full: bool = True) -> pb.Domain:
    """Return the message of a domain; without `full` it lacks the records."""
    last_check = _optional_time(of.checks.last_check_time)
    message = pb.Domain(
        domain=of.name,
        display_domain=_displayed(of.name),
        status=enums.STATUS[of.status],
        status_reason=enums.STATUS_REASON[of.status_reason],
        health=enums.HEALTH[of.health],
        sending_enabled=of.sending_enabled,
        disable_reason=of.disable_reason,
        region=of.region,
        dns_provider=of.dns_provider,
        contested=of.contested,
        advice=[_advice(piece) for piece in advice.for_domain(of)],
        create_time=_time(of.create_time),
        update_time=_time(of.update_time),
        verify_time=_optional_time(of.verify_time),
        last_check_time=last_check,
        next_check_time=_time(of.checks.next_check_time),
        verification_deadline=_optional_time(of.verification_deadline),
        revision=of.revision,
        dmarc_policy=enums.DMARC_POLICY[of.dmarc_policy],
        dmarc_report_address=of.dmarc_report_address,
        mail_from_domain=of.mail_from,
    )
    if full:
        for record in of.records:
            _add_record(message, record, last_check)
    return message


# A domain is asked for far more often than it changes.
@functools.lru_cache(maxsize=2048)
def domain_octets(of: Domain) -> bytes:
    """Return the message of a domain, serialised."""
    return domain(of).SerializeToString()


def event(of: Event, *, full: bool) -> pb.StatusEvent:
    """Return the message of an event; without `full` its state lacks the records."""
    before, health = of.previous_status, of.previous_health
    return pb.StatusEvent(
        revision=of.revision,
        event_time=_time(of.time),
        type=enums.EVENT_TYPE[of.type],
        domain=of.domain,
        previous_status=pb.Domain.STATUS_UNSPECIFIED if before is None else enums.STATUS[before],
        previous_health=pb.Domain.HEALTH_UNSPECIFIED if health is None else enums.HEALTH[health],
        reason=of.reason,
        actor=of.actor,
        state=domain(of.state, full=full),
        held_sends=of.held_sends,
    )


def _add_record(message: pb.Domain, record: Record, last_check: Timestamp | None) -> None:
    finding = record.finding
    problem = finding.problem
    # Made in place: a list of records would be copied into the message.
    message.dns_records.add(
        purpose=enums.PURPOSE[record.purpose],
        type=enums.RECORD_TYPE[record.type],
        name=record.name,
        value=record.value,
        priority=record.priority,
        ttl=record.ttl,
        required=record.required,
        state=enums.RECORD_STATE[finding.state],
        observed=finding.observed,
        problem=pb.DnsRecord.PROBLEM_UNSPECIFIED if problem is None else enums.PROBLEM[problem],
        hint=finding.hint,
        check_time=None if finding.state is RecordState.PENDING else last_check,
        checked_server=finding.server,
    )


def _advice(piece: advice.Advice) -> pb.Advice:
    return pb.Advice(code=enums.ADVICE_CODE[piece.code], text=piece.text)


def _time(moment: datetime) -> Timestamp:
    # Half the cost of Timestamp.FromDatetime, and as exact.
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def _optional_time(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else _time(moment)
