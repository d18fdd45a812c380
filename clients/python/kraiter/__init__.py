"""Client of the sending-domains service; `kraiter.domains.v1` holds the generated stubs.

    client = kraiter.Client("domains.internal:443", key, secure=True)
    domain = client.domains.create("mail.example.com")

`kraiter.aio.Client` is the same for asyncio.
"""

from kraiter.client import Client, Domains
from kraiter.errors import (
    AlreadyExists,
    Conflict,
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
)

__all__ = [
    "AlreadyExists",
    "Client",
    "Conflict",
    "DeadlineExceeded",
    "Domains",
    "Error",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
]
