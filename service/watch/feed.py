"""The last events of a tenant, serialised once and shared by its streams."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.core.domain import Event, EventType

# A message has to fit into what clients take by default, 4 MiB, however large
# the events are.
_MOST_EVENTS = 1000
_MOST_OCTETS = 1 << 20


class Codec(Protocol):
    """Turns events into the octets of the contract."""

    def event(self, event: Event, *, full: bool) -> bytes:
        """Return one entry of a message's events, framed so that entries can be joined."""

    def message(
        self, events: bytes, *, resume_token: str, snapshot_complete: bool = False, caught_up: bool = False
    ) -> bytes:
        """Return a whole message with these joined entries."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One serialised event, with what filters look at."""

    revision: int
    domain: str
    type: EventType
    octets: bytes


class Framed(Protocol):
    """Makes a message of a feed's joined entries that ends at a revision."""

    def __call__(self, events: bytes, through: int, *, caught_up: bool) -> bytes:
        """Return the message; `caught_up` where nothing came after."""


@dataclass(frozen=True, slots=True)
class FeedKey:
    """What a feed holds: a tenant's events, in one view."""

    tenant: str
    full: bool


class Feed:
    """The events above `floor` up to `head`, and the streams that wait for more.

    It lives on the event loop. A stream whose place is below `floor` reads the
    log from the database until it has caught up.
    """

    def __init__(self, key: FeedKey, *, ring: int, message: Framed) -> None:
        """Make an empty feed that keeps `ring` events; `message` frames a batch."""
        self.key = key
        self.floor: int | None = None
        """Nothing at or below this revision is kept; None until the tail has looked."""
        self.head = 0
        self._ring = ring
        self._message = message
        self._entries: list[Entry] = []
        self._revisions: list[int] = []
        self._shared: dict[tuple[int, bool], tuple[bytes, int]] = {}
        self._waiters: set[Waiter] = set()

    def reset(self, head: int) -> None:
        """Forget everything, and continue after `head`."""
        self._entries.clear()
        self._revisions.clear()
        self._shared.clear()
        self.floor = self.head = head
        self.wake()

    def extend(self, entries: Sequence[Entry], head: int) -> None:
        """Add the events up to `head`, and wake every stream that waits."""
        self._entries.extend(entries)
        self._revisions.extend(entry.revision for entry in entries)
        self._shared.clear()
        self.head = head
        # Cutting a list costs its length: do it once in a while.
        surplus = len(self._entries) - self._ring
        if surplus > self._ring:
            self.floor = self._revisions[surplus - 1]
            del self._entries[:surplus]
            del self._revisions[:surplus]
        self.wake()

    def after(self, place: int) -> list[Entry]:
        """Return the next events after `place`, which is not below `floor`."""
        first = bisect_right(self._revisions, place)
        return bounded(self._entries[first : first + _MOST_EVENTS])

    def message_after(self, place: int, *, is_current: bool) -> tuple[bytes, int]:
        """Return the next message for unfiltered streams at `place`, and its end.

        Made once for all streams that stand at the same place. `is_current`
        says whether the head was lately that of the log.
        """
        shared = self._shared.get((place, is_current))
        if shared is None:
            entries = self.after(place)
            through = entries[-1].revision
            octets = b"".join(entry.octets for entry in entries)
            message = self._message(octets, through, caught_up=is_current and through == self.head)
            shared = self._shared[place, is_current] = (message, through)
        return shared

    @property
    def is_read(self) -> bool:
        """Whether any stream reads the feed."""
        return bool(self._waiters)

    def join(self, waiter: "Waiter") -> None:
        """Have a stream's waits end whenever the feed grows or is reset."""
        self._waiters.add(waiter)

    def leave(self, waiter: "Waiter") -> None:
        """Leave a stream alone from now on."""
        self._waiters.discard(waiter)

    def wake(self) -> None:
        """End the wait of every stream."""
        for waiter in self._waiters:
            waiter.wake()


class Waiter:
    """How one stream waits. It lives on the event loop.

    A future and a timer weigh a tenth of what `asyncio.wait_for` makes; there
    may be ten thousand of these. The timer outlives waits that end before it:
    a busy stream does not set one for each message.
    """

    __slots__ = ("_future", "_loop", "_timer", "_timer_due")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    def wait(self, until: float) -> "asyncio.Future[None]":
        """Return what ends when woken, at the latest at a time (monotonic). It may end for nothing."""
        if self._timer is None or self._timer_due > until:
            self.close()
            patience = max(until - time.monotonic(), 0.0)
            self._timer, self._timer_due = self._loop.call_later(patience, self._ring), until
        self._future = self._loop.create_future()
        return self._future

    def wake(self) -> None:
        """End the wait, if there is one."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self.wake()


def bounded(entries: list[Entry]) -> list[Entry]:
    """Return as many of the first entries as fit into one message, at least one."""
    octets = 0
    for count, entry in enumerate(entries):
        octets += len(entry.octets)
        if octets > _MOST_OCTETS and count:
            return entries[:count]
    return entries
