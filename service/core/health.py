"""How well a domain's mail is received: counts become rates, and rates a level.

A level is entered on evidence, not on luck: when the lower bound of a confidence interval
of a rate reaches its threshold. It is left when the rate itself has clearly fallen below.
"""

import functools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import sqrt
from typing import NamedTuple
from zlib import crc32

HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FEWEST = 5
"""Bounces or complaints below which no level is entered.

The interval is too sure of itself where events are rare: of domains whose true rate is at the
threshold, a fifth would be accused at their first complaint, not a twentieth.
"""
_STAYING = 1.25
"""What a rate is worth to a level that it has: the level is left below 80 % of its threshold,
so that it does not flap."""
_SPREAD_SECONDS = 60
_Z = 1.6448536269514722
"""The 95 % quantile of the normal distribution."""


class Health(StrEnum):
    """How well the domain's mail is received."""

    UNSPECIFIED = "UNSPECIFIED"
    HEALTHY = "HEALTHY"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class HealthReason(StrEnum):
    """Which rate decided."""

    BOUNCE_RATE = "BOUNCE_RATE"
    COMPLAINT_RATE = "COMPLAINT_RATE"


class Counts(NamedTuple):
    """How many messages of a domain had which fate, within some time."""

    sent: int = 0
    delivered: int = 0
    hard_bounces: int = 0
    complaints: int = 0


class Threshold(NamedTuple):
    """Rates, above 0 and at most 1, at which a level begins."""

    warning: float
    critical: float


class Thresholds(NamedTuple):
    """Where the levels of both rates begin. The defaults are where SES reviews and pauses accounts."""

    bounce: Threshold = Threshold(0.05, 0.10)
    complaint: Threshold = Threshold(0.001, 0.005)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """How health is judged, where a tenant has it no otherwise."""

    window: timedelta = timedelta(days=7)
    """How far back counts are looked at."""
    thresholds: Thresholds = field(default_factory=Thresholds)


class Window(NamedTuple):
    """The time whose counts are looked at: whole hours."""

    start: datetime
    end: datetime


_RANK = {level: rank for rank, level in enumerate(Health)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """The figures behind a domain's health, as they were last assessed."""

    counts: Counts
    window: Window
    thresholds: Thresholds
    bounce_level: Health
    complaint_level: Health
    since: datetime
    """Since when the domain has its health."""

    @property
    def bounce_rate(self) -> float:
        """Hard bounces of a message sent, or of one with an end where that is not told; from 0 to 1."""
        return _rate(*_bounces(self.counts))

    @property
    def complaint_rate(self) -> float:
        """Complaints of a message delivered, from 0 to 1."""
        return _rate(*_complaints(self.counts))

    @property
    def health(self) -> Health:
        """The worse of both levels."""
        return max(self.bounce_level, self.complaint_level, key=_RANK.__getitem__)

    @property
    def reason(self) -> HealthReason | None:
        """Which rate decided; None where there is no evidence against the domain."""
        match self.health:
            case Health.HEALTHY:
                return None
            case self.bounce_level:
                return HealthReason.BOUNCE_RATE
            case _:
                return HealthReason.COMPLAINT_RATE


def hour_of(time: datetime) -> datetime:
    """Return the start of the hour (UTC) that a time lies in."""
    return hour_numbered((time - _EPOCH) // HOUR)


@functools.lru_cache(maxsize=4096)
def hour_numbered(number: int) -> datetime:
    """Return the start of an hour, counted from 1970."""
    return _EPOCH + number * HOUR


def window_at(now: datetime, length: timedelta) -> Window:
    """Return the whole hours that are looked at: the present one, and those before it within `length`."""
    end = hour_of(now) + HOUR
    return Window(end - max(length // HOUR, 1) * HOUR, end)


def next_look(window: Window, name: str) -> datetime:
    """Return when a domain with counts has to be assessed again: soon after the window has moved on.

    Not all domains at the same second.
    """
    return window.end + timedelta(seconds=crc32(name.encode()) % _SPREAD_SECONDS)


def assess(
    before: HealthReport | None,
    counts: Counts,
    *,
    thresholds: Thresholds,
    window: Window,
    since: datetime,
) -> HealthReport:
    """Return the report of a domain, given the counts of the window and its last report.

    `since` is when it has its health from, should that be another than before.
    """
    bounce_before = Health.HEALTHY if before is None else before.bounce_level
    complaint_before = Health.HEALTHY if before is None else before.complaint_level
    report = HealthReport(
        counts=counts,
        window=window,
        thresholds=thresholds,
        bounce_level=level(*_bounces(counts), thresholds.bounce, before=bounce_before),
        complaint_level=level(*_complaints(counts), thresholds.complaint, before=complaint_before),
        since=since,
    )
    if before is None or before.health is not report.health:
        return report
    return replace(report, since=before.since)


def level(hits: int, trials: int, threshold: Threshold, *, before: Health) -> Health:
    """Return the level of one rate that had the level `before`."""
    for worse, begins in ((Health.CRITICAL, threshold.critical), (Health.WARNING, threshold.warning)):
        is_entered = hits >= FEWEST and lower_bound(hits, trials) >= begins
        # Multiplied before it is divided, which is exact: at just 80 % a level stays.
        is_kept = _RANK[before] >= _RANK[worse] and _rate(_STAYING * hits, trials) >= begins
        if is_entered or is_kept:
            return worse
    return Health.HEALTHY


def lower_bound(hits: int, trials: int) -> float:
    """Return the lower bound of the one-sided 95 % Wilson score interval of a rate.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 22 (1927).
    """
    if hits == 0:
        return 0.0
    rate, spread = hits / trials, _Z * _Z / trials
    middle = rate + spread / 2
    margin = _Z * sqrt((rate * (1 - rate) + spread / 4) / trials)
    return (middle - margin) / (1 + spread)


# Bounces and complaints may be told without the messages that they are about, or long after
# them: no more of them count than there are messages.
def _bounces(counts: Counts) -> tuple[int, int]:
    # Where it is not told what was sent, it is what was delivered or came back. Bounces alone
    # would all be of messages that bounced.
    ended = counts.delivered and counts.delivered + counts.hard_bounces
    sent = counts.sent or ended
    return min(counts.hard_bounces, sent), sent


def _complaints(counts: Counts) -> tuple[int, int]:
    received = counts.delivered or counts.sent
    return min(counts.complaints, received), received


def _rate(hits: float, trials: int) -> float:
    return hits / trials if trials else 0.0
