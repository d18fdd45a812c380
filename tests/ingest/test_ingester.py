"""What arrives on a queue is counted once, whatever fails in between."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from service import ingest
from service.core.errors import Reason, ServiceError
from service.ingest import EventIngester
from service.ports import QueueLag
from service.store.sql import SqlStore
from service.store.tables import deliveries
from tests.ingest.conftest import MemoryQueue
from tests.support.clock import HandClock
from tests.support.logged import captured_logs
from tests.support.samples import NOON
from tests.support.ses_events import bounce, send
from tests.support.waiting import until

AWAY = ServiceError(Reason.PROVIDER_UNAVAILABLE, "away")


class Pauses(threading.Event):
    """An end that notes how long it was waited for, and has nobody wait."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.noted: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Return at once."""
        assert timeout is not None
        self.noted.append(timeout)
        return self.is_set()


@pytest.fixture
def pauses(ingester: EventIngester) -> list[float]:
    """Return the pauses that the ingester makes, in which nobody waits."""
    ingester._ended = ended = Pauses()
    return ended.noted


def sent(store: SqlStore) -> int:
    """Return how many messages are counted as sent."""
    statement = select(func.coalesce(func.sum(deliveries.c.sent), 0))
    return int(store._database.query(lambda connection: connection.execute(statement).scalar_one()))


def bodies(count: int, *, start: int = 0) -> list[str]:
    """Return messages of one event each."""
    return [json.dumps(send(f"message-{start + number}")) for number in range(count)]


def test_messages_are_counted_and_deleted(
    queue: MemoryQueue, opened: SqlStore, ingester: EventIngester
) -> None:
    """All of them, those that come twice once; the queue is closed in the end."""
    ingester.start()
    queue.put(*bodies(450), *bodies(50))
    until(lambda: queue.left == 0)
    assert sent(opened) == 450
    ingester.end()
    assert queue.is_closed


def test_nothing_is_deleted_before_it_is_counted(
    queue: MemoryQueue, opened: SqlStore, ingester: EventIngester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dies in between has it delivered again."""
    counted_before: list[int] = []
    delete = queue.delete

    def deleted(receipts: list[str]) -> int:
        counted_before.append(sent(opened))
        return delete(receipts)

    monkeypatch.setattr(queue, "delete", deleted)
    queue.put(*bodies(3))
    ingester.start()
    until(lambda: queue.left == 0)
    assert counted_before == [3]


@pytest.mark.parametrize("error", [AWAY, RuntimeError("odd")])
def test_a_queue_that_is_away_is_waited_out(
    queue: MemoryQueue, opened: SqlStore, ingester: EventIngester, pauses: list[float], error: Exception
) -> None:
    """Each time longer, up to a bound, and told once: never a hot loop, nor the end of a thread."""
    queue.failures += [error] * 40
    queue.put(*bodies(3))
    with captured_logs() as logged:
        ingester.start()
        until(lambda: queue.left == 0)
    assert sent(opened) == 3
    assert len(pauses) >= 40
    assert min(pauses) >= ingest._SHORTEST_DELAY
    assert sorted(pauses)[-10:] == [ingest._LONGEST_DELAY] * 10
    told = [each for each in logged if each["event"] == "ingest_interrupted"]
    assert 1 <= len(told) <= 2  # one of each thread
    assert {each["error"] for each in told} == {str(error)}


def test_while_the_database_is_away_nothing_more_is_received(
    queue: MemoryQueue,
    opened: SqlStore,
    ingester: EventIngester,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was received is counted once it is back: receiving it again and again would wear it out."""
    _fail(monkeypatch, opened, [ServiceError(Reason.DATABASE_UNAVAILABLE, "away")] * 20)
    queue.put(*bodies(3))
    receptions_before: list[int] = []
    count_events = opened.count_events

    def counting(*events: Any, **terms: Any) -> Any:
        receptions_before.append(queue.receptions)
        return count_events(*events, **terms)

    monkeypatch.setattr(opened, "count_events", counting)
    ingester._threads = ingester._threads[:1]
    ingester.start()
    until(lambda: queue.left == 0)
    assert sent(opened) == 3
    assert len(receptions_before) == 21
    assert len(set(receptions_before)) == 1
    assert len(pauses) >= 20


def test_what_the_database_refuses_blocks_nothing_else(
    queue: MemoryQueue,
    opened: SqlStore,
    ingester: EventIngester,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is left to be delivered again, and the next messages are counted."""
    _fail(monkeypatch, opened, [ServiceError(Reason.INTERNAL, "refused")])
    queue.put(*bodies(3))
    ingester.start()
    until(lambda: pauses)
    queue.put(*bodies(2, start=3))
    until(lambda: sent(opened) == 2)
    assert queue.left == 3
    queue.deliver_again()
    until(lambda: queue.left == 0)
    assert sent(opened) == 5


def test_what_could_not_be_deleted_counts_for_nothing_again(
    queue: MemoryQueue, opened: SqlStore, ingester: EventIngester, pauses: list[float]
) -> None:
    """Neither all of a batch, nor a part of it."""
    queue.deletion_failures.append(AWAY)
    queue.put(*bodies(3))
    ingester.start()
    until(lambda: pauses)
    queue.undeletable = 2
    queue.deliver_again()
    until(lambda: queue.left == 2)
    queue.deliver_again()
    until(lambda: queue.left == 0)
    assert sent(opened) == 3


def test_what_came_of_the_events_is_told(
    queue: MemoryQueue, opened: SqlStore, ingester: EventIngester, clock: HandClock
) -> None:
    """In the log, once in a while and in the end, with the longest lag; and for others in the store."""
    clock.advance(seconds=90)
    old = json.dumps(send("old", time=NOON - timedelta(days=8)))
    foreign = json.dumps(send("foreign", domain="elsewhere.org"))
    queue.put(*bodies(2), *bodies(1), old, foreign, "hello", json.dumps(bounce()))
    with captured_logs() as logged:
        ingester.start()
        until(lambda: queue.left == 0)
        until(opened.lags)
        ingester.end()
    (told,) = [each for each in logged if each["event"] == "events_counted"]
    del told["time"]
    assert told == {
        "event": "events_counted",
        "log_level": "info",
        "queue": "memory",
        "counted": 3,
        "duplicates": 1,
        "too_old": 1,
        "of_no_domain": 1,
        "dead": 1,
        "lag_seconds": 90.0,
    }
    lag = opened.lags()["memory"]
    assert lag in (QueueLag(clock.now(), timedelta(seconds=90)), QueueLag(clock.now(), timedelta(0)))


def test_nothing_is_told_of_nothing(queue: MemoryQueue, ingester: EventIngester) -> None:
    """A quiet queue has no lines in the log."""
    with captured_logs() as logged:
        ingester.start()
        until(lambda: queue.receptions > 3)
        ingester.end()
    assert logged == []


def _fail(monkeypatch: pytest.MonkeyPatch, opened: SqlStore, failures: list[Exception]) -> None:
    """Have the next countings fail, one with each error."""
    count_events = opened.count_events

    def counted(*events: Any, **terms: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return count_events(*events, **terms)

    monkeypatch.setattr(opened, "count_events", counted)
