"""When a domain's DNS is looked at next."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.core.domain import CheckState, Domain, Status

_JITTER = 0.1
_SLOWER = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """The gaps between two checks of a domain."""

    first_delay: timedelta = timedelta(seconds=5)
    """From creation to the first check."""
    pending: timedelta = timedelta(seconds=10)
    """PENDING, in the fast phase."""
    fast_phase: timedelta = timedelta(minutes=10)
    """How long that phase lasts."""
    pending_max: timedelta = timedelta(minutes=15)
    """PENDING, or VERIFIED with a transfer: what the gap grows to."""
    verified: timedelta = timedelta(hours=1)
    confirm: timedelta = timedelta(minutes=1)
    """VERIFIED, after a definite failure or a restore."""
    failed: timedelta = timedelta(hours=6)
    failed_age: timedelta = timedelta(days=30)
    """How long a FAILED domain is looked at every `failed`."""
    failed_old: timedelta = timedelta(hours=24)
    """FAILED, after that."""


def first(now: datetime, intervals: Intervals) -> CheckState:
    """Return the schedule of a domain created at `now`."""
    return CheckState(next_check_time=now + intervals.first_delay, fast_since=now)


def fast_phase(checks: CheckState, now: datetime, intervals: Intervals) -> CheckState:
    """Return the schedule with the fast phase begun anew: somebody is waiting."""
    return replace(
        checks,
        fast_since=now,
        gap=0.0,
        next_check_time=min(checks.next_check_time, now + intervals.pending),
    )


def after_check(
    domain: Domain,
    *,
    now: datetime,
    told: bool,
    restored: bool,
    intervals: Intervals,
    spread: float,
    must_look_at: datetime | None,
) -> CheckState:
    """Return the schedule after a check of a domain, which is as the check left it.

    `told` is whether the check could tell anything, `restored` whether broken
    records were found right again. `spread`, from 0 to 1, is where in the
    jitter of 10 % the gap falls. `must_look_at` is a moment at which a status
    may change: no gap reaches beyond it.
    """
    checks = domain.checks
    regular = _regular_gap(domain, now=now, restored=restored, intervals=intervals)
    if told:
        unknown_checks, gap = 0, regular
    else:
        unknown_checks = checks.unknown_checks + 1
        # A regular gap may be shorter than a minute: back off to that at least,
        # so that a server in trouble is not asked as often as one that is well.
        longest = max(regular, intervals.confirm)
        gap = min(intervals.pending * 2.0 ** min(unknown_checks - 1, 20), longest)
    jittered = gap * (1 - _JITTER + 2 * _JITTER * spread)
    due = now + jittered
    if must_look_at is not None and now < must_look_at < due:
        due = must_look_at
    return replace(
        checks,
        last_check_time=now,
        next_check_time=due,
        gap=(regular if told else timedelta(seconds=checks.gap)).total_seconds(),
        unknown_checks=unknown_checks,
    )


def _regular_gap(domain: Domain, *, now: datetime, restored: bool, intervals: Intervals) -> timedelta:
    checks = domain.checks
    last = timedelta(seconds=checks.gap)
    match domain.status:
        case Status.PENDING:
            if now - checks.fast_since < intervals.fast_phase:
                return intervals.pending
            return min(max(last, intervals.pending) * _SLOWER, intervals.pending_max)
        case Status.VERIFIED:
            if restored or checks.failed_checks == 1:
                return intervals.confirm
            if checks.failing_since is not None or domain.transfer is not None:
                longest = intervals.verified if domain.transfer is None else intervals.pending_max
                return min(max(last, intervals.confirm) * _SLOWER, longest)
            return intervals.verified
        case Status.FAILED:
            young = now - domain.status_time < intervals.failed_age
            return intervals.failed if young else intervals.failed_old
