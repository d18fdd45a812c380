"""WatchStatus to many streams, beside ready bytes written to as many on the bare stack."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from google.protobuf.duration_pb2 import Duration
from kraiter.domains.v1 import domain_service_pb2 as pb

from service import ports
from service.clock import SystemClock
from service.core.domain import Change, Domain, EventType, Moved
from service.store.sql import SqlStore, open_store
from service.usecases.manage_tenants import DEFAULT_TENANT
from tests.bench import bare, loading, processes, streams
from tests.bench.databases import SQLITE, Databases
from tests.bench.figures import AtLeast, Figure, Rate, compared, side_by_side
from tests.bench.processes import Server
from tests.bench.scale import Scale
from tests.bench.streams import Streams

PATH = "/kraiter.domains.v1.DomainService/WatchStatus"
WATCH = pb.WatchStatusRequest(heartbeat_interval=Duration(seconds=60)).SerializeToString()
"""Everything from now on; no bookmark comes while a benchmark runs."""
_GOAL = AtLeast(0.7)
_BATCHES = (1, 50)
_SETTINGS = {"KRAITER_WATCH_POLL_SQLITE": "5ms"}
"""Changes are written by another process here: the tail finds them by its poll."""
_LEASE = timedelta(hours=1)


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure messages of one event, and of many, on SQLite."""
    with (
        tempfile.TemporaryDirectory() as folder,
        databases.new(SQLITE) as url,
        processes.service(Path(folder), url, _SETTINGS) as own,
        processes.bare() as base,
    ):
        soon = datetime.now(UTC) + _LEASE
        loading.load(url, DEFAULT_TENANT, max(_BATCHES), first_due=soon, apart=timedelta())
        store = open_store(url, clock=SystemClock())
        try:
            yield from uvloop.run(_measure(scale, own, base, store))
        finally:
            store.close()


async def _measure(scale: Scale, own: Server, base: Server, store: SqlStore) -> list[Figure]:
    figures = []
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(streams.opened(own.address, PATH, WATCH, scale.streams))
        theirs = await stack.enter_async_context(streams.opened(base.address, bare.WATCH, b"", scale.streams))
        publish_ready: bare.Method = theirs.channels[0].unary_unary(bare.PUBLISH)
        for events in _BATCHES:

            async def change(events: int = events) -> None:
                await asyncio.to_thread(_change, store, events)

            async def write_ready() -> None:
                await publish_ready(ours.newest)

            pairs = [
                (await _rate(own, ours, change, scale), await _rate(base, theirs, write_ready, scale))
                for _ in range(scale.rounds)
            ]
            figures.append(_figure(events, pairs))
    return figures


def _change(store: SqlStore, count: int) -> None:
    """Change some domains in one transaction, as a batch of checks does."""

    def move(domain: Domain) -> Moved:
        return Moved(domain, Change(EventType.RECORDS_CHANGED, actor="bench"))

    # Claimed ahead of their time: the verifier of the service leaves them alone.
    claims = store.claim_due(datetime.now(UTC) + 2 * _LEASE, count, _LEASE)
    store.save([ports.CheckedMove(claim, move) for claim in claims])


async def _rate(server: Server, read: Streams, publish: Callable[[], Awaitable[None]], scale: Scale) -> Rate:
    """Publish one message after the other, each when all streams have the last one."""
    used, started = server.cpu(), time.monotonic()
    for _ in range(scale.messages):
        awaited = read.received + scale.streams
        await publish()
        await read.until(awaited)
    written = scale.messages * scale.streams
    return Rate(written / (time.monotonic() - started), server.cpu_since(used) / written)


def _figure(events: int, pairs: Sequence[tuple[Rate, Rate]]) -> Figure:
    own, base, ratio = compared(pairs)
    many = f", {own.per_second * events:,.0f} events/s" if events > 1 else ""
    return Figure(
        f"fan_out {events} a message", ratio, "of ready bytes", _GOAL, side_by_side(own, base) + many
    )
