"""What one look-up may cost."""

from dataclasses import dataclass


@dataclass(slots=True)
class _Purse:
    octets: int


class Budget:
    """Time and octets that are left. Parts of it share the octets."""

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
