"""Client of the sending-domains service; `kraiter.domains.v1` holds the generated stubs.

    client = kraiter.Client("domains.internal:443", key, secure=True)
    domain = client.domains.create("mail.example.com")

`kraiter.aio.Client` is the same for asyncio.
"""

from kraiter.client import Client, Domains
from kraiter.decisions import Decision
from kraiter.errors import (
    AlreadyExists,
    Conflict,
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    GateClosed,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    SendRejected,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
)
from kraiter.gate import SendGate
from kraiter.sending import Sending

__all__ = [
    "AlreadyExists",
    "Client",
    "Conflict",
    "DeadlineExceeded",
    "Decision",
    "Domains",
    "Error",
    "FailedPrecondition",
    "GateClosed",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "SendGate",
    "SendRejected",
    "Sending",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
]
