"""The demo, which is the first thing that many people run."""

import time
from pathlib import Path

from tests.e2e.conftest import sqlite_url
from tests.support.server import NO_DNS, ServerProcess


def test_demo_tells_its_story(tmp_path: Path) -> None:
    """`demo` needs nothing, ends well in under a minute, and leaves no trace."""
    began = time.monotonic()
    done = ServerProcess(tmp_path, sqlite_url(tmp_path), NO_DNS).command("demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 60
    for told in ("VERIFIED", "RECORDS_BROKEN", "RECORDS_RESTORED", "DELETED", "All of it happened"):
        assert told in done.stdout
    assert list(tmp_path.iterdir()) == []
