"""In recursive mode the configured resolvers are all that is asked."""

from collections.abc import Sequence

import pytest

from service.core.answers import Outcome, Question, RecordType
from service.dns import DnsResolver, Endpoint, Mode
from tests.dns.conftest import MakeResolver, ask
from tests.support import authority
from tests.support.authority import LoopbackDns
from tests.support.dns_zone import REFUSED, SERVFAIL

DNSSEC_BOGUS = 6
NETWORK_ERROR = 23


@pytest.fixture
def recursive(make_resolver: MakeResolver) -> DnsResolver:
    """Give a resolver in recursive mode."""
    return make_resolver(mode=Mode.RECURSIVE, try_timeout=0.2)


def test_answers_come_from_the_resolver(dns: LoopbackDns, recursive: DnsResolver) -> None:
    """Values are found, through aliases too, and not marked authoritative; no authority is asked."""
    dns.put("a.example.com", "CNAME", "b.example.com")
    dns.put("b.example.com", "TXT", "text")
    answer = ask(recursive, "a.example.com")
    assert (answer.values, answer.server, answer.authoritative) == (("text",), "127.0.0.1", False)
    assert ask(recursive, "a.example.com", "CNAME").values == ("b.example.com",)
    assert not any(server.queries for server in dns.authorities)


def test_a_no_is_definite_and_names_the_zone(dns: LoopbackDns, recursive: DnsResolver) -> None:
    """NXDOMAIN and NODATA are told apart, with the zone from the SOA record."""
    dns.put("mail.example.com", "A", "192.0.2.1")
    absent, empty = ask(recursive, "absent.example.com"), ask(recursive, "mail.example.com")
    assert (absent.outcome, absent.zone) == (Outcome.NXDOMAIN, "example.com")
    assert (empty.outcome, empty.zone) == (Outcome.NODATA, "example.com")


@pytest.mark.parametrize(
    ("tamper", "outcome"),
    [
        (authority.silent, Outcome.TIMEOUT),
        (authority.failing(REFUSED), Outcome.REFUSED),
        (authority.failing(SERVFAIL), Outcome.SERVER_FAILURE),
        (authority.failing_because(NETWORK_ERROR), Outcome.SERVER_FAILURE),
        (authority.failing_because(DNSSEC_BOGUS), Outcome.DNSSEC_BOGUS),
    ],
)
def test_failures_are_told_apart(
    dns: LoopbackDns, recursive: DnsResolver, tamper: authority.Tamper, outcome: Outcome
) -> None:
    """A resolver's failure is unknown, with the cause where it gives one."""
    dns.recursive.tamper = tamper
    assert ask(recursive, "mail.example.com").outcome is outcome


@pytest.mark.parametrize("tamper", [authority.silent, authority.failing(SERVFAIL)])
def test_next_resolver_is_asked(
    dns: LoopbackDns, make_resolver: MakeResolver, tamper: authority.Tamper
) -> None:
    """Where the first resolver has no answer the second one's counts."""
    dns.put("mail.example.com", "TXT", "text")
    dns.authorities[0].tamper = tamper
    nameservers = tuple(Endpoint(address, dns.port) for address in ("127.0.0.2", "127.0.0.1"))
    resolver = make_resolver(mode=Mode.RECURSIVE, nameservers=nameservers, try_timeout=0.2)
    assert ask(resolver, "mail.example.com").server == "127.0.0.1"


def test_each_question_has_one_answer(recursive: DnsResolver) -> None:
    """There is no set of servers to agree: a confirmation is one answer of one."""
    (answers,) = recursive.resolve([Question("example.com", RecordType.TXT)], every_server=True)
    assert (len(answers.by_server), answers.servers) == (1, 0)


def test_signatures_that_do_not_validate_are_told_without_an_extended_error(
    dns: LoopbackDns, recursive: DnsResolver, resolver: DnsResolver
) -> None:
    """A resolver that has an answer, and hands it out only unchecked, has found it to be bogus."""
    dns.put("mail.example.com", "TXT", "text")

    def validate(query: bytes, reply: bytes) -> Sequence[bytes]:
        is_unchecked = query[3] & 0x10
        return [reply] if is_unchecked else authority.failing(SERVFAIL)(query, reply)

    dns.recursive.tamper = validate
    for each in (recursive, resolver):
        assert ask(each, "mail.example.com").outcome is Outcome.DNSSEC_BOGUS
    assert not any(server.queries for server in dns.authorities)


def test_a_resolver_that_fails_by_chance_rejects_nothing(dns: LoopbackDns, recursive: DnsResolver) -> None:
    """Its answer to an unchecked query alone says nothing: then it would answer any."""
    dns.put("mail.example.com", "TXT", "text")
    asked = []

    def fail_at_first(query: bytes, reply: bytes) -> Sequence[bytes]:
        asked.append(query)
        return authority.failing(SERVFAIL)(query, reply) if len(asked) <= 2 else [reply]

    dns.recursive.tamper = fail_at_first
    assert ask(recursive, "mail.example.com").outcome is Outcome.SERVER_FAILURE
