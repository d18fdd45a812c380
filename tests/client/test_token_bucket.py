"""The limit on a throttled domain: by a clock that the test moves."""

import math
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kraiter.token_bucket import TokenBucket

HOUR = 3600.0
ROUNDING = 1e-6


def _taken(bucket: TokenBucket, per_hour: int, now: float) -> int:
    """Take all there is, and return how many that were."""
    count = 0
    while bucket.take(per_hour, now) == 0:
        count += 1
    return count


@pytest.mark.parametrize(("per_hour", "burst"), [(1, 1), (19, 1), (20, 2), (100, 10), (1_000_000, 10)])
def test_a_few_go_at_once(per_hour: int, burst: int) -> None:
    """A tenth of an hour's, at most ten and at least one."""
    assert _taken(TokenBucket(), per_hour, now=50.0) == burst


def test_none_an_hour_is_never() -> None:
    """Neither is fewer than none."""
    assert TokenBucket().take(0, 0.0) == TokenBucket().take(-1, 0.0) == math.inf


@pytest.mark.parametrize("per_hour", [1, 7, 100])
def test_it_says_when_the_next_comes(per_hour: int) -> None:
    """Then and not before: each time anew."""
    bucket = TokenBucket()
    now = 0.0
    _taken(bucket, per_hour, now)
    for _ in range(3 * per_hour):
        delay = bucket.take(per_hour, now)
        assert 0 < delay <= HOUR
        assert bucket.take(per_hour, now + delay - ROUNDING) > 0
        now += delay + ROUNDING
        assert bucket.take(per_hour, now) == 0


def test_all_of_an_hour_are_given_out() -> None:
    """A sender who always waits for the next gets what it may have."""
    bucket, now, count = TokenBucket(), 0.0, 0
    while now < HOUR - ROUNDING:
        if delay := bucket.take(100, now):
            now += delay + ROUNDING
        else:
            count += 1
    assert count == 100


@given(
    per_hour=st.integers(1, 200),
    pauses=st.lists(st.floats(0, 1.2 * HOUR) | st.floats(0, 60), min_size=1, max_size=150),
)
def test_no_hour_has_more(per_hour: int, pauses: list[float]) -> None:
    """However the sender comes, and wherever the hour begins."""
    bucket, now = TokenBucket(), 0.0
    times: list[float] = []
    for pause in pauses:
        now += pause
        times += [now] * _taken(bucket, per_hour, now)
    for place, first in enumerate(times):
        assert sum(time < first + HOUR - ROUNDING for time in times[place:]) <= per_hour


def test_a_clock_that_threads_read_in_another_order_gives_nothing_extra() -> None:
    """What has passed once does not pass again."""
    bucket = TokenBucket()
    _taken(bucket, 100, now=1000.0)
    assert bucket.take(100, 500.0) > 0
    assert bucket.take(100, 1000.0) > 0


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Have threads take turns after nearly every step."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_threads_share_it(hasty_threads: None) -> None:
    """Not one more than there are, however many ask at once."""
    for _ in range(200):
        bucket, taken, together = TokenBucket(), [], threading.Barrier(4)

        def take(
            bucket: TokenBucket = bucket, taken: list[int] = taken, together: threading.Barrier = together
        ) -> None:
            together.wait()
            taken.append(_taken(bucket, 100, now=0.0))

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taken) == 10
