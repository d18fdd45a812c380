"""One subscriber's stream: its place in the log, and what it is sent."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from service import ports
from service.core.errors import ServiceError
from service.core.tokens import TokenSealer
from service.usecases.watch_status import Subscription, require_kept
from service.watch.feed import Codec, Entry, Feed, FeedKey, Waiter, bounded
from service.watch.snapshot import SnapshotReader
from service.watch.tail import serialised
from service.watch.waiting import Awaited

_T = TypeVar("_T")
Write = Callable[[bytes], Awaitable[None]]
"""Hands a message to the subscriber, and returns when there is room for the next."""

_CATCH_UP = 500
_LATELY = 3.0
"""How long ago the log was read at most, in seconds, for a stream to be caught up: the contract says so."""


class Freshness(Protocol):
    """Whoever knows when the log was last known to hold nothing unread."""

    confirmed: float


class Membership(Protocol):
    """Whoever counts the streams, and has their feeds."""

    def join(self, stream: "Stream", key: FeedKey) -> Feed:
        """Count a stream in, and return the feed that it reads."""

    def leave(self, stream: "Stream", feed: Feed) -> None:
        """Count a stream out."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every stream of a hub shares."""

    log: ports.EventLog
    codec: Codec
    tokens: TokenSealer
    readers: Executor
    snapshots: asyncio.Semaphore
    tail: Freshness
    stale_after: float
    snapshot_limit: float


