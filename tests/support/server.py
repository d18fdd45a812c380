"""The service as users run it: a process of its own, started, stopped and killed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kraiter

from service.core import keys
from tests.support.loopback import require_loopback

ROOT = Path(__file__).parents[2]
KEY = keys.join("e2etest", "s" * 43)
NO_DNS = {"KRAITER_DNS_NAMESERVERS": "127.0.0.1:9"}
"""For a server that nobody wants an answer from: nobody listens there."""
_START_PATIENCE = 30.0
_STOP_PATIENCE = 30.0
_LISTENING = re.compile(r"^Listening on ([0-9.]+:[0-9]+)", re.MULTILINE)


class ServerProcess:
    """`python -m service serve`, on a port that stays the same over restarts."""

    def __init__(self, folder: Path, database_url: str, settings: Mapping[str, str]) -> None:
        """Take what it runs on; nothing runs before `start`.

        Raises:
            OutsideError: it would ask resolvers elsewhere than on loopback.

        """
        require_loopback(settings)
        self.folder = folder
        self.log = folder / "server.log"
        self._listen = "127.0.0.1:0"
        self._settings = {
            "KRAITER_DATABASE_URL": database_url,
            "KRAITER_BOOTSTRAP_API_KEY": KEY,
            "KRAITER_LOG_FORMAT": "json",
            **settings,
        }
        self._process: subprocess.Popen[str] | None = None
        self.output: list[str] = []
        """The lines that it wrote to standard output, since it was first started."""

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return self._listen

    def change_settings(self, **settings: str | None) -> None:
        """Have it start with other settings from now on; without those that are None."""
        changed = {**self._settings, **settings}
        self._settings = {name: text for name, text in changed.items() if text is not None}

    def wait_for_death(self) -> int:
        """Wait until it has ended by itself, and return its exit code: negative for a signal."""
        process, self._process = self._process, None
        assert process is not None
        return process.wait(_STOP_PATIENCE)

    @property
    def database_url(self) -> str:
        """The database that it runs on."""
        return self._settings["KRAITER_DATABASE_URL"]

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> "ServerProcess":
        """Start it and wait until it listens."""
        with self.log.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"],
                cwd=ROOT,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        listening = threading.Event()
        threading.Thread(target=self._read, args=(self._process, listening), daemon=True).start()
        if not listening.wait(_START_PATIENCE):
            self.kill()
            raise AssertionError(self.log.read_text())
        return self

    def environment(self) -> dict[str, str]:
        """Return the variables that it runs with, for commands beside it."""
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("KRAITER_")}
        return inherited | {"KRAITER_LISTEN": self._listen} | self._settings

    def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL)."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to stop (SIGTERM), and return its exit code."""
        return self._signal(signal.SIGTERM)

    def client(self, key: str = KEY) -> kraiter.Client:
        """Return a client, with the bootstrap key by default."""
        return kraiter.Client(self.address, key)

    def is_reached(self) -> bool:
        """Whether calls reach it. All clients of a process share a connection, which may come back late."""
        with self.client() as client:
            try:
                list(client.domains.list(page_size=1))
            except kraiter.Unavailable:
                return False
        return True

    def failures(self) -> list[str]:
        """Return what its log has that no log of a server that is well may have."""
        return [line for line in self.log.read_text().splitlines() if _is_failure(line)]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m service` with its settings."""
        return run_service(arguments, self.environment(), cwd=ROOT)

    def _signal(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        return process.wait(_STOP_PATIENCE)

    def _read(self, process: subprocess.Popen[str], listening: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line.rstrip())
            if found := _LISTENING.match(line):
                self._listen = found[1]
                listening.set()
        process.stdout.close()


def _is_failure(line: str) -> bool:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        # Whatever went past the log: gRPC's core writes lines of its own, a crash its traceback.
        return line.startswith(("Traceback", "Exception", "Fatal"))
    return entry["level"] in {"error", "critical"} or "exception" in entry


def run_service(
    arguments: Sequence[str], environment: Mapping[str, str], *, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run `python -m service` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=cwd,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
