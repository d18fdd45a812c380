"""Knot DNS as a name server on loopback: an implementation that is not ours to check against."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.authority import free_port
from tests.support.tools import require_tool

_STARTED_WITHIN = 10.0


class Knot:
    """A running `knotd`; zones are given as the text of their master files."""

    def __init__(
        self, folder: Path, address: str, port: int | None = None, *, also_at: Sequence[str] = ()
    ) -> None:
        """Start it with its files in `folder`, or skip the test where it is missing."""
        daemon = require_tool("knotd", "apt-get install knot")
        self.addresses = (address, *also_at)
        """All that it listens at."""
        self.port = free_port(self.addresses) if port is None else port
        self._controller = require_tool("knotc", "apt-get install knot")
        self._folder = folder
        self._configuration = folder / "knot.conf"
        self._zones: list[str] = []
        self._configure()
        self._log = (folder / "knot.log").open("wb")
        self._process = subprocess.Popen(
            [daemon, "--config", self._configuration], stdout=self._log, stderr=subprocess.STDOUT
        )
        self._wait_until_started()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(timeout=_STARTED_WITHIN)
        self._log.close()

    def put_zone(self, name: str, master_file: str) -> None:
        """Serve a zone with this content from now on, in place of what it had."""
        self.put_zones({name: master_file})

    def put_zones(self, master_files: Mapping[str, str]) -> None:
        """Serve zones with this content from now on, in place of what they had."""
        for name, master_file in master_files.items():
            (self._folder / f"{name}.zone").write_text(master_file)
        added = [name for name in master_files if name not in self._zones]
        if added:
            self._zones += added
            self._configure()
            self._order("reload")
        self._order("--blocking", "zone-reload", *master_files)

    def _configure(self) -> None:
        zones = "".join(f"  - domain: {name}\n    file: {name}.zone\n" for name in self._zones)
        listen = ", ".join(f"{address}@{self.port}" for address in self.addresses)
        self._configuration.write_text(
            f"server:\n  rundir: {self._folder}\n  listen: [ {listen} ]\n"
            f"database:\n  storage: {self._folder}\n"
            f"control:\n  listen: {self._folder}/knot.sock\n"
            "log:\n  - target: stderr\n    any: info\n"
            f"template:\n  - id: default\n    storage: {self._folder}\n    zonefile-sync: -1\n"
            "    journal-content: none\n" + (f"zone:\n{zones}" if zones else "")
        )

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + _STARTED_WITHIN
        while not self._answers_control():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError((self._folder / "knot.log").read_text())

    def _order(self, *arguments: str) -> None:
        done = self._control(*arguments)
        if done.returncode:
            raise RuntimeError(done.stdout.decode() + (self._folder / "knot.log").read_text())

    def _answers_control(self) -> bool:
        return self._control("status").returncode == 0

    def _control(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [self._controller, "--config", str(self._configuration), *arguments]
        return subprocess.run(command, check=False, capture_output=True)
