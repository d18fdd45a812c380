"""The send gate's answers from memory, beside a look into a dict in a function."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kraiter

from service.usecases.manage_tenants import DEFAULT_TENANT
from tests.bench import loading, processes
from tests.bench.databases import SQLITE, Databases
from tests.bench.figures import AtLeast, Figure
from tests.bench.scale import Scale
from tests.support.server import KEY
from tests.support.waiting import until

_GOAL = AtLeast(1.0)


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure in one thread, while another reads the stream."""
    a_day_on = datetime.now(UTC) + timedelta(days=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        databases.new(SQLITE) as url,
        processes.service(Path(folder), url) as server,
        kraiter.Client(server.address, KEY) as client,
    ):
        loading.load(url, DEFAULT_TENANT, scale.few_domains, first_due=a_day_on, apart=timedelta(seconds=1))
        names = [loading.name(number) for number in range(scale.few_domains)]
        table = dict.fromkeys(names, True)

        def look(domain: str) -> bool:
            return table[domain]

        with client.gate() as gate:
            until(lambda: all(map(gate.allowed, names)))
            pairs = [
                (_rate(gate.allowed, names, scale.seconds), _rate(look, names, scale.seconds))
                for _ in range(scale.rounds)
            ]
    own, base = (statistics.median(rates) / 1e6 for rates in zip(*pairs, strict=True))
    detail = f"against {base:.2f} million/s of a look into a dict"
    yield Figure("gate allowed", own, "million/s of CPU", _GOAL, detail)


def _rate(call: Callable[[str], bool], names: Sequence[str], seconds: float) -> float:
    """Return how many calls a second of this thread's CPU time makes: others may have the CPU meanwhile."""
    calls, started = 0, time.thread_time()
    while (passed := time.thread_time() - started) < seconds:
        for name in names:
            call(name)
        calls += len(names)
    return calls / passed
