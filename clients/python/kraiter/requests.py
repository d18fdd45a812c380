"""Requests made from plain arguments, for the sync and the asyncio client alike."""

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypedDict

from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1 import sending_service_pb2 as sending_pb

_MOST_CHECKED = 100
"""Domains that one CheckSending takes."""
_GATE_HEARTBEAT = timedelta(seconds=1)
"""The shortest that the service offers."""


class CreateOptions(TypedDict, total=False):
    """What CreateDomain takes besides the name; see `CreateDomainRequest`."""

    region: str
    dmarc_policy: domain_pb.Domain.DmarcPolicy.ValueType
    dmarc_report_address: str
    mail_from_subdomain: str
    request_id: str


class UpdateOptions(TypedDict, total=False):
    """What UpdateDomain changes; see `UpdateDomainRequest`. An empty value stands for the default."""

    dmarc_policy: domain_pb.Domain.DmarcPolicy.ValueType
    dmarc_report_address: str
    mail_from_subdomain: str


class ListOptions(TypedDict, total=False):
    """What ListDomains takes; see `ListDomainsRequest`."""

    page_size: int
    page_token: str
    statuses: Collection[domain_pb.Domain.Status.ValueType]
    healths: Collection[domain_pb.Domain.Health.ValueType]
    sending_enabled: bool
    domain_prefix: str
    view: domain_pb.Domain.View.ValueType
    min_revision: int


class EventOptions(TypedDict, total=False):
    """What ListStatusEvents takes; see `ListStatusEventsRequest`."""

    domain: str
    page_size: int
    page_token: str


class WatchOptions(TypedDict, total=False):
    """What WatchStatus takes; see `WatchStatusRequest`."""

    domains: Collection[str]
    types: Collection[domain_pb.StatusEvent.Type.ValueType]
    start: pb.WatchStatusRequest.Start.ValueType
    resume_token: str
    heartbeat_interval: timedelta
    view: domain_pb.Domain.View.ValueType


class UseOptions(TypedDict, total=False):
    """What PutDomainUse takes besides what names the use; see `PutDomainUseRequest`.

    Times without a time zone are taken for UTC.
    """

    state: sending_pb.DomainUse.State.ValueType
    application: str
    scheduled_time: datetime
    expire_time: datetime


class UseListOptions(TypedDict, total=False):
    """What ListDomainUses takes besides the domain; see `ListDomainUsesRequest`."""

    page_size: int
    page_token: str
    kinds: Collection[sending_pb.DomainUse.Kind.ValueType]
    states: Collection[sending_pb.DomainUse.State.ValueType]


def create(domain: str, options: CreateOptions) -> pb.CreateDomainRequest:
    """Return a creation with a request id, so that it can be retried."""
    with_id: CreateOptions = {"request_id": str(uuid.uuid4()), **options}
    return pb.CreateDomainRequest(domain=domain, **with_id)


def update(domain: str, options: UpdateOptions) -> pb.UpdateDomainRequest:
    """Return a change of exactly what is given."""
    mask = field_mask_pb2.FieldMask(paths=options)
    return pb.UpdateDomainRequest(domain=domain, update_mask=mask, **options)


def watch(options: WatchOptions) -> pb.WatchStatusRequest:
    """Return the request that opens a stream."""
    heartbeat = duration_pb2.Duration()
    if interval := options.get("heartbeat_interval"):
        heartbeat.FromTimedelta(interval)
    return pb.WatchStatusRequest(
        domains=options.get("domains", ()),
        types=options.get("types", ()),
        start=options.get("start", pb.WatchStatusRequest.START_UNSPECIFIED),
        resume_token=options.get("resume_token", ""),
        heartbeat_interval=heartbeat if interval else None,
        view=options.get("view", domain_pb.Domain.VIEW_UNSPECIFIED),
    )


def gate(domains: Collection[str] | None) -> WatchOptions:
    """Return what a send gate watches: all of these domains' changes, after their current state."""
    return {
        "domains": domains or (),
        "start": pb.WatchStatusRequest.CURRENT_STATE,
        "heartbeat_interval": _GATE_HEARTBEAT,
    }


def check(domains: Sequence[str], min_revision: int) -> Iterator[sending_pb.CheckSendingRequest]:
    """Yield as many requests as it takes to ask about all the domains."""
    for first in range(0, len(domains), _MOST_CHECKED):
        asked = domains[first : first + _MOST_CHECKED]
        yield sending_pb.CheckSendingRequest(domains=asked, min_revision=min_revision)


def put_use(
    domain: str, kind: sending_pb.DomainUse.Kind.ValueType, use_id: str, options: UseOptions
) -> sending_pb.PutDomainUseRequest:
    """Return the request that registers a use."""
    return sending_pb.PutDomainUseRequest(
        domain=domain,
        kind=kind,
        use_id=use_id,
        state=options.get("state", sending_pb.DomainUse.STATE_UNSPECIFIED),
        application=options.get("application", ""),
        scheduled_time=_timestamp(options.get("scheduled_time")),
        expire_time=_timestamp(options.get("expire_time")),
    )


def report(
    reports: Iterable[sending_pb.DeliveryReport], batch_id: str | None
) -> sending_pb.ReportDeliveriesRequest:
    """Return a batch of reports with an id, so that it can be retried."""
    return sending_pb.ReportDeliveriesRequest(batch_id=batch_id or str(uuid.uuid4()), reports=reports)


def _timestamp(time: datetime | None) -> timestamp_pb2.Timestamp | None:
    if time is None:
        return None
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
