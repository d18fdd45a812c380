"""Which reports of deliveries can be counted, and what is said of the others."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import health
from service.core.deliveries import Bounds, DeliveryReport
from service.core.health import Counts

NOW = datetime(2026, 5, 4, 12, 34, 56, tzinfo=UTC)
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
BILLION = 1_000_000_000


def problem(time: datetime = NOW, counts: Counts | None = None, *, window: timedelta = WEEK) -> str:
    """Return what is wrong with a report; empty where nothing is."""
    counted = Counts(sent=1) if counts is None else counts
    report = DeliveryReport("example.com", int(time.timestamp()), *counted)
    assert report.counts == counted
    return Bounds.at(NOW, window).problem(report)


@pytest.mark.parametrize(
    "time",
    [
        NOW,
        NOW + timedelta(minutes=10),
        NOW - timedelta(days=6),
        datetime(2026, 4, 27, 13, tzinfo=UTC),
    ],
)
def test_times_that_count(time: datetime) -> None:
    """Late is not too late, and a clock may be ten minutes fast."""
    assert problem(time) == ""


@pytest.mark.parametrize("time", [NOW + timedelta(minutes=10, seconds=1), datetime.max.replace(tzinfo=UTC)])
def test_the_future_does_not_count(time: datetime) -> None:
    """Nothing has become of a message before it was sent."""
    assert problem(time) == "time: must be at most 10 minutes in the future"


@pytest.mark.parametrize(
    "time", [datetime(2026, 4, 27, 13, tzinfo=UTC) - SECOND, datetime.min.replace(tzinfo=UTC)]
)
def test_what_has_left_the_window_does_not_count(time: datetime) -> None:
    """Where the window begins is said, to the hour."""
    assert problem(time) == "time: must not be before 2026-04-27T13:00Z, the start of the hours that count"


@given(
    st.timedeltas(-timedelta(days=100), timedelta(minutes=10)),
    st.timedeltas(timedelta(hours=1), timedelta(days=90)),
)
def test_a_report_is_taken_if_its_hour_is_in_the_window(age: timedelta, window: timedelta) -> None:
    """What is accepted is counted, at once or when its hour comes."""
    time = NOW + age
    is_in_window = health.hour_of(time) >= health.window_at(NOW, window).start
    assert (problem(time, window=window) == "") == is_in_window


@pytest.mark.parametrize("field", Counts._fields)
@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, ""),
        (BILLION, ""),
        (-1, "{}: must not be negative, and is -1"),
        (-(2**63), f"{{}}: must not be negative, and is -{2**63}"),
        (BILLION + 1, "{}: must be at most 1000000000, and is 1000000001"),
        (2**63 - 1, f"{{}}: must be at most 1000000000, and is {2**63 - 1}"),
    ],
)
def test_counts_have_bounds(field: str, count: int, told: str) -> None:
    """What is wrong begins with the field's name."""
    assert problem(counts=Counts(**{field: count})) == told.format(field)


@given(st.builds(Counts, *(st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 1) for _ in Counts._fields)))
def test_the_first_wrong_count_is_told(counts: Counts) -> None:
    """Whatever stands in a report, a sentence comes of it or nothing."""
    wrong = [field for field, count in counts._asdict().items() if not 0 <= count <= BILLION]
    assert problem(counts=counts).partition(":")[0] == (wrong[0] if wrong else "")


def test_bounces_need_no_messages_in_their_report() -> None:
    """They come hours later than the messages, or from another service."""
    assert problem(counts=Counts(hard_bounces=3, complaints=1)) == ""
