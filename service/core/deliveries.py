"""Reports of what became of messages, and which of them can be counted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from service.core.health import Counts, window_at

AHEAD = timedelta(minutes=10)
"""How far a report's time may be in the future: clocks differ."""
_MOST = 1_000_000_000
"""Of one count: more is a mistake, and sums of it would not fit any column."""


class DeliveryReport(NamedTuple):
    """Counts of one domain at one time. There are thousands in a batch: it holds nothing but numbers."""

    domain: str
    time: int
    """In whole seconds since 1970; 0 where none was given."""
    sent: int
    delivered: int
    hard_bounces: int
    complaints: int

    @property
    def counts(self) -> Counts:
        """The counts alone."""
        return Counts(*self[2:])


@dataclass(frozen=True, slots=True)
class Rejected:
    """A report that is not counted."""

    index: int
    """Its place in the batch, from 0."""
    reason: str
    """Why, in one sentence that begins with the field."""


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What became of a batch of reports."""

    accepted: int
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which reports can be counted at one moment."""

    begins: datetime
    """The start of the hours that count."""
    earliest: int
    """In seconds since 1970, as the times of reports."""
    latest: int

    @classmethod
    def at(cls, now: datetime, window: timedelta) -> "Bounds":
        """Return the bounds at a time, with this much to look back on."""
        begins = window_at(now, window).start
        return cls(begins, int(begins.timestamp()), int((now + AHEAD).timestamp()))

    def problem(self, report: DeliveryReport) -> str:
        """Return what is wrong with the time or the counts of a report; empty where nothing is."""
        _, time, sent, delivered, hard_bounces, complaints = report
        if (
            self.earliest <= time <= self.latest
            and 0 <= sent <= _MOST
            and 0 <= delivered <= _MOST
            and 0 <= hard_bounces <= _MOST
            and 0 <= complaints <= _MOST
        ):
            return ""
        wrong = map(_count_problem, Counts._fields, report.counts)
        return self._time_problem(time) or next(filter(None, wrong))

    def _time_problem(self, time: int) -> str:
        if time == 0:
            return "time: must be set"
        if time > self.latest:
            return "time: must be at most 10 minutes in the future"
        if time < self.earliest:
            return (
                f"time: must not be before {self.begins:%Y-%m-%dT%H:%MZ}, the start of the hours that count"
            )
        return ""


def _count_problem(field: str, count: int) -> str:
    if count < 0:
        return f"{field}: must not be negative, and is {count}"
    return f"{field}: must be at most {_MOST}, and is {count}" if count > _MOST else ""
