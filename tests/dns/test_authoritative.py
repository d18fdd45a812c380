"""The adapter asks a zone's own name servers and reads them right."""

import pytest

from service.core.answers import Answers, Outcome, Question, RecordType
from service.dns import DnsResolver, Endpoint
from tests.dns.conftest import MakeResolver, ask, ask_every
from tests.support.authority import LoopbackDns, silent

NS1, NS2 = "ns1.example.com (127.0.0.2)", "ns2.example.com (127.0.0.3)"


@pytest.mark.parametrize(
    ("rdtype", "published", "read"),
    [
        ("A", ("192.0.2.1",), ("192.0.2.1",)),
        ("AAAA", ("2001:db8::1",), ("2001:db8::1",)),
        ("CNAME", ("Target.Example.NET",), ("target.example.net",)),
        ("MX", ("10 Feedback.Example.NET",), ("10 feedback.example.net",)),
        ("MX", ("0 .",), ("0 .",)),
        ("TXT", ("v=spf1  ~all", "Second"), ("Second", "v=spf1  ~all")),
        ("NS", ("ns1.Example.com", "ns2.example.com"), ("ns1.example.com", "ns2.example.com")),
    ],
)
def test_values_have_one_form(
    dns: LoopbackDns, resolver: DnsResolver, rdtype: str, published: tuple[str, ...], read: tuple[str, ...]
) -> None:
    """Values come in the form that the core compares: lower-case names without dot, text as it is."""
    name = "example.com" if rdtype == "NS" else "mail.example.com"
    dns.put(name, rdtype, *published)
    answer = ask(resolver, name, rdtype)
    assert (answer.outcome, answer.values) == (Outcome.FOUND, read)
    assert (answer.server in {NS1, NS2}, answer.zone, answer.authoritative) == (True, "example.com", True)


