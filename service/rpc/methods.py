"""What an RPC is to the transport: its request, its scope, and who answers it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, TypeAlias

from google.protobuf.message import Message

from service.core.errors import Reason, ServiceError
from service.core.keys import Scope
from service.usecases.caller import Caller


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when a caller waits."""

    at: float | None
    """On the monotonic clock, in seconds; None for no limit."""

    def remaining(self) -> timedelta | None:
        """Return the time that is left, at least none; None for no limit."""
        return None if self.at is None else timedelta(seconds=max(self.at - time.monotonic(), 0.0))

    def require_time(self) -> None:
        """Check that somebody still waits.

        Raises:
            ServiceError: DEADLINE_EXCEEDED.

        """
        if self.at is not None and self.at <= time.monotonic():
            raise ServiceError(Reason.DEADLINE_EXCEEDED, "the deadline passed before the call was begun")


class Pool(Enum):
    """Which threads answer."""

    CALLS = "calls"
    WAITING = "waiting"
    """For calls that mostly wait, so that they keep out no others."""


@dataclass(frozen=True, slots=True)
class Unary:
    """A unary RPC. `answer` blocks, on a thread of `pool`, and raises ServiceError."""

    request: type[Message]
    scope: Scope
    answer: Callable[[Any, Caller, Deadline], Message]
    """Takes a message of the type `request`."""
    pool: Pool = Pool.CALLS


@dataclass(frozen=True, slots=True)
class Gathered:
    """A unary RPC whose calls are answered together when they come together, on a thread."""

    request: type[Message]
    scope: Scope
    answer: Callable[[Sequence[tuple[Any, Caller]]], Sequence[bytes | ServiceError]]
    """Blocks. Takes messages of the type `request` and returns serialised answers, in order.

    What it raises is the error of every call of the batch.
    """


@dataclass(frozen=True, slots=True)
class AtOnce:
    """A unary RPC that is answered on the event loop where memory has the answer.

    Where it has not, and where the request is a large one, the call is answered as of a `Gathered` RPC.
    There are too many of them for a log line each: answers are noted for debugging, errors as ever.
    gRPC itself sees to deadlines: it hands over no call whose caller has gone.
    """

    request: type[Message]
    scope: Scope
    from_memory: Callable[[bytes, Caller], bytes | None]
    """Never blocks. Takes a serialised request and returns a serialised answer.

    None where memory cannot tell. It raises ServiceError.
    """
    answer: Callable[[Sequence[tuple[Any, Caller]]], Sequence[bytes | ServiceError]]
    """See `Gathered`."""


Method: TypeAlias = Unary | Gathered | AtOnce
