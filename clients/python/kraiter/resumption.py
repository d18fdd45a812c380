"""How a watch goes on after its stream has ended: the same for sync and asyncio."""

import random
from dataclasses import dataclass, field

import grpc

from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.errors import Error

_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.ABORTED,
        # What a stream meets that is opened just as its server stops.
        grpc.StatusCode.CANCELLED,
    }
)
"""Ends that opening the stream again helps against, in a while."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0


@dataclass(slots=True)
class Resumption:
    """Where a watch stands, and how long to wait before it goes on."""

    request: pb.WatchStatusRequest
    """Opens the next stream."""
    failures: int = field(default=0, init=False)
    """Ends in a row without a message between."""

    def note(self, message: pb.WatchStatusResponse) -> None:
        """Take note that a message was dealt with: nothing before that may be skipped."""
        self.failures = 0
        if message.resume_token:
            self.request.resume_token = message.resume_token
            self.request.start = pb.WatchStatusRequest.START_UNSPECIFIED

    def pause_after(self, error: Error | None) -> float:
        """Return how many seconds to wait after an end; None is a clean one.

        Raises:
            Error: `error`, where opening the stream again would not help.

        """
        if error is not None and error.code not in _PASSING:
            raise error
        longest = min(_FIRST_PAUSE * 2**self.failures, _LONGEST_PAUSE)
        self.failures = min(self.failures + 1, 16)
        asked = error.retry_after.total_seconds() if error and error.retry_after else 0.0
        # All clients of a replica lose it at once: they must not return so.
        return max(asked, 0.0) + random.uniform(0, longest)  # noqa: S311 - no secret depends on it
