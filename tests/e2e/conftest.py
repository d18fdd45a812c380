"""The service as users run it, with real DNS and real databases around it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.support.authority import LoopbackDns
from tests.support.postgres import postgres
from tests.support.server import ServerProcess

__all__ = ["postgres"]

Serve = Callable[..., ServerProcess]

HASTE = {
    "KRAITER_CHECK_FIRST_DELAY": "100ms",
    "KRAITER_CHECK_PENDING_INTERVAL": "200ms",
    "KRAITER_VERIFY_MIN_INTERVAL": "0ms",
    "KRAITER_DNS_TIMEOUT": "200ms",
    "KRAITER_DNS_BUDGET": "1s",
}
"""Settings for tests that are not about how long a domain waits for its checks."""
_BRIEF_LEASE = {"KRAITER_IDENTITY_LEASE": "1s"}
"""A name whose removal from the provider was killed can be taken again within CreateDomain's patience."""


@pytest.fixture(scope="module")
def dns() -> Iterator[LoopbackDns]:
    """Give a recursive resolver and two name servers that share the zone example.com."""
    with LoopbackDns() as servers:
        servers.add_zone("example.com")
        yield servers


@pytest.fixture(scope="module")
def dns_settings(dns: LoopbackDns) -> dict[str, str]:
    """Give the settings with which a server asks them, and nobody else."""
    return {
        "KRAITER_DNS_NAMESERVERS": f"127.0.0.1:{dns.port}",
        "KRAITER_DNS_AUTHORITY_PORT": str(dns.port),
        "KRAITER_DNS_ALLOW_PRIVATE": "true",
    }


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, dns_settings: dict[str, str]) -> Iterator[Serve]:
    """Give a function that starts a server, on SQLite unless it is told otherwise.

    In the end every one of them must stop in order, with nothing in its log
    that should not be there.
    """
    numbers = count(1)
    with ExitStack() as stack:

        def start(
            database_url: str | None = None, *, migrate: bool = False, **settings: str
        ) -> ServerProcess:
            folder = tmp_path_factory.mktemp(f"server{next(numbers)}")
            url = database_url or sqlite_url(folder)
            server = ServerProcess(folder, url, {**dns_settings, **settings})
            if migrate:
                server.command("migrate").check_returncode()
            stack.callback(_end, server)
            return server.start()

        yield start


@pytest.fixture(params=["sqlite", "postgresql"])
def either_server(request: pytest.FixtureRequest, serve: Serve) -> Iterator[ServerProcess]:
    """Give a server on one database or the other, that is in haste."""
    if request.param == "sqlite":
        yield serve(**HASTE, **_BRIEF_LEASE)
        return
    postgres = request.getfixturevalue("postgres")
    url = postgres.fresh_database()
    server = serve(url, **HASTE, **_BRIEF_LEASE)
    yield server
    server.stop()
    postgres.drop(url)


def sqlite_url(folder: Path) -> str:
    """Return the URL of a database in a folder."""
    return f"sqlite:///{folder}/kraiter.db"


def _end(server: ServerProcess) -> None:
    assert server.stop() == 0
    assert server.failures() == []
