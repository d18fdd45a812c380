"""The processes that are measured: the service, and the bare server beside it."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.server import KEY, ROOT, ServerProcess

AUTHORIZATION = (("authorization", f"Bearer {KEY}"),)
"""The metadata of every call to the service."""
_NO_DNS = "127.0.0.1:9"
"""Domains are not due while a benchmark runs, so nobody is asked."""
_STOPPED_WITHIN = 10.0
_TICK = 0.01


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    address: str
    pid: int

    def cpu(self) -> float:
        """Return the CPU time that its process has used, in seconds."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def cpu_since(self, before: float) -> float:
        """Return what it has used since `cpu` gave `before`, in whole ticks of the kernel, at least one."""
        return max(self.cpu() - before, _TICK)

    def resident(self) -> int:
        """Return the octets of memory that it holds."""
        return int(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def service(folder: Path, url: str, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run the service as users do, with a log line for every call."""
    process = ServerProcess(folder, url, {"KRAITER_DNS_NAMESERVERS": _NO_DNS, **(settings or {})})
    process.start()
    try:
        yield Server(process.address, process.pid)
    finally:
        process.stop()


@contextmanager
def bare() -> Iterator[Server]:
    """Run the baseline."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            yield Server(process.stdout.readline().strip(), process.pid)
        finally:
            process.terminate()
            process.wait(_STOPPED_WITHIN)
