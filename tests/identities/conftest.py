"""Identities at a provider in memory, and a real store on SQLite."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.core import lifecycle
from service.core.keys import Scope
from service.identity_keeper import IdentityKeeper
from service.sending_memory import SendingMemory
from service.store.sql import SqlStore, migrate, open_store
from service.usecases import CreateDomain, DeleteDomain
from service.usecases.caller import Caller
from tests.support.clock import HandClock
from tests.support.identities import HandProvider


@pytest.fixture
def clock() -> HandClock:
    """The clock of all."""
    return HandClock()


@pytest.fixture
def opened(tmp_path: Path, clock: HandClock) -> Iterator[SqlStore]:
    """A new store with the tenants acme and rival."""
    url = f"sqlite:///{tmp_path}/identities.db"
    migrate(url)
    made = open_store(url, clock=clock, pool_size=8)
    for tenant in ("acme", "rival"):
        made.create_tenant(tenant)
    yield made
    made.close()


@pytest.fixture
def provider() -> HandProvider:
    """A provider without identities."""
    return HandProvider()


@pytest.fixture
def keeper(opened: SqlStore, provider: HandProvider, clock: HandClock) -> IdentityKeeper:
    """A keeper that is not started."""
    return IdentityKeeper(
        identities=opened,
        domains=opened,
        provider=provider,
        clock=clock,
        policy=lifecycle.Policy(),
        lease=timedelta(minutes=1),
    )


@pytest.fixture
def create(opened: SqlStore, provider: HandProvider, clock: HandClock) -> CreateDomain:
    """CreateDomain, of one domain for each tenant."""
    return CreateDomain(
        store=opened,
        identities=opened,
        provider=provider,
        clock=clock,
        policy=lifecycle.Policy(),
        region="eu-west-1",
        quota=1,
    )


@pytest.fixture
def delete(opened: SqlStore) -> DeleteDomain:
    """DeleteDomain, with nobody who asks whether domains may send."""
    return DeleteDomain(opened, SendingMemory(store=opened, log=opened, policies=opened))


def caller(tenant: str) -> Caller:
    """Return a caller who may do everything."""
    return Caller(tenant=tenant, key_id="test", scopes=frozenset(Scope), domains=None)
