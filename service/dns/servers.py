"""How much one name server may cost us: queries in flight, and cool-downs.

A server that takes queries and never answers would otherwise, with enough
domains on it, keep every check waiting for it.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from service.dns.config import DnsConfig, Endpoint

_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _Server:
    slots: asyncio.Semaphore
    in_flight: int = 0
    """Under way or waiting for a slot."""
    timeouts: int = 0
    """In a row."""
    cool_until: float = 0.0


class ServerLimits:
    """Slots for queries, overall and for each server. Belongs to one event loop."""

    def __init__(self, config: DnsConfig) -> None:
        """Start with all slots free and every server in good standing."""
        self._config = config
        self._slots = asyncio.Semaphore(config.in_flight)
        self._servers: OrderedDict[Endpoint, _Server] = OrderedDict()

    async def enter(self, endpoint: Endpoint, deadline: float) -> bool:
        """Wait for a slot until `deadline` (loop time); False when there is none.

        A server that is cooling down gives no slots at all, and after it only
        one, until it has answered. Each True must be followed by `leave`.
        """
        server = self._servers.get(endpoint)
        if server is None:
            server = self._servers[endpoint] = _Server(asyncio.Semaphore(self._config.in_flight_per_server))
        now = asyncio.get_running_loop().time()
        suspected = server.timeouts >= self._config.cool_down_after
        if now >= deadline or now < server.cool_until or (suspected and server.in_flight):
            return False
        server.in_flight += 1
        if await acquired(server.slots, deadline):
            # It may have begun to cool down while we waited.
            if server.cool_until <= now and await acquired(self._slots, deadline):
                return True
            server.slots.release()
        server.in_flight -= 1
        return False

    def leave(self, endpoint: Endpoint, *, answered: bool) -> None:
        """Give the slot back and say whether the server has answered anything."""
        server = self._servers[endpoint]
        self._slots.release()
        server.slots.release()
        server.in_flight -= 1
        if answered:
            server.timeouts = 0
            server.cool_until = 0.0
        else:
            server.timeouts += 1
            if server.timeouts >= self._config.cool_down_after:
                server.cool_until = asyncio.get_running_loop().time() + self._config.cool_down
        self._forget_some()

    def _forget_some(self) -> None:
        while len(self._servers) > _REMEMBERED:
            endpoint, server = self._servers.popitem(last=False)
            if server.in_flight:
                self._servers[endpoint] = server
                return


async def acquired(slots: asyncio.Semaphore, deadline: float) -> bool:
    """Take a slot, waiting until `deadline` (loop time); False when there was none."""
    if not slots.locked():
        await slots.acquire()
        return True
    try:
        async with asyncio.timeout_at(deadline):
            await slots.acquire()
    except TimeoutError:
        return False
    return True
