"""Programs that some tests need, which `pip install` does not bring."""

import os
import shutil
from pathlib import Path

import pytest

# Where daemons live, and where `go install` puts programs: not on every user's PATH.
_FURTHER_PLACES = ("/usr/sbin", str(Path.home() / "go/bin"))


def require_tool(name: str, remedy: str) -> str:
    """Return the path of a program, or skip the test with what would bring it.

    Where the environment says CI=true nothing may be missing: there the test fails.
    """
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_FURTHER_PLACES]))
    if path is not None:
        return path
    reason = f"{name} is not installed: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)  # never in CI: see above
