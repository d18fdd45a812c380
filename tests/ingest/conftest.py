"""Events that come from a queue in memory into a real store on SQLite."""

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service import ports
from service.ingest import EventIngester
from service.mail.ses.events import parse
from service.store.sql import SqlStore, migrate, open_store
from service.usecases.count_events import CountEvents
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

NAME = "example.com"
WINDOW = timedelta(days=7)


class MemoryQueue:
    """A queue that delivers at least once, and fails as a test says."""

    name = "memory"

    def __init__(self) -> None:
        """Begin empty."""
        self.failures: list[Exception] = []
        """What the next receptions fail with, one each."""
        self.deletion_failures: list[Exception] = []
        self.undeletable = 0
        """How many messages of the next deletion stay."""
        self.receptions = 0
        self.is_closed = False
        self._waiting: list[tuple[str, datetime]] = []
        self._received: dict[str, tuple[str, datetime]] = {}
        self._changed = threading.Condition()

    @property
    def left(self) -> int:
        """How many messages were not deleted."""
        with self._changed:
            return len(self._waiting) + len(self._received)

    def put(self, *bodies: str, sent: datetime = NOON) -> None:
        """Put messages into it."""
        with self._changed:
            self._waiting += [(body, sent) for body in bodies]
            self._changed.notify_all()

    def deliver_again(self) -> None:
        """Deliver what was received and not deleted, as a queue does in time."""
        with self._changed:
            self._waiting += self._received.values()
            self._received.clear()
            self._changed.notify_all()

    def receive(self, most: int, wait: timedelta) -> Sequence[ports.QueuedMessage]:
        """See `EventQueue.receive`; it never waits for long."""
        with self._changed:
            self.receptions += 1
            number = self.receptions
            if self.failures:
                raise self.failures.pop(0)
            self._changed.wait_for(lambda: self._waiting, min(wait.total_seconds(), 0.05))
            taken, self._waiting = self._waiting[:most], self._waiting[most:]
            receipts = [f"{number}-{at}" for at in range(len(taken))]
            self._received |= dict(zip(receipts, taken, strict=True))
        return [
            ports.QueuedMessage(receipt, body, parse(body), sent)
            for receipt, (body, sent) in zip(receipts, taken, strict=True)
        ]

    def delete(self, receipts: Sequence[str]) -> int:
        """See `EventQueue.delete`."""
        with self._changed:
            if self.deletion_failures:
                raise self.deletion_failures.pop(0)
            failed, self.undeletable = min(self.undeletable, len(receipts)), 0
            for receipt in receipts[failed:]:
                self._received.pop(receipt, None)
            return failed

    def close(self) -> None:
        """See `EventQueue.close`."""
        self.is_closed = True


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def opened(tmp_path: Path, clock: HandClock) -> Iterator[SqlStore]:
    """Return a store with one domain."""
    url = f"sqlite:///{tmp_path}/kraiter.db"
    migrate(url)
    store = open_store(url, clock=clock)
    store.create_tenant("acme")
    store.create(sample_domain("acme", NAME), actor="key:1", request=None)
    yield store
    store.close()


@pytest.fixture
def queue() -> MemoryQueue:
    """Return an empty queue."""
    return MemoryQueue()


@pytest.fixture
def count(opened: SqlStore, clock: HandClock) -> CountEvents:
    """Return what counts."""
    return CountEvents(opened, clock, WINDOW)


@pytest.fixture
def ingester(
    queue: MemoryQueue, opened: SqlStore, count: CountEvents, clock: HandClock
) -> Iterator[EventIngester]:
    """Return an ingester of two threads, not started, that is ended with the test."""
    made = EventIngester(queue=queue, store=opened, count=count, clock=clock, threads=2)
    yield made
    made.end()
