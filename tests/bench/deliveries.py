"""ReportDeliveries: how many counts a second one process takes, in batches of a thousand."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import uvloop
from kraiter.domains.v1 import sending_service_pb2 as pb

from service.usecases.manage_tenants import DEFAULT_TENANT
from tests.bench import bare, loading, processes
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.figures import AtLeast, Figure
from tests.bench.processes import AUTHORIZATION, Server
from tests.bench.scale import Scale

PATH = "/kraiter.domains.v1.SendingService/ReportDeliveries"
_REPORTS = 1000
_DOMAINS = 250
_APART = timedelta(minutes=15)
_IN_FLIGHT = 4
_GOAL = AtLeast(50)


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure on both databases. A batch has four reports of each domain, a quarter of an hour apart."""
    for engine in (SQLITE, POSTGRESQL):
        with (
            tempfile.TemporaryDirectory() as folder,
            databases.new(engine) as url,
            processes.service(Path(folder), url) as server,
        ):
            a_day_on = datetime.now(UTC) + timedelta(days=1)
            loading.load(url, DEFAULT_TENANT, _DOMAINS, first_due=a_day_on, apart=timedelta(seconds=1))
            uvloop.run(_report(server, 1))
            used, started = server.cpu(), time.monotonic()
            taken = uvloop.run(_report(server, scale.seconds))
            seconds = time.monotonic() - started
            cpu = server.cpu_since(used) / taken
        yield Figure(
            f"report_deliveries {engine}",
            taken / seconds / 1000,
            "thousand counts/s",
            _GOAL,
            f"CPU of the server {cpu * 1e6:,.1f} us a count",
        )


def _reports() -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    request = pb.ReportDeliveriesRequest()
    for number in range(_REPORTS):
        report = request.reports.add(
            domain=loading.name(number % _DOMAINS), sent=100, delivered=98, hard_bounces=1
        )
        report.time.FromDatetime(now - number // _DOMAINS * _APART)
    return request.SerializeToString()


async def _report(server: Server, seconds: float) -> int:
    """Report for some time; return how many counts were taken."""
    reports = _reports()
    end = time.monotonic() + seconds
    async with grpc.aio.insecure_channel(server.address) as channel:
        method: bare.Method = channel.unary_unary(PATH)

        async def report_on() -> int:
            taken = 0
            while time.monotonic() < end:
                batch = pb.ReportDeliveriesRequest(
                    batch_id=f"{time.monotonic_ns()}-{id(asyncio.current_task())}"
                )
                # Concatenated messages are one.
                answer = await method(reports + batch.SerializeToString(), metadata=AUTHORIZATION)
                taken += pb.ReportDeliveriesResponse.FromString(answer).accepted
            return taken

        return sum(await asyncio.gather(*(report_on() for _ in range(_IN_FLIGHT))))
