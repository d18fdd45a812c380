"""From records being published to everybody knowing, with the settings that users get."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from kraiter.domains.v1.domain_pb2 import DnsRecord, Domain, StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusRequest

from tests.e2e.conftest import HASTE, Serve
from tests.e2e.watcher import Watcher
from tests.support import publishing
from tests.support.authority import LoopbackDns
from tests.support.knot import Knot
from tests.support.server import ServerProcess
from tests.support.waiting import until

Publish = Callable[[Domain], None]

KNOT_ADDRESSES = ("127.0.0.4", "127.0.0.5")
KNOT_ZONE = """\
$ORIGIN example.org.
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
@ NS ns2
ns1 A 127.0.0.4
ns2 A 127.0.0.5
"""


@pytest.fixture(scope="module")
def knots(dns: LoopbackDns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Knot, ...]]:
    """Give two processes of Knot as the name servers of example.org."""
    dns.add_zone("example.org")
    for number, address in enumerate(KNOT_ADDRESSES, start=1):
        dns.put(f"ns{number}.example.org", "A", address)
    first, second = (Knot(tmp_path_factory.mktemp("knot"), address, dns.port) for address in KNOT_ADDRESSES)
    with first, second:
        for knot in (first, second):
            knot.put_zone("example.org", KNOT_ZONE)
        yield first, second


@pytest.fixture(scope="module")
def default_server(serve: Serve) -> ServerProcess:
    """Give a server with the settings that everybody gets, but for where DNS is."""
    return serve()


@pytest.fixture(scope="module")
def hasty_server(serve: Serve) -> ServerProcess:
    """Give a server that checks as soon and as often as it is asked to."""
    return serve(**HASTE)


@pytest.fixture(scope="module")
def asked_server(serve: Serve) -> ServerProcess:
    """Give a server that checks when VerifyDomain is called, and at no other time.

    A call may share a check that is under way: with checks of the server's own, what it
    answers may have been asked of DNS before the test's last change there.
    """
    never = {"KRAITER_CHECK_FIRST_DELAY": "1h", "KRAITER_CHECK_PENDING_INTERVAL": "15m"}
    return serve(**HASTE | never)


@pytest.fixture(params=["mail.example.com", "mail.example.org"], ids=["python", "knot"])
def name(request: pytest.FixtureRequest) -> str:
    """Give a domain's name, in the zone of one kind of name server or the other."""
    return str(request.param)


@pytest.fixture
def publish(name: str, dns: LoopbackDns, request: pytest.FixtureRequest) -> Publish:
    """Give what publishes all records of the domain, on all its name servers."""
    if name.endswith(".com"):
        return lambda domain: publishing.publish(domain, dns)
    knots = request.getfixturevalue("knots")

    def to_knots(domain: Domain) -> None:
        for knot in knots:
            knot.put_zone("example.org", KNOT_ZONE + publishing.master_file_lines(domain.dns_records))

    return to_knots


def test_domain_is_verified_within_twelve_seconds(
    default_server: ServerProcess, name: str, publish: Publish
) -> None:
    """With default settings, all watchers hear VERIFIED within 12 s of the records' publication."""
    everything = Watcher(default_server.address)
    named = Watcher(default_server.address, WatchStatusRequest(domains=[name], start=WatchStatusRequest.NOW))
    with default_server.client() as client, everything, named:
        until(lambda: everything.session.is_open and named.session.is_open)
        domain = client.domains.create(name)
        # The worst moment: the first check has just found nothing.
        until(lambda: client.domains.get(name).HasField("last_check_time"), within=8)
        publish(domain)
        published = time.monotonic()
        for watcher in (everything, named):
            told = watcher.expect(StatusEvent.STATUS_CHANGED, name, within=20)
            assert told.event.state.status == Domain.VERIFIED
            assert told.time - published <= 12
        assert client.domains.get(name).status == Domain.VERIFIED


