"""How much one name server may cost us: queries in flight, and cool-downs.

A server that takes queries and never answers would otherwise, with enough
domains on it, keep every check waiting for it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.dns.config import DnsConfig, Endpoint

_REMEMBERED: Final = 10_000

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
            waiting.then(True)
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
class _Server:
    slots: Slots
    in_flight: int = 0
    """Under way or waiting for a slot."""
    timeouts: int = 0
    """In a row."""
    cool_until: float = 0.0


class ServerLimits:
    """Slots for queries, overall and for each server. Belongs to one event loop."""

    def __init__(self, config: DnsConfig, loop: asyncio.AbstractEventLoop) -> None:
        """Start with all slots free and every server in good standing."""
        self._config = config
        self._loop = loop
        self._slots = Slots(config.in_flight, loop)
        self._servers: OrderedDict[Endpoint, _Server] = OrderedDict()

    def enter(self, endpoint: Endpoint, deadline: float, then: Then) -> None:
        """Take a slot by `deadline` (loop time); `then` is told whether there is one.

        A server that is cooling down gives no slots at all, and after it only
        one, until it has answered. Each slot must be given back by `leave`.
        """
        server = self._servers.get(endpoint)
        if server is None:
            server = self._servers[endpoint] = _Server(Slots(self._config.in_flight_per_server, self._loop))
        now = self._loop.time()
        suspected = server.timeouts >= self._config.cool_down_after
        if now >= deadline or now < server.cool_until or (suspected and server.in_flight):
            then(False)
            return
        server.in_flight += 1

        if server.slots.take_now():
            if self._slots.take_now():
                then(True)
                return
            server.slots.give_back()

        def at_server(has_slot: bool) -> None:  # noqa: FBT001 - a Then
            # It may have begun to cool down while we waited.
            if has_slot and server.cool_until <= now:
                self._slots.take(deadline, overall)
            elif has_slot:
                overall(False)
            else:
                server.in_flight -= 1
                then(False)

        def overall(has_slot: bool) -> None:  # noqa: FBT001 - a Then
            if not has_slot:
                server.in_flight -= 1
                server.slots.give_back()
            then(has_slot)

        server.slots.take(deadline, at_server)

    def leave(self, endpoint: Endpoint, *, answered: bool | None) -> None:
        """Give the slot back and say whether the server has answered anything, where that is known."""
        server = self._servers[endpoint]
        server.in_flight -= 1
        if answered:
            server.timeouts = 0
            server.cool_until = 0.0
        elif answered is False:
            server.timeouts += 1
            if server.timeouts >= self._config.cool_down_after:
                server.cool_until = self._loop.time() + self._config.cool_down
        self._slots.give_back()
        server.slots.give_back()
        self._forget_some()

    def _forget_some(self) -> None:
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
