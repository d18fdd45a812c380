"""DisableDomain with a hundred thousand scheduled sends to hold back, beside one with ten."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kraiter
from sqlalchemy import insert

from service.core.uses import UseKind, UseState
from service.store.engine import make_engine
from service.store.tables import active_uses, uses
from service.usecases.manage_tenants import DEFAULT_TENANT
from tests.bench import loading, processes
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.figures import Below, Figure
from tests.bench.scale import Scale
from tests.support.server import KEY

_GOAL = Below(1.5)
_FEW = 10


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure on both databases."""
    for engine in (SQLITE, POSTGRESQL):
        with (
            tempfile.TemporaryDirectory() as folder,
            databases.new(engine) as url,
            processes.service(Path(folder), url) as server,
        ):
            a_day_on = datetime.now(UTC) + timedelta(days=1)
            loading.load(url, DEFAULT_TENANT, 2, first_due=a_day_on, apart=timedelta(seconds=1))
            _schedule(url, loading.generation(0), scale.many_domains)
            _schedule(url, loading.generation(1), _FEW)
            with kraiter.Client(server.address, KEY) as client:
                pairs = [
                    (_disable(client, loading.name(0)), _disable(client, loading.name(1)))
                    for _ in range(scale.changes)
                ]
                held = [event.held_sends for event in client.domains.events(page_size=4)][:4]
        if sorted(set(held)) != [_FEW, scale.many_domains]:
            message = f"events tell of {held} held sends"
            raise RuntimeError(message)
        many, few = (statistics.median(times) for times in zip(*pairs, strict=True))
        yield Figure(
            f"disable {engine}",
            many / few,
            f"of the time with {_FEW} scheduled sends",
            _GOAL,
            f"{many * 1e3:,.2f} ms with {scale.many_domains:,} against {few * 1e3:,.2f} ms",
        )


def _schedule(url: str, generation: str, count: int) -> None:
    """Add scheduled sends to a domain, straight into the tables."""
    now = datetime.now(UTC)
    engine = make_engine(url)
    with engine.connect() as connection, connection.begin():
        connection.execute(
            insert(uses),
            [
                {
                    "generation": generation,
                    "kind": UseKind.SCHEDULED_SEND.value,
                    "use_id": f"{number:08}",
                    "state": UseState.ACTIVE.value,
                    "application": "bench",
                    "expire_time": now + timedelta(days=30),
                    "create_time": now,
                    "update_time": now,
                }
                for number in range(count)
            ],
        )
        connection.execute(
            insert(active_uses),
            {
                "generation": generation,
                "kind": UseKind.SCHEDULED_SEND.value,
                "application": "bench",
                "count": count,
            },
        )
    engine.dispose()


def _disable(client: kraiter.Client, name: str) -> float:
    """Disable a domain, and enable it again; return the seconds that the first took."""
    started = time.perf_counter()
    client.domains.disable(name)
    seconds = time.perf_counter() - started
    client.domains.enable(name)
    return seconds
