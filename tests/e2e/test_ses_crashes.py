"""SIGKILL between every two effects of a creation and a deletion: store and provider agree afterwards."""

import signal
from collections.abc import Iterator
from contextlib import suppress

import kraiter
import pytest
from kraiter.domains.v1.domain_pb2 import DnsRecord, Domain
from sqlalchemy import select

from service.store.engine import make_engine
from service.store.tables import provider_identities
from tests.e2e.conftest import Serve
from tests.e2e.ses_settings import HERE, settings
from tests.support.postgres_process import PostgresProcess
from tests.support.server import ServerProcess
from tests.support.ses import SesServer
from tests.support.waiting import until

NAME = "mail.example.com"
REQUEST = "the-same-request"

SEEN_TO = (
    "before ses.get_email_identity",
    "after ses.get_email_identity",
    "before store.finish",
    "after store.finish",
)
CREATION = (
    "before store.reserve",
    "after store.reserve",
    "after ses.create_email_identity",
    "before store.create",
    "after store.create",
    "after ses.put_email_identity_mail_from_attributes",
    *SEEN_TO,
)
DELETION = ("before store.delete", "after store.delete", "after ses.delete_email_identity", *SEEN_TO)
ON_POSTGRESQL = {"after ses.create_email_identity", "after store.create", "after store.delete"}


def points(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return each fault point with the databases that it is tried on."""
    on_postgresql = [("postgresql", point) for point in names if point in ON_POSTGRESQL]
    return [("sqlite", point) for point in names] + on_postgresql


@pytest.fixture
def ses() -> Iterator[SesServer]:
    """The double, empty."""
    with SesServer() as running:
        yield running


@pytest.fixture
def database_url(database: str, request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Give the URL of an empty PostgreSQL database; None for SQLite."""
    if database == "sqlite":
        yield None
        return
    postgres: PostgresProcess = request.getfixturevalue("postgres")
    url = postgres.fresh_database()
    yield url
    postgres.drop(url)


def start(serve: Serve, database_url: str | None, ses: SesServer, point: str | None) -> ServerProcess:
    """Start a server, which kills itself at a point."""
    chosen = settings(ses, KRAITER_SES_POLL_INTERVAL="1h")
    if point is not None:
        chosen["KRAITER_FAULT_POINT"] = point
    return serve(database_url, **chosen)


def create(client: kraiter.Client) -> Domain:
    """Create the domain, once for all tries."""
    return client.domains.create(NAME, mail_from_subdomain="bounce", request_id=REQUEST)


def died(server: ServerProcess) -> None:
    """Wait until the server has killed itself, and have it do so no more."""
    assert server.wait_for_death() == -signal.SIGKILL
    server.change_settings(KRAITER_FAULT_POINT=None)


def nothing_is_due(server: ServerProcess) -> bool:
    """Whether every identity has been seen to."""
    engine = make_engine(server.database_url)
    with engine.connect() as connection:
        due = connection.execute(select(provider_identities).where(provider_identities.c.due.is_not(None)))
        is_done = due.first() is None
    engine.dispose()
    return is_done


def agree(server: ServerProcess, ses: SesServer) -> bool:
    """Whether the provider has just the identity that the store's domains need, as they need it."""
    with server.client() as client:
        domains = list(client.domains.list(view=Domain.FULL))
    identities = ses.identities(HERE)
    if not domains or not identities:
        return not domains and not identities
    (domain,) = domains
    (made,) = identities.values()
    keys = {record.value.split(".")[0] for record in domain.dns_records if record.purpose == DnsRecord.DKIM}
    return (
        keys == set(made.tokens)
        and made.mail_from is not None
        and made.mail_from.domain == f"bounce.{NAME}"
        and len(made.tags) == 1
    )


@pytest.mark.parametrize(("database", "point"), points(CREATION))
def test_a_creation_that_is_killed_leaves_all_or_nothing(
    serve: Serve, ses: SesServer, database_url: str | None, point: str
) -> None:
    """And the same request again completes it, with one identity."""
    server = start(serve, database_url, ses, point)
    with server.client() as client, suppress(kraiter.Unavailable):
        create(client)
    died(server)
    server.start()
    until(lambda: agree(server, ses), within=20)
    with server.client() as client:
        create(client)
        assert [domain.domain for domain in client.domains.list()] == [NAME]
        until(lambda: agree(server, ses), within=20)
        client.domains.delete(NAME)
    until(lambda: not ses.identities(HERE), within=20)
    assert server.stop() == 0


@pytest.mark.parametrize(("database", "point"), points(DELETION))
def test_a_deletion_that_is_killed_leaves_all_or_nothing(
    serve: Serve, ses: SesServer, database_url: str | None, point: str
) -> None:
    """And the domain can be created anew."""
    server = start(serve, database_url, ses, None)
    with server.client() as client:
        create(client)
        until(lambda: agree(server, ses), within=20)
        # Or the creation's own work would meet the point.
        until(lambda: nothing_is_due(server), within=20)
        assert server.stop() == 0
        server.change_settings(KRAITER_FAULT_POINT=point)
        server.start()
        until(server.is_reached)
        with suppress(kraiter.Unavailable):
            client.domains.delete(NAME)
    died(server)
    server.start()
    until(lambda: agree(server, ses), within=20)
    with server.client() as client:
        with suppress(kraiter.AlreadyExists):
            client.domains.create(NAME, mail_from_subdomain="bounce")
        until(lambda: agree(server, ses), within=20)
        assert [domain.domain for domain in client.domains.list()] == [NAME]
    assert server.stop() == 0


def test_a_point_that_is_no_call_stops_nothing(serve: Serve, ses: SesServer) -> None:
    """The tests above would not end with it: each of theirs is one."""
    server = start(serve, None, ses, "after store.no_such_call")
    with server.client() as client:
        create(client)
        until(lambda: agree(server, ses), within=20)
    assert server.stop() == 0
