"""The one reader of the event log in a process."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

import structlog

from service import ports
from service.core.domain import Event
from service.core.errors import ServiceError
from service.watch.feed import Codec, Entry, Feed

_log = structlog.get_logger(__name__)

_BATCH = 500
_PAUSE_AFTER_ERROR = 0.5
_UNWATCHED = 1.0
"""Longest time between two looks while there is no feed, in seconds."""


def serialised(events: Iterable[Event], codec: Codec, *, full: bool) -> list[Entry]:
    """Return events in the form that streams pass on."""
    return [
        Entry(event.revision, event.domain, event.type, codec.event(event, full=full)) for event in events
    ]


class Tail(threading.Thread):
    """Reads what is new in the log of every tenant that is watched.

    Woken by a hint or by its poll, it compares each feed's head with the log's
    and hands new events to the loop. It alone advances feeds.
    """

    def __init__(
        self,
        *,
        log: ports.EventLog,
        hints: ports.CommitHints,
        codec: Codec,
        loop: asyncio.AbstractEventLoop,
        feeds: Callable[[], list[Feed]],
        poll: float,
        gather: float,
    ) -> None:
        """Take the log, and the loop that feeds live on.

        `poll` is the longest time in seconds between two looks, `gather` the
        shortest, so that events under load travel together.
        """
        super().__init__(name="watch-tail", daemon=True)
        self._log = log
        self._hints = hints
        self._codec = codec
        self._loop = loop
        self._feeds = feeds
        self._poll = poll
        self._gather = gather
        self._ended = threading.Event()
        self._heads: dict[Feed, int] = {}
        self._must_look = False
        self.confirmed = 0.0
        """When the log was last known to hold nothing unread (monotonic)."""

    def admit(self) -> None:
        """Have feeds that were just made looked at without delay."""
        self._must_look = True
        self._hints.wake()

    def end(self) -> None:
        """Stop reading, and wait until it has stopped."""
        self._ended.set()
        self._hints.wake()
        self.join()

    def run(self) -> None:
        """Read until ended. An error of the database is waited out."""
        away = False
        while not self._ended.is_set():
            started = time.monotonic()
            try:
                self._look()
                self.confirmed = started
                if away:
                    _log.info("watch_tail_recovered")
                away = False
            except ServiceError as error:
                if not away:
                    _log.warning("watch_tail_interrupted", reason=error.reason)
                away = True
                # What the poll told of is not told again.
                self._must_look = True
                self._ended.wait(_PAUSE_AFTER_ERROR)

    def _look(self) -> None:
        # While nobody watches there is nothing to look for; whoever comes first ends the wait.
        hinted = self._hints.wait(self._poll if self._feeds() else _UNWATCHED)
        changed = self._log.has_changed()
        if self._must_look or hinted or hinted is None or changed:
            self._must_look = False
            self._read(self._feeds())
            self._ended.wait(self._gather)

    def _read(self, feeds: list[Feed]) -> None:
        bounds = self._log.bounds({feed.key.tenant for feed in feeds}) if feeds else {}
        heads = {}
        for feed in feeds:
            there = bounds[feed.key.tenant]
            head = self._heads.get(feed)
            if head is None or head < there.trimmed:
                self._on_loop(feed.reset, there.head)
                heads[feed] = there.head
            else:
                heads[feed] = self._follow(feed, head, there.head)
        self._heads = heads

    def _follow(self, feed: Feed, head: int, target: int) -> int:
        while head < target and not self._ended.is_set():
            events = self._log.read(feed.key.tenant, head, _BATCH)
            if not events:
                break
            entries = serialised(events, self._codec, full=feed.key.full)
            head = entries[-1].revision
            self._on_loop(feed.extend, entries, head)
            self._heads[feed] = head
        return head

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)
