"""Load: raw bytes over unary calls, from several processes at once.

A client in Python is slower than the server. It does no parsing here, runs in
processes of its own, and the CPU time of the server tells what a call costs
whether or not the server was kept busy.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import grpc
import uvloop

from tests.bench import bare
from tests.bench.figures import Rate
from tests.bench.processes import AUTHORIZATION, Server

_WORKERS = 2
_IN_FLIGHT = 8
"""Calls at once of each worker."""


@dataclass(frozen=True, slots=True)
class Calls:
    """One kind of unary call."""

    address: str
    path: str
    requests: Sequence[bytes]
    """Sent in turn."""


class Load:
    """Workers that are ready to call."""

    def __init__(self, workers: ProcessPoolExecutor) -> None:
        """Take the processes; see `ready`."""
        self._workers = workers

    def rate(self, server: Server, path: str, requests: Sequence[bytes], seconds: float) -> Rate:
        """Call for some time, and return how fast a server answered."""
        calls = Calls(server.address, path, requests)
        used, started = server.cpu(), time.monotonic()
        running = [self._workers.submit(_run, calls, seconds) for _ in range(_WORKERS)]
        answered = sum(done.result() for done in running)
        return Rate(answered / (time.monotonic() - started), server.cpu_since(used) / answered)

    def send(self, server: Server, path: str, requests: Sequence[bytes]) -> None:
        """Make each call once."""
        self._workers.submit(_run_once, Calls(server.address, path, requests)).result()


@contextmanager
def ready() -> Iterator[Load]:
    """Start the workers, and end them."""
    # Never forked: this process may have used gRPC.
    with ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn")) as workers:
        list(workers.map(_warm_up, range(_WORKERS)))
        yield Load(workers)


def _warm_up(_number: int) -> None:
    time.sleep(0.2)  # so that each worker gets one of these, and has imported everything


def _run(calls: Calls, seconds: float) -> int:
    return uvloop.run(_call(calls, seconds))


def _run_once(calls: Calls) -> None:
    uvloop.run(_call_once(calls))


async def _call_once(calls: Calls) -> None:
    async with grpc.aio.insecure_channel(calls.address) as channel:
        method: bare.Method = channel.unary_unary(calls.path)
        for request in calls.requests:
            await method(request, metadata=AUTHORIZATION)


async def _call(calls: Calls, seconds: float) -> int:
    async with grpc.aio.insecure_channel(calls.address) as channel:
        method: bare.Method = channel.unary_unary(calls.path)
        end = time.monotonic() + seconds

        async def call_on(first: int) -> int:
            answered = 0
            while time.monotonic() < end:
                request = calls.requests[(first + answered) % len(calls.requests)]
                await method(request, metadata=AUTHORIZATION)
                answered += 1
            return answered

        # Anywhere, so that the turns of a benchmark reach all of them.
        begins = [random.randrange(len(calls.requests)) for _ in range(_IN_FLIGHT)]
        return sum(await asyncio.gather(*map(call_on, begins)))
