"""From messages to what use cases take.

A number that is no value of its enum is written down as a violation, so that a
caller learns of everything that is wrong at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from google.protobuf import duration_pb2
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1.domain_pb2 import Domain

from service.core.domain import EventType, Status
from service.core.errors import Violation
from service.core.exports import Format
from service.core.health import Health
from service.core.records import DmarcPolicy
from service.rpc import enums
from service.usecases.create_domain import NewDomain
from service.usecases.read_domains import DomainQuery
from service.usecases.update_domain import DomainUpdate, Field
from service.usecases.watch_status import Start, WatchQuery

_Member = TypeVar("_Member")

_MOST_LISTED = 100
"""No enum has as many values: a longer list is a mistake, or an attack."""
_FAR_OUTSIDE = 86_400

_STATUSES: Mapping[int, Status] = {number: status for status, number in enums.STATUS.items()}
_HEALTHS: Mapping[int, Health] = {number: health for health, number in enums.HEALTH.items()}
_EVENT_TYPES: Mapping[int, EventType] = {number: kind for kind, number in enums.EVENT_TYPE.items()}
_STARTS: Mapping[int, Start] = {number: start for start, number in enums.START.items()}
_FORMATS: Mapping[int, Format] = {number: form for form, number in enums.FORMAT.items()}
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
