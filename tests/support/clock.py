"""A clock for tests: time passes when the test says so."""

from datetime import datetime, timedelta

from tests.support.samples import NOON


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        """Begin at the time of the samples."""
        self.time = NOON

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self.time

    def advance(self, **by: float) -> None:
        """Move on, by the arguments of a `timedelta`."""
        self.time += timedelta(**by)
