"""The processes that are measured: the service, and the bare server beside it."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.settings import Settings
from tests.support.server import KEY, NO_DNS, ROOT, ServerProcess

AUTHORIZATION = (("authorization", f"Bearer {KEY}"),)
"""The metadata of every call to the service."""
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


def paced(pace: float) -> dict[str, str]:
    """Return settings with which a PENDING domain is looked at in another pace than by default."""
    if pace == 1:
        return {}
    defaults = Settings.model_fields
    return {
        f"KRAITER_{name.upper()}": f"{round(defaults[name].default.total_seconds() * pace * 1000)}ms"
        for name in ("dns_timeout", "dns_budget", "check_first_delay", "check_pending_interval")
    }


@contextmanager
def service(folder: Path, url: str, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run the service as users do, with a log line for every call."""
    process = ServerProcess(folder, url, {**NO_DNS, **(settings or {})})
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
