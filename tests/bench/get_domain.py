"""GetDomain, beside a call that does nothing on the same stack."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kraiter.domains.v1 import domain_service_pb2 as pb

from service.usecases.manage_tenants import DEFAULT_TENANT
from tests.bench import bare, calls, loading, processes
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.figures import AtLeast, Figure, compared, side_by_side
from tests.bench.scale import Scale

PATH = "/kraiter.domains.v1.DomainService/GetDomain"
_GOALS = {SQLITE: AtLeast(0.5), POSTGRESQL: AtLeast(0.4)}


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure on both databases."""
    with calls.ready() as load, processes.bare() as base:
        for engine, goal in _GOALS.items():
            with (
                tempfile.TemporaryDirectory() as folder,
                databases.new(engine) as url,
                processes.service(Path(folder), url) as own,
            ):
                a_day_on = datetime.now(UTC) + timedelta(days=1)
                loading.load(
                    url, DEFAULT_TENANT, scale.few_domains, first_due=a_day_on, apart=timedelta(seconds=1)
                )
                requests = [
                    pb.GetDomainRequest(domain=loading.name(number)).SerializeToString()
                    for number in range(scale.few_domains)
                ]
                pairs = [
                    (
                        load.rate(own, PATH, requests, scale.seconds),
                        load.rate(base, bare.NO_OP, [b""], scale.seconds),
                    )
                    for _ in range(scale.rounds)
                ]
            got, nothing, ratio = compared(pairs)
            yield Figure(f"get_domain {engine}", ratio, "of a no-op RPC", goal, side_by_side(got, nothing))
