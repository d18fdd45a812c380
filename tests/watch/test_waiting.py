"""Whoever watches a domain waits for it: its checks come often for as long as the stream is open."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service.core import schedule
from service.core.domain import CheckState, Domain, Moved, Status
from service.core.errors import Reason, ServiceError
from service.core.schedule import Intervals
from service.ports import CheckedMove
from service.store.sql import SqlStore, migrate, open_store
from service.watch.waiting import Awaited, Waiting
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain
from tests.support.waiting import until
from tests.watch.conftest import Watching

INTERVALS = Intervals()
NAME = "mail.example.com"


@pytest.fixture
def clock() -> HandClock:
    """The clock of the store and of whoever waits."""
    return HandClock()


@pytest.fixture
def queue(tmp_path: Path, clock: HandClock) -> Iterator[SqlStore]:
    """A new store with the tenants acme and zenith."""
    url = f"sqlite:///{tmp_path}/waiting.db"
    migrate(url)
    made = open_store(url, clock=clock)
    for tenant in ("acme", "zenith"):
        made.create_tenant(tenant)
    yield made
    made.close()


def waiting(queue: SqlStore, clock: HandClock, *awaited: Awaited) -> Waiting:
    """Return what has these looked at often; it is not started."""
    return Waiting(queue=queue, clock=clock, intervals=INTERVALS, awaited=lambda: awaited)


def add(store: SqlStore, name: str = NAME, *, tenant: str = "acme", status: Status = Status.PENDING) -> None:
    """Create a domain whose checks have become rare."""
    checks = CheckState(next_check_time=NOON + timedelta(minutes=15), fast_since=NOON, gap=900.0)
    draft = sample_domain(tenant, name, status=status, checks=checks, contested=True)
    store.create(draft, actor="key:1", request=None)


def missing(now: datetime) -> Callable[[Domain], Moved]:
    """Return what becomes of a PENDING domain whose records are not there."""

    def move(domain: Domain) -> Moved:
        checks = schedule.after_check(
            domain, now=now, told=True, restored=False, intervals=INTERVALS, spread=0.5, must_look_at=None
        )
        return Moved(replace(domain, checks=checks))

    return move


def gaps(
    queue: SqlStore, clock: HandClock, renewed: Callable[[], object], *, until_: datetime
) -> list[float]:
    """Return the gaps between checks that are made when they are due, with a renewal in each half phase."""
    found, last = [], clock.time
    renewal = clock.time + INTERVALS.fast_phase / 2
    while clock.time < until_:
        due = queue.next_due()
        assert due is not None
        clock.time = min(due, renewal)
        if clock.time == renewal:
            renewed()
            renewal += INTERVALS.fast_phase / 2
        for claim in queue.claim_due(clock.time, 1, timedelta(seconds=60)):
            queue.save([CheckedMove(claim, missing(clock.time))])
            found.append((clock.time - last).total_seconds())
            last = clock.time
    return found


def test_a_domain_that_is_watched_stays_in_its_fast_phase(queue: SqlStore, clock: HandClock) -> None:
    """For the half hour that a stream lives, and not only the ten minutes of one phase."""
    queue.create(
        sample_domain(name=NAME, checks=schedule.first(NOON, INTERVALS)), actor="key:1", request=None
    )
    waits = waiting(queue, clock, Awaited("acme", frozenset({NAME})))
    watched = gaps(queue, clock, waits.renew, until_=NOON + timedelta(minutes=30))
    assert max(watched) <= 10.0
    alone = gaps(queue, clock, lambda: None, until_=NOON + timedelta(minutes=60))
    assert max(alone) > 60.0


def test_only_pending_domains_that_are_named_are_hastened(queue: SqlStore, clock: HandClock) -> None:
    """Of their own tenant; names that nobody has do no harm."""
    add(queue)
    add(queue, "done.example.com", status=Status.VERIFIED)
    add(queue, "other.example.com")
    add(queue, tenant="zenith")
    clock.advance(minutes=1)
    names = frozenset({NAME, "done.example.com", "absent.example.com"})
    waiting(queue, clock, Awaited("acme", names), Awaited("acme", frozenset({NAME}))).renew()
    hastened = queue.get("acme", NAME).checks
    assert hastened.fast_since == clock.time
    assert hastened.next_check_time == clock.time + INTERVALS.pending
    for tenant, name in [("acme", "done.example.com"), ("acme", "other.example.com"), ("zenith", NAME)]:
        assert queue.get(tenant, name).checks.fast_since == NOON


@dataclass
class Noted:
    """A queue that notes what is hastened, and fails as often as it is told to."""

    failures: int = 0
    asked: list[tuple[str, Collection[str]]] = field(default_factory=list)

    def hasten(self, tenant: str, names: Collection[str], **_: datetime) -> None:
        """See `CheckQueue.hasten`."""
        self.asked.append((tenant, names))
        if len(self.asked) <= self.failures:
            raise ServiceError(Reason.DATABASE_UNAVAILABLE, "away")


def noted_waiting(noted: Noted, *awaited: Awaited) -> Waiting:
    """Return what hastens in a noted queue, as often as it ever does."""
    often = Intervals(fast_phase=timedelta(), pending=timedelta(milliseconds=1))
    return Waiting(queue=noted, clock=HandClock(), intervals=often, awaited=lambda: awaited)  # type: ignore[arg-type]  # the one method that is used


def test_without_a_named_domain_nothing_is_asked() -> None:
    """Streams of everything cost nothing here."""
    noted = Noted()
    noted_waiting(noted).renew()
    assert noted.asked == []


def test_many_domains_are_hastened_a_few_at_a_time() -> None:
    """Each once, however many streams name it: no transaction is large."""
    names = frozenset(f"d{number}.example.com" for number in range(1200))
    noted = Noted()
    noted_waiting(noted, Awaited("acme", names), Awaited("acme", names)).renew()
    assert max(len(batch) for _, batch in noted.asked) <= 500
    assert sorted(name for _, batch in noted.asked for name in batch) == sorted(names)


def test_an_outage_of_the_database_is_waited_out() -> None:
    """The thread goes on by itself, and ends when it is told to."""
    noted = Noted(failures=1)
    thread = noted_waiting(noted, Awaited("acme", frozenset({NAME})))
    thread.start()
    until(lambda: len(noted.asked) > 1)
    thread.end()
    assert not thread.is_alive()


def test_a_stream_counts_while_it_is_open_and_names_domains(
    start_watching: Callable[..., AbstractAsyncContextManager[Watching]],
) -> None:
    """One of all domains does not; what it named is let go of when it ends, and the thread with the hub."""

    async def scenario() -> None:
        async with start_watching() as watching:
            everything, named, same = (
                watching.subscribe(),
                watching.subscribe(domains=[NAME.upper()]),
                watching.subscribe(domains=[NAME]),
            )
            for subscriber in (everything, named, same):
                await subscriber.until(lambda seen: bool(seen.messages))
            awaited = Awaited("acme", frozenset({NAME}))
            assert watching.hub._awaited() == [awaited, awaited]
            await named.leave()
            assert watching.hub._awaited() == [awaited]
            await same.leave()
            assert watching.hub._awaited() == []
            assert watching.hub._waiting.is_alive()
        assert not watching.hub._waiting.is_alive()

    asyncio.run(scenario())
