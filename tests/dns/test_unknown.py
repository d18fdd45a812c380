"""What is not known is never mistaken for a "no"."""

import socket
import struct
import threading
from collections.abc import Callable, Sequence

import pytest

from service.core.answers import Outcome
from service.dns import DnsResolver, Endpoint, Mode
from tests.dns.conftest import MakeResolver, ask, ask_every
from tests.support import authority
from tests.support.authority import LoopbackDns, Tamper
from tests.support.dns_zone import REFUSED, SERVFAIL

NOTAUTH = 9
NXDOMAIN = 3


def break_everything(dns: LoopbackDns, tamper: Tamper) -> None:
    """Let all name servers misbehave, and the recursive resolver fail."""
    for server in dns.authorities:
        server.tamper = tamper


def malformed(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Send a message that ends in the middle of a record."""
    return [reply[:-3]]


def referring_to(owner: bytes) -> Tamper:
    """Refer to a zone that is not further down, as servers do that have lost the zone."""
    return lambda query, reply: referral(query, reply, owner)


def referral(query: bytes, reply: bytes, owner: bytes) -> Sequence[bytes]:
    """Send one NS record and no answer."""
    end = query.index(b"\0", 12) + 5
    nameserver = owner + struct.pack("!HHIH", 2, 1, 60, 4) + b"\2ns\0"
    return [reply[:2] + b"\x80\0" + struct.pack("!4H", 1, 0, 1, 0) + query[12:end] + nameserver]


def denied_from_above(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Deny the name with the authority of the root, as parking servers do for all they do not serve."""
    denial = denied(query, reply)
    soa = b"\0" + struct.pack("!HHIH", 6, 1, 60, 22) + bytes(22)
    return [denial[:8] + b"\0\1" + denial[10:] + soa]


@pytest.mark.parametrize(
    ("tamper", "outcome"),
    [
        (authority.silent, Outcome.TIMEOUT),
        (authority.failing(SERVFAIL), Outcome.SERVER_FAILURE),
        (malformed, Outcome.SERVER_FAILURE),
        (authority.failing(REFUSED), Outcome.REFUSED),
        (authority.failing(NOTAUTH), Outcome.LAME_DELEGATION),
        (authority.failing(NXDOMAIN), Outcome.LAME_DELEGATION),
        (authority.not_authoritative, Outcome.LAME_DELEGATION),
        (denied_from_above, Outcome.LAME_DELEGATION),
        (referring_to(b"\0"), Outcome.LAME_DELEGATION),
        (referring_to(b"\7example\3com\0"), Outcome.LAME_DELEGATION),
        (referring_to(b"\5other\7example\3com\0"), Outcome.LAME_DELEGATION),
    ],
)
def test_failures_are_told_apart(
    dns: LoopbackDns, hasty: DnsResolver, tamper: Tamper, outcome: Outcome
) -> None:
    """Each way not to answer has its outcome, from each server, where recursion fails as well."""
    dns.put("mail.example.com", "TXT", "there")
    ask(hasty, "mail.example.com")
    break_everything(dns, tamper)
    dns.recursive.tamper = authority.failing(SERVFAIL)
    heard = ask_every(hasty, "mail.example.com")
    assert [answer.outcome for answer in heard.values()] == [outcome, outcome]
    assert not any(answer.authoritative for answer in heard.values())


def test_recursion_stands_in_for_dead_authorities(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """Where no authority answers the recursive resolver does, and the answer says so."""
    dns.put("mail.example.com", "TXT", "there")
    break_everything(dns, authority.silent)
    answer = ask(hasty, "mail.example.com")
    assert (answer.values, answer.server, answer.authoritative) == (("there",), "127.0.0.1", False)


def test_authority_wins_over_recursion(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """A definite answer of an authority is final, whatever a recursive resolver would say."""
    dns.authorities[0].put("mail.example.com", "TXT", "stale")
    dns.authorities[1].put("mail.example.com", "TXT", "fresh")
    dns.authorities[0].tamper = authority.failing(REFUSED)
    assert {ask(resolver, "mail.example.com").values for _ in range(8)} == {("fresh",)}


def test_server_behind_an_alias_that_cannot_tell_is_named(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """Where an alias leads to a zone that nobody answers for, that zone and its server are told."""
    first, second = dns.authorities
    dns.add_zone("example.com", first)
    second.zones.remove("example.com")
    dns.add_zone("example.org", second)
    dns.put("mail.example.com", "CNAME", "www.example.org")
    for zone in ("example.com", "example.org"):
        assert ask(hasty, zone, "NS").authoritative
    second.tamper = authority.failing(REFUSED)
    dns.recursive.tamper = authority.failing(SERVFAIL)
    answer = ask(hasty, "mail.example.com")
    assert (answer.outcome, answer.question.name) == (Outcome.REFUSED, "mail.example.com")
    assert (answer.server, answer.zone) == ("ns2.example.org (127.0.0.3)", "example.org")


def test_failure_to_find_the_zone_is_unknown(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """Where the recursive resolver fails, nothing is known about the domain."""
    dns.recursive.tamper = authority.failing(SERVFAIL)
    assert ask(hasty, "mail.example.com").outcome is Outcome.SERVER_FAILURE


def test_lost_datagrams_are_sent_again(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """A server that loses the first query is asked once more in a confirmation."""
    dns.put("mail.example.com", "TXT", "there")
    lost = threading.Event()

    def lose_first(query: bytes, reply: bytes) -> Sequence[bytes]:
        if lost.is_set():
            return [reply]
        lost.set()
        return ()

    dns.authorities[0].tamper = lose_first
    assert {answer.outcome for answer in ask_every(hasty, "mail.example.com").values()} == {Outcome.FOUND}


def test_server_without_edns_is_asked_plainly(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """FORMERR for EDNS is no failure: old servers are asked again without it."""
    dns.put("mail.example.com", "TXT", "there")

    def know_no_edns(query: bytes, reply: bytes) -> Sequence[bytes]:
        has_edns = query[10:12] != b"\0\0"
        return authority.failing(1)(query, reply) if has_edns else [reply]

    break_everything(dns, know_no_edns)
    assert ask(resolver, "mail.example.com").authoritative


def other_id(query: bytes, reply: bytes) -> bytes:
    """Deny the name under an id that was not sent."""
    return bytes([query[0] ^ 1]) + denied(query, reply)[1:]


def other_question(query: bytes, reply: bytes) -> bytes:
    """Deny another name under the id that was sent."""
    return denied(query.replace(b"\x04mail", b"\x04evil"), reply)


def denied(query: bytes, reply: bytes) -> bytes:
    """Deny the name, with authority."""
    (denial,) = authority.failing(NXDOMAIN)(query, reply)
    return denial[:2] + bytes([denial[2] | 4]) + denial[3:]


@pytest.mark.parametrize("forged", [other_id, other_question, lambda *_: b"", lambda query, _: query])
def test_messages_that_answer_something_else_are_ignored(
    dns: LoopbackDns, resolver: DnsResolver, forged: Callable[[bytes, bytes], bytes]
) -> None:
    """A message with another id or question, or none at all, is passed over; the answer still counts."""
    dns.put("mail.example.com", "TXT", "genuine")
    break_everything(dns, lambda query, reply: [forged(query, reply), reply])
    assert ask(resolver, "mail.example.com").values == ("genuine",)


def test_messages_from_elsewhere_are_ignored(make_resolver: MakeResolver) -> None:
    """A forger who knows id, question and port, but has another address, is not heard."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger,
    ):
        server.bind(("127.0.0.1", 0))
        forger.bind(("127.0.0.9", 0))

        def serve() -> None:
            query, client = server.recvfrom(4096)
            forger.sendto(denied(query, query), client)
            server.sendto(b"".join(authority.failing(REFUSED)(query, query)), client)

        serving = threading.Thread(target=serve)
        serving.start()
        nameserver = Endpoint(*server.getsockname())
        resolver = make_resolver(mode=Mode.RECURSIVE, nameservers=(nameserver,), try_timeout=0.5, budget=1)
        assert ask(resolver, "mail.example.com").outcome is Outcome.REFUSED
        serving.join()


def test_rest_that_does_not_come_over_tcp_is_a_timeout(dns: LoopbackDns, hasty: DnsResolver) -> None:
    """A truncated answer alone says nothing."""
    dns.put("mail.example.com", "TXT", "x" * 3000)
    ask(hasty, "example.com", "NS")
    dns.recursive.tamper = authority.failing(SERVFAIL)
    break_everything(dns, lambda _, reply: [reply] if len(reply) < 1232 else [])
    assert ask(hasty, "mail.example.com").outcome is Outcome.TIMEOUT


def test_truncation_may_leave_out_the_question(dns: LoopbackDns, resolver: DnsResolver) -> None:
    """Some servers send only a header where they truncate; the rest is fetched all the same."""
    dns.put("mail.example.com", "TXT", "x" * 3000)
    bare = b"\x86\0" + bytes(8)
    break_everything(dns, lambda query, reply: [query[:2] + bare] if len(reply) < 1232 else [reply])
    assert ask(resolver, "mail.example.com").values == ("x" * 3000,)


def test_port_where_nobody_listens_is_a_timeout(make_resolver: MakeResolver) -> None:
    """A datagram that nobody takes is not answered, and nothing is known."""
    resolver = make_resolver(mode=Mode.RECURSIVE, nameservers=(Endpoint("127.0.0.1", 1),), try_timeout=0.1)
    assert ask(resolver, "mail.example.com").outcome is Outcome.TIMEOUT


def test_any_spelling_of_an_address_is_heard(make_resolver: MakeResolver) -> None:
    """An IPv6 address has many, and replies come from one of them."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::1", 0))

        def serve() -> None:
            query, client = server.recvfrom(4096)
            server.sendto(b"".join(authority.failing(REFUSED)(query, query)), client)

        serving = threading.Thread(target=serve)
        serving.start()
        nameserver = Endpoint("0:0:0::0:01", server.getsockname()[1])
        resolver = make_resolver(mode=Mode.RECURSIVE, nameservers=(nameserver,), try_timeout=0.5, budget=1)
        assert ask(resolver, "mail.example.com").outcome is Outcome.REFUSED
        serving.join()
