"""Requests made from plain arguments, for the sync and the asyncio client alike."""

import uuid
from collections.abc import Collection
from datetime import timedelta
from typing import TypedDict

from google.protobuf import duration_pb2, field_mask_pb2

from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as pb


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
