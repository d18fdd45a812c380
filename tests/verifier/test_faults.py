"""Checks through a network that loses, fails and lies: no status may ever be wrong.

KRAITER_TEST_CHECKS says how many checks (default 1000), KRAITER_TEST_SEED with which random numbers.
"""

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path
from typing import assert_never

import pytest

from service.clock import SystemClock
from service.core import lifecycle, schedule
from service.core.domain import Event, EventType, Status
from service.dns import DnsResolver
from service.store.sql import SqlStore, migrate, open_store
from service.verifier import Verifier, VerifierConfig
from tests.support.farm import SERVERS, Farm, Faults, Publication
from tests.support.population import PROVIDER, CountingQueue, draft, published
from tests.support.sites import NEVER, ZonePlan
from tests.support.waiting import until

CHECKS = int(os.environ.get("KRAITER_TEST_CHECKS", "1000"))
TENANT = "acme"
FAULTS = Faults(dropped=0.3, failing=0.1)
SERVERS_OF_A_ZONE = 3
LAME = 2
"""One server in three: the last one of each zone."""
PACE = 0.1
"""How long the service waits for things, against what it does by default."""
OFTEN = timedelta(seconds=0.5)
POLICY = lifecycle.Policy(
    intervals=schedule.Intervals(first_delay=timedelta(), pending=OFTEN, verified=OFTEN, confirm=OFTEN)
)


class Fate(Enum):
    """What becomes of a domain's zone."""

    RIGHT = auto()
    """VERIFIED, and its records stand."""
    BROKEN = auto()
    """VERIFIED, but a record is gone."""
    ABSENT = auto()
    """PENDING, and nothing is ever published."""
    LAGGING = auto()
    """PENDING, and one name server of those that serve it never gets the records."""
    PUBLISHED = auto()
    """PENDING, and published while it is looked at."""


DOMAINS = {Fate.RIGHT: 40, Fate.BROKEN: 10, Fate.ABSENT: 20, Fate.LAGGING: 20, Fate.PUBLISHED: 30}


@pytest.fixture
def seed() -> int:
    """Give what all chances of a run follow from, as far as the clock lets them."""
    chosen = int(os.environ.get("KRAITER_TEST_SEED", random.randrange(2**32)))
    print(f"KRAITER_TEST_SEED={chosen}")  # noqa: T201 - shown when the test fails, to run it again
    return chosen


@pytest.fixture
def farm(seed: int) -> Iterator[Farm]:
    """Give name servers without a zone."""
    with Farm(seed) as farm:
        yield farm


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """Give a new store."""
    url = f"sqlite:///{tmp_path}/faults.db"
    migrate(url)
    with closing(open_store(url, clock=SystemClock(), pool_size=8)) as opened:
        opened.create_tenant(TENANT)
        yield opened


@pytest.mark.timeout(120 + CHECKS // 20)
def test_faults_of_dns_make_no_status_wrong(farm: Farm, store: SqlStore, seed: int) -> None:
    """30 % of answers dropped, 10 % SERVFAIL, one name server in three lame: every status is right."""
    chance = random.Random(seed)
    fates = [fate for fate, number in DOMAINS.items() for _ in range(number)]
    zones = {f"z{number}.example": fate for number, fate in enumerate(fates)}
    had_at = create(store, farm, zones, chance)
    farm.fault(FAULTS)
    stories = check(store, farm, within=60 + CHECKS / 20)
    wrong = {
        f"{fate} {zone}": [(event.type, event.state.status) for event in stories[f"mail.{zone}"]]
        for zone, fate in zones.items()
        if not is_right(fate, stories[f"mail.{zone}"], had_at[zone])
    }
    assert wrong == {}


def create(
    store: SqlStore, farm: Farm, zones: Mapping[str, Fate], chance: random.Random
) -> Mapping[str, float]:
    """Create the domains and their zones; return when each zone had all on all servers."""
    clock = SystemClock()
    publications = {}
    for zone, fate in zones.items():
        status = Status.VERIFIED if fate in {Fate.RIGHT, Fate.BROKEN} else Status.PENDING
        domain = store.create(
            draft(TENANT, f"mail.{zone}", status, clock.now(), POLICY), actor="test", request=None
        )
        records = published(domain.records)
        if fate is Fate.BROKEN:
            records = records[1:]
        farm.add([ZonePlan(zone, tuple(chance.sample(SERVERS, SERVERS_OF_A_ZONE)), lame=LAME)])
        publications[zone] = Publication(records, times_of(fate, chance))
    farm.publish(publications)
    return {zone: max(publication.times[:LAME]) for zone, publication in publications.items()}


def times_of(fate: Fate, chance: random.Random) -> list[float]:
    """Return when each server of a zone has the records."""
    match fate:
        case Fate.RIGHT | Fate.BROKEN:
            return [0.0] * SERVERS_OF_A_ZONE
        case Fate.ABSENT:
            return [NEVER] * SERVERS_OF_A_ZONE
        case Fate.LAGGING:
            return [0.0, NEVER, 0.0]
        case Fate.PUBLISHED:
            return [time.time() + chance.uniform(0, 10) for _ in range(SERVERS_OF_A_ZONE)]
        case _:
            assert_never(fate)


def check(store: SqlStore, farm: Farm, *, within: float) -> Mapping[str, Sequence[Event]]:
    """Have the domains checked often enough, and until all news that there is was told; return what was."""
    queue, log = CountingQueue(store), Log(store)
    news = DOMAINS[Fate.PUBLISHED] + DOMAINS[Fate.BROKEN]
    with closing(DnsResolver(farm.config(pace=PACE))) as resolver:
        verifier = Verifier(
            store=store,
            queue=queue,
            resolver=resolver,
            provider=PROVIDER,
            clock=SystemClock(),
            policy=POLICY,
            config=VerifierConfig(poll=0.05),
        )
        verifier.start()
        try:
            until(lambda: queue.total() >= CHECKS and log.follow() >= news, within=within)
        finally:
            verifier.stop()
    log.follow()
    return log.stories


@dataclass
class Log:
    """What was told of the domains and matters, read bit by bit."""

    store: SqlStore
    stories: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    """By name."""
    _read: int = 0

    def follow(self) -> int:
        """Read on, and return of how many domains there is something to tell."""
        while events := self.store.read(TENANT, self._read, 1000):
            self._read = events[-1].revision
            for event in events:
                if event.type not in {EventType.CREATED, EventType.RECORDS_CHANGED}:
                    self.stories[event.domain].append(event)
        return len(self.stories)


def is_right(fate: Fate, events: Sequence[Event], had_at: float) -> bool:
    """Whether a domain's story is that of its zone."""
    moves = [(event.type, event.state.status) for event in events]
    match fate:
        case Fate.RIGHT | Fate.ABSENT | Fate.LAGGING:
            return moves == []
        case Fate.BROKEN:
            return moves == [(EventType.RECORDS_BROKEN, Status.VERIFIED)]
        case Fate.PUBLISHED:
            verified = moves == [(EventType.STATUS_CHANGED, Status.VERIFIED)]
            return verified and events[0].time.timestamp() >= had_at
        case _:
            assert_never(fate)
