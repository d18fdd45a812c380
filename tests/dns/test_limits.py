"""What a hostile or broken zone may cost is bounded."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from service.core.answers import Outcome, Question, RecordType
from service.dns import DnsConfig, DnsResolver, Endpoint
from service.dns.addresses import is_public
from tests.dns.conftest import MakeResolver, ask, ask_every
from tests.support.authority import LoopbackDns, silent

SLACK = 1.0
"""Seconds that a busy machine may take besides."""


@pytest.mark.parametrize("every_server", [False, True])
def test_budget_is_kept_when_everyone_is_silent(
    dns: LoopbackDns, make_resolver: MakeResolver, every_server: bool
) -> None:
    """A call returns within its budget, with unknown outcomes, whatever the servers do."""
    resolver = make_resolver(try_timeout=0.3, budget=0.8)
    for server in (dns.recursive, *dns.authorities):
        server.tamper = silent
    questions = [Question(f"n{number}.example.com", RecordType.TXT) for number in range(200)]
    began = time.monotonic()
    results = resolver.resolve(questions, every_server=every_server)
    assert time.monotonic() - began < 0.8 + SLACK
    assert {answer.outcome for result in results for answer in result.by_server} == {Outcome.TIMEOUT}


def test_budget_is_kept_when_authorities_fall_silent(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """A share of the budget is kept for the recursive resolver, even with many questions in line."""
    resolver = make_resolver(try_timeout=0.2, budget=2.0, cool_down_after=1000, in_flight_per_server=4)
    ask(resolver, "example.com")
    for server in dns.authorities:
        server.tamper = silent
    questions = [Question(f"n{number}.example.com", RecordType.TXT) for number in range(100)]
    began = time.monotonic()
    results = resolver.resolve(questions, every_server=True)
    assert time.monotonic() - began < 2.0 + SLACK
    assert {answer.outcome for result in results for answer in result.by_server} == {Outcome.NXDOMAIN}


def test_silent_server_is_left_alone_for_a_while(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """After some timeouts in a row an address gets no more queries until it has cooled down."""
    resolver = make_resolver(try_timeout=0.05, cool_down_after=3, cool_down=60)
    ask(resolver, "example.com")
    for server in dns.authorities:
        server.tamper = silent
        server.queries.clear()
    for number in range(20):
        ask(resolver, f"n{number}.example.com")
    # Three tries, in each of which a datagram is sent three times, after some that were sent once.
    assert all(9 <= server.queries.total() <= 15 for server in dns.authorities)


def test_silent_server_is_tried_by_one_question_at_a_time(
    dns: LoopbackDns, make_resolver: MakeResolver
) -> None:
    """After the cool-down one query goes out to see whether the server is back, not all that wait."""
    resolver = make_resolver(try_timeout=0.05, cool_down_after=1, cool_down=0.0)
    ask(resolver, "example.com")
    for server in dns.authorities:
        server.tamper = silent
    ask(resolver, "mail.example.com")
    for server in dns.authorities:
        server.queries.clear()
    questions = [Question(f"n{number}.example.com", RecordType.TXT) for number in range(20)]
    resolver.resolve(questions, every_server=False)
    assert sum(server.queries.total() for server in dns.authorities) <= 6 * 3


def test_server_that_answers_again_is_trusted_again(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """After the cool-down one answer is enough."""
    resolver = make_resolver(try_timeout=0.05, cool_down_after=1, cool_down=0.0)
    dns.put("mail.example.com", "TXT", "text")
    for server in dns.authorities:
        server.tamper = silent
    assert not ask(resolver, "mail.example.com").authoritative
    for server in dns.authorities:
        server.tamper = None
    for _ in dns.authorities * 8:
        ask(resolver, "mail.example.com")
    questions = [Question("mail.example.com", RecordType.TXT)] * 20
    results = resolver.resolve(questions, every_server=True)
    assert all(answer.authoritative for result in results for answer in result.by_server)


def test_disagreeing_aliases_are_not_all_followed() -> None:
    """Servers that each name another target cannot make us ask for all of them."""
    with LoopbackDns(authorities=6) as dns:
        dns.add_zone("example.com")
        for number, server in enumerate(dns.authorities):
            dns.add_zone(f"target{number}.example", server)
            server.put("mail.example.com", "CNAME", f"target{number}.example")
        config = DnsConfig(
            nameservers=(Endpoint("127.0.0.1", dns.port),), allow_private=True, authority_port=dns.port
        )
        with closing(DnsResolver(config)) as resolver:
            outcomes = Counter(answer.outcome for answer in ask_every(resolver, "mail.example.com").values())
    assert outcomes == {Outcome.NODATA: 3, Outcome.SERVER_FAILURE: 3}


def test_private_name_servers_are_not_asked(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """Whoever owns a zone cannot point us at our own network; the recursive resolver answers instead."""
    resolver = make_resolver(allow_private=False)
    dns.put("mail.example.com", "TXT", "text")
    answer = ask(resolver, "mail.example.com")
    assert (answer.values, answer.authoritative) == (("text",), False)
    assert not any(server.queries for server in dns.authorities)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "203.0.114.1"])
def test_public_addresses_may_be_asked(address: str) -> None:
    """Global unicast is where name servers are."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.0.2.1"),
        *("192.168.1.1", "198.18.0.1", "224.0.0.1", "233.252.0.1", "240.0.0.1", "255.255.255.255"),
        *(
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "fc00::1",
            "fe80::1",
            "ff0e::1",
        ),
        *("2001:db8::1", "2002:7f00:1::1", "2001:0:7f00:1::1", "fec0::1"),
    ],
)
def test_special_addresses_may_not_be_asked(address: str) -> None:
    """Loopback, private, link-local, shared, multicast, documentation and mapped addresses are refused."""
    assert not is_public(address)


def test_threads_share_one_resolver(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """Calls from several threads at once each get their own answers, and zones are found once."""
    for number in range(40):
        dns.put(f"n{number}.example.com", "TXT", str(number))

    def check(number: int) -> bool:
        return ask(resolver, f"n{number % 40}.example.com").values == (str(number % 40),)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(check, range(400)))
    assert dns.recursive.queries[("example.com", "NS")] <= 16


def test_errors_of_ours_are_raised(resolver: DnsResolver) -> None:
    """An exception means that we failed: a question that is none is not an unknown answer."""
    with pytest.raises(AttributeError):
        resolver.resolve([None], every_server=False)  # type: ignore[list-item]


def test_closing_twice_is_harmless(resolver: DnsResolver) -> None:
    """A resolver may be closed more than once."""
    resolver.close()
    resolver.close()
