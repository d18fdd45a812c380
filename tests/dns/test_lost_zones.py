"""Zones that a recursive resolver cannot tell about, since their own name servers are at fault."""

from collections import Counter
from collections.abc import Sequence

import pytest

from service.core.answers import Outcome, Question, RecordType
from service.dns import DnsResolver
from tests.dns.conftest import MakeResolver, ask, ask_every
from tests.support import authority
from tests.support.authority import Authority, LoopbackDns, Tamper
from tests.support.dns_zone import REFUSED, SERVFAIL

NOTAUTH = 9
BOGUS = 6
NO_REACHABLE_AUTHORITY = 22
LOST = "lost.example"


def delegate(dns: LoopbackDns, registry: str, name: str) -> tuple[Authority, Authority]:
    """Let the first server have a registry, and refer to the second for a zone below it."""
    above, below = dns.authorities
    if above.zones.zone_of(registry) is None:
        dns.add_zone(registry, above)
    above.put(name, "NS", f"ns2.{name}")
    above.put(f"ns2.{name}", "A", below.address)
    dns.add_zone(name, below)
    return above, below


def about(zone: str, tamper: Tamper) -> Tamper:
    """Misbehave where a zone is concerned, and only there."""
    wire = b"".join(bytes([len(label)]) + label.encode() for label in zone.split(".")) + b"\0"

    def concerned(query: bytes, reply: bytes) -> Sequence[bytes]:
        return tamper(query, reply) if wire in query else [reply]

    return concerned


def names_asked(dns: LoopbackDns) -> Counter[str]:
    """Return how often the recursive resolver was asked for each name, in search of a zone."""
    asked: Counter[str] = Counter()
    for (name, rdtype), count in dns.recursive.queries.items():
        asked[name] += count if rdtype == "SOA" else 0
    return +asked


@pytest.mark.parametrize(
    ("tamper", "outcome"),
    [
        (authority.failing(REFUSED), Outcome.REFUSED),
        (authority.failing(NOTAUTH), Outcome.LAME_DELEGATION),
        (authority.failing(SERVFAIL), Outcome.SERVER_FAILURE),
        (authority.silent, Outcome.TIMEOUT),
    ],
)
@pytest.mark.parametrize(
    "recursion",
    [
        authority.failing(SERVFAIL),
        authority.failing(REFUSED),
        authority.failing_because(NO_REACHABLE_AUTHORITY),
        authority.silent,
    ],
)
def test_server_at_fault_is_named(
    dns: LoopbackDns, hasty: DnsResolver, recursion: Tamper, tamper: Tamper, outcome: Outcome
) -> None:
    """The registry knows the way to it, and its own failure is told, not the resolver's."""
    _, below = delegate(dns, "example", LOST)
    below.tamper = tamper
    dns.recursive.tamper = about(LOST, recursion)
    heard = ask_every(hasty, f"mail.{LOST}")
    assert {server: (answer.outcome, answer.zone) for server, answer in heard.items()} == {
        f"ns2.{LOST} (127.0.0.3)": (outcome, LOST)
    }


