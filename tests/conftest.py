"""What holds for every test."""

import os
from collections.abc import Iterator

# Read when grpc is imported. Tests start programs and never fork to go on with
# grpc: its handlers would only run between fork and exec, and write about it.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import hypothesis
import pytest

from tests.support import logged, loopback

__all__ = ["logged"]  # imported for what it sets up

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("kraiter", deadline=None)
hypothesis.settings.load_profile("kraiter")

loopback.refuse_outside()


@pytest.fixture(autouse=True)
def nothing_outside() -> Iterator[None]:
    """Fail a test that would have reached another machine, whatever became of the error."""
    yield
    refused = loopback.refused.copy()
    loopback.refused.clear()
    assert refused == []
