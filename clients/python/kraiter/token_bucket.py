"""A limit on messages an hour, with a token for each message."""

import math
import threading

_HOUR = 3600.0
_LARGEST_BURST = 10
_BURST_PART = 10
"""Of the messages of an hour, one in so many may go at once."""


class TokenBucket:
    """Gives out at most so many tokens within any hour, a few of them at once.

    It starts full. Times are in seconds, by any one clock.
    """

    def __init__(self) -> None:
        self._tokens = 0.0
        self._time = -math.inf
        self._lock = threading.Lock()

    def take(self, per_hour: int, now: float) -> float:
        """Take a token and return 0, or return the seconds until there will be one.

        `per_hour` may be another each time.
        """
        if per_hour < 1:
            return math.inf
        burst = max(1, min(per_hour // _BURST_PART, _LARGEST_BURST))
        # What may go at once is part of the hour's tokens, not on top of them.
        rate = (per_hour - burst + 1) / _HOUR
        with self._lock:
            self._tokens = min(self._tokens + (now - self._time) * rate, burst)
            self._time = now
            if self._tokens < 1:
                return (1 - self._tokens) / rate
            self._tokens -= 1
            return 0.0
