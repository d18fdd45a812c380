"""Calls that come together are answered together, each as if it were alone."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.core.errors import Reason, ServiceError
from service.rpc.gathering import Gatherer

PATIENCE = 10.0


class Doubling:
    """Work that doubles numbers, held until it is released.

    Negative numbers are refused, 13 breaks it, and 99 stands for an outage.
    """

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()

    def __call__(self, items: Sequence[int]) -> Sequence[int | ServiceError]:
        """Answer a batch."""
        self.batches.append(list(items))
        self.begun.release()
        assert self.released.wait(PATIENCE)
        if 13 in items:
            raise ZeroDivisionError
        if 99 in items:
            raise ServiceError(Reason.DATABASE_UNAVAILABLE, "away")
        return [2 * item if item >= 0 else ServiceError(Reason.INVALID_FIELD, str(item)) for item in items]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Return threads for the work."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def gathered(
    threads: ThreadPoolExecutor, work: Doubling, *items: int, gone: Sequence[int] = ()
) -> list[int | BaseException]:
    """Have the first item begun, then the others come, those in `gone` leave, and then all answered."""
    gatherer = Gatherer(threads, work)
    asked = [asyncio.create_task(gatherer.answer(items[0]))]
    await asyncio.to_thread(work.begun.acquire, timeout=PATIENCE)
    asked += [asyncio.create_task(gatherer.answer(item)) for item in items[1:]]
    await asyncio.sleep(0)  # lets them ask
    for task, item in zip(asked, items, strict=True):
        if item in gone:
            task.cancel()
    await asyncio.sleep(0)  # lets them leave
    work.released.set()
    return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), PATIENCE)


def test_what_comes_while_one_is_answered_is_answered_at_once(threads: ThreadPoolExecutor) -> None:
    """The first waits for nobody; the others share the next batch, each with its own answer."""
    work = Doubling()
    assert asyncio.run(gathered(threads, work, 1, 2, 3, 4)) == [2, 4, 6, 8]
    assert work.batches == [[1], [2, 3, 4]]


def test_more_than_a_batch_holds_go_on_in_the_next(threads: ThreadPoolExecutor) -> None:
    """However many wait, each is answered once."""
    work, numbers = Doubling(), range(300)
    assert asyncio.run(gathered(threads, work, *(n for n in numbers if n not in {13, 99}))) == [
        2 * n for n in numbers if n not in {13, 99}
    ]
    assert max(map(len, work.batches)) == 64


def test_an_error_is_its_items_alone(threads: ThreadPoolExecutor) -> None:
    """A refused item does not touch the others of its batch."""
    first, refused, last = asyncio.run(gathered(threads, Doubling(), 1, -2, 3))
    assert (first, last) == (2, 6)
    assert isinstance(refused, ServiceError)
    assert refused.message == "-2"


def test_an_item_that_breaks_the_work_fails_alone(threads: ThreadPoolExecutor) -> None:
    """The others of its batch are answered all the same."""
    first, broken, last = asyncio.run(gathered(threads, Doubling(), 1, 13, 3))
    assert (first, last) == (2, 6)
    assert isinstance(broken, ZeroDivisionError)


def test_an_outage_is_everybodys_error_and_tried_once(threads: ThreadPoolExecutor) -> None:
    """What is known to be nobody's fault is not tried again for each item."""
    work = Doubling()
    answers = asyncio.run(gathered(threads, work, 1, 99, 3))
    assert [type(answer) for answer in answers] == [int, ServiceError, ServiceError]
    assert work.batches == [[1], [99, 3]]


def test_an_item_whose_caller_has_gone_is_not_begun(threads: ThreadPoolExecutor) -> None:
    """It is left out of the batch that it would have been in."""
    work = Doubling()
    answers = asyncio.run(gathered(threads, work, 1, 2, 3, gone=[2]))
    assert isinstance(answers[1], asyncio.CancelledError)
    assert work.batches == [[1], [3]]


def test_it_goes_on_after_every_caller_has_gone(threads: ThreadPoolExecutor) -> None:
    """An item that comes later is answered."""

    async def use(work: Doubling) -> int:
        gatherer = Gatherer(threads, work)
        first = asyncio.create_task(gatherer.answer(1))
        await asyncio.to_thread(work.begun.acquire, timeout=PATIENCE)
        first.cancel()
        work.released.set()
        return await asyncio.wait_for(gatherer.answer(2), PATIENCE)

    assert asyncio.run(use(Doubling())) == 4
