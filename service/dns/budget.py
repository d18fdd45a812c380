"""What one look-up may cost."""

import asyncio
from dataclasses import dataclass
from typing import Final

from service.dns.servers import Slots

_AT_ONCE: Final = 8
"""Questions to recursive resolvers, of one look-up: whoever has a zone can make us ask hundreds."""
_CONNECTIONS: Final = 4


@dataclass(slots=True)
class _Purse:
    octets: int
    turns: Slots | None = None
    connections: Slots | None = None


class Budget:
    """Time and octets that are left, and what may be done at once. Parts of it share all but the time."""

    __slots__ = ("_purse", "deadline")

    def __init__(self, deadline: float, octets: int | _Purse) -> None:
        """Take the end of the time, in loop time, and how many octets may be received."""
        self.deadline = deadline
        self._purse = _Purse(octets) if isinstance(octets, int) else octets

    def until(self, deadline: float) -> "Budget":
        """Return the part of this budget that ends earlier."""
        return Budget(min(deadline, self.deadline), self._purse)

    def charge(self, octets: int) -> None:
        """Take account of what was received."""
        self._purse.octets -= octets

    def is_spent(self, now: float) -> bool:
        """Whether nothing more is to be asked."""
        return now >= self.deadline or self._purse.octets <= 0

    def turns(self, loop: asyncio.AbstractEventLoop) -> Slots:
        """Return the slots for its questions to recursive resolvers."""
        if self._purse.turns is None:
            self._purse.turns = Slots(_AT_ONCE, loop)
        return self._purse.turns

    def connections(self, loop: asyncio.AbstractEventLoop) -> Slots:
        """Return the slots for its connections."""
        if self._purse.connections is None:
            self._purse.connections = Slots(_CONNECTIONS, loop)
        return self._purse.connections
