"""The time to verify while answers are lost, fail and come from lame servers, beside the same without."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import processes
from tests.bench.databases import SQLITE, Databases
from tests.bench.figures import Below, Figure
from tests.bench.scale import Scale
from tests.support import rehearsal
from tests.support.farm import Farm, Faults

_GOAL = Below(3)
_SEED = 1
_FAULTS = Faults(dropped=0.3, failing=0.1)
_LAME = 0
"""One name server in three."""


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure pending domains that are published at random times, with the settings that users get."""
    clean = _measure(scale, databases, faults=None, lame=None)
    faulty = _measure(scale, databases, faults=_FAULTS, lame=_LAME)
    for part in (0.5, 0.95):
        with_faults, without = rehearsal.quantile(faulty, part), rehearsal.quantile(clean, part)
        yield Figure(
            f"faults p{100 * part:g}",
            with_faults / without,
            "times as long to verify",
            _GOAL,
            f"{with_faults:.1f} s against {without:.1f} s, {len(clean)} domains",
        )


def _measure(
    scale: Scale, databases: Databases, *, faults: Faults | None, lame: int | None
) -> Sequence[float]:
    plan = rehearsal.Plan(
        domains=scale.faulty_domains,
        seconds=scale.published_within / 2,
        patience=3 * scale.published_within,
        lame=lame,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        databases.new(SQLITE) as url,
        Farm(_SEED) as farm,
        processes.service(Path(folder), url, farm.settings | processes.paced(scale.pace)) as own,
    ):
        farm.fault(faults)
        return rehearsal.verify(own.address, farm, plan, random.Random(_SEED))
