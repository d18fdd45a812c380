"""What callers see when the database is away, and afterwards."""

from pathlib import Path

import pytest

from service.core.errors import Reason, ServiceError
from service.store.sql import SqlStore, migrate, open_store
from tests.store.moves import toggled
from tests.support.clock import HandClock
from tests.support.postgres import PostgresServer
from tests.support.samples import sample_domain


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/none", "sqlite:////proc/none.db"])
def test_a_database_that_cannot_be_reached(url: str) -> None:
    """Opening and migrating say so, without the text of the driver."""
    for use in (lambda: open_store(url, clock=HandClock()), lambda: migrate(url)):
        with pytest.raises(ServiceError) as raised:
            use()
        assert raised.value.reason is Reason.DATABASE_UNAVAILABLE
        assert raised.value.message == "the database cannot be reached now"


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_restart_of_the_server_is_not_noticed(store: SqlStore, url: str, postgres: PostgresServer) -> None:
    """Reads and writes go on over new connections, each change made once."""
    store.create(sample_domain(), actor="key:1", request=None)
    postgres.disconnect(url)
    assert store.get("acme", "example.com").revision == 1
    assert store.find("acme", {"example.com"})
    postgres.disconnect(url)
    assert store.find("acme", {"example.com"})
    postgres.disconnect(url)
    assert store.change("acme", "example.com", toggled).revision == 2
    assert len(store.read("acme", 0, 10)) == 2


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_database_that_goes_away(store: SqlStore, url: str, postgres: PostgresServer) -> None:
    """Every kind of work fails as DATABASE_UNAVAILABLE, with a time to come back."""
    store.ping()
    postgres.drop(url)

    def snapshot() -> None:
        with store.snapshot("acme", None):
            pass

    for use in (
        store.ping,
        lambda: store.get("acme", "example.com"),
        lambda: store.find("acme", {"example.com"}),
        lambda: store.create(sample_domain(), actor="key:1", request=None),
        snapshot,
    ):
        with pytest.raises(ServiceError) as raised:
            use()
        assert raised.value.reason is Reason.DATABASE_UNAVAILABLE
        assert raised.value.retry_after is not None


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_failed_write_leaves_the_store_usable(store: SqlStore, tmp_path: Path) -> None:
    """An error in the middle of a transaction neither keeps its lock nor its changes."""
    for _ in range(20):
        with pytest.raises(RuntimeError, match="nobody"):
            store.create(sample_domain("nobody"), actor="key:1", request=None)
    assert not store.is_foreign("acme", "example.com")
    assert store.create(sample_domain(), actor="key:1", request=None).revision == 1
