"""What a hostile or broken zone may cost is bounded."""

import struct
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue

import pytest

from service.core.answers import Answers, Outcome, Question, RecordType
from service.dns import DnsConfig, DnsResolver, Endpoint, Mode
from service.dns.addresses import is_public
from service.ports import LookUp
from tests.dns.conftest import MakeResolver, ask, ask_every
from tests.support.authority import LoopbackDns, silent
from tests.support.waiting import until

SLACK = 1.0
"""Seconds that a busy machine may take besides."""


def look_up(resolver: DnsResolver, name: str, *, end: float) -> Answers:
    """Ask one question that must be answered by then."""
    inbox: SimpleQueue[Sequence[Answers] | Exception] = SimpleQueue()
    asked = LookUp([Question(name, RecordType.TXT)], every_server=False, until=end)
    resolver.start([asked], lambda complete: inbox.put(complete[0][1]))
    result = inbox.get(timeout=10)
    assert not isinstance(result, Exception)
    return result[0]


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


def test_look_up_is_complete_when_it_says(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """One that follows another for the same check has what time is left, and none once that is spent."""
    resolver = make_resolver(try_timeout=5.0, budget=20.0)
    for server in (dns.recursive, *dns.authorities):
        server.tamper = silent
    for seconds in (0.3, 0.0, -1.0):
        began = time.monotonic()
        answers = look_up(resolver, "mail.example.com", end=began + seconds)
        assert time.monotonic() - began < 0.3 + SLACK
        assert [answer.outcome for answer in answers.by_server] == [Outcome.TIMEOUT]


def test_whoever_has_no_time_left_spoils_no_search_for_others(
    dns: LoopbackDns, make_resolver: MakeResolver
) -> None:
    """A zone that was not looked for is not one that was not found."""
    resolver = make_resolver()
    late = look_up(resolver, "mail.example.com", end=time.monotonic())
    assert late.by_server[0].outcome is Outcome.TIMEOUT
    assert ask(resolver, "mail.example.com").authoritative


def no_rest(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Truncate over UDP, where the answer is too long, and send nothing over TCP."""
    return [reply] if len(reply) < 1232 or b"\x08innocent" in query else []


def test_connections_are_few(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """However many answers are truncated: a process has not many descriptors."""
    resolver = make_resolver(try_timeout=10.0, budget=20.0, connections=2)
    ask_every(resolver, "example.com")
    names = [f"n{number}.example.com" for number in range(20)]
    for name in names:
        dns.put(name, "TXT", "x" * 3000)
    for server in dns.authorities:
        server.tamper = no_rest
        server.queries.clear()
    hostile = [LookUp([Question(name, RecordType.TXT)], every_server=True) for name in names]
    resolver.start(hostile, lambda _: None)
    datagrams = len(names) * len(dns.authorities)
    until(lambda: sum(server.queries.total() for server in dns.authorities) >= datagrams + 2)
    assert sum(server.tcp_connections for server in dns.authorities) == 2


def test_one_look_up_leaves_connections_to_others(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """A zone that is silent over TCP has only its own answers wait."""
    resolver = make_resolver(try_timeout=1.0, budget=2.0, connections=5)
    ask(resolver, "example.com")
    names = [f"n{number}.example.com" for number in range(20)]
    for name in (*names, "innocent.example.com"):
        dns.put(name, "TXT", "x" * 3000)
    for server in dns.authorities:
        server.tamper = no_rest
    hostile = LookUp([Question(name, RecordType.TXT) for name in names], every_server=False)
    resolver.start([hostile], lambda _: None)
    until(lambda: sum(server.tcp_connections for server in dns.authorities) >= 4)
    began = time.monotonic()
    assert ask(resolver, "innocent.example.com").authoritative
    assert time.monotonic() - began < 0.8


def test_one_look_up_leaves_the_recursive_resolver_to_others(
    dns: LoopbackDns, make_resolver: MakeResolver
) -> None:
    """Whoever makes us ask a hundred questions, none of which is answered, has them wait in line."""
    dns.put("mail.example.com", "TXT", "text")
    dns.recursive.tamper = lambda query, reply: [] if b"\7hostile" in query else [reply]
    resolver = make_resolver(mode=Mode.RECURSIVE, try_timeout=4, budget=12, in_flight=16)
    names = [f"n{number}.hostile.example" for number in range(100)]
    hostile = LookUp([Question(name, RecordType.TXT) for name in names], every_server=False)
    resolver.start([hostile], lambda _: None)
    until(lambda: dns.recursive.queries)
    began = time.monotonic()
    assert ask(resolver, "mail.example.com").values == ("text",)
    assert time.monotonic() - began < 2  # nobody has made room by giving up
    assert len(dns.recursive.queries) <= 1 + 8


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


def test_many_questions_that_wait_for_a_silent_server_end_with_it(
    dns: LoopbackDns, make_resolver: MakeResolver
) -> None:
    """However many are in line when it begins to cool down: and the resolver goes on."""
    dns.put("mail.example.com", "TXT", "text")
    resolver = make_resolver(try_timeout=0.5, in_flight_per_server=16)
    ask(resolver, "mail.example.com")
    for server in dns.authorities:
        server.tamper = silent
    questions = [Question(f"n{number}.example.com", RecordType.TXT) for number in range(800)]
    assert len(resolver.resolve(questions, every_server=False)) == len(questions)
    assert sum(server.queries.total() for server in dns.authorities) < 200
    assert ask(resolver, "mail.example.com").values == ("text",)


def test_a_zone_that_a_server_passes_over_takes_it_from_no_other(
    dns: LoopbackDns, make_resolver: MakeResolver
) -> None:
    """Whoever delegates his zone to the servers of others, which stay silent about it, hurts only himself."""
    dns.put("mail.example.com", "TXT", "text")
    dns.add_zone("rival.example")
    for server in dns.authorities:
        server.tamper = lambda query, reply: [] if b"\5rival" in query else [reply]
    resolver = make_resolver(try_timeout=0.05, cool_down_after=3, cool_down=60)
    ask_every(resolver, "mail.example.com")
    questions = [Question(f"n{number}.rival.example", RecordType.TXT) for number in range(20)]
    for _ in range(2):
        resolver.resolve(questions, every_server=True)
    answers = ask_every(resolver, "mail.example.com")
    assert all(answer.authoritative for answer in answers.values())
    for server in dns.authorities:
        server.queries.clear()
    ask_every(resolver, "other.rival.example")
    assert not any(server.queries for server in dns.authorities)


def test_questions_that_cannot_be_asked_are_no_fault_of_the_server(
    dns: LoopbackDns, make_resolver: MakeResolver
) -> None:
    """A name that no message can hold counts for nothing against whoever would have been asked."""
    dns.put("mail.example.com", "TXT", "text")
    resolver = make_resolver(cool_down_after=1, cool_down=60)
    ask(resolver, "mail.example.com")
    too_long = ".".join(["x" * 60] * 4) + ".mail.example.com"
    assert all(answer.outcome is Outcome.NXDOMAIN for answer in [ask(resolver, too_long) for _ in range(4)])
    assert ask(resolver, "mail.example.com").authoritative


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


def test_a_loop_of_aliases_costs_few_questions(dns: LoopbackDns, make_resolver: MakeResolver) -> None:
    """Hops are bounded, and a recursive resolver is asked once for all of them."""
    dns.put("there.example.com", "CNAME", "back.example.com")
    dns.put("back.example.com", "CNAME", "there.example.com")

    def one_hop(query: bytes, reply: bytes) -> Sequence[bytes]:
        target = b"\x04back\xc0" if b"\x05there" in query else b"\x05there\xc0"
        value = target + bytes([12 + 1 + query[12]])
        alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, len(value)) + value
        end = query.index(b"\0", 12) + 5
        return [query[:2] + b"\x84\0" + struct.pack("!4H", 1, 1, 0, 0) + query[12:end] + alias]

    resolver = make_resolver()
    ask(resolver, "example.com", "NS")
    for server in dns.authorities:
        server.tamper = one_hop
        server.queries.clear()
    dns.recursive.queries.clear()
    answers = ask_every(resolver, "there.example.com")
    assert {answer.outcome for answer in answers.values()} == {Outcome.SERVER_FAILURE}
    assert sum(server.queries.total() for server in dns.authorities) <= 12
    # Two tries, and one more to see whether it is the signatures that it rejects.
    assert dns.recursive.queries.total() <= 4


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


@pytest.mark.parametrize("every_server", [False, True])
def test_nobody_waits_for_a_closed_resolver(
    dns: LoopbackDns, make_resolver: MakeResolver, every_server: bool
) -> None:
    """What was under way fails, with a fault of ours: whoever waits for it ends as well."""
    resolver = make_resolver(try_timeout=60.0, budget=120.0)
    ask_every(resolver, "example.com")
    for server in dns.authorities:
        server.tamper = silent
        server.queries.clear()
    questions = [Question(f"n{number}.example.com", RecordType.TXT) for number in range(3)]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(resolver.resolve, questions, every_server=every_server)
        until(lambda: sum(server.queries.total() for server in dns.authorities) >= len(questions))
        resolver.close()
        with pytest.raises(RuntimeError):
            waiting.result(timeout=5)


def test_look_ups_that_were_not_begun_end_with_the_resolver(
    dns: LoopbackDns, make_resolver: MakeResolver
) -> None:
    """Of many that were handed in together each fails once, and nothing is sent for it any more."""
    resolver = make_resolver(try_timeout=60.0, budget=120.0)
    ask_every(resolver, "example.com")
    for server in dns.authorities:
        server.tamper = silent
        server.queries.clear()
    ended: list[tuple[int, Sequence[Answers] | Exception]] = []
    names = [f"n{number}.example.com" for number in range(200)]
    resolver.start(
        [LookUp([Question(name, RecordType.TXT)], every_server=False) for name in names], ended.extend
    )
    resolver.close()
    assert sorted(number for number, _ in ended) == list(range(200))
    assert all(isinstance(result, RuntimeError) for _, result in ended)
    assert sum(server.queries.total() for server in dns.authorities) < 200
