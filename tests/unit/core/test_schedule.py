"""When a domain is looked at next."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import schedule
from service.core.domain import CheckState, Domain, Status
from service.core.schedule import Intervals
from tests.support.samples import sample_domain

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
INTERVALS = Intervals()
MINUTE = timedelta(minutes=1)


def looked_at(
    domain: Domain,
    now: datetime,
    *,
    told: bool = True,
    restored: bool = False,
    spread: float = 0.5,
    must_look_at: datetime | None = None,
) -> CheckState:
    """Return the schedule after a check."""
    return schedule.after_check(
        domain,
        now=now,
        told=told,
        restored=restored,
        intervals=INTERVALS,
        spread=spread,
        must_look_at=must_look_at,
    )


def domain_of(status: Status, **checks: object) -> Domain:
    """Return a domain of a status, with these parts of its schedule changed."""
    state = replace(schedule.first(NOW, INTERVALS), **checks)  # type: ignore[arg-type]  # fields by name
    return replace(sample_domain(), status=status, status_time=NOW, checks=state)


def gaps(domain: Domain, count: int, *, told: bool = True) -> list[float]:
    """Return the gaps of so many checks in a row, each made when it was due."""
    found = []
    now = domain.checks.next_check_time
    for _ in range(count):
        checks = looked_at(domain, now, told=told)
        found.append((checks.next_check_time - now).total_seconds())
        domain, now = replace(domain, checks=checks), checks.next_check_time
    return found


def test_a_new_domain_is_looked_at_after_five_seconds() -> None:
    """Somebody who has just registered a domain waits for its first check."""
    assert schedule.first(NOW, INTERVALS).next_check_time == NOW + timedelta(seconds=5)


def test_a_pending_domain_is_looked_at_every_ten_seconds_then_ever_more_seldom() -> None:
    """The fast phase lasts ten minutes; then each gap is half as long again, to 15 minutes."""
    found = gaps(domain_of(Status.PENDING), 90)
    fast = [gap for gap in found if gap == 10.0]
    assert 58 <= len(fast) <= 61
    slow = found[len(fast) :]
    assert slow[:3] == pytest.approx([15.0, 22.5, 33.75])
    assert slow[-1] == 900.0


def test_somebody_who_waits_begins_the_fast_phase_again() -> None:
    """A domain whose gap had grown is looked at within ten seconds."""
    late = NOW + timedelta(hours=2)
    slow = replace(schedule.first(NOW, INTERVALS), gap=900.0, next_check_time=late + 15 * MINUTE)
    fast = schedule.fast_phase(slow, late, INTERVALS)
    assert fast.next_check_time == late + INTERVALS.pending
    assert gaps(domain_of(Status.PENDING, fast_since=late, next_check_time=late), 2) == [10.0, 10.0]


def test_a_verified_domain_is_looked_at_every_hour() -> None:
    """Nothing is waited for, and nothing is wrong."""
    assert gaps(domain_of(Status.VERIFIED), 3) == [3600.0] * 3


def test_a_first_failure_and_a_restore_are_looked_at_again_within_a_minute() -> None:
    """Both are news that somebody may be about to change again."""
    broken = domain_of(Status.VERIFIED, failing_since=NOW, failed_checks=1)
    assert looked_at(broken, NOW).next_check_time == NOW + MINUTE
    well = domain_of(Status.VERIFIED)
    assert looked_at(well, NOW, restored=True).next_check_time == NOW + MINUTE


def test_a_domain_that_stays_broken_is_looked_at_ever_more_seldom() -> None:
    """From a minute up to the hour of a sound one."""
    broken = domain_of(Status.VERIFIED, failing_since=NOW, failed_checks=2, gap=60.0)
    found = gaps(broken, 20)
    assert found[0] == 90.0
    assert found == sorted(found)
    assert found[-1] == 3600.0


def test_a_failed_domain_is_looked_at_every_six_hours_for_thirty_days_then_daily() -> None:
    """It can still come back by itself."""
    failed = domain_of(Status.FAILED)
    assert looked_at(failed, NOW).next_check_time == NOW + timedelta(hours=6)
    later = NOW + timedelta(days=31)
    assert looked_at(failed, later).next_check_time == later + timedelta(hours=24)


def test_unknown_outcomes_are_retried_soon_and_back_off() -> None:
    """An outage is over before the next regular look, mostly; a lasting one is not hammered."""
    found = gaps(domain_of(Status.VERIFIED), 12, told=False)
    assert found[:4] == [10.0, 20.0, 40.0, 80.0]
    assert found[-1] == 3600.0


def test_an_outage_in_the_fast_phase_is_retried_within_a_minute() -> None:
    """Somebody waits."""
    assert max(gaps(domain_of(Status.PENDING), 9, told=False)) == 60.0


def test_an_answer_ends_the_back_off() -> None:
    """The next outage begins from the shortest gap again."""
    domain = domain_of(Status.VERIFIED, unknown_checks=7)
    assert looked_at(domain, NOW).unknown_checks == 0


def test_no_gap_reaches_beyond_the_moment_at_which_a_status_may_change() -> None:
    """A domain whose deadline comes is looked at then, not up to an hour later."""
    moment = NOW + 20 * MINUTE
    domain = domain_of(Status.VERIFIED)
    assert looked_at(domain, NOW, must_look_at=moment).next_check_time == moment
    assert looked_at(domain, NOW, must_look_at=NOW - MINUTE).next_check_time == NOW + timedelta(hours=1)


@given(
    status=st.sampled_from(Status),
    gap=st.floats(0, 1e6),
    unknown=st.integers(0, 10_000),
    told=st.booleans(),
    spread=st.floats(0, 1),
    age=st.integers(0, 10**8),
)
def test_every_gap_is_within_its_jitter_of_a_sane_one(
    *, status: Status, gap: float, unknown: int, told: bool, spread: float, age: int
) -> None:
    """Whatever the history: never below nine seconds, never above a day and its jitter."""
    now = NOW + timedelta(seconds=age)
    domain = domain_of(status, gap=gap, unknown_checks=unknown)
    after = looked_at(domain, now, told=told, spread=spread)
    ahead = (after.next_check_time - now).total_seconds()
    assert 8.999 <= ahead <= 24 * 3600 * 1.1 + 1
    assert after.last_check_time == now
