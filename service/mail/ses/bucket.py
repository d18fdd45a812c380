"""A token bucket: what one region's API takes in a second, shared out among those who wait."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from service.core.pacing import SHARE

_MOST_WAITING = 24
"""How many callers may be waited for. More would have to wait for long, and each takes a thread."""
_SLOWER = 0.7
"""What is left of the rate each time the provider says that it takes less."""
_SLOWEST = 0.05
"""Of its rate, what is left to a bucket at least that was told to slow down."""
_RECOVERY = 0.1
"""Of its rate, what a bucket that was slowed down gains with each call that goes well."""


class FullError(Exception):
    """There is no token to be had in time."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__()
        self.retry_after = retry_after
        """When there may be."""


class Bucket:
    """Hands out tokens at a rate, one at a time.

    Callers who are waited for go before work in the background, in the order in
    which they came. The rate is no promise of the provider's: it falls
    when the provider takes less, and comes back slowly.
    """

    def __init__(self, rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take how many tokens there are in a second."""
        self._most = rate
        self._rate = rate
        self._monotonic = monotonic
        self._next = monotonic()
        self._handed_out = 0
        self._callers: deque[object] = deque()
        self._background: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def take(self, until: float, *, background: bool = False) -> None:
        """Wait for a token until a moment of the monotonic clock.

        Raises:
            FullError: there is none until then. Callers are told so at once.

        """
        with self._changed:
            queue = self._background if background else self._callers
            if not background and (
                len(queue) >= _MOST_WAITING or self._monotonic() + self._wait(len(queue)) > until
            ):
                raise FullError(self._retry_after())
            with self._queued(queue) as ticket:
                while not self._closed and ((pause := self._pause(ticket)) is None or pause > 0):
                    if (left := until - self._monotonic()) <= 0:
                        raise FullError(self._retry_after())
                    self._changed.wait(left if pause is None else min(pause, left))
                if self._closed:
                    raise FullError(self._retry_after())
                self._next = max(self._next, self._monotonic()) + 1 / self._rate
                self._handed_out += 1

    def slow_down(self) -> None:
        """Take notice that the provider takes less than this."""
        with self._changed:
            self._rate = max(self._rate * _SLOWER, self._most * _SLOWEST)
            self._next = max(self._next, self._monotonic() + 1 / self._rate)

    def speed_up(self) -> None:
        """Take notice that a call went well."""
        with self._changed:
            self._rate = min(self._rate + self._most * _RECOVERY, self._most)

    def close(self) -> None:
        """Give no more tokens: whoever waits is sent away."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @contextmanager
    def _queued(self, queue: deque[object]) -> Iterator[object]:
        ticket = object()
        queue.append(ticket)
        try:
            yield ticket
        finally:
            queue.remove(ticket)
            self._changed.notify_all()

    def _pause(self, ticket: object) -> float | None:
        """Return after how many seconds a ticket's turn is; None where others are to go before."""
        if ticket is not self._first():
            return None
        return self._next - self._monotonic()

    def _first(self) -> object:
        is_share = self._handed_out % SHARE == SHARE - 1
        if self._background and (is_share or not self._callers):
            return self._background[0]
        return self._callers[0]

    def _wait(self, ahead: int) -> float:
        """Return how long a caller with so many ahead waits, background work included."""
        before = ahead + ahead // (SHARE - 1)
        return max(self._next - self._monotonic(), 0.0) + before / self._rate

    def _retry_after(self) -> timedelta:
        return timedelta(seconds=max(self._wait(len(self._callers)), 1.0))
