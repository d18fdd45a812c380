"""A PostgreSQL server of a test's own, to be stopped and frozen under whoever uses it."""

import signal
import subprocess
from pathlib import Path
from typing import Self

import psutil

from tests.support.postgres import get_server

_TRIES = 3


class PostgresProcess:
    """A running server; its URL stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        """Start it, with its data in a folder."""
        self._server = get_server(folder / "data", cleanup_mode="stop")
        self.url = self._server.get_uri()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self._server.cleanup()

    def stop(self) -> None:
        """Stop it, and break every connection."""
        self._server.stop()

    def start(self) -> None:
        """Start it again."""
        for tries_left in reversed(range(_TRIES)):
            try:
                self._server.ensure_postgres_running()
                break
            except subprocess.CalledProcessError as error:
                # pg_ctl was seen to die of SIGBUS on a virtual machine: not what is tested here.
                if error.returncode >= 0 or not tries_left:
                    raise
        assert self._server.get_uri() == self.url

    def freeze(self) -> None:
        """Have it do nothing at all, as a machine that hangs does: connections stay, answers do not come."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End `freeze`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        pid = self._server.get_pid()
        if pid is None or not psutil.pid_exists(pid):
            return
        postmaster = psutil.Process(pid)
        for process in (postmaster, *postmaster.children()):
            process.send_signal(number)
