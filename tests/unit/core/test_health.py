"""Counts become rates, and rates a level: on evidence, and without flapping."""

from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import health
from service.core.health import (
    FEWEST,
    Counts,
    Health,
    HealthReason,
    Threshold,
    Thresholds,
    Window,
)
from tests.support.samples import NOON, sample_report

LATER = NOON + timedelta(hours=1)
NOW = datetime(2026, 5, 4, 12, 34, 56, tzinfo=UTC)
BOUNCE, COMPLAINT = Thresholds()
RANKS = {Health.HEALTHY: 0, Health.WARNING: 1, Health.CRITICAL: 2}

levels = st.sampled_from(list(RANKS))
rates = st.floats(min_value=1e-6, max_value=1)
thresholds = st.builds(lambda one, other: Threshold(min(one, other), max(one, other)), rates, rates)


@st.composite
def observations(draw: st.DrawFn) -> tuple[int, int]:
    """Draw hits and trials: few or many of either, mostly about where thresholds are."""
    trials = draw(st.integers(0, 50) | st.integers(0, 10**9))
    most = draw(st.sampled_from([trials, trials // 5, trials // 100]))
    return draw(st.integers(0, most)), trials


counts = st.builds(
    Counts,
    *(st.integers(0, 30) | st.integers(0, 10**9) for _ in Counts._fields),
)


# --- the interval ----------------------------------------------------------


def by_definition(hits: int, trials: int, z: float) -> float:
    """Return the lower end of Wilson's interval, by halving.

    It is the least rate p that the score test does not reject: the lesser
    solution of (hits/trials - p)^2 = z^2 p (1 - p) / trials.
    """
    low, high = 0.0, hits / trials
    for _ in range(200):
        p = (low + high) / 2
        if (hits / trials - p) ** 2 > z * z * p * (1 - p) / trials:
            low = p
        else:
            high = p
    return low


@pytest.mark.parametrize(
    ("hits", "trials", "lower", "upper"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_definition_gives_published_intervals(hits: int, trials: int, lower: float, upper: float) -> None:
    """What the code is held to is Wilson's interval.

    The figures are of R. G. Newcombe, "Two-sided confidence intervals for the
    single proportion", Statistics in Medicine 17 (1998), table I, method 3, at 95 %.
    """
    z = 1.959964
    assert round(by_definition(hits, trials, z), 4) == lower
    assert round(1 - by_definition(trials - hits, trials, z), 4) == upper


@given(observations().filter(lambda observed: observed[1] > 0))
def test_the_lower_bound_is_where_the_definition_has_it(observed: tuple[int, int]) -> None:
    """A one-sided bound of 95 % is the lower end of the interval of 90 %, whose z is 1.644854."""
    hits, trials = observed
    expected = by_definition(hits, trials, 1.6448536269514722)
    assert health.lower_bound(hits, trials) == pytest.approx(expected, rel=1e-6, abs=1e-15)


@given(observations())
def test_the_lower_bound_is_no_higher_than_the_rate(observed: tuple[int, int]) -> None:
    """It is a rate itself, and 0 where nothing was seen."""
    hits, trials = observed
    assert 0 <= health.lower_bound(hits, trials) <= (hits / trials if trials else 0)


def chance_of_level(rate: float, trials: int, threshold: Threshold) -> float:
    """Return how probable a level is for a domain of this true rate after so many messages."""
    fewest = next(
        hits
        for hits in range(trials + 1)
        if health.level(hits, trials, threshold, before=Health.HEALTHY) is not Health.HEALTHY
    )
    chance, below = (1 - rate) ** trials, 0.0
    for hits in range(fewest):
        below += chance
        chance *= (trials - hits) / (hits + 1) * rate / (1 - rate)
    return 1 - below


@pytest.mark.parametrize("trials", [49, 500, 1000, 2434, 5000])
@pytest.mark.parametrize("threshold", [BOUNCE, COMPLAINT], ids=["bounces", "complaints"])
def test_few_domains_are_accused_by_chance(threshold: Threshold, trials: int) -> None:
    """One in ten of those at the threshold itself; of those at half of it, not one in a hundred."""
    assert chance_of_level(threshold.warning, trials, threshold) < 0.101
    assert chance_of_level(threshold.warning / 2, trials, threshold) < 0.01


# --- levels ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Counts(sent=50, delivered=50, complaints=1), Health.HEALTHY),
        (Counts(sent=3, hard_bounces=3), Health.HEALTHY),
        (Counts(sent=4, hard_bounces=4), Health.HEALTHY),
        (Counts(sent=5, hard_bounces=5), Health.CRITICAL),
        (Counts(sent=10_000, hard_bounces=1200), Health.CRITICAL),
        (Counts(sent=10_000, hard_bounces=1000), Health.WARNING),
        (Counts(sent=10_000, hard_bounces=600), Health.WARNING),
        (Counts(sent=10_000, hard_bounces=500), Health.HEALTHY),
        (Counts(sent=100_000, delivered=100_000, complaints=600), Health.CRITICAL),
        (Counts(sent=100_000, delivered=100_000, complaints=150), Health.WARNING),
        (Counts(sent=100_000, delivered=100_000, complaints=100), Health.HEALTHY),
        (Counts(sent=10**9, delivered=10**9, complaints=1_002_000), Health.WARNING),
        (Counts(), Health.HEALTHY),
    ],
)
def test_what_counts_say_of_a_domain_that_was_well(seen: Counts, expected: Health) -> None:
    """Three emails are no alarm whatever became of them, and among millions none is missed."""
    assert sample_report(seen).health is expected


@given(observations(), st.integers(0, 10**6), thresholds, levels)
def test_more_bounces_never_make_a_level_better(
    observed: tuple[int, int], more: int, threshold: Threshold, before: Health
) -> None:
    """Of as many messages; and fewer never make it worse."""
    hits, trials = observed
    fewer = health.level(hits, trials, threshold, before=before)
    many = health.level(min(hits + more, trials), trials, threshold, before=before)
    assert RANKS[many] >= RANKS[fewer]


@given(counts, st.integers(0, 10**6), st.sampled_from(["hard_bounces", "complaints"]), counts)
def test_more_bounces_or_complaints_never_make_health_better(
    seen: Counts, more: int, field: str, earlier: Counts
) -> None:
    """Also where there are more of them than messages."""
    before = sample_report(earlier)
    worse = seen._replace(**{field: getattr(seen, field) + more})
    assert RANKS[sample_report(worse, before).health] >= RANKS[sample_report(seen, before).health]


@given(st.integers(0, FEWEST - 1), st.integers(0, 10**6), thresholds, levels)
def test_no_level_is_entered_on_few_bounces(
    hits: int, trials: int, threshold: Threshold, before: Health
) -> None:
    """Whatever share of the messages they are."""
    after = health.level(hits, max(trials, hits), threshold, before=before)
    assert RANKS[after] <= RANKS[before]


@given(observations(), thresholds)
def test_a_level_is_entered_when_the_lower_bound_reaches_its_threshold(
    observed: tuple[int, int], threshold: Threshold
) -> None:
    """For a domain that was well, nothing else counts."""
    hits, trials = observed
    bound = health.lower_bound(hits, trials) if hits >= FEWEST else 0
    entered = health.level(hits, trials, threshold, before=Health.HEALTHY)
    assert (entered is Health.CRITICAL) == (bound >= threshold.critical)
    assert (entered is not Health.HEALTHY) == (bound >= threshold.warning)


@pytest.mark.parametrize("before", [Health.WARNING, Health.CRITICAL])
@pytest.mark.parametrize(
    ("bounces", "expected"),
    [
        (800, Health.CRITICAL),
        (799, Health.WARNING),
        (400, Health.WARNING),
        (399, Health.HEALTHY),
    ],
)
def test_a_level_is_left_below_80_percent_of_its_threshold(
    before: Health, bounces: int, expected: Health
) -> None:
    """At 80 % itself it stays: of 10,000 messages, at 800 of CRITICAL's 1000 and 400 of WARNING's 500.

    A domain that was only WARNING does not become CRITICAL by that.
    """
    after = health.level(bounces, 10_000, BOUNCE, before=before)
    assert after is min(expected, before, key=RANKS.__getitem__)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_80_percent_is_exact_whatever_the_threshold(hundredths: int, messages: int) -> None:
    """Of a threshold in hundredths of a percent: rounding takes nobody's level away, or leaves it."""
    threshold = Threshold(hundredths / 10_000, 1.0)
    trials = 12_500 * messages
    hits = hundredths * messages
    assert health.level(hits, trials, threshold, before=Health.WARNING) is not Health.HEALTHY
    assert health.level(hits - 1, trials, threshold, before=Health.WARNING) is Health.HEALTHY


@given(observations(), thresholds, levels)
def test_a_level_does_not_flap(observed: tuple[int, int], threshold: Threshold, before: Health) -> None:
    """The same counts once more change nothing."""
    after = health.level(*observed, threshold, before=before)
    assert health.level(*observed, threshold, before=after) is after


@given(observations(), st.integers(0, 10**6), thresholds)
def test_a_rise_ends_the_same_however_often_it_was_looked_at(
    observed: tuple[int, int], more: int, threshold: Threshold
) -> None:
    """What a domain was taken for on the way makes no difference."""
    hits, trials = observed
    later = partial(health.level, min(hits + more, trials), trials, threshold)
    on_the_way = health.level(hits, trials, threshold, before=Health.HEALTHY)
    assert later(before=on_the_way) is later(before=Health.HEALTHY)


@given(observations(), thresholds, levels, levels)
def test_who_was_worse_before_is_not_better_after(
    observed: tuple[int, int], threshold: Threshold, one: Health, other: Health
) -> None:
    """Given the same counts."""
    lesser, greater = sorted((one, other), key=RANKS.__getitem__)
    better = health.level(*observed, threshold, before=lesser)
    assert RANKS[health.level(*observed, threshold, before=greater)] >= RANKS[better]


# --- reports ---------------------------------------------------------------


@given(counts, counts)
def test_health_is_the_worse_of_both_levels(seen: Counts, earlier: Counts) -> None:
    """And its reason the rate that decided, bounces where both do."""
    report = sample_report(seen, sample_report(earlier))
    assert RANKS[report.health] == max(RANKS[report.bounce_level], RANKS[report.complaint_level])
    if report.health is Health.HEALTHY:
        assert report.reason is None
    elif RANKS[report.bounce_level] >= RANKS[report.complaint_level]:
        assert report.reason is HealthReason.BOUNCE_RATE
    else:
        assert report.reason is HealthReason.COMPLAINT_RATE


def test_each_rate_has_a_history_of_its_own() -> None:
    """Bounces that were CRITICAL keep no level of complaints alive."""
    before = sample_report(Counts(sent=10_000, delivered=8000, hard_bounces=2000))
    complaints = Counts(sent=10_000, delivered=10_000, hard_bounces=0, complaints=9)
    assert sample_report(complaints, before).health is Health.HEALTHY
    complained = sample_report(Counts(sent=10_000, delivered=10_000, complaints=30))
    assert sample_report(complaints, complained).health is Health.WARNING


def test_rates_are_of_what_was_sent_and_delivered() -> None:
    """Complaints come from those who got the message."""
    report = sample_report(Counts(sent=1000, delivered=800, hard_bounces=100, complaints=4))
    assert (report.bounce_rate, report.complaint_rate) == (0.1, 0.005)


def test_complaints_are_of_what_was_sent_where_deliveries_are_not_reported() -> None:
    """Not all providers report them."""
    assert sample_report(Counts(sent=1000, complaints=4)).complaint_rate == 0.004


def test_bounces_are_of_what_came_to_an_end_where_sending_is_not_reported() -> None:
    """The feedback notifications of an SES identity tell of deliveries, and not of what was sent."""
    report = sample_report(Counts(delivered=700, hard_bounces=300))
    assert (report.bounce_rate, report.health) == (0.3, Health.CRITICAL)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_without_messages_there_is_no_evidence(bounces: int, complaints: int) -> None:
    """Bounces may be reported before, or long after, the messages that they are about."""
    report = sample_report(Counts(hard_bounces=bounces, complaints=complaints))
    assert (report.health, report.bounce_rate, report.complaint_rate) == (Health.HEALTHY, 0, 0)


def test_a_domain_that_sends_no_more_is_well() -> None:
    """Once all of its messages have left the window."""
    critical = sample_report(Counts(sent=10_000, hard_bounces=1200))
    assert sample_report(Counts(), critical).health is Health.HEALTHY


@given(counts)
def test_rates_are_at_most_one(seen: Counts) -> None:
    """Whatever is reported."""
    report = sample_report(seen)
    assert 0 <= report.bounce_rate <= 1
    assert 0 <= report.complaint_rate <= 1


def test_a_tenants_thresholds_are_those_that_count() -> None:
    """And are kept with the figures that were held to them."""
    strict = Thresholds(Threshold(0.01, 0.02), COMPLAINT)
    seen = Counts(sent=10_000, hard_bounces=300)
    assert sample_report(seen).health is Health.HEALTHY
    report = sample_report(seen, thresholds=strict)
    assert (report.health, report.thresholds, report.counts) == (Health.CRITICAL, strict, seen)


@given(counts, counts)
def test_since_is_kept_while_health_is(seen: Counts, earlier: Counts) -> None:
    """Whatever becomes of the figures, and of what decided."""
    before = sample_report(earlier, at=NOON)
    after = sample_report(seen, before, at=LATER)
    assert after.counts == seen
    assert after.since == (NOON if after.health is before.health else LATER)


# --- the window ------------------------------------------------------------

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001 - in any zone


def test_an_hour_is_one_of_utc() -> None:
    """Wherever the clock stands that told the time."""
    local = datetime(2026, 5, 4, 18, 4, 56, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert health.hour_of(local) == datetime(2026, 5, 4, 12, tzinfo=UTC)
    assert health.hour_of(local).tzinfo is UTC


def test_the_window_is_the_present_hour_and_those_before() -> None:
    """Seven days are 168 of them."""
    expected = Window(datetime(2026, 4, 27, 13, tzinfo=UTC), datetime(2026, 5, 4, 13, tzinfo=UTC))
    assert health.window_at(NOW, timedelta(days=7)) == expected


@given(moments, st.timedeltas(timedelta(hours=1), timedelta(days=90)))
def test_the_window_is_whole_hours_that_hold_the_present(now: datetime, length: timedelta) -> None:
    """As many as there are whole ones in its length."""
    start, end = health.window_at(now, length)
    assert start <= now < end <= now + timedelta(hours=1)
    assert (end - start) // timedelta(hours=1) == length // timedelta(hours=1)
    assert start == health.hour_of(start)
    assert end == health.hour_of(end)
