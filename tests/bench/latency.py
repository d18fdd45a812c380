"""From the answer to DisableDomain to its event at a subscriber, beside a round trip."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import uvloop
from kraiter.domains.v1 import domain_service_pb2 as pb

from service.usecases.manage_tenants import DEFAULT_TENANT
from tests.bench import bare, loading, processes, streams
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.fan_out import PATH as WATCH_PATH
from tests.bench.fan_out import WATCH
from tests.bench.figures import Figure
from tests.bench.processes import AUTHORIZATION, Server
from tests.bench.scale import Scale

_SERVICE = "/kraiter.domains.v1.DomainService"


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure on both databases, with the settings that users get."""
    with processes.bare() as base:
        for engine in (SQLITE, POSTGRESQL):
            with (
                tempfile.TemporaryDirectory() as folder,
                databases.new(engine) as url,
                processes.service(Path(folder), url) as own,
            ):
                soon = datetime.now(UTC) + timedelta(days=1)
                loading.load(url, DEFAULT_TENANT, 1, first_due=soon, apart=timedelta())
                delays, trips = uvloop.run(_measure(scale, own, base))
            trip = statistics.median(trips)
            for quantile in (50, 99):
                delay = statistics.quantiles(delays, n=100, method="inclusive")[quantile - 1]
                yield Figure(
                    f"latency {engine} p{quantile}",
                    delay / trip,
                    "round trips of a no-op RPC",
                    detail=f"{delay * 1e3:.2f} ms against {trip * 1e3:.2f} ms",
                )


async def _measure(scale: Scale, own: Server, base: Server) -> tuple[list[float], list[float]]:
    """Return the delays of events after their commits, and the round trips, in seconds."""
    delays, trips = [], []
    name = loading.name(0)
    changes = (
        ("DisableDomain", pb.DisableDomainRequest(domain=name, reason="bench").SerializeToString()),
        ("EnableDomain", pb.EnableDomainRequest(domain=name, reason="bench").SerializeToString()),
    )
    async with (
        grpc.aio.insecure_channel(own.address) as channel,
        grpc.aio.insecure_channel(base.address) as base_channel,
        streams.opened(own.address, WATCH_PATH, WATCH, 1) as watched,
    ):
        no_op: bare.Method = base_channel.unary_unary(bare.NO_OP)
        for number in range(scale.rounds * scale.changes):
            method, request = changes[number % len(changes)]
            awaited = watched.received + 1
            await channel.unary_unary(f"{_SERVICE}/{method}")(request, metadata=AUTHORIZATION)
            answered = time.perf_counter()
            await watched.until(awaited)
            # The event may overtake the answer.
            delays.append(max(watched.newest_time - answered, 0.0))
            started = time.perf_counter()
            await no_op(b"")
            trips.append(time.perf_counter() - started)
    return delays, trips
