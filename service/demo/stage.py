"""Starts the server for the demo, on a database that is thrown away."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from service.core import keys

_START_PATIENCE = 20.0
_LOOK_AGAIN = 0.05
_STOP_PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where the server listens, and a key for it."""

    address: str
    key: str


@contextmanager
def running_server(nameserver: str) -> Iterator[RunningServer]:
    """Run `python -m service serve` as a child, asking one name server.

    Raises:
        RuntimeError: it did not start; the text is what it printed.

    """
    with TemporaryDirectory(prefix="kraiter-demo-") as folder:
        server = RunningServer(f"127.0.0.1:{_free_port()}", keys.join("demo", secrets.token_urlsafe(32)))
        settings = {
            "KRAITER_LISTEN": server.address,
            "KRAITER_DATABASE_URL": f"sqlite:///{folder}/demo.db",
            "KRAITER_BOOTSTRAP_API_KEY": server.key,
            "KRAITER_DNS_MODE": "recursive",
            "KRAITER_DNS_NAMESERVERS": nameserver,
            "KRAITER_DNS_ALLOW_PRIVATE": "true",
            "KRAITER_LOG_FORMAT": "json",
            # The pace of a story, not of production: an hour between two
            # looks at a verified domain would be a long demo.
            "KRAITER_CHECK_FIRST_DELAY": "1s",
            "KRAITER_CHECK_PENDING_INTERVAL": "1s",
            "KRAITER_CHECK_CONFIRM_INTERVAL": "1s",
            "KRAITER_CHECK_VERIFIED_INTERVAL": "1s",
            "KRAITER_VERIFY_MIN_INTERVAL": "100ms",
        }
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("KRAITER_")}
        log = Path(folder, "server.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"],
                env=inherited | settings,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            if not _listens(server.address, process):
                raise RuntimeError(log.read_text())
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_PATIENCE)


def _listens(address: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server listens; whether it does before it ends or time is up."""
    host, port = address.split(":")
    deadline = time.monotonic() + _START_PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
            return True
        time.sleep(_LOOK_AGAIN)  # a poll: nothing tells of it
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
