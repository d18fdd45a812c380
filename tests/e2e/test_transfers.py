"""Two tenants and one name, on a server as users run it, with real DNS around it."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import kraiter
import pytest
from kraiter.domains.v1.domain_pb2 import DnsRecord, Domain, StatusEvent

from tests.e2e.conftest import HASTE, Serve, sqlite_url
from tests.e2e.watcher import Watcher
from tests.support import publishing
from tests.support.authority import LoopbackDns
from tests.support.postgres import PostgresServer
from tests.support.server import KEY, ServerProcess
from tests.support.waiting import until

HURRY = {**HASTE, "KRAITER_CHECK_CONFIRM_INTERVAL": "200ms", "KRAITER_CHECK_PENDING_MAX_INTERVAL": "300ms"}


@dataclass
class Tenants:
    """A server, and a client of each of two tenants."""

    server: ServerProcess
    first: kraiter.Client
    second: kraiter.Client
    second_key: str
    dns: LoopbackDns

    def name_in(self, zone: str) -> str:
        """Return the name of a domain in a new zone."""
        self.dns.add_zone(zone)
        return f"mail.{zone}"

    def held_by_first(self, name: str) -> Domain:
        """Create the domain for the first tenant, publish its records, and wait until it is VERIFIED."""
        domain = self.first.domains.create(name)
        publishing.publish(domain, self.dns)
        until(lambda: self.first.domains.get(name).status == Domain.VERIFIED)
        return domain

    def challenge(self, *domains: Domain) -> None:
        """Publish the challenges of these domains, and no other."""
        records = [record for domain in domains for record in domain.dns_records if is_challenge(record)]
        self.dns.put(records[0].name, "TXT", *(record.value for record in records))


def is_challenge(record: DnsRecord) -> bool:
    """Whether a record is the proof of ownership."""
    return record.purpose == DnsRecord.OWNERSHIP


def has_challenge(domain: Domain) -> bool:
    """Whether a domain was given a proof of ownership to publish."""
    return any(map(is_challenge, domain.dns_records))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a database without tables."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path_factory.mktemp("database"))
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    yield server.empty_database()


@pytest.fixture
def window(request: pytest.FixtureRequest) -> str:
    """Give how long a holder has, as a setting."""
    return str(getattr(request, "param", "1s"))


@pytest.fixture
def tenants(serve: Serve, dns: LoopbackDns, database_url: str, window: str) -> Iterator[Tenants]:
    """Give two tenants of a server that hurries."""
    server = serve(database_url, migrate=True, **HURRY, KRAITER_TRANSFER_WINDOW=window)
    server.command("tenants", "create", "second").check_returncode()
    scopes = ("--scope", "domains.read", "--scope", "domains.write")
    key = server.command("keys", "create", "--tenant", "second", *scopes).stdout.split()[-1]
    with ExitStack() as stack:
        first, second = (stack.enter_context(server.client(each)) for each in (KEY, key))
        yield Tenants(server, first, second, key, dns)


def test_a_name_changes_hands(tenants: Tenants) -> None:
    """From the second tenant's proof to both tenants' subscribers, each told of its own domain alone."""
    name = tenants.name_in("lost.example")
    tenants.held_by_first(name)
    with (
        Watcher(tenants.server.address) as first,
        Watcher(tenants.server.address, key=tenants.second_key) as second,
    ):
        until(lambda: first.session.is_open and second.session.is_open)
        claim = tenants.second.domains.create(name)
        assert claim.contested
        # The first one's DNS satisfies all else: the tokens are the same for both.
        waiting = tenants.second.domains.verify(name)
        assert waiting.status == Domain.PENDING
        assert [is_challenge(each) for each in waiting.dns_records if each.state != DnsRecord.FOUND] == [True]
        assert not has_challenge(tenants.first.domains.get(name))

        tenants.challenge(claim)
        warned = first.expect(StatusEvent.RECORDS_CHANGED, name).event
        assert warned.reason.startswith("ownership must be proved by ")
        assert warned.state.status == Domain.VERIFIED
        lost = first.expect(StatusEvent.STATUS_CHANGED, name, after=warned.revision).event
        won = second.expect(StatusEvent.STATUS_CHANGED, name).event
    assert (lost.state.status, lost.state.status_reason) == (Domain.FAILED, Domain.OWNERSHIP_LOST)
    assert won.state.status == Domain.VERIFIED
    assert tenants.second.domains.get(name).status == Domain.VERIFIED
    back = tenants.first.domains.get(name)
    assert back.contested
    assert has_challenge(back)


@pytest.mark.parametrize("window", ["10s"], indirect=True)
def test_a_holder_keeps_its_name(tenants: Tenants) -> None:
    """By its own challenge, published within its time: the claim waits, and begins nothing again."""
    name = tenants.name_in("kept.example")
    tenants.held_by_first(name)
    claim = tenants.second.domains.create(name)
    tenants.challenge(claim)
    until(lambda: has_challenge(tenants.first.domains.get(name)))
    warned = tenants.first.domains.get(name)
    tenants.challenge(claim, warned)
    until(
        lambda: all(
            record.state == DnsRecord.FOUND for record in tenants.first.domains.verify(name).dns_records
        )
    )
    told = len(list(tenants.first.domains.events()))
    for _ in range(5):
        assert tenants.second.domains.verify(name).status == Domain.PENDING
    assert tenants.first.domains.get(name).status == Domain.VERIFIED
    assert len(list(tenants.first.domains.events())) == told


@pytest.mark.parametrize("window", ["5s"], indirect=True)
def test_a_transfer_survives_kill(tenants: Tenants) -> None:
    """A server that dies in the middle of it goes on where it was."""
    name = tenants.name_in("killed.example")
    tenants.held_by_first(name)
    claim = tenants.second.domains.create(name)
    tenants.challenge(claim)
    until(lambda: has_challenge(tenants.first.domains.get(name)))
    tenants.server.kill()
    tenants.server.start()

    def is_verified() -> bool:
        # Clients connect again by and by.
        with suppress(kraiter.Unavailable):
            return tenants.second.domains.get(name).status == Domain.VERIFIED
        return False

    until(is_verified, within=30)
    assert tenants.first.domains.get(name).status_reason == Domain.OWNERSHIP_LOST
