"""How many calls and streams there may be at once.

Calls and streams are counted apart: ten thousand quiet streams must not keep
out a single call. Health checks and reflection are not counted at all.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.core.errors import Reason, ServiceError


class Limiter:
    """Counts what runs, and refuses what is too much. Lives on the event loop."""

    def __init__(self, *, calls: int, streams: int, streams_per_key: int) -> None:
        """Take the most unary calls, and streams in all and of each API key."""
        self._most_calls = calls
        self._most_streams = streams
        self._most_of_key = streams_per_key
        self._calls = 0
        self._streams = 0
        self._of_key: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closed = False

    def close(self) -> None:
        """Refuse whatever comes from now on."""
        self._is_closed = True

    async def idle(self) -> None:
        """Wait until nothing runs."""
        await self._idle.wait()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a unary call.

        Raises:
            ServiceError: RATE_LIMITED, SHUTTING_DOWN.

        """
        if self._calls >= self._most_calls:
            raise ServiceError(
                Reason.RATE_LIMITED,
                f"this replica has {self._most_calls} calls to answer already",
                metadata={"limit": str(self._most_calls)},
            )
        self._enter()
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._leave()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream.

        Raises:
            ServiceError: TOO_MANY_STREAMS, SHUTTING_DOWN.

        """
        if self._streams >= self._most_streams:
            raise _too_many_streams("this replica", self._most_streams)
        self._enter()
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1
            self._leave()

    @contextmanager
    def stream_of(self, key_id: str) -> Iterator[None]:
        """Count a stream for its API key.

        Raises:
            ServiceError: TOO_MANY_STREAMS.

        """
        if self._of_key[key_id] >= self._most_of_key:
            raise _too_many_streams("this key", self._most_of_key)
        self._of_key[key_id] += 1
        try:
            yield
        finally:
            self._of_key[key_id] -= 1
            if not self._of_key[key_id]:
                del self._of_key[key_id]

    def _enter(self) -> None:
        if self._is_closed:
            raise ServiceError(Reason.SHUTTING_DOWN, "this replica is stopping: call another")
        self._idle.clear()

    def _leave(self) -> None:
        if not self._calls and not self._streams:
            self._idle.set()


def _too_many_streams(owner: str, limit: int) -> ServiceError:
    return ServiceError(
        Reason.TOO_MANY_STREAMS, f"{owner} has {limit} open streams already", metadata={"limit": str(limit)}
    )
