"""Events of a queue: how many a second one thread reads and counts, the queue itself left out."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from service.clock import SystemClock
from service.core.deliveries import BatchAnswer
from service.core.health import HOUR, Counts, hour_of
from service.ingest import _BATCH
from service.mail.ses.events import parse
from service.ports import DeliveryBatch, QueuedMessage
from service.store.sql import SqlStore, open_store
from service.usecases.count_events import CountEvents
from tests.bench import loading
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.figures import AtLeast, Figure, Rate, compared
from tests.bench.scale import Scale
from tests.support.ses_events import bounce, by_sns, complaint, delivery, send

_TENANT = "acme"
_DOMAINS = 250
_WINDOW = timedelta(days=7)
_AGAIN = 0.2
"""Of the messages, as many came before."""
_GOAL = AtLeast(2)


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure on both databases, in turns with the same counts as other services report them."""
    for engine in (SQLITE, POSTGRESQL):
        with databases.new(engine) as url:
            store = open_store(url, clock=SystemClock())
            store.create_tenant(_TENANT)
            a_day_on = datetime.now(UTC) + timedelta(days=1)
            loading.load(url, _TENANT, _DOMAINS, first_due=a_day_on, apart=timedelta(seconds=1))
            bench = _Ingest(store)
            try:
                pairs = [
                    (_rate(bench.ingest, bench, scale.seconds), _rate(bench.report, bench, scale.seconds))
                    for _ in range(scale.rounds)
                ]
            finally:
                store.close()
        own, base, ratio = compared(pairs)
        yield Figure(
            f"ingest {engine}",
            own.per_second / 1000,
            "thousand events/s",
            _GOAL,
            f"CPU {own.cpu * 1e6:,.1f} us; {ratio:.2f} of the same counts reported, "
            f"batch by batch, {base.cpu * 1e6:,.1f} us",
        )


class _Ingest:
    """Batches of messages as a worker receives them, and what is done with them."""

    def __init__(self, store: SqlStore) -> None:
        """Take the store, with its domains."""
        self._store = store
        self._count = CountEvents(store, SystemClock(), _WINDOW)
        self._chance = random.Random(7)
        self._numbers = count()
        self._bodies: list[str] = []

    def batch(self) -> Sequence[str]:
        """Return the bodies of a batch: of an event each, by SNS, of all domains and the last two hours."""
        bodies = [
            self._chance.choice(self._bodies)
            if self._bodies and self._chance.random() < _AGAIN
            else self._body()
            for _ in range(_BATCH)
        ]
        self._bodies = [*self._bodies[-10 * _BATCH :], *bodies]
        return bodies

    def ingest(self, bodies: Sequence[str]) -> None:
        """Read and count them."""
        now = datetime.now(UTC)
        tally = self._count("queue", [QueuedMessage("", body, parse(body), now) for body in bodies])
        assert tally.counted + tally.duplicates == len(bodies), tally

    def report(self, bodies: Sequence[str]) -> None:
        """Count as many events in a batch of reports."""
        now = datetime.now(UTC)
        hour = hour_of(now)
        sums = Counter(loading.name(self._chance.randrange(_DOMAINS)) for _ in bodies)
        counts = {(name, hour): Counts(sent=sent) for name, sent in sums.items()}
        batch = DeliveryBatch(str(next(self._numbers)), counts, BatchAnswer(len(bodies), ()))
        self._store.count_deliveries(_TENANT, batch, now=now, due=now)

    def _body(self) -> str:
        number = next(self._numbers)
        domain = loading.name(self._chance.randrange(_DOMAINS))
        time = datetime.now(UTC) - self._chance.random() * HOUR
        make = self._chance.choice((send, send, delivery, delivery, bounce, complaint))
        return json.dumps(by_sns(make(str(number), time=time, domain=domain, source=f"a@bounce.{domain}")))


def _rate(work: Callable[[Sequence[str]], None], bench: _Ingest, seconds: float) -> Rate:
    """Return how fast batches are done, without the making of them."""
    done, took, cpu = 0, 0.0, 0.0
    while took < seconds:
        bodies = bench.batch()
        started, used = time.perf_counter(), time.process_time()
        work(bodies)
        took += time.perf_counter() - started
        cpu += time.process_time() - used
        done += len(bodies)
    return Rate(done / took, cpu / done)