def test_a_domain_is_verified_by_its_exported_zone_file(
    hasty_server: ServerProcess, knots: tuple[Knot, ...]
) -> None:
    """An owner who imports the file has the domain VERIFIED, and found anew after an update."""
    with hasty_server.client() as client:
        name = client.domains.create("exported.example.org").domain

        def import_everywhere() -> None:
            content = client.domains.export(name).content
            for knot in knots:
                knot.put_zone("example.org", KNOT_ZONE + content)

        import_everywhere()
        until(lambda: client.domains.get(name).status == Domain.VERIFIED)
        client.domains.update(name, mail_from_subdomain="bounces", dmarc_policy=Domain.REJECT)
        import_everywhere()
        until(
            lambda: all(record.state == DnsRecord.FOUND for record in client.domains.verify(name).dns_records)
        )
        assert client.domains.get(name).status == Domain.VERIFIED


def test_half_of_the_name_servers_is_not_enough(asked_server: ServerProcess, dns: LoopbackDns) -> None:
    """A domain stays PENDING while one of two name servers has no records, and is VERIFIED when both do."""
    dns.add_zone("halved.example")
    first, second = dns.authorities
    with asked_server.client() as client:
        domain = client.domains.create("mail.halved.example")
        publishing.publish(domain, first)
        for _ in range(5):
            assert client.domains.verify(domain.domain).status == Domain.PENDING

        # Nearly there: every other check asks the server that has it all, and must ask on.
        last, *rest = domain.dns_records
        for record in rest:
            publishing.put(record, second)

        def hint_while_pending() -> bool:
            checked = client.domains.verify(domain.domain)
            assert checked.status == Domain.PENDING
            return "Not all name servers have the record yet" in checked.dns_records[0].hint

        until(hint_while_pending)
        publishing.put(last, second)
        assert client.domains.verify(domain.domain).status == Domain.VERIFIED


@dataclass(frozen=True)
class Mistake:
    """A way to publish one record wrongly, and what its owner has to be told."""

    problem: "DnsRecord.Problem.ValueType"
    spoil: Callable[[LoopbackDns, DnsRecord], None]
    hint: str
    """Part of the hint; {} stands for the record's fields."""
    purpose: "DnsRecord.Purpose.ValueType" = DnsRecord.DKIM


def _publish_as(dns: LoopbackDns, record: DnsRecord, rdtype: str) -> None:
    dns.remove(record.name)
    dns.put(record.name, rdtype, record.value)


def _proxy(dns: LoopbackDns, record: DnsRecord) -> None:
    dns.remove(record.name)
    dns.put(record.name, "A", "192.0.2.9")


def _cover_with_wildcard(dns: LoopbackDns, record: DnsRecord) -> None:
    dns.remove(record.name)
    dns.put(f"*.{record.name.partition('.')[2]}", "CNAME", "parking.example.net")


def _misplace(dns: LoopbackDns, record: DnsRecord) -> None:
    dns.remove(record.name)
    dns.put(record.name.removeprefix("_dmarc."), "TXT", record.value)


