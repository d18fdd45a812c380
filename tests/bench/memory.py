"""What the service holds in memory when nothing happens, beside the bare stack."""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop

from service.usecases.manage_tenants import DEFAULT_TENANT
from tests.bench import bare, loading, processes, streams
from tests.bench.databases import SQLITE, Databases
from tests.bench.fan_out import PATH as WATCH_PATH
from tests.bench.fan_out import WATCH
from tests.bench.figures import Below, Figure
from tests.bench.processes import Server
from tests.bench.scale import Scale

_MEBIBYTE = 1 << 20
_IDLE = Below(150)
_STREAM = Below(30)
_STREAMS_THAT_COME_FIRST = 50
"""Opened and closed before: what the first streams make is kept for all."""


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure with many domains, on SQLite."""
    with databases.new(SQLITE) as url, tempfile.TemporaryDirectory() as folder, processes.bare() as base:
        # The tenant is made by the first start.
        with processes.service(Path(folder), url):
            pass
        a_day_on = datetime.now(UTC) + timedelta(days=1)
        loading.load(
            url, DEFAULT_TENANT, scale.many_domains, first_due=a_day_on, apart=timedelta(milliseconds=1)
        )
        with processes.service(Path(folder), url) as own:
            idle, base_idle = own.resident(), base.resident()
            yield Figure(
                "memory idle",
                idle / _MEBIBYTE,
                f"MiB with {scale.many_domains:,} domains",
                _IDLE,
                f"the bare stack {base_idle / _MEBIBYTE:.0f} MiB",
            )
            stream = uvloop.run(_of_a_stream(own, WATCH_PATH, WATCH, scale.idle_streams))
            base_stream = uvloop.run(_of_a_stream(base, bare.WATCH, b"", scale.idle_streams))
            yield Figure(
                "memory of a stream",
                stream / 1024,
                f"KiB at {scale.idle_streams:,} streams",
                _STREAM,
                f"the bare stack {base_stream / 1024:.1f} KiB",
            )


async def _of_a_stream(server: Server, path: str, request: bytes, count: int) -> float:
    async with streams.opened(server.address, path, request, _STREAMS_THAT_COME_FIRST):
        pass
    before = server.resident()
    async with streams.opened(server.address, path, request, count):
        # Whatever was made for the opening alone is let go.
        await asyncio.sleep(1)
        return (server.resident() - before) / count
