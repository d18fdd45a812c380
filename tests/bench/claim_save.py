"""One due domain claimed and saved unchanged, among many domains and among few."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from service import ports
from service.core.domain import Domain, Moved
from service.store.sql import SqlStore, open_store
from tests.bench import loading
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.figures import Below, Figure
from tests.bench.scale import Scale

_TENANT = "acme"
_GOAL = Below(1.3)
_START = datetime(2026, 3, 1, tzinfo=UTC)
_INTERVAL = timedelta(hours=1)
_LEASE = timedelta(minutes=1)


class DueClock:
    """A clock that a benchmark moves to when the next domain is due."""

    def __init__(self) -> None:
        self.time = _START

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self.time


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure on both databases."""
    for engine in (SQLITE, POSTGRESQL):
        with databases.new(engine) as few_url, databases.new(engine) as many_url:
            few = Queue(few_url, scale.few_domains)
            many = Queue(many_url, scale.many_domains)
            try:
                # In turns, one by one: other load on the machine meets both alike.
                turns = [(many.claim_and_save(), few.claim_and_save()) for _ in range(scale.claims)]
            finally:
                few.close()
                many.close()
        among_many, among_few = (statistics.median(times) for times in zip(*turns, strict=True))
        yield Figure(
            f"claim_save {engine}",
            among_many / among_few,
            f"times the cost at {scale.few_domains:,} domains",
            _GOAL,
            f"{among_many * 1e6:,.0f} us at {scale.many_domains:,} against {among_few * 1e6:,.0f} us",
        )


class Queue:
    """A store whose domains are due one after the other, over one interval."""

    def __init__(self, url: str, domains: int) -> None:
        """Load the domains."""
        self._clock = DueClock()
        self._apart = _INTERVAL / domains
        self._store: SqlStore = open_store(url, clock=self._clock)
        self._store.create_tenant(_TENANT)
        loading.load(url, _TENANT, domains, first_due=_START, apart=self._apart)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def claim_and_save(self) -> float:
        """Return the time in seconds to claim one domain and save it."""
        now = self._clock.time
        started = time.perf_counter()
        claims = self._store.claim_due(now, 1, _LEASE)
        saved = self._store.save([ports.CheckedMove(claim, self._unchanged) for claim in claims])
        took = time.perf_counter() - started
        assert len(saved) == 1
        self._clock.time = now + self._apart
        return took

    def _unchanged(self, domain: Domain) -> Moved:
        now = self._clock.now()
        checks = replace(domain.checks, last_check_time=now, next_check_time=now + _INTERVAL)
        return Moved(replace(domain, checks=checks))
