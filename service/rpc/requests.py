"""From messages to what use cases take.

A number that is no value of its enum is written down as a violation, so that a
caller learns of everything that is wrong at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from google.protobuf import duration_pb2, timestamp_pb2
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1 import sending_service_pb2 as sending_pb
from kraiter.domains.v1.domain_pb2 import Domain

from service.core.deliveries import DeliveryReport
from service.core.domain import EventType, Status
from service.core.errors import Violation
from service.core.exports import Format
from service.core.health import Health
from service.core.records import DmarcPolicy
from service.core.uses import UseKind, UseState
from service.rpc import enums
from service.usecases.create_domain import NewDomain
from service.usecases.domain_uses import NewUse, UseQuery
from service.usecases.read_domains import DomainQuery
from service.usecases.update_domain import DomainUpdate, Field
from service.usecases.watch_status import Start, WatchQuery

_Member = TypeVar("_Member")

_MOST_LISTED = 100
"""No enum has as many values: a longer list is a mistake, or an attack."""
_FAR_OUTSIDE = 86_400
_TIMES = range(-62_135_596_800, 253_402_300_800)
"""The seconds since 1970 of the years 1 to 9999: what a Timestamp may hold."""

_STATUSES: Mapping[int, Status] = {number: status for status, number in enums.STATUS.items()}
_HEALTHS: Mapping[int, Health] = {number: health for health, number in enums.HEALTH.items()}
_EVENT_TYPES: Mapping[int, EventType] = {number: kind for kind, number in enums.EVENT_TYPE.items()}
_STARTS: Mapping[int, Start] = {number: start for start, number in enums.START.items()}
_FORMATS: Mapping[int, Format] = {number: form for form, number in enums.FORMAT.items()}
_USE_KINDS: Mapping[int, UseKind] = {number: kind for kind, number in enums.USE_KIND.items()}
_USE_STATES: Mapping[int, UseState] = {number: state for state, number in enums.USE_STATE.items()}
_KEPT_STATES = {number: state for number, state in _USE_STATES.items() if state is not UseState.HELD}
_POLICIES: Mapping[int, DmarcPolicy] = {number: policy for policy, number in enums.DMARC_POLICY.items()}


def new_domain(request: pb.CreateDomainRequest) -> NewDomain:
    """Return the creation that a request asks for."""
    wrong: list[Violation] = []
    policy = _one("dmarc_policy", request.dmarc_policy, _POLICIES, wrong)
    return NewDomain(
        domain=request.domain,
        region=request.region,
        dmarc_policy=policy or DmarcPolicy.NONE,
        dmarc_report_address=request.dmarc_report_address,
        mail_from_subdomain=request.mail_from_subdomain,
        request_id=request.request_id,
        violations=wrong,
    )


def domain_update(request: pb.UpdateDomainRequest) -> DomainUpdate:
    """Return the change that a request asks for."""
    wrong: list[Violation] = []
    policy = None
    if Field.DMARC_POLICY in request.update_mask.paths:
        policy = _one("dmarc_policy", request.dmarc_policy, _POLICIES, wrong)
    return DomainUpdate(
        domain=request.domain,
        paths=tuple(request.update_mask.paths),
        dmarc_policy=policy or DmarcPolicy.NONE,
        dmarc_report_address=request.dmarc_report_address,
        mail_from_subdomain=request.mail_from_subdomain,
        violations=wrong,
    )


def export_format(request: pb.ExportDnsRecordsRequest) -> tuple[Format, Sequence[Violation]]:
    """Return the format that a request asks for, and what is wrong with it."""
    wrong: list[Violation] = []
    return _one("format", request.format, _FORMATS, wrong) or Format.ZONE_FILE, wrong


def domain_query(request: pb.ListDomainsRequest) -> DomainQuery:
    """Return the query that a request asks for."""
    wrong: list[Violation] = []
    _check_view(request.view, wrong)
    return DomainQuery(
        page_size=request.page_size,
        page_token=request.page_token,
        statuses=_some("statuses", request.statuses, _STATUSES, wrong),
        healths=_some("healths", request.healths, _HEALTHS, wrong),
        sending_enabled=request.sending_enabled if request.HasField("sending_enabled") else None,
        domain_prefix=request.domain_prefix,
        min_revision=request.min_revision,
        violations=wrong,
    )


def watch_query(request: pb.WatchStatusRequest) -> WatchQuery:
    """Return the query that a request asks for."""
    wrong: list[Violation] = []
    _check_view(request.view, wrong)
    return WatchQuery(
        domains=tuple(request.domains),
        types=_some("types", request.types, _EVENT_TYPES, wrong),
        start=_one("start", request.start, _STARTS, wrong),
        resume_token=request.resume_token,
        heartbeat=_duration(request.heartbeat_interval) if request.HasField("heartbeat_interval") else None,
        full=request.view == Domain.FULL,
        violations=wrong,
    )


def new_use(request: sending_pb.PutDomainUseRequest) -> NewUse:
    """Return the use that a request registers."""
    wrong: list[Violation] = []
    return NewUse(
        domain=request.domain,
        kind=_one("kind", request.kind, _USE_KINDS, wrong),
        use_id=request.use_id,
        state=_one("state", request.state, _KEPT_STATES, wrong) or UseState.ACTIVE,
        application=request.application,
        scheduled_time=_optional_time("scheduled_time", request, wrong),
        expire_time=_optional_time("expire_time", request, wrong),
        violations=wrong,
    )


def use_kind(request: sending_pb.DeleteDomainUseRequest) -> tuple[UseKind | None, Sequence[Violation]]:
    """Return the kind of use that a request names, and what is wrong with it."""
    wrong: list[Violation] = []
    return _one("kind", request.kind, _USE_KINDS, wrong), wrong


def use_query(request: sending_pb.ListDomainUsesRequest) -> UseQuery:
    """Return the query that a request asks for."""
    wrong: list[Violation] = []
    return UseQuery(
        domain=request.domain,
        page_size=request.page_size,
        page_token=request.page_token,
        kinds=_some("kinds", request.kinds, _USE_KINDS, wrong),
        states=_some("states", request.states, _USE_STATES, wrong),
        violations=wrong,
    )


def delivery_reports(request: sending_pb.ReportDeliveriesRequest) -> Sequence[DeliveryReport]:
    """Return the reports of a batch."""
    return [
        DeliveryReport(
            report.domain,
            report.time.seconds,
            report.sent,
            report.delivered,
            report.hard_bounces,
            report.complaints,
        )
        for report in request.reports
    ]


def _one(field: str, number: int, members: Mapping[int, _Member], wrong: list[Violation]) -> _Member | None:
    """Return the member with a number; None for 0, which stands for the default."""
    if number == 0:
        return None
    if number not in members:
        wrong.append(_not_a_member(field, number))
    return members.get(number)


def _some(
    field: str, numbers: Sequence[int], members: Mapping[int, _Member], wrong: list[Violation]
) -> frozenset[_Member]:
    if len(numbers) > _MOST_LISTED:
        wrong.append(Violation(field, f"must be at most {_MOST_LISTED}, and are {len(numbers)}"))
        return frozenset()
    wrong.extend(_strangers(field, numbers, members))
    return frozenset(members[number] for number in numbers if number in members)


def _strangers(field: str, numbers: Sequence[int], members: Mapping[int, object]) -> Iterable[Violation]:
    for index, number in enumerate(numbers):
        if number not in members:
            yield _not_a_member(f"{field}[{index}]", number)


def _not_a_member(field: str, number: int) -> Violation:
    return Violation(field, f"{number} is no value of this enum that a request may have")


def _check_view(number: int, wrong: list[Violation]) -> None:
    if number not in Domain.View.values():
        wrong.append(_not_a_member("view", number))


def _duration(message: duration_pb2.Duration) -> timedelta:
    # Clamped far outside of every limit: a timedelta holds less than a Duration.
    seconds = max(-_FAR_OUTSIDE, min(message.seconds, _FAR_OUTSIDE))
    return timedelta(seconds=seconds, microseconds=message.nanos / 1000)


def _optional_time(
    field: Literal["scheduled_time", "expire_time"],
    request: sending_pb.PutDomainUseRequest,
    wrong: list[Violation],
) -> datetime | None:
    if not request.HasField(field):
        return None
    time = _time(getattr(request, field))
    if time is None:
        wrong.append(Violation(field, "must be a time of the years 1 to 9999"))
    return time


def _time(message: timestamp_pb2.Timestamp) -> datetime | None:
    """Return the time of a message; None for what is none."""
    seconds, nanos = message.seconds, message.nanos
    if seconds not in _TIMES or not 0 <= nanos < 1_000_000_000:  # noqa: PLR2004 - the nanoseconds of a second
        return None
    time = datetime.fromtimestamp(seconds, UTC)
    return time.replace(microsecond=nanos // 1000) if nanos else time
