"""From the last name server's having a domain's records to the event at a subscriber."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import processes
from tests.bench.databases import SQLITE, Databases
from tests.bench.figures import Below, Figure
from tests.bench.scale import Scale
from tests.support import rehearsal
from tests.support.farm import Farm

_GOAL = Below(12)
_SEED = 1


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure many pending domains at once, on SQLite, with the settings that users get."""
    plan = rehearsal.Plan(
        domains=scale.published_domains,
        seconds=scale.published_within,
        patience=3 * scale.published_within,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        databases.new(SQLITE) as url,
        Farm(_SEED) as farm,
        processes.service(Path(folder), url, farm.settings | processes.paced(scale.pace)) as own,
    ):
        cpu = own.cpu()
        delays = rehearsal.verify(own.address, farm, plan, random.Random(_SEED))
        used = own.cpu_since(cpu)
    for name, part, goal in (("p50", 0.5, None), ("p95", 0.95, _GOAL), ("p99", 0.99, None), ("max", 1, None)):
        yield Figure(
            f"publication {name}",
            rehearsal.quantile(delays, part),
            "s to the event VERIFIED",
            goal,
            f"{plan.domains:,} domains over {plan.seconds:g} s, {used:.0f} s of CPU; none too early",
        )
