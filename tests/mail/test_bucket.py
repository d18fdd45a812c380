"""The token bucket: who goes first, and who is told at once that it would be in vain."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest

from service.mail.ses.bucket import Bucket, FullError
from tests.support.waiting import until


class HandMonotonic:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.now = 0.0

    def __call__(self) -> float:
        """Return the present moment."""
        return self.now


@pytest.fixture
def monotonic() -> HandMonotonic:
    """A clock that stands still."""
    return HandMonotonic()


def waiting(bucket: Bucket) -> int:
    """Return how many wait for a token."""
    return len(bucket._callers) + len(bucket._background)


def test_one_token_at_a_time(monotonic: HandMonotonic) -> None:
    """Tokens that nobody took are not saved up: the provider's limit is per second."""
    bucket = Bucket(2.0, monotonic)
    monotonic.now = 60.0
    bucket.take(60.0)
    with pytest.raises(FullError) as full:
        bucket.take(60.4)
    assert full.value.retry_after == timedelta(seconds=1)
    monotonic.now = 60.5
    bucket.take(60.5)


def test_callers_are_told_at_once_that_it_would_be_in_vain(monotonic: HandMonotonic) -> None:
    """Those who came before are counted, and what background work takes of the tokens."""
    bucket = Bucket(1.0, monotonic)
    bucket.take(0.0)
    with ThreadPoolExecutor(3) as pool:
        patient = [pool.submit(bucket.take, 60.0) for _ in range(3)]
        until(lambda: waiting(bucket) == 3)
        with pytest.raises(FullError) as full:
            bucket.take(4.9)
        assert full.value.retry_after == timedelta(seconds=5)
        bucket.close()
        assert all(isinstance(each.exception(), FullError) for each in patient)


def test_a_closed_bucket_has_nothing_to_give(monotonic: HandMonotonic) -> None:
    """Though there would be a token at once."""
    bucket = Bucket(1.0, monotonic)
    bucket.close()
    with pytest.raises(FullError):
        bucket.take(60.0)


def test_no_more_wait_than_there_are_threads_for(monotonic: HandMonotonic) -> None:
    """Whatever their deadlines are."""
    bucket = Bucket(1.0, monotonic)
    bucket.take(0.0)
    with ThreadPoolExecutor(24) as pool:
        for _ in range(24):
            pool.submit(bucket.take, 1e6)
        until(lambda: waiting(bucket) == 24)
        with pytest.raises(FullError):
            bucket.take(1e6)
        bucket.close()


def test_callers_go_before_background_work_which_does_not_starve(monotonic: HandMonotonic) -> None:
    """One token in four is for it."""
    bucket = Bucket(1000.0, monotonic)
    bucket.take(0.0)
    order: list[str] = []

    def take(name: str, *, background: bool) -> None:
        bucket.take(10.0, background=background)
        order.append(name)

    with ThreadPoolExecutor(8) as pool:
        for number in range(2):
            pool.submit(take, f"b{number}", background=True)
            until(lambda number=number: waiting(bucket) == number + 1)
        for number in range(6):
            pool.submit(take, f"c{number}", background=False)
            until(lambda number=number: waiting(bucket) == number + 3)
        for count in range(1, 9):
            monotonic.now += 0.001
            until(lambda count=count: len(order) == count)
    assert order == ["c0", "c1", "b0", "c2", "c3", "c4", "b1", "c5"]


def test_a_bucket_that_is_told_to_slow_down_does_and_recovers(monotonic: HandMonotonic) -> None:
    """By a third each time, and by little with each call that goes well."""
    bucket = Bucket(1.0, monotonic)
    bucket.take(0.0)
    bucket.slow_down()
    monotonic.now = 1.4
    with pytest.raises(FullError):
        bucket.take(1.4)
    monotonic.now = 1.43
    bucket.take(1.43)
    for _ in range(3):
        bucket.speed_up()
    monotonic.now = 10.0
    bucket.take(10.0)
    with pytest.raises(FullError):
        bucket.take(10.9)
    monotonic.now = 11.0
    bucket.take(11.0)


def test_a_waiter_whose_time_is_up_goes_away(monotonic: HandMonotonic) -> None:
    """Though it was promised a token: the provider took less since."""
    bucket = Bucket(1000.0, monotonic)
    bucket.take(0.0)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(bucket.take, 0.0012)
        until(lambda: waiting(bucket) == 1)
        bucket.slow_down()
        monotonic.now = 0.00125
        assert isinstance(late.exception(10), FullError)
    assert waiting(bucket) == 0


def test_real_threads_get_what_the_rate_gives() -> None:
    """On the real clock, a hundred at once: none sooner, and none lost."""
    begun_at = time.monotonic()
    bucket = Bucket(200.0)
    results: list[Future[None]] = []
    begun = threading.Barrier(20)

    def take() -> None:
        begun.wait()
        bucket.take(time.monotonic() + 60)

    with ThreadPoolExecutor(20) as pool:
        results += [pool.submit(take) for _ in range(20)]
    assert [each.exception() for each in results] == [None] * 20
    assert time.monotonic() - begun_at >= 19 / 200