class Stream:
    """A subscription being delivered.

    Everything it sends ends with a token for its own place, so that a token
    never runs ahead of what was handed over.
    """

    __slots__ = (
        "_around",
        "_bookmark_due",
        "_end",
        "_heartbeat",
        "_hub",
        "_is_filtered",
        "_max_age",
        "_place",
        "_subscription",
        "_waiter",
    )

    def __init__(
        self, subscription: Subscription, hub: Membership, around: Surroundings, *, max_age: float
    ) -> None:
        """Make the stream; it begins with `deliver`."""
        self._subscription = subscription
        self._heartbeat = subscription.heartbeat.total_seconds()
        self._is_filtered = subscription.names is not None or bool(subscription.types)
        self._hub = hub
        self._around = around
        self._max_age = max_age
        self._place = subscription.after
        self._bookmark_due = 0.0
        self._end: ServiceError | None = None
        self._waiter = Waiter()

    @property
    def awaited(self) -> Awaited:
        """The domains whose checks the subscriber waits for."""
        return Awaited(self._subscription.tenant, self._subscription.awaited)

    def end(self, error: ServiceError) -> None:
        """End the stream with an error, after a last bookmark. Call it on the loop."""
        if self._end is None:
            self._end = error
            self._waiter.wake()

    async def deliver(self, write: Write) -> None:
        """Write serialised messages until the stream's age is reached.

        Raises:
            ServiceError: what `end` was called with; RESUME_TOKEN_EXPIRED
                where the log was trimmed past a stream that fell behind; what
                the log raises while the stream reads it itself.

        """
        with self._joined() as feed:
            expiry = time.monotonic() + self._max_age
            if self._subscription.snapshot_first:
                await self._write_snapshot(write)
            else:
                await write(self._message(b""))
            self._bookmark_due = time.monotonic() + self._heartbeat
            while self._end is None and (now := time.monotonic()) < expiry:
                if feed.floor is None:
                    # Nobody knows yet what it has missed: a bookmark would say that there is nothing.
                    await self._waiter.wait(expiry)
                    continue
                if self._place >= feed.head:
                    if now < self._bookmark_due:
                        await self._waiter.wait(min(self._bookmark_due, expiry))
                        continue
                    message = self._bookmark_if_due(feed)
                elif self._place < feed.floor:
                    message = await self._catch_up(feed)
                else:
                    message = self._from(feed)
                if message is not None:
                    await write(message)
                    self._bookmark_due = now + self._heartbeat
            await write(self._message(b"", caught_up=self._has_caught_up(feed)))
            if self._end is not None:
                raise self._end

    @contextmanager
    def _joined(self) -> Iterator[Feed]:
        feed = self._hub.join(self, FeedKey(self._subscription.tenant, self._subscription.full))
        feed.join(self._waiter)
        try:
            yield feed
        finally:
            self._waiter.close()
            feed.leave(self._waiter)
            self._hub.leave(self, feed)

    def _is_current(self) -> bool:
        """Whether the log was read lately."""
        return time.monotonic() - self._around.tail.confirmed <= _LATELY

    def _has_caught_up(self, feed: Feed) -> bool:
        """Whether the subscriber has all there is."""
        return feed.floor is not None and self._place >= feed.head and self._is_current()

    def _from(self, feed: Feed) -> bytes | None:
        if self._is_filtered:
            entries = feed.after(self._place)
            return self._pass_on(feed, entries, entries[-1].revision)
        message, self._place = feed.message_after(self._place, is_current=self._is_current())
        return message

    def _bookmark_if_due(self, feed: Feed) -> bytes | None:
        now = time.monotonic()
        if now < self._bookmark_due:
            return None
        # Silence is how a subscriber learns that changes no longer reach us.
        stale_after = self._around.stale_after
        if now - self._around.tail.confirmed > stale_after:
            self._bookmark_due = now + stale_after / 2
            return None
        return self._message(b"", caught_up=self._has_caught_up(feed))

    def _message(self, events: bytes, *, complete: bool = False, caught_up: bool = False) -> bytes:
        """Return a message that ends with a token for this place; without events, a bookmark."""
        token = self._around.tokens.resume(self._subscription.tenant, self._place)
        return self._around.codec.message(
            events, resume_token=token, snapshot_complete=complete, caught_up=caught_up
        )

    def _pass_on(self, feed: Feed, entries: Sequence[Entry], through: int) -> bytes | None:
        names, types = self._subscription.names, self._subscription.types
        wanted = [
            entry.octets
            for entry in entries
            if (names is None or entry.domain in names) and (not types or entry.type in types)
        ]
        self._place = through
        if wanted:
            return self._message(b"".join(wanted), caught_up=self._has_caught_up(feed))
        return self._bookmark_if_due(feed)

    async def _catch_up(self, feed: Feed) -> bytes | None:
        """Read on from the database, up to where the feed begins."""
        log = self._around.log
        tenant, place = self._subscription.tenant, self._place

        def read() -> tuple[list[Entry], int]:
            # The head from before the read: everything up to it was visible to
            # the read. The trimming from after it: what was there is complete.
            head = log.bounds([tenant])[tenant].head
            events = log.read(tenant, place, _CATCH_UP)
            require_kept(place, log.bounds([tenant])[tenant])
            entries = bounded(serialised(events, self._around.codec, full=self._subscription.full))
            return entries, entries[-1].revision if entries else max(place, head)

        entries, through = await self._off_loop(read)
        return self._pass_on(feed, entries, through)

    async def _write_snapshot(self, write: Write) -> None:
        around, subscription = self._around, self._subscription
        async with around.snapshots:
            reader = SnapshotReader(
                lambda: around.log.snapshot(subscription.tenant, subscription.names),
                around.codec,
                full=subscription.full,
            )
            # A subscriber that stops reading must not hold a transaction open.
            loop = asyncio.get_running_loop()
            timer = loop.call_later(around.snapshot_limit, around.readers.submit, reader.close)
            try:
                while self._end is None and (octets := await self._off_loop(reader.next)):
                    await write(around.codec.message(octets, resume_token=""))
            finally:
                timer.cancel()
                await asyncio.shield(self._off_loop(reader.close))
        if self._end is not None:
            raise self._end
        self._place = reader.revision
        await write(self._message(b"", complete=True))

    async def _off_loop(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._around.readers, call)


def jittered(seconds: float) -> float:
    """Return a time within 10 % of `seconds`, so that streams do not end together."""
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret depends on it