MISTAKES = [
    Mistake(
        DnsRecord.NOT_PUBLISHED,
        lambda dns, record: dns.remove(record.name),
        "Add a CNAME record at {0.name} with the value {0.value}",
    ),
    Mistake(
        DnsRecord.WRONG_VALUE,
        lambda dns, record: dns.put(record.name, "CNAME", "elsewhere.example.net"),
        "from elsewhere.example.net to {0.value}",
    ),
    Mistake(
        DnsRecord.WRONG_TYPE,
        lambda dns, record: _publish_as(dns, record, "TXT"),
        "Publish {0.name} as a CNAME record",
    ),
    Mistake(
        DnsRecord.PROXIED,
        _proxy,
        "Switch the proxy of {0.name} off",
    ),
    Mistake(
        DnsRecord.WILDCARD,
        _cover_with_wildcard,
        "Add a CNAME record at {0.name}",
    ),
    Mistake(
        DnsRecord.WRONG_PLACE,
        _misplace,
        "to {0.name}",
        DnsRecord.DMARC,
    ),
    Mistake(
        DnsRecord.WRONG_PRIORITY,
        lambda dns, record: dns.put(record.name, "MX", f"20 {record.value}"),
        "from 20 to {0.priority}",
        DnsRecord.SPF,
    ),
    Mistake(
        DnsRecord.EXTRA_MX,
        lambda dns, record: dns.put(record.name, "MX", f"10 {record.value}", "5 mx.example.net"),
        "Remove the other MX records at {0.name}, 5 mx.example.net",
        DnsRecord.SPF,
    ),
    Mistake(
        DnsRecord.MULTIPLE_RECORDS,
        lambda dns, record: dns.put(record.name, "TXT", record.value, "v=DMARC1; p=reject"),
        "Keep v=DMARC1; p=reject and remove the other DMARC records at {0.name}",
        DnsRecord.DMARC,
    ),
    Mistake(
        DnsRecord.INVALID_SYNTAX,
        lambda dns, record: dns.put(record.name, "TXT", "v=DMARC1; p=refuse"),
        "Correct the DMARC record at {0.name}: the tag p",
        DnsRecord.DMARC,
    ),
    Mistake(
        DnsRecord.QUOTED_VALUE,
        lambda dns, record: dns.put(record.name, "TXT", f'"{record.value}"'),
        "Remove the quotes",
        DnsRecord.DMARC,
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: DnsRecord.Problem.Name(each.problem))
def test_owner_is_told_what_is_wrong_until_it_is_right(
    asked_server: ServerProcess, dns: LoopbackDns, mistake: Mistake
) -> None:
    """One wrong record shows its problem and a hint; once mended, VerifyDomain answers VERIFIED."""
    zone = f"{DnsRecord.Problem.Name(mistake.problem).lower().replace('_', '-')}.example"
    dns.add_zone(zone)
    with asked_server.client() as client:
        domain = client.domains.create(f"mail.{zone}")
        publishing.publish(domain, dns)
        place, record = next(
            (place, each) for place, each in enumerate(domain.dns_records) if each.purpose == mistake.purpose
        )
        mistake.spoil(dns, record)
        checked = client.domains.verify(domain.domain)
        spoilt = checked.dns_records[place]
        assert (checked.status, spoilt.problem) == (Domain.PENDING, mistake.problem)
        assert mistake.hint.format(record) in spoilt.hint
        assert all(each.state == DnsRecord.FOUND for each in checked.dns_records if each is not spoilt)
        dns.remove(record.name)
        publishing.put(record, dns)
        assert client.domains.verify(domain.domain).status == Domain.VERIFIED


def test_doubled_zone_name_is_recognised(asked_server: ServerProcess, dns: LoopbackDns) -> None:
    """A record whose name had the zone appended is found there, and the hint gives the host part."""
    dns.add_zone("doubled.example")
    with asked_server.client() as client:
        domain = client.domains.create("mail.doubled.example")
        publishing.publish(domain, dns)
        record = domain.dns_records[0]
        dns.remove(record.name)
        dns.put(f"{record.name}.doubled.example", "CNAME", record.value)
        doubled = client.domains.verify(domain.domain).dns_records[0]
        assert doubled.problem == DnsRecord.DOUBLED_ZONE_NAME
        assert doubled.hint.endswith(f"enter only {record.name.removesuffix('.doubled.example')}")


def test_a_domain_that_does_not_exist_is_told(asked_server: ServerProcess, dns: LoopbackDns) -> None:
    """The registry does not know it, whatever is asked for."""
    dns.add_zone("registry")
    with asked_server.client() as client:
        domain = client.domains.create("mail.gone.registry")
        checked = client.domains.verify(domain.domain)
        assert {record.problem for record in checked.dns_records} == {DnsRecord.DOMAIN_NOT_FOUND}
