"""How much one name server may cost us: queries in flight, and cool-downs.

A server that takes queries and never answers would otherwise, with enough
domains on it, keep every check waiting for it. But anybody can delegate his
zone to a server of somebody else, which may well pass over what it does not
serve: it is then silent about that zone, and no less trusted with others.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from service.dns.config import DnsConfig, Endpoint

_REMEMBERED: Final = 10_000
_TRUSTED: Final = 7200.0
"""Seconds after an answer in which a silence is a matter of the zone, not of the server: twice
the hour in which the domains there are looked at again."""

Then = Callable[[bool], None]
"""Is told whether there is a slot."""


class Slots:
    """Places for queries, given out in turn. Belongs to one event loop."""

    __slots__ = ("_free", "_loop", "_waiting")

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        """Start with all places free."""
        self._free = count
        self._loop = loop
        self._waiting: deque[_Waiting] = deque()

    def take_now(self) -> bool:
        """Take a slot where one is free; nobody waits then."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def take(self, deadline: float, then: Then) -> None:
        """Take a slot, at once or in turn; `then(False)` where there is none until `deadline`."""
        if self.take_now():
            then(True)
            return
        timer = self._loop.call_at(deadline, self._expire)
        self._waiting.append(_Waiting(deadline, then, timer))

    def give_back(self) -> None:
        """Give a slot back: whoever waits longest has it."""
        if self._waiting:
            waiting = self._waiting.popleft()
            waiting.timer.cancel()
            # Not from here: it may give the slot back at once, and so may the next, a thousand deep.
            self._loop.call_soon(waiting.then, True)
        else:
            self._free += 1

    def _expire(self) -> None:
        now = self._loop.time()
        late = [waiting for waiting in self._waiting if waiting.deadline <= now]
        self._waiting = deque(waiting for waiting in self._waiting if waiting.deadline > now)
        for waiting in late:
            waiting.timer.cancel()
            waiting.then(False)


@dataclass(frozen=True, slots=True)
class _Waiting:
    deadline: float
    then: Then
    timer: asyncio.TimerHandle


@dataclass(slots=True)
class _Silence:
    """How long nothing was answered, by a server or by one about a zone."""

    timeouts: int = 0
    """In a row."""
    cool_until: float = 0.0
    tried_until: float = 0.0
    """When another try may follow the last one."""

    def bars(self, now: float, config: DnsConfig) -> bool:
        """Whether a query is not to be sent at all; one that is not barred is a try."""
        if self.timeouts < config.cool_down_after:
            return False
        if now < self.cool_until or now < self.tried_until:
            return True
        self.tried_until = now + config.try_timeout
        return False

    def note(self, now: float, config: DnsConfig) -> None:
        """Take account of a timeout."""
        self.timeouts += 1
        if self.timeouts >= config.cool_down_after:
            self.cool_until = now + config.cool_down


@dataclass(slots=True)
class _Server:
    slots: Slots
    in_flight: int = 0
    """Under way or waiting for a slot."""
    trusted_until: float = 0.0
    silence: _Silence | None = None
    misses: int = 0
    """Hasty queries in a row that were not answered in time."""


class ServerLimits:
    """Slots for queries, overall and for each server. Belongs to one event loop."""

    def __init__(self, config: DnsConfig, loop: asyncio.AbstractEventLoop) -> None:
        """Start with all slots free and every server in good standing."""
        self._config = config
        self._loop = loop
        self._slots = Slots(config.in_flight, loop)
        self._servers: OrderedDict[Endpoint, _Server] = OrderedDict()
        """Those that were asked last are the last."""
        self._silences: OrderedDict[tuple[Endpoint, str], _Silence] = OrderedDict()
        """Of servers about a zone."""

    def enter(
        self, endpoint: Endpoint, zone: str, deadline: float, then: Then, *, hasty: bool = False
    ) -> None:
        """Take a slot for a question about a zone, by `deadline` (loop time); `then` is told of it.

        A server that is cooling down gives no slots at all, and after it only
        one at a time, until it has answered. One that has not answered `hasty`
        queries, which are given up soon, gives none to others of the kind until
        it has answered any. Each slot must be given back by `leave`.
        """
        server = self._servers.get(endpoint)
        if server is None:
            server = self._servers[endpoint] = _Server(Slots(self._config.in_flight_per_server, self._loop))
        now = self._loop.time()
        silence = self._silence(server, endpoint, zone, now)
        is_barred = silence is not None and silence.bars(now, self._config)
        if now >= deadline or is_barred or (hasty and self._is_slow(server)):
            then(False)
            return
        server.in_flight += 1

        if server.slots.take_now():
            if self._slots.take_now():
                then(True)
                return
            server.slots.give_back()

        def at_server(has_slot: bool) -> None:  # noqa: FBT001 - a Then
            if not has_slot:
                server.in_flight -= 1
                then(False)
            elif self._is_cooling(server, endpoint, zone) or (hasty and self._is_slow(server)):
                # It has begun to while we waited.
                overall(False)
            else:
                self._slots.take(deadline, overall)

        def overall(has_slot: bool) -> None:  # noqa: FBT001 - a Then
            if not has_slot:
                server.in_flight -= 1
                server.slots.give_back()
            then(has_slot)

        server.slots.take(deadline, at_server)

    def leave(self, endpoint: Endpoint, zone: str, *, answered: bool | None) -> None:
        """Give the slot back and say whether the server has answered anything; None where nobody knows."""
        server = self._servers[endpoint]
        server.in_flight -= 1
        now = self._loop.time()
        if answered:
            server.silence = None
            server.misses = 0
            server.trusted_until = now + _TRUSTED
            if self._silences:
                self._silences.pop((endpoint, zone), None)
        elif answered is None:
            server.misses += 1
        else:
            server.silence = server.silence or _Silence()
            server.silence.note(now, self._config)
            self._silences.setdefault((endpoint, zone), _Silence()).note(now, self._config)
        self._slots.give_back()
        server.slots.give_back()
        self._servers.move_to_end(endpoint)
        if len(self._servers) > _REMEMBERED or len(self._silences) > _REMEMBERED:
            self._forget_some()

    def _silence(self, server: _Server, endpoint: Endpoint, zone: str, now: float) -> _Silence | None:
        if now >= server.trusted_until:
            return server.silence
        return self._silences.get((endpoint, zone)) if self._silences else None

    def _is_slow(self, server: _Server) -> bool:
        return server.misses >= self._config.cool_down_after

    def _is_cooling(self, server: _Server, endpoint: Endpoint, zone: str) -> bool:
        now = self._loop.time()
        silence = self._silence(server, endpoint, zone, now)
        return silence is not None and now < silence.cool_until

    def _forget_some(self) -> None:
        if len(self._silences) > _REMEMBERED:
            self._silences.popitem(last=False)
        while len(self._servers) > _REMEMBERED:
            endpoint, server = self._servers.popitem(last=False)
            if server.in_flight:
                self._servers[endpoint] = server
                return


async def taken(take: Callable[[Then], None]) -> bool:
    """Wait for a slot that `take` asks for, and return whether there is one."""
    slot: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def then(has_slot: bool) -> None:  # noqa: FBT001 - a Then
        if not slot.done():
            slot.set_result(has_slot)

    take(then)
    return await slot


@asynccontextmanager
async def held(slots: Slots, deadline: float, *, when: bool = True) -> AsyncIterator[bool]:
    """Hold a slot, and tell whether there is one by `deadline`; do not ask for it unless `when`."""
    has_slot = when and await taken(lambda then: slots.take(deadline, then))
    try:
        yield has_slot
    finally:
        if has_slot:
            slots.give_back()
