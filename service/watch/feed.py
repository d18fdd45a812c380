"""The last events of a tenant, serialised once and shared by its streams."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
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

    def message(self, events: bytes, *, resume_token: str, snapshot_complete: bool) -> bytes:
        """Return a whole message with these joined entries."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One serialised event, with what filters look at."""

    revision: int
    domain: str
    type: EventType
    octets: bytes


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

    def __init__(self, key: FeedKey, *, ring: int, message: Callable[[bytes, int], bytes]) -> None:
        """Make an empty feed that keeps `ring` events; `message` frames a batch."""
        self.key = key
        self.streams = 0
        self.floor: int | None = None
        """Nothing at or below this revision is kept; None until the tail has looked."""
        self.head = 0
        self._ring = ring
        self._message = message
        self._entries: list[Entry] = []
        self._revisions: list[int] = []
        self._shared: dict[int, tuple[bytes, int]] = {}
        self._waiting: set[asyncio.Future[None]] = set()

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

    def message_after(self, place: int) -> tuple[bytes, int]:
        """Return the next message for unfiltered streams at `place`, and its end.

        Made once for all streams that stand at the same place.
        """
        shared = self._shared.get(place)
        if shared is None:
            entries = self.after(place)
            through = entries[-1].revision
            octets = b"".join(entry.octets for entry in entries)
            shared = self._shared[place] = (self._message(octets, through), through)
        return shared

    async def wait(self, patience: float) -> None:
        """Wait until the feed has grown or been reset, or for `patience` seconds."""
        # A future and a timer weigh a tenth of what asyncio.wait_for makes;
        # there may be ten thousand of these.
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(patience, _resolve, future)
        self._waiting.add(future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.discard(future)

    def wake(self) -> None:
        """End the wait of every stream."""
        for future in self._waiting:
            _resolve(future)


def bounded(entries: list[Entry]) -> list[Entry]:
    """Return as many of the first entries as fit into one message, at least one."""
    octets = 0
    for count, entry in enumerate(entries):
        octets += len(entry.octets)
        if octets > _MOST_OCTETS and count:
            return entries[:count]
    return entries


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
