"""The hub: owns the feeds and the streams of a process, and the threads that work for them."""

import asyncio
import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from service import ports
from service.core.errors import Reason, ServiceError
from service.core.schedule import Intervals
from service.core.tokens import TokenSealer
from service.usecases.watch_status import Subscription
from service.watch.feed import Codec, Feed, FeedKey, Framed
from service.watch.stream import Stream, Surroundings, jittered
from service.watch.tail import Tail
from service.watch.waiting import Awaited, Waiting

_READERS = 4
_SNAPSHOTS = 3  # fewer than readers, so that catching up is never locked out
_STOP_SPREAD = 1.0
_STOP_PATIENCE = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    """Times in seconds, sizes in events."""

    poll: float = 1.0
    """Longest time between two looks at the log."""
    gather: float = 0.002
    """Shortest time between two looks, so that events travel together."""
    ring: int = 4096
    """Events kept in memory for each tenant that is watched."""
    max_age: float = 1800.0
    """How long a stream lives; with 10 % jitter."""
    stale_after: float = 3.0
    """Without a look at the log for so long, there are no bookmarks."""
    snapshot_limit: float = 60.0
    """How long a subscriber may take to read the current state."""


class Hub:
    """Streams the log to any number of subscribers. Lives on the event loop."""

    def __init__(
        self,
        *,
        log: ports.EventLog,
        hints: ports.CommitHints,
        queue: ports.CheckQueue,
        clock: ports.Clock,
        codec: Codec,
        tokens: TokenSealer,
        intervals: Intervals,
        config: HubConfig,
    ) -> None:
        """Take the log, and the queue of checks that subscribers wait for.

        Called on the event loop; nothing runs before `start`.
        """
        self._codec = codec
        self._tokens = tokens
        self._config = config
        self._feeds: dict[FeedKey, Feed] = {}
        self._streams: set[Stream] = set()
        self._emptied = asyncio.Event()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="watch-read")
        self._tail = Tail(
            log=log,
            hints=hints,
            codec=codec,
            loop=asyncio.get_running_loop(),
            feeds=lambda: list(self._feeds.values()),
            poll=config.poll,
            gather=config.gather,
        )
        self._waiting = Waiting(queue=queue, clock=clock, intervals=intervals, awaited=self._awaited)
        self._around = Surroundings(
            log=log,
            codec=codec,
            tokens=tokens,
            readers=self._readers,
            snapshots=asyncio.Semaphore(_SNAPSHOTS),
            tail=self._tail,
            stale_after=config.stale_after,
            snapshot_limit=config.snapshot_limit,
        )
        self._is_stopping = False

    async def start(self) -> None:
        """Begin to read the log, and to hasten what subscribers wait for."""
        self._tail.start()
        self._waiting.start()

    async def stop(self) -> None:
        """End every stream with a last bookmark and SHUTTING_DOWN, then the threads.

        The ends are spread over a second, so that clients do not all come back
        to the next replica at once.
        """
        self._is_stopping = True
        loop = asyncio.get_running_loop()
        for stream in self._streams:
            loop.call_later(random.uniform(0, _STOP_SPREAD), stream.end, _shutting_down())  # noqa: S311 - no secret depends on it
        if self._streams:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), _STOP_PATIENCE)
        await loop.run_in_executor(None, self._tail.end)
        await loop.run_in_executor(None, self._waiting.end)
        self._readers.shutdown(wait=False, cancel_futures=True)

    def stream(self, subscription: Subscription) -> Stream:
        """Return a stream for a subscription, to be driven by its `messages`.

        Raises:
            ServiceError: SHUTTING_DOWN.

        """
        if self._is_stopping:
            raise _shutting_down()
        return Stream(subscription, self, self._around, max_age=jittered(self._config.max_age))

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def join(self, stream: Stream, key: FeedKey) -> Feed:
        """Count a stream in, and return the feed that it reads."""
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(key, ring=self._config.ring, message=self._framed(key))
            self._tail.admit()
        self._streams.add(stream)
        return feed

    def leave(self, stream: Stream, feed: Feed) -> None:
        """Count a stream out. A feed that nobody reads is dropped."""
        self._streams.discard(stream)
        if not feed.is_read:
            self._feeds.pop(feed.key, None)
        if not self._streams:
            self._emptied.set()

    def _awaited(self) -> list[Awaited]:
        # Called on another thread: a set is copied in one step.
        return [stream.awaited for stream in list(self._streams) if stream.awaited.names]

    def _framed(self, key: FeedKey) -> Framed:
        def message(events: bytes, through: int, *, caught_up: bool) -> bytes:
            token = self._tokens.resume(key.tenant, through)
            return self._codec.message(events, resume_token=token, caught_up=caught_up)

        return message


def _shutting_down() -> ServiceError:
    return ServiceError(
        Reason.SHUTTING_DOWN,
        "this replica is stopping: continue on another with the last resume token",
        retry_after=timedelta(seconds=1),
    )
