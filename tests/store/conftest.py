"""The store under test: every test that takes one runs on both databases."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.store.sql import SqlStore, migrate, open_store
from tests.support.clock import HandClock
from tests.support.postgres import postgres

__all__ = ["postgres"]

SQLITE, POSTGRESQL = "sqlite", "postgresql"


@pytest.fixture
def clock() -> HandClock:
    """Return the clock of every store in the test."""
    return HandClock()


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def engine(request: pytest.FixtureRequest) -> str:
    """Return the database that the test runs on."""
    return str(request.param)


@pytest.fixture
def empty_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a database without any table."""
    if engine == SQLITE:
        yield f"sqlite:///{tmp_path}/kraiter.db"
        return
    server = request.getfixturevalue("postgres")
    url = server.empty_database()
    yield url
    server.drop(url)


@pytest.fixture
def url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a migrated database without data."""
    if engine == SQLITE:
        path = f"sqlite:///{tmp_path}/kraiter.db"
        migrate(path)
        yield path
        return
    server = request.getfixturevalue("postgres")
    cloned = server.fresh_database()
    yield cloned
    server.drop(cloned)


@pytest.fixture
def open_one(url: str, clock: HandClock) -> Iterator[Callable[[], SqlStore]]:
    """Return a function that opens the database once more, as another process does."""
    with ExitStack() as stack:

        def opened() -> SqlStore:
            store = open_store(url, clock=clock, pool_size=12)
            stack.callback(store.close)
            return store

        yield opened


@pytest.fixture
def store(open_one: Callable[[], SqlStore]) -> SqlStore:
    """Return an open store with the tenants `acme` and `rival`."""
    opened = open_one()
    opened.create_tenant("acme")
    opened.create_tenant("rival")
    return opened
