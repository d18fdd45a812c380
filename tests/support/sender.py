"""The example sender, as a process of its own that is started, killed and started again."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.server import KEY, ROOT

EXAMPLE = ROOT / "clients" / "python" / "examples" / "scheduled_sender.py"


class SenderProcess:
    """The example and its ledger."""

    def __init__(self, ledger: Path, target: str, key: str = KEY) -> None:
        """Take where it writes, and whom it asks; nothing runs before `start`."""
        self._ledger = ledger
        self._target = target
        self._key = key
        self.processes: list[subprocess.Popen[bytes]] = []

    def schedule(self, *arguments: str) -> None:
        """Run `schedule` to its end."""
        assert self._run("schedule", *arguments).wait(30) == 0

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `run`."""
        self.processes.append(self._run("run", "--target", self._target, *arguments))
        return self.processes[-1]

    def finish(self) -> None:
        """Run until nothing is left."""
        assert self.start("--until-empty").wait(60) == 0

    def kill(self) -> None:
        """End whatever runs, at once (SIGKILL)."""
        for process in self.processes:
            process.kill()
            process.wait()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds in the ledger."""
        with closing(sqlite3.connect(self._ledger, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    def sent(self, domain: str = "%") -> list[str]:
        """Return the messages that were sent, in order, from a domain or from all."""
        query = f"SELECT message FROM deliveries WHERE domain LIKE '{domain}' ORDER BY rowid"  # noqa: S608 - of tests
        return [message for (message,) in self.rows(query)]

    def require_all_sent(self, count: int) -> None:
        """Check that so many messages were sent, each once, and nothing is left to do."""
        sent = self.sent()
        assert len(sent) == count
        assert set(sent) == {message for (message,) in self.rows("SELECT id FROM messages")}
        assert self.rows("SELECT DISTINCT state, is_registered FROM messages") == [("SENT", 0)]

    def _run(self, command: str, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, EXAMPLE, command, "--ledger", self._ledger, *arguments],
            env=os.environ | {"KRAITER_API_KEY": self._key},
        )
