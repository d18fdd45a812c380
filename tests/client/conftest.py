"""A scripted service, and both clients of it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import kraiter
import pytest

from tests.client.blocking import aio_client, running_loop
from tests.client.scripted import Script, serving

KEY = "kr_scripted"


@pytest.fixture
def script() -> Iterator[Script]:
    """Give a service without domains."""
    with serving(Script()) as script:
        yield script


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give the loop of all asyncio clients: grpc.aio serves one loop of a process well."""
    with running_loop() as loop:
        yield loop


@pytest.fixture(params=["threads", "asyncio"])
def client(request: pytest.FixtureRequest, script: Script) -> Iterator[Any]:
    """Give a client for threads, and then one for asyncio that is used in the same way."""
    if request.param == "threads":
        with kraiter.Client(script.address, KEY) as client:
            yield client
    else:
        with aio_client(script.address, KEY, request.getfixturevalue("loop")) as client:
            yield client
