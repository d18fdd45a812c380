"""A unary call, beside one that does nothing on the same stack."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.usecases.manage_tenants import DEFAULT_TENANT
from tests.bench import bare, calls, loading, processes
from tests.bench.databases import Databases
from tests.bench.figures import AtLeast, Figure, Rate, compared, side_by_side
from tests.bench.scale import Scale


def figures(
    subject: str,
    path: str,
    requests: Sequence[bytes],
    goals: Mapping[str, AtLeast],
    scale: Scale,
    databases: Databases,
) -> Iterator[Figure]:
    """Measure on the databases that have goals.

    Two processes that run the same may differ by a twentieth for as long as
    they live: both servers are started several times.
    """
    with calls.ready() as load:
        for engine, goal in goals.items():
            pairs: list[tuple[Rate, Rate]] = []
            for _ in range(scale.starts):
                with databases.new(engine) as url:
                    pairs += _pairs(load, url, path, requests, scale)
            got, nothing, ratio = compared(pairs)
            yield Figure(f"{subject} {engine}", ratio, "of a no-op RPC", goal, side_by_side(got, nothing))


def _pairs(
    load: calls.Load, url: str, path: str, requests: Sequence[bytes], scale: Scale
) -> list[tuple[Rate, Rate]]:
    a_day_on = datetime.now(UTC) + timedelta(days=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.service(Path(folder), url) as own,
        processes.bare() as base,
    ):
        loading.load(url, DEFAULT_TENANT, scale.few_domains, first_due=a_day_on, apart=timedelta(seconds=1))
        # The first time costs more: of each request, and of everything in both processes.
        load.send(own, path, requests)
        load.rate(own, path, requests, scale.call_seconds)
        load.rate(base, bare.NO_OP, [b""], scale.call_seconds)
        return [
            (
                load.rate(own, path, requests, scale.call_seconds),
                load.rate(base, bare.NO_OP, [b""], scale.call_seconds),
            )
            for _ in range(scale.call_rounds)
        ]