def test_servers_that_are_sound_are_asked(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """A resolver that cannot reach a zone keeps us from none of its records."""
    delegate(dns, "example", LOST)
    dns.put(f"mail.{LOST}", "TXT", "there")
    dns.recursive.tamper = about(LOST, authority.failing(SERVFAIL))
    answer = ask(hasty, f"mail.{LOST}")
    assert (answer.values, answer.zone, answer.authoritative) == (("there",), LOST, True)


@pytest.mark.parametrize("recursion", [authority.failing(SERVFAIL), authority.silent])
def test_lost_subdomain_is_found_through_its_organisation(
    dns: LoopbackDns, hasty: DnsResolver, recursion: Tamper
) -> None:
    """Servers of the zone above, which the resolver knows, refer to it."""
    above, below = delegate(dns, "example", "found.example")
    below.put("deep.lost.found.example", "NS", "ns1.example")
    above.tamper = about("deep.lost.found.example", authority.failing(NOTAUTH))
    dns.recursive.tamper = about("deep.lost.found.example", recursion)
    answer = ask(hasty, "mail.deep.lost.found.example")
    assert (answer.outcome, answer.zone) == (Outcome.LAME_DELEGATION, "deep.lost.found.example")
    assert answer.server == "ns1.example (127.0.0.2)"


@pytest.mark.parametrize("recursion", [authority.failing(SERVFAIL), authority.silent])
def test_registry_is_asked_once_for_all_questions(
    dns: LoopbackDns, hasty: DnsResolver, recursion: Tamper
) -> None:
    """A look-up of several questions about a lost zone costs the registry one query."""
    above, below = delegate(dns, "example", LOST)
    below.tamper = authority.failing(REFUSED)
    dns.recursive.tamper = about(LOST, recursion)
    hosts = ("mail.", "", "_dmarc.", "_dmarc.mail.", "a._domainkey.mail.", "bounce.")
    questions = [Question(f"{host}{LOST}", RecordType.TXT) for host in hosts]
    results = hasty.resolve(questions, every_server=True)
    assert {answer.outcome for result in results for answer in result.by_server} == {Outcome.REFUSED}
    assert above.queries == {(LOST, "NS"): 1}


def test_registry_of_several_labels_is_spared_like_any(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """What else is registered below it is looked for at the resolver, as before."""
    above, _ = delegate(dns, "co.uk", "lost.co.uk")
    delegate(dns, "co.uk", "sound.co.uk")
    dns.recursive.tamper = about("lost.co.uk", authority.failing(SERVFAIL))
    assert ask(hasty, "lost.co.uk", "NS").zone == "lost.co.uk"
    above.queries.clear()
    assert ask(hasty, "mail.sound.co.uk").zone == "sound.co.uk"
    assert not above.queries


def test_domain_that_the_registry_has_not_is_absent(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """The registry's word counts where the resolver has none."""
    delegate(dns, "example", LOST)
    dns.recursive.tamper = about("absent.example", authority.failing(SERVFAIL))
    answer = ask(hasty, "mail.absent.example")
    assert (answer.outcome, answer.zone, answer.authoritative) == (Outcome.NXDOMAIN, "example", True)


@pytest.mark.parametrize("lost", [LOST, f"mail.{LOST}"])
def test_bogus_zone_is_not_gone_round_to(dns: LoopbackDns, hasty: DnsResolver, lost: str) -> None:
    """What a validating resolver rejects is bogus, whatever its name servers say."""
    above, below = delegate(dns, "example", LOST)
    dns.put(f"mail.{LOST}", "TXT", "forged")
    dns.recursive.tamper = about(lost, authority.failing_because(BOGUS))
    answer = ask(hasty, f"mail.{LOST}")
    assert (answer.outcome, answer.server) == (Outcome.DNSSEC_BOGUS, "127.0.0.1")
    assert not above.queries
    assert not below.queries


def test_silent_resolver_is_asked_for_one_name_more(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """An outage of the resolver is no storm: domains share the one probe, and no label is walked."""
    resolver = make_resolver(try_timeout=0.1, budget=2.0)
    dns.recursive.tamper = authority.silent
    hosts = [f"a.b.c.d.e.n{number}.example" for number in range(20)]
    results = resolver.resolve([Question(host, RecordType.TXT) for host in hosts], every_server=False)
    assert {answer.outcome for result in results for answer in result.by_server} == {Outcome.TIMEOUT}
    # Two tries, of three datagrams each.
    assert names_asked(dns) == {"example": 6, **dict.fromkeys(hosts, 6)}


def test_failing_resolver_is_asked_for_two_names_more(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """However many labels a name has: its organisation and the registry; each twice, and once unchecked."""
    dns.recursive.tamper = authority.failing(SERVFAIL)
    host = ".".join("abcdefghij") + ".n.example"
    assert ask(hasty, host).outcome is Outcome.SERVER_FAILURE
    assert names_asked(dns) == {host: 3, "n.example": 3, "example": 3}


def test_time_is_left_for_the_way_from_above(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """A resolver that is silent about a zone takes no more than its share of the time."""
    _, below = delegate(dns, "example", LOST)
    below.tamper = authority.failing(REFUSED)
    dns.recursive.tamper = about(LOST, authority.silent)
    resolver = make_resolver(try_timeout=10.0, budget=2.0)
    assert ask(resolver, f"mail.{LOST}").outcome is Outcome.REFUSED
