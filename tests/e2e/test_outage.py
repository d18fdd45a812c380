"""A verified domain through bad days of DNS, and through a real break of its records."""

from collections.abc import Iterator
from itertools import count

import pytest
from kraiter import Client
from kraiter.domains.v1.domain_pb2 import DnsRecord, Domain, StatusEvent

from tests.e2e.conftest import HASTE, Serve
from tests.e2e.watcher import Told, Watcher
from tests.support import publishing
from tests.support.authority import LoopbackDns, Tamper, failing, silent
from tests.support.dns_zone import REFUSED, SERVFAIL
from tests.support.server import ServerProcess
from tests.support.waiting import until

GRACE = 4.0
_zones = (f"outage{number}.example" for number in count(1))


@pytest.fixture(scope="module")
def server(serve: Serve) -> ServerProcess:
    """Give a server whose days are seconds."""
    return serve(
        **HASTE,
        KRAITER_GRACE_PERIOD=f"{GRACE:.0f}s",
        KRAITER_GRACE_CHECKS="3",
        KRAITER_CHECK_VERIFIED_INTERVAL="300ms",
        KRAITER_CHECK_CONFIRM_INTERVAL="200ms",
        KRAITER_CHECK_FAILED_INTERVAL="300ms",
    )


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    """Give a client."""
    with server.client() as client:
        yield client


@pytest.fixture
def watcher(server: ServerProcess) -> Iterator[Watcher]:
    """Give a subscriber to everything."""
    with Watcher(server.address) as watcher:
        yield watcher


@pytest.fixture
def verified(client: Client, watcher: Watcher, dns: LoopbackDns) -> Domain:
    """Give a domain that was just verified, in a zone of its own."""
    zone = next(_zones)
    dns.add_zone(zone)
    domain = client.domains.create(f"mail.{zone}")
    publishing.publish(domain, dns)
    return expect_status(watcher, domain, Domain.VERIFIED).event.state


def expect_status(watcher: Watcher, domain: Domain, status: "Domain.Status.ValueType") -> Told:
    """Wait for the next change of a domain's status, which must be to this one."""
    told = watcher.expect(StatusEvent.STATUS_CHANGED, domain.domain, after=domain.revision, within=3 * GRACE)
    assert told.event.state.status == status
    return told


def wait_for_checks(
    client: Client, domain: Domain, state: "DnsRecord.State.ValueType", seconds: float
) -> None:
    """Wait until checks over so many seconds have found every record of a domain in this state."""
    first = None
    while True:
        seen = until(lambda: _all_in(client.domains.get(domain.domain), state))
        first = first or seen
        if (
            seen.last_check_time.ToDatetime() - first.last_check_time.ToDatetime()
        ).total_seconds() >= seconds:
            return


def _all_in(domain: Domain, state: "DnsRecord.State.ValueType") -> Domain | None:
    return domain if {record.state for record in domain.dns_records} == {state} else None


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [(silent, GRACE / 2), (failing(SERVFAIL), GRACE / 2), (failing(REFUSED), GRACE + 1)],
    ids=["silence", "servfail", "refused for longer than the grace period"],
)
def test_outage_of_dns_changes_nothing(
    client: Client, watcher: Watcher, verified: Domain, dns: LoopbackDns, fault: Tamper, seconds: float
) -> None:
    """While DNS cannot be asked a domain stays VERIFIED, and no event tells of that or of its end."""
    servers = (dns.recursive, *dns.authorities)
    try:
        for server in servers:
            server.tamper = fault
        wait_for_checks(client, verified, DnsRecord.UNKNOWN, seconds)
        assert client.domains.get(verified.domain).status == Domain.VERIFIED
    finally:
        for server in servers:
            server.tamper = None
    wait_for_checks(client, verified, DnsRecord.FOUND, 0.5)
    marker = client.domains.disable(verified.domain, reason="marker")
    told = watcher.expect(StatusEvent.SENDING_DISABLED, verified.domain)
    assert told.event.state.status == Domain.VERIFIED
    of_domain = [event.revision for event in watcher.events if event.domain == verified.domain]
    assert of_domain[-2:] == [verified.revision, marker.revision]


def test_real_break_is_told_at_once_and_fails_after_the_grace_period(
    watcher: Watcher, client: Client, verified: Domain, dns: LoopbackDns
) -> None:
    """A removed record: RECORDS_BROKEN at once, FAILED after the grace period, VERIFIED when restored."""
    mx = next(record for record in verified_records(client, verified) if record.type == DnsRecord.MX)
    dns.remove(mx.name, "MX")
    broken = watcher.expect(StatusEvent.RECORDS_BROKEN, verified.domain, within=2)
    assert broken.event.state.status == Domain.VERIFIED
    seen = next(record for record in verified_records(client, verified) if record.type == DnsRecord.MX)
    assert (seen.state, seen.problem) == (DnsRecord.MISSING, DnsRecord.NOT_PUBLISHED)

    failed = expect_status(watcher, verified, Domain.FAILED)
    assert failed.event.state.status_reason == Domain.RECORDS_BROKEN
    lasted = failed.event.event_time.ToDatetime() - broken.event.event_time.ToDatetime()
    assert GRACE <= lasted.total_seconds() < GRACE + 2

    publishing.put(mx, dns)
    expect_status(watcher, failed.event.state, Domain.VERIFIED)


def test_restore_within_the_grace_period_is_told(
    watcher: Watcher, client: Client, verified: Domain, dns: LoopbackDns
) -> None:
    """A record that comes back in time brings RECORDS_RESTORED, and the domain never leaves VERIFIED."""
    dkim = verified_records(client, verified)[0]
    dns.remove(dkim.name)
    broken = watcher.expect(StatusEvent.RECORDS_BROKEN, verified.domain, within=2)
    publishing.put(dkim, dns)
    restored = watcher.expect(StatusEvent.RECORDS_RESTORED, verified.domain, after=broken.event.revision)
    wait_for_checks(client, verified, DnsRecord.FOUND, GRACE + 1)
    kinds = [
        event.type
        for event in watcher.events
        if event.domain == verified.domain and event.revision > verified.revision
    ]
    assert kinds == [StatusEvent.RECORDS_BROKEN, StatusEvent.RECORDS_RESTORED]
    assert restored.event.state.status == Domain.VERIFIED


def verified_records(client: Client, domain: Domain) -> list[DnsRecord]:
    """Return the records of a domain with what was found of them."""
    return list(client.domains.get(domain.domain).dns_records)