def test_name_without_records_of_the_type_is_nodata(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A name that has other records, or only names below it, exists."""
    dns.put("a.b.example.com", "A", "192.0.2.1")
    assert ask(resolver, "a.b.example.com").outcome is Outcome.NODATA
    assert ask(resolver, "b.example.com").outcome is Outcome.NODATA


def test_absent_name_is_nxdomain(resolver: DnsResolver) -> None:
    """A name that the zone does not have is definitely absent, and its zone is known."""
    answer = ask(resolver, "absent.example.com")
    assert (answer.outcome, answer.zone, answer.authoritative) == (Outcome.NXDOMAIN, "example.com", True)


def test_unregistered_domain_is_nxdomain(resolver: DnsResolver) -> None:
    """A domain that no zone delegates is definitely absent, as the recursive resolver knows."""
    answer = ask(resolver, "mail.unregistered.example")
    assert (answer.outcome, answer.authoritative) == (Outcome.NXDOMAIN, False)


def test_name_too_long_for_a_message_is_nxdomain(resolver: DnsResolver) -> None:
    """A name of more than 255 octets cannot exist, and nobody is asked for it."""
    assert ask(resolver, ".".join(["a" * 60] * 5) + ".example.com").outcome is Outcome.NXDOMAIN


def test_answers_come_in_the_order_of_the_questions(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A batch gives one entry for each question, in order."""
    for number in range(20):
        dns.put(f"n{number}.example.com", "TXT", str(number))
    questions = [Question(f"n{number}.example.com", RecordType.TXT) for number in range(20)]
    results = resolver.resolve(questions, every_server=False)
    assert [result.question for result in results] == questions
    assert [result.by_server[0].values for result in results] == [(str(number),) for number in range(20)]


def test_new_record_is_seen_at_once(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """An earlier "no" is not remembered: records count from the moment the zone has them."""
    assert ask(resolver, "mail.example.com").outcome is Outcome.NXDOMAIN
    dns.put("mail.example.com", "TXT", "now")
    assert ask(resolver, "mail.example.com").values == ("now",)


def test_every_server_is_asked_and_may_disagree(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A confirmation hears each name server of the set by itself."""
    dns.authorities[0].put("mail.example.com", "TXT", "new")
    heard = ask_every(resolver, "mail.example.com")
    assert heard.keys() == {NS1, NS2}
    assert (heard[NS1].values, heard[NS2].outcome) == (("new",), Outcome.NXDOMAIN)


def test_dead_server_is_passed_over_in_a_sample(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """A sample asks the next server where one is silent."""
    dns.put("mail.example.com", "TXT", "found")
    dns.authorities[0].tamper = silent
    assert {ask(hasty, "mail.example.com").server for _ in range(10)} == {NS2}


def test_dead_server_is_unknown_in_a_confirmation(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """A confirmation says which server did not answer, and what the others said."""
    dns.put("mail.example.com", "TXT", "found")
    dns.authorities[0].tamper = silent
    heard = ask_every(hasty, "mail.example.com")
    assert (heard[NS1].outcome, heard[NS2].outcome) == (Outcome.TIMEOUT, Outcome.FOUND)


def test_zone_is_looked_for_once(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """The recursive resolver is asked for a zone's servers once, not for every question."""
    names = ["mail.example.com", *(f"{n}._domainkey.mail.example.com" for n in range(3))]
    for _ in range(3):
        resolver.resolve([Question(name, RecordType.TXT) for name in names], every_server=False)
    assert dns.recursive.queries[("mail.example.com", "SOA")] == 1
    assert dns.recursive.queries[("example.com", "NS")] == 1
    assert not any(name.startswith("0._domainkey") for name, _ in dns.recursive.queries)


def test_top_level_servers_are_not_asked_the_way(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """Of a domain that exists, only the recursive resolver asks the servers of the domain above."""
    parent, child = dns.authorities
    dns.add_zone("example", parent)
    assert ask(resolver, "mail.absent.example").zone == "example"
    dns.add_zone("present.example", child)
    parent.queries.clear()
    assert ask(resolver, "mail.present.example").zone == "present.example"
    assert not parent.queries


def test_domain_just_registered_is_found_by_referral(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A resolver that remembers that a domain was absent does not keep us from it."""
    parent, child = dns.authorities
    dns.add_zone("example", parent)
    parent.put("new.example", "NS", "ns2.new.example")
    parent.put("ns2.new.example", "A", child.address)
    denial = parent.zones.look_up("old.example", "SOA")
    dns.add_zone("new.example", child)
    child.put("new.example", "TXT", "here")
    dns.recursive.answer_instead("new.example", denial)
    answer = ask(resolver, "new.example")
    assert (answer.values, answer.server) == (("here",), "ns2.new.example (127.0.0.3)")


def test_new_delegation_is_followed(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """Servers of a zone already known refer down to a zone delegated since, and it is asked."""
    parent, child = dns.authorities
    child.zones.remove("example.com")
    dns.add_zone("example.com", parent)
    assert ask(resolver, "mail.sub.example.com").zone == "example.com"
    parent.put("sub.example.com", "NS", "ns2.sub.example.com")
    parent.put("ns2.sub.example.com", "A", child.address)
    dns.add_zone("sub.example.com", child)
    dns.put("mail.sub.example.com", "TXT", "moved")
    for heard in (
        ask(resolver, "mail.sub.example.com"),
        *ask_every(resolver, "mail.sub.example.com").values(),
    ):
        assert (heard.values, heard.zone) == (("moved",), "sub.example.com")
        assert heard.server == "ns2.sub.example.com (127.0.0.3)"


@pytest.mark.parametrize("rdtype", ["TXT", "MX"])
def test_alias_is_followed_for_other_types(dns: LoopbackDns, resolver: DnsResolver, rdtype: str) -> None:
    """A CNAME at the name of another type's question leads to the values, through other zones too."""
    value = "10 mx.example.org" if rdtype == "MX" else "text"
    dns.add_zone("example.org", dns.authorities[1])
    dns.put("a.example.com", "CNAME", "b.example.com")
    dns.put("b.example.com", "CNAME", "c.example.org")
    dns.put("c.example.org", rdtype, value)
    answer = ask(resolver, "a.example.com", rdtype)
    assert (answer.values, answer.zone, answer.authoritative) == ((value,), "example.com", True)
    assert answer.question.name == "a.example.com"


def test_alias_itself_gives_its_first_hop(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A question for a CNAME is answered with its own target, wherever that leads."""
    dns.put("a.example.com", "CNAME", "b.example.com")
    dns.put("b.example.com", "CNAME", "c.example.com")
    assert ask(resolver, "a.example.com", "CNAME").values == ("b.example.com",)


def test_alias_to_nothing_is_definite(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """An alias whose target does not exist, or lacks the type, has definitely no values."""
    dns.put("a.example.com", "CNAME", "absent.example.com")
    assert ask(resolver, "a.example.com").outcome is Outcome.NXDOMAIN
    dns.put("absent.example.com", "A", "192.0.2.1")
    assert ask(resolver, "a.example.com").outcome is Outcome.NODATA


@pytest.mark.parametrize("length", [2, 30])
def test_endless_aliases_are_given_up(dns: LoopbackDns, hasty: DnsResolver, length: int) -> None:
    """A loop of aliases, or a chain too long, is unknown, told by its first alias, and bounded in queries."""
    dns.add_zone("example.org", dns.authorities[1])
    zones = ("example.com", "example.org")
    for zone in zones:
        assert ask(hasty, zone, "NS").authoritative
    for number in range(length):
        here, there = (f"n{index % length}.{zones[index % 2]}" for index in (number, number + 1))
        dns.put(here, "CNAME", there)
    answer = ask(hasty, "n0.example.com")
    assert (answer.outcome, answer.alias) == (Outcome.SERVER_FAILURE, "n1.example.org")
    assert (answer.zone, answer.server.partition(" ")[0][3:]) == ("example.com", ".example.com")
    assert sum(server.queries.total() for server in dns.authorities) <= 12


def test_circle_elsewhere_is_told_where_the_alias_into_it_stands(
    dns: LoopbackDns, hasty: DnsResolver
) -> None:
    """Whoever asks can mend his own alias, not those of others."""
    for zone in ("example.org", "example.net"):
        dns.add_zone(zone, dns.authorities[1])
    dns.put("a.example.com", "CNAME", "b.example.org")
    dns.put("b.example.org", "CNAME", "c.example.net")
    dns.put("c.example.net", "CNAME", "b.example.org")
    answer = ask(hasty, "a.example.com")
    assert (answer.alias, answer.zone) == ("b.example.org", "example.com")


def test_wildcard_answers_like_any_record(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """What a wildcard gives is found, so that a random sibling can be compared with it."""
    dns.put("*.example.com", "TXT", "any")
    assert ask(resolver, "whatever.example.com").values == ("any",)


def test_large_answer_comes_over_tcp(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """An answer that does not fit a datagram is fetched whole."""
    dns.put("mail.example.com", "TXT", "x" * 3000)
    assert ask(resolver, "mail.example.com").values == ("x" * 3000,)
    assert sum(server.tcp_connections for server in dns.authorities) == 1


def test_values_are_bounded(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A zone with hundreds of records costs no more than 64 values."""
    dns.put("mail.example.com", "TXT", *(f"value {number}" for number in range(300)))
    assert len(ask(resolver, "mail.example.com").values) == 64


@pytest.mark.parametrize("values", [["x"] * 600, ["x" * 250] * 100], ids=["many", "long"])
def test_huge_answer_is_not_read(dns: LoopbackDns, resolver: DnsResolver, values: list[str]) -> None:
    """More than we ever ask for is no answer, and costs no time to read."""
    dns.put("mail.example.com", "TXT", *(f"{number}{value}" for number, value in enumerate(values)))
    assert ask(resolver, "mail.example.com").outcome is Outcome.SERVER_FAILURE


def test_server_count_is_told_in_a_sample_too(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """One answer is a sample of the set, whose size is told."""
    result: Answers = resolver.resolve([Question("example.com", RecordType.NS)], every_server=False)[0]
    assert (len(result.by_server), result.servers) == (1, 2)


def test_settings_name_servers_by_address(make_resolver: MakeResolver) -> None:
    """A recursive resolver given by name is refused at once."""
    with pytest.raises(ValueError, match=r"dns\.example"):
        make_resolver(nameservers=(Endpoint("dns.example", 53),))
