"""The one place where an error becomes a gRPC status with `google.rpc` details."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from service.core.errors import Reason, ServiceError

ERROR_DOMAIN = "domains.kraiter.com"
DETAILS_KEY = "grpc-status-details-bin"
"""Where gRPC carries a serialised `google.rpc.Status`."""

# By default clients refuse more than 8 KiB of metadata. The message goes
# percent-encoded, the details in base64 and with the message once more.
_LONGEST_MESSAGE = 500
_LONGEST_TEXT = 250
_LONGEST_SUBJECT = 150
_MOST_VIOLATIONS = 6


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a reason is in gRPC's terms."""

    code: grpc.StatusCode
    retry_after: timedelta | None = None
    """How long to wait where waiting helps and the error itself does not say."""


_INVALID = Mapped(grpc.StatusCode.INVALID_ARGUMENT)
_NOT_FOUND = Mapped(grpc.StatusCode.NOT_FOUND)
_OUT_OF_RANGE = Mapped(grpc.StatusCode.OUT_OF_RANGE)
_UNAUTHENTICATED = Mapped(grpc.StatusCode.UNAUTHENTICATED)

MAPPED: Mapping[Reason, Mapped] = {
    Reason.INVALID_DOMAIN: _INVALID,
    Reason.INVALID_PAGE_TOKEN: _INVALID,
    Reason.INVALID_RESUME_TOKEN: _INVALID,
    Reason.INVALID_FIELD: _INVALID,
    Reason.DOMAIN_NOT_FOUND: _NOT_FOUND,
    Reason.USE_NOT_FOUND: _NOT_FOUND,
    Reason.DOMAIN_EXISTS: Mapped(grpc.StatusCode.ALREADY_EXISTS),
    Reason.DOMAIN_IN_USE: Mapped(grpc.StatusCode.FAILED_PRECONDITION),
    Reason.PROVIDER_CONFLICT: Mapped(grpc.StatusCode.FAILED_PRECONDITION),
    Reason.RESUME_TOKEN_EXPIRED: _OUT_OF_RANGE,
    Reason.RESUME_TOKEN_AHEAD: _OUT_OF_RANGE,
    Reason.MISSING_KEY: _UNAUTHENTICATED,
    Reason.INVALID_KEY: _UNAUTHENTICATED,
    Reason.KEY_EXPIRED: _UNAUTHENTICATED,
    Reason.KEY_REVOKED: _UNAUTHENTICATED,
    Reason.MISSING_SCOPE: Mapped(grpc.StatusCode.PERMISSION_DENIED),
    Reason.RATE_LIMITED: Mapped(grpc.StatusCode.RESOURCE_EXHAUSTED, timedelta(seconds=1)),
    # Waiting makes no room for another domain.
    Reason.DOMAIN_QUOTA: Mapped(grpc.StatusCode.RESOURCE_EXHAUSTED),
    Reason.TOO_MANY_STREAMS: Mapped(grpc.StatusCode.RESOURCE_EXHAUSTED, timedelta(seconds=5)),
    Reason.PROVIDER_LIMIT: Mapped(grpc.StatusCode.RESOURCE_EXHAUSTED, timedelta(minutes=1)),
    Reason.DATABASE_UNAVAILABLE: Mapped(grpc.StatusCode.UNAVAILABLE, timedelta(seconds=1)),
    Reason.PROVIDER_UNAVAILABLE: Mapped(grpc.StatusCode.UNAVAILABLE, timedelta(seconds=5)),
    Reason.SHUTTING_DOWN: Mapped(grpc.StatusCode.UNAVAILABLE, timedelta(seconds=1)),
    Reason.CONCURRENT_CHANGE: Mapped(grpc.StatusCode.ABORTED, timedelta(milliseconds=100)),
    Reason.DEADLINE_EXCEEDED: Mapped(grpc.StatusCode.DEADLINE_EXCEEDED),
    Reason.INTERNAL: Mapped(grpc.StatusCode.INTERNAL),
}

_RESOURCES: Mapping[Reason, str] = {
    Reason.DOMAIN_NOT_FOUND: "kraiter.domains.v1.Domain",
    Reason.DOMAIN_EXISTS: "kraiter.domains.v1.Domain",
    Reason.USE_NOT_FOUND: "kraiter.domains.v1.DomainUse",
}


@dataclass(frozen=True, slots=True)
class RichStatus:
    """A status ready to be sent."""

    code: grpc.StatusCode
    message: str
    details: bytes
    """A serialised `google.rpc.Status`, for the metadata `DETAILS_KEY`."""


def code_of(error: ServiceError) -> grpc.StatusCode:
    """Return the gRPC code of an error."""
    return MAPPED[error.reason].code


def internal(request_id: str) -> ServiceError:
    """Return all that a caller may know of a failure of ours."""
    return ServiceError(
        Reason.INTERNAL, f"internal error, request id {request_id}", metadata={"request_id": request_id}
    )


def to_status(error: ServiceError) -> RichStatus:
    """Return the status of an error, small enough for every client to take."""
    code = code_of(error)
    message = _cut(error.message, _LONGEST_MESSAGE)
    status = status_pb2.Status(code=_number(code), message=message)
    for detail in _details(error):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return RichStatus(code, message, status.SerializeToString())


def _details(error: ServiceError) -> Iterator[Message]:
    metadata = {key: _cut(value, _LONGEST_TEXT) for key, value in error.metadata.items()}
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    mapped = MAPPED[error.reason]
    if mapped.code is grpc.StatusCode.FAILED_PRECONDITION:
        yield error_details_pb2.PreconditionFailure(
            violations=[
                {
                    "type": error.reason.value,
                    "subject": _cut(stands.field, _LONGEST_SUBJECT),
                    "description": _cut(stands.description, _LONGEST_SUBJECT),
                }
                for stands in error.violations
            ]
        )
    elif error.violations:
        yield error_details_pb2.BadRequest(
            field_violations=[
                {"field": wrong.field, "description": _cut(wrong.description, _LONGEST_TEXT)}
                for wrong in error.violations[:_MOST_VIOLATIONS]
            ]
        )
    if resource := _RESOURCES.get(error.reason):
        yield error_details_pb2.ResourceInfo(
            resource_type=resource,
            resource_name=metadata.get("domain", ""),
            description=_cut(error.message, _LONGEST_TEXT),
        )
    if wait := error.retry_after or mapped.retry_after:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromTimedelta(wait)
        yield info


def _number(code: grpc.StatusCode) -> int:
    value: tuple[int, Any] = code.value
    return value[0]


def _cut(text: str, octets: int) -> str:
    encoded = text.encode(errors="backslashreplace")
    return text if len(encoded) <= octets else encoded[: octets - 3].decode(errors="ignore") + "\u2026"
