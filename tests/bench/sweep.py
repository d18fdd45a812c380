"""A sweep over verified domains whose records are as they were: claim, ask, judge, save."""

import asyncio
import itertools
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import uvloop

from service.dns import Endpoint, wire
from tests.bench import cores, loading, name_server
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.figures import AtLeast, Figure, Rate
from tests.bench.scale import Scale
from tests.support.server import ROOT

_TENANT = "acme"
_LONG_DUE = datetime(2026, 3, 1, tzinfo=UTC)
_IN_FLIGHT = 64
_LARGEST = 4096

Query = tuple[str, str]


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure against a bare loop with the same queries, and against a plain script."""
    published = loading.published(scale.many_domains)
    queries = [(record.name, record.type.value) for record in published]
    with _loaded(databases, SQLITE, scale) as url, ExitStack() as stack:
        with cores.server():
            server = stack.enter_context(name_server.serving(published, loading.ZONE))
        with cores.measured():
            yield from _on_sqlite(url, server, queries, scale)
    # Two processes and a database have to share what processors there are.
    with (
        _loaded(databases, POSTGRESQL, scale) as url,
        name_server.serving(published, loading.ZONE) as server,
    ):
        yield _on_postgresql(url, server, scale)


def _on_sqlite(url: str, server: Endpoint, queries: Sequence[Query], scale: Scale) -> Iterator[Figure]:
    waiting = itertools.cycle(queries)
    rounds = []
    with Sweeper("verifier", url, server) as ours, Sweeper("resolver", url, server) as plain:
        for _ in range(scale.rounds):
            swept = ours.sweep(scale.seconds)
            rounds.append((swept, _looped(server, waiting, scale.seconds), plain.sweep(scale.seconds)))
    own, loop, script = (_median(rates) for rates in zip(*rounds, strict=True))
    yield Figure(
        "sweep sqlite",
        statistics.median(base.cpu / swept.cpu for swept, base, _ in rounds),
        "of its queries alone",
        AtLeast(0.5),
        f"CPU {own.cpu * 1e6:,.0f} us a domain against {loop.cpu * 1e6:,.0f} us",
    )
    yield Figure(
        "sweep domains/s",
        own.per_second,
        "a second in one process",
        AtLeast(1500),
        f"the bare loop {loop.per_second:,.0f}",
    )
    yield Figure(
        "sweep one by one",
        statistics.median(swept.per_second / base.per_second for swept, _, base in rounds),
        "times dnspython's resolver, one domain after the other",
        AtLeast(10),
        f"{own.per_second:,.0f}/s against {script.per_second:,.0f}/s",
    )


def _on_postgresql(url: str, server: Endpoint, scale: Scale) -> Figure:
    with Sweeper("verifier", url, server) as first, Sweeper("verifier", url, server) as second:
        rounds = []
        for _ in range(scale.rounds):
            alone = first.sweep(scale.seconds)
            for each in (first, second):
                each.start(scale.seconds)
            rounds.append((alone, [each.result() for each in (first, second)]))
    one = statistics.median(alone.per_second for alone, _ in rounds)
    two = statistics.median(sum(rate.per_second for rate in both) for _, both in rounds)
    return Figure(
        "sweep postgresql",
        statistics.median(sum(rate.per_second for rate in both) / alone.per_second for alone, both in rounds),
        "times one process, by two",
        AtLeast(1.6),
        f"{two:,.0f}/s against {one:,.0f}/s",
    )


@contextmanager
def _loaded(databases: Databases, engine: str, scale: Scale) -> Iterator[str]:
    with databases.new(engine) as url:
        loading.create_tenant(url, _TENANT)
        loading.load(url, _TENANT, scale.many_domains, first_due=_LONG_DUE, apart=timedelta(milliseconds=1))
        yield url


@dataclass(slots=True)
class Sweeper:
    """A process that sweeps when it is told to."""

    kind: str
    url: str
    server: Endpoint
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.bench.sweeper", self.kind, self.url, *map(str, self.server)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate()

    def sweep(self, seconds: float) -> Rate:
        """Sweep for some seconds."""
        self.start(seconds)
        return self.result()

    def start(self, seconds: float) -> None:
        """Begin a sweep; `result` waits for its end."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def result(self) -> Rate:
        """Return how fast it was."""
        told = json.loads(self._line())
        return Rate(told["checked"] / told["seconds"], told["cpu"] / told["checked"])

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _looped(server: Endpoint, waiting: Iterator[Query], seconds: float) -> Rate:
    """Return how fast the queries of a domain are answered, with the same codec and nothing else."""
    loop = uvloop.new_event_loop()
    used, started = time.process_time(), time.monotonic()
    asked = loop.run_until_complete(_ask_all(server, waiting, started + seconds))
    domains = asked / loading.QUERIES
    rate = Rate(domains / (time.monotonic() - started), (time.process_time() - used) / domains)
    loop.close()
    return rate


async def _ask_all(server: Endpoint, waiting: Iterator[Query], until: float) -> int:
    return sum(await asyncio.gather(*(_ask(server, waiting, until) for _ in range(_IN_FLIGHT))))


async def _ask(server: Endpoint, waiting: Iterator[Query], until: float) -> int:
    """Send queries one after the other from one socket."""
    loop = asyncio.get_running_loop()
    asked = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(server)
        while time.monotonic() < until:
            query = wire.build_query(*next(waiting), recurse=False)
            await loop.sock_sendall(sock, query.wire)
            message = await loop.sock_recv(sock, _LARGEST)
            assert query.is_answered_by(message)
            assert wire.parse_reply(message, asked=query.name).answer
            asked += 1
    return asked


def _median(rates: Sequence[Rate]) -> Rate:
    return Rate(
        statistics.median(rate.per_second for rate in rates), statistics.median(rate.cpu for rate in rates)
    )
