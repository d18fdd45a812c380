"""Reports of what became of messages, and which of them can be counted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from service.core.health import Counts

AHEAD = timedelta(minutes=10)
"""How far a report's time may be in the future: clocks differ."""
_MOST = 1_000_000_000
"""Of one count: more is a mistake, and sums of it would not fit any column."""


class DeliveryReport(NamedTuple):
    """Counts of one domain at one time."""

    domain: str
    time: datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class Rejected:
    """A report that is not counted."""

    index: int
    """Its place in the batch, from 0."""
    reason: str
    """Why, in one sentence that begins with the field."""


def time_problem(time: datetime, now: datetime, window: timedelta) -> str:
    """Return what is wrong with the time of a report; empty where nothing is."""
    if time > now + AHEAD:
        return "time: must be at most 10 minutes in the future"
    if time <= now - window:
        return f"time: is longer ago than the {window / timedelta(days=1):g} days that count"
    return ""


def counts_problem(counts: Counts) -> str:
    """Return what is wrong with the counts of a report; empty where nothing is."""
    if min(counts) >= 0 and max(counts) <= _MOST:
        return ""
    for field, count in zip(Counts._fields, counts, strict=True):
        if count < 0:
            return f"{field}: must not be negative, and is {count}"
        if count > _MOST:
            return f"{field}: must be at most {_MOST}, and is {count}"
    raise AssertionError
