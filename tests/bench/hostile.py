"""Checks of ordinary domains while hostile zones are due among them, beside the same without those."""

import random
import statistics
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import timedelta

from service.clock import SystemClock
from service.core import lifecycle, schedule
from service.core.domain import Status
from service.dns import DnsResolver
from service.store.sql import SqlStore, open_store
from service.verifier import Verifier, VerifierConfig
from tests.bench.databases import SQLITE, Databases
from tests.bench.figures import AtLeast, Figure
from tests.bench.scale import Scale
from tests.support import hostile
from tests.support.farm import SERVERS, Farm, Publication
from tests.support.hostile import Kind
from tests.support.population import PROVIDER, CountingQueue, draft, published
from tests.support.sites import Published, ZonePlan
from tests.support.waiting import until

_GOAL = AtLeast(0.9)
_TENANT = "acme"
_DOMAINS_OF_A_ZONE = 10
_SERVERS_OF_A_ZONE = 3
_JUST_IN_TIME = 0.9
"""When answers come that are as late as they may be, of the time that they are waited for."""
_PATIENCE = 60.0
_ALWAYS = timedelta()
_ALWAYS_DUE = lifecycle.Policy(
    intervals=schedule.Intervals(first_delay=_ALWAYS, verified=_ALWAYS, confirm=_ALWAYS)
)
"""For domains that are VERIFIED: hostile ones, which never are, come back as often as users' would."""


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure one hostile zone of each kind, which makes more than 1 % of all domains, on SQLite.

    Ordinary domains are due again as soon as they were checked; hostile ones as pending domains are.
    """
    with ExitStack() as stack:
        farm = stack.enter_context(Farm(1))
        alone = stack.enter_context(closing(_Side(stack, scale, databases, farm, {})))
        among = stack.enter_context(closing(_Side(stack, scale, databases, farm, dict.fromkeys(Kind, 1))))
        pairs = [
            (among.rate(scale.hostile_seconds), alone.rate(scale.hostile_seconds))
            for _ in range(scale.hostile_rounds)
        ]
    own, base = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    yield Figure(
        "hostile one of each kind",
        statistics.median(own / base for own, base in pairs),
        "of the checks without",
        _GOAL,
        f"{own:,.0f} ordinary checks/s against {base:,.0f}/s",
    )


class _Side:
    """A store with ordinary domains that are all right, and hostile ones that never will be."""

    def __init__(
        self, stack: ExitStack, scale: Scale, databases: Databases, farm: Farm, among: Mapping[Kind, int]
    ) -> None:
        self._store = open_store(stack.enter_context(databases.new(SQLITE)), clock=SystemClock())
        self._resolver = DnsResolver(farm.config(pace=scale.pace))
        self._store.create_tenant(_TENANT)
        self._ordinary = _add_ordinary(self._store, farm, scale.checked_domains)
        late = farm.config(pace=scale.pace).try_timeout * _JUST_IN_TIME
        for kind, count in among.items():
            for number in range(count):
                plans = hostile.plans(kind, number, delay=late)
                farm.add(plans)
                _create(self._store, f"mail.{plans[0].name}", Status.PENDING)

    def close(self) -> None:
        """Close what it has opened."""
        self._resolver.close()
        self._store.close()

    def rate(self, seconds: float) -> float:
        """Return how many ordinary domains were checked in a second."""
        queue = CountingQueue(self._store)
        verifier = Verifier(
            store=self._store,
            queue=queue,
            resolver=self._resolver,
            provider=PROVIDER,
            clock=SystemClock(),
            policy=_ALWAYS_DUE,
            config=VerifierConfig(),
        )
        started = time.monotonic()
        verifier.start()
        time.sleep(seconds)  # how long it is measured
        checked = until(lambda: queue.total(self._ordinary), within=_PATIENCE)
        took = time.monotonic() - started
        verifier.stop()
        return checked / took


def _add_ordinary(store: SqlStore, farm: Farm, count: int) -> Collection[str]:
    chance = random.Random(1)
    names = set()
    records: dict[str, list[Published]] = {}
    for number in range(count):
        zone = f"o{number // _DOMAINS_OF_A_ZONE}.example"
        name = f"d{number}.{zone}"
        records.setdefault(zone, []).extend(_create(store, name, Status.VERIFIED))
        names.add(name)
    farm.add([ZonePlan(zone, tuple(chance.sample(SERVERS, _SERVERS_OF_A_ZONE))) for zone in records])
    farm.publish({zone: Publication(found, [0.0] * _SERVERS_OF_A_ZONE) for zone, found in records.items()})
    return names


def _create(store: SqlStore, name: str, status: Status) -> list[Published]:
    domain = draft(_TENANT, name, status, SystemClock().now(), _ALWAYS_DUE)
    return published(store.create(domain, actor="bench", request=None).records)
