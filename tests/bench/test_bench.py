"""The benchmarks themselves: that they run, so that they do not rot."""

import subprocess
import sys

from tests.bench.__main__ import BENCHMARKS
from tests.support.server import ROOT


def test_every_benchmark_prints_its_figures() -> None:
    """A quick run of all benchmarks ends well, with at least one figure from each."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert {line.partition(" ")[0] for line in run.stdout.splitlines()} == set(BENCHMARKS)
