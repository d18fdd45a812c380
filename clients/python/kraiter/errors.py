"""Errors of calls, typed by their gRPC code, with the details that the service sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"
_REQUEST_ID_KEY = "x-request-id"


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field of a request."""

    field: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What the service says of an error besides its code and message."""

    reason: str = ""
    metadata: Mapping[str, str]
    violations: tuple[Violation, ...] = ()
    retry_after: timedelta | None = None
    request_id: str = ""


class Error(Exception):
    """A call that failed.

    `reason` is stable and in upper snake case, such as `DOMAIN_NOT_FOUND`;
    empty where the error did not come from the service itself. `metadata` has
    what varies in the message, `violations` every wrong field, `retry_after`
    how long to wait where waiting helps.
    """

    def __init__(self, message: str, code: grpc.StatusCode, details: Details) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = details.reason
        self.metadata = details.metadata
        self.violations = details.violations
        self.retry_after = details.retry_after
        self.request_id = details.request_id

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"


class InvalidArgument(Error):  # noqa: N818 - named as gRPC names the code, as all below
    """A field of the request is wrong: see `violations`."""


class NotFound(Error):  # noqa: N818 - as above
    """There is no such thing in this tenant."""


class AlreadyExists(Error):  # noqa: N818 - as above
    """The tenant has it already."""


class FailedPrecondition(Error):  # noqa: N818 - as above
    """The state of things forbids it."""


class OutOfRange(Error):  # noqa: N818 - as above
    """A resume token is too old (RESUME_TOKEN_EXPIRED) or from the future."""


class Unauthenticated(Error):  # noqa: N818 - as above
    """The API key is missing, unknown, expired or revoked."""


class PermissionDenied(Error):  # noqa: N818 - as above
    """The API key lacks a scope."""


class ResourceExhausted(Error):  # noqa: N818 - as above
    """A limit was reached: see `retry_after`."""


class Unavailable(Error):  # noqa: N818 - as above
    """The service cannot be reached, or not answer now; retries did not help."""


class Conflict(Error):  # noqa: N818 - as above
    """Another change came between (ABORTED): do it again."""


class DeadlineExceeded(Error):  # noqa: N818 - as above
    """The call took longer than its timeout."""


class Unimplemented(Error):  # noqa: N818 - as above
    """The service does not know this call."""


class Internal(Error):  # noqa: N818 - as above
    """The service failed; `request_id` finds it in its logs."""


class SendRejected(Error):  # noqa: N818 - as above
    """A domain must not send; `reason` says why, such as NOT_VERIFIED or DOMAIN_NOT_FOUND."""

    def __init__(self, domain: str, reason: str) -> None:
        details = Details(reason=reason, metadata={"domain": domain})
        super().__init__(f"{domain} must not send", grpc.StatusCode.FAILED_PRECONDITION, details)


class GateClosed(Error):  # noqa: N818 - as above
    """A send gate was asked, or waited at, that is closed (GATE_CLOSED)."""

    def __init__(self) -> None:
        details = Details(reason="GATE_CLOSED", metadata={})
        super().__init__("the send gate was closed", grpc.StatusCode.CANCELLED, details)


_TYPES: Mapping[grpc.StatusCode, type[Error]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.INTERNAL: Internal,
}


def from_rpc_error(error: grpc.RpcError) -> Error:
    """Return the typed error of an error of gRPC, sync or asyncio."""
    # The base class has none of its methods; every error of a call has them.
    call: Any = error
    code: grpc.StatusCode = call.code()
    details = _read(call.trailing_metadata() or ())
    return _TYPES.get(code, Error)(call.details() or "", code, details)


def _read(trailing: Iterable[tuple[str, Any]]) -> Details:
    metadata = dict(trailing)
    request_id = metadata.get(_REQUEST_ID_KEY, "")
    status = status_pb2.Status()
    try:
        status.ParseFromString(metadata.get(_DETAILS_KEY, b""))
    except DecodeError:
        return Details(metadata={}, request_id=request_id)
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for kind in (info, bad, retry):
            if detail.Is(kind.DESCRIPTOR):
                detail.Unpack(kind)
    return Details(
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(Violation(wrong.field, wrong.description) for wrong in bad.field_violations),
        retry_after=retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
        request_id=request_id,
    )
