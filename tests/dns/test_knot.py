"""The adapter against a name server that is not ours: Knot DNS."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from service.core import exports
from service.core.answers import Outcome, RecordType
from service.core.records import Purpose, Record
from service.dns import DnsConfig, DnsResolver, Endpoint
from tests.dns.conftest import ask, ask_every
from tests.support.authority import LoopbackDns
from tests.support.knot import Knot
from tests.support.samples import sample_domain

ADDRESS = "127.0.0.4"
SERVER = f"ns1.example.org ({ADDRESS})"
ZONE = """\
$ORIGIN example.org.
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.4
mail MX 10 Feedback.Example.NET.
mail TXT "v=spf1 include:amazonses.com" " ~all"
long TXT ( {long} )
token._domainkey.mail CNAME token.dkim
token.dkim TXT "p=key"
loop CNAME loop
outside CNAME www.example.com.
*.wild TXT "any"
sub NS ns1.sub
ns1.sub A 127.0.0.3
""".format(long=" ".join(['"' + "x" * 200 + '"'] * 20))


@pytest.fixture(scope="module")
def dns() -> Iterator[LoopbackDns]:
    """Give a recursive resolver that knows example.org to be served at Knot's address."""
    with LoopbackDns() as servers:
        servers.add_zone("example.com", servers.authorities[1])
        servers.add_zone("example.org", servers.authorities[0])
        servers.put("ns1.example.org", "A", ADDRESS)
        yield servers


@pytest.fixture(scope="module")
def knot(dns: LoopbackDns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    """Give Knot as the only name server of example.org."""
    with Knot(tmp_path_factory.mktemp("knot"), ADDRESS, dns.port) as server:
        server.put_zone("example.org", ZONE)
        yield server


@pytest.fixture
def resolver(dns: LoopbackDns, knot: Knot) -> Iterator[DnsResolver]:
    """Give a resolver in authoritative mode that has learnt nothing yet."""
    nameserver = Endpoint("127.0.0.1", dns.port)
    config = DnsConfig(nameservers=(nameserver,), allow_private=True, authority_port=dns.port)
    with closing(DnsResolver(config)) as resolver:
        yield resolver


@pytest.mark.parametrize(
    ("name", "rdtype", "outcome", "values"),
    [
        ("mail", "MX", Outcome.FOUND, ("10 feedback.example.net",)),
        ("mail", "TXT", Outcome.FOUND, ("v=spf1 include:amazonses.com ~all",)),
        ("long", "TXT", Outcome.FOUND, ("x" * 4000,)),
        ("mail", "A", Outcome.NODATA, ()),
        ("_domainkey.mail", "TXT", Outcome.NODATA, ()),
        ("absent", "TXT", Outcome.NXDOMAIN, ()),
        ("token._domainkey.mail", "CNAME", Outcome.FOUND, ("token.dkim.example.org",)),
        ("token._domainkey.mail", "TXT", Outcome.FOUND, ("p=key",)),
        ("outside", "TXT", Outcome.FOUND, ("elsewhere",)),
        ("random.wild", "TXT", Outcome.FOUND, ("any",)),
    ],
)
def test_answers_are_read_right(
    dns: LoopbackDns, resolver: DnsResolver, name: str, rdtype: str, outcome: Outcome, values: tuple[str, ...]
) -> None:
    """Each kind of answer means the same from a server of another make."""
    dns.put("www.example.com", "TXT", "elsewhere")
    answer = ask(resolver, f"{name}.example.org", rdtype)
    assert (answer.outcome, answer.values) == (outcome, values)
    assert (answer.server, answer.zone, answer.authoritative) == (SERVER, "example.org", True)


def test_alias_to_itself_is_given_up(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A loop is no answer."""
    dns.put("loop.example.org", "CNAME", "loop.example.org")
    answer = ask(resolver, "loop.example.org")
    assert (answer.outcome, answer.alias) == (Outcome.SERVER_FAILURE, "loop.example.org")


def test_referral_is_followed(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A zone delegated by Knot is asked at its own server, which is known by its glue."""
    assert ask(resolver, "example.org", "NS").zone == "example.org"
    child = dns.authorities[1]
    dns.add_zone("sub.example.org", child)
    child.put("mail.sub.example.org", "TXT", "below")
    answer = ask(resolver, "mail.sub.example.org")
    assert (answer.values, answer.server) == (("below",), "ns1.sub.example.org (127.0.0.3)")


def test_changed_zone_is_seen_at_once(knot: Knot, resolver: DnsResolver) -> None:
    """A record counts from the moment the server has it."""
    assert ask(resolver, "new.example.org").outcome is Outcome.NXDOMAIN
    knot.put_zone("example.org", ZONE + 'new TXT "here"\n')
    assert ask_every(resolver, "new.example.org")[SERVER].values == ("here",)


def test_an_exported_zone_file_is_what_was_to_be_published(knot: Knot, resolver: DnsResolver) -> None:
    """Knot loads it behind the records of a zone, and answers with what went in, whatever it is."""
    texts = ("v=DMARC1; p=none", "x" * 600, 'a "quoted" one; (and) \\ back', "grüße", "")
    wanted = sample_domain(name="export.example.org")
    odd = tuple(
        Record(Purpose.OWNERSHIP, RecordType.TXT, f"t{number}.export.example.org", value, required=True)
        for number, value in enumerate(texts)
    )
    domain = replace(wanted, records=wanted.records + odd)
    knot.put_zone("example.org", ZONE + exports.render(domain, exports.Format.ZONE_FILE).content)
    for record in domain.records:
        value = f"{record.priority} {record.value}" if record.type is RecordType.MX else record.value
        answer = ask(resolver, record.name, record.type)
        assert (answer.outcome, answer.values) == (Outcome.FOUND, (value,))
    knot.put_zone("example.org", ZONE)
