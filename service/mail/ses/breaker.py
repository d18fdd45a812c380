"""A circuit breaker: keeps callers from a region that does not answer."""

import threading
import time
from collections.abc import Callable

_SILENCES = 3
"""In a row, after which a region counts as down."""
_PAUSE = 5.0
"""For how long callers are kept from it then, in seconds. Whoever comes next tries again."""


class Breaker:
    """Open while a region is believed to be down: whoever would wait for it would take a thread in vain."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin closed."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._silences = 0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether callers had better not ask."""
        return self._monotonic() < self._until

    def note_answer(self) -> None:
        """Take notice that the region has answered, whatever it said."""
        with self._lock:
            self._silences, self._until = 0, 0.0

    def note_silence(self) -> None:
        """Take notice that the region has not, though it had the time."""
        with self._lock:
            self._silences += 1
            if self._silences >= _SILENCES:
                self._until = self._monotonic() + _PAUSE
