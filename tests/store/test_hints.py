"""`CommitHints`, on every database."""

import json
import threading
from collections.abc import Callable

import pytest

from service.store.hints import LocalHints, payloads
from service.store.sql import SqlStore
from tests.store.moves import toggled
from tests.support.postgres import PostgresServer
from tests.support.samples import sample_domain

PATIENCE = 20.0


def until_hinted(store: SqlStore, tenant: str) -> None:
    """Return when the tenant is hinted at; fail where that does not come."""
    while (hinted := store.hints.wait(PATIENCE)) != frozenset():
        if hinted is not None and tenant in hinted:
            return
    pytest.fail("no hint came")


def test_an_own_commit_is_hinted_at_once(store: SqlStore) -> None:
    """Every kind of change is hinted at; what changes nothing is not."""
    store.create(sample_domain(), actor="key:1", request=None)
    until_hinted(store, "acme")
    store.change("acme", "example.com", toggled)
    until_hinted(store, "acme")
    store.delete("acme", "example.com", actor="key:1")
    until_hinted(store, "acme")


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_commit_of_another_process_is_hinted(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """On PostgreSQL every process hears of every commit."""
    listener = open_one()
    # The first hint says that it listens: what is sent before that is lost.
    assert listener.hints.wait(PATIENCE) is None
    store.create(sample_domain(), actor="key:1", request=None)
    until_hinted(listener, "acme")


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_lost_connection_may_have_missed_something(
    store: SqlStore, url: str, postgres: PostgresServer
) -> None:
    """After a reconnect anything may have changed, and hints come again."""
    assert store.hints.wait(PATIENCE) is None
    postgres.disconnect(url)
    assert store.hints.wait(PATIENCE) is None
    store.create(sample_domain(), actor="key:1", request=None)
    until_hinted(store, "acme")


def test_a_wait_ends_when_it_is_woken() -> None:
    """`wake` ends a wait with an empty set, also one that begins just afterwards."""
    hints = LocalHints()
    results: list[frozenset[str] | None] = []
    waiter = threading.Thread(target=lambda: results.append(hints.wait(PATIENCE)))
    waiter.start()
    hints.wake()
    waiter.join(PATIENCE)
    assert results == [frozenset()]


def test_hints_are_gathered_while_nobody_waits() -> None:
    """Each tenant is hinted at once, and no hint is left for the next wait."""
    hints = LocalHints()
    hints.announce(["acme", "rival"])
    hints.announce(["acme"])
    assert hints.wait(0) == {"acme", "rival"}
    assert hints.wait(0) == frozenset()


@pytest.mark.parametrize(
    "tenants", [set[str](), {"a"}, {f"tenant-{n:05}" for n in range(3000)}, {"é" * 900, "b"}]
)
def test_payloads_fit(tenants: set[str]) -> None:
    """However many tenants there are, each payload is short and none is lost."""
    parts = list(payloads(tenants))
    assert all(len(part.encode()) < 8000 for part in parts)
    assert {tenant for part in parts for tenant in json.loads(part)} == tenants
