"""How many calls and streams there may be at once.

Calls and streams are counted apart: ten thousand quiet streams must not keep
out a single call. Health checks and reflection are not counted at all.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from service.core.errors import Reason, ServiceError


class Limiter:
    """Counts what runs, and refuses what is too much. Lives on the event loop."""

    def __init__(self, *, calls: int, streams: int, streams_per_key: int) -> None:
        """Take the most unary calls, and streams in all and of each API key."""
        self._calls = _Running(calls, _too_many_calls)
        self._streams = _Running(streams, functools.partial(_too_many_streams, "this replica"))
        self._most_of_key = streams_per_key
        self._of_key: Counter[str] = Counter()

    def close(self) -> None:
        """Refuse whatever comes from now on."""
        self._calls.close()
        self._streams.close()

    async def idle(self) -> None:
        """Wait until nothing runs. Called once it is closed."""
        await self._calls.idle()
        await self._streams.idle()

    def call(self) -> AbstractContextManager[None]:
        """Count a unary call: what is returned can be entered for any number of them.

        Raises:
            ServiceError: RATE_LIMITED, SHUTTING_DOWN.

        """
        return self._calls

    def stream(self) -> AbstractContextManager[None]:
        """Count a stream.

        Raises:
            ServiceError: TOO_MANY_STREAMS, SHUTTING_DOWN.

        """
        return self._streams

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


class _Running:
    """What runs of one kind. Whoever enters is counted until it leaves.

    One object serves them all: a generator for each would cost several times as much.
    """

    def __init__(self, most: int, too_many: Callable[[int], ServiceError]) -> None:
        self._most = most
        self._too_many = too_many
        self._count = 0
        self._idle = asyncio.Event()
        self._is_closed = False

    def close(self) -> None:
        self._is_closed = True
        if not self._count:
            self._idle.set()

    async def idle(self) -> None:
        await self._idle.wait()

    def __enter__(self) -> None:
        if self._count >= self._most:
            raise self._too_many(self._most)
        if self._is_closed:
            raise ServiceError(Reason.SHUTTING_DOWN, "this replica is stopping: call another")
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if self._is_closed and not self._count:
            self._idle.set()


def _too_many_calls(limit: int) -> ServiceError:
    return ServiceError(
        Reason.RATE_LIMITED,
        f"this replica has {limit} calls to answer already",
        metadata={"limit": str(limit)},
    )


def _too_many_streams(owner: str, limit: int) -> ServiceError:
    return ServiceError(
        Reason.TOO_MANY_STREAMS, f"{owner} has {limit} open streams already", metadata={"limit": str(limit)}
    )
