"""A server for the tests of the transport, and callers of it."""

from collections.abc import Iterator

import kraiter
import pytest

from tests.rpc.running import Running, running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a server that the tests share; each has tenants of its own."""
    with running(tmp_path_factory.mktemp("rpc")) as server:
        yield server


@pytest.fixture
def tenant(service: Running) -> str:
    """Return a tenant of the test's own."""
    return service.new_tenant()


@pytest.fixture
def key(service: Running, tenant: str) -> str:
    """Return a key of the tenant with every scope."""
    return service.new_key(tenant)


@pytest.fixture
def client(service: Running, key: str) -> Iterator[kraiter.Client]:
    """Return a client of the tenant."""
    with service.client(key) as made:
        yield made
