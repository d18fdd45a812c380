"""Servers on loopback, and resolvers that ask them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from service.core.answers import Answer, Question, RecordType
from service.dns import DnsConfig, DnsResolver, Endpoint
from tests.support.authority import LoopbackDns

MakeResolver = Callable[..., DnsResolver]


@pytest.fixture
def dns() -> Iterator[LoopbackDns]:
    """Give a recursive resolver and two name servers that share the zone example.com."""
    with LoopbackDns() as servers:
        servers.add_zone("example.com")
        yield servers


@pytest.fixture
def make_resolver(dns: LoopbackDns) -> Iterator[MakeResolver]:
    """Give a function that makes resolvers of these servers, with `changes` to their settings."""
    with ExitStack() as stack:

        def make(**changes: Any) -> DnsResolver:
            settings: dict[str, Any] = {
                "nameservers": (Endpoint("127.0.0.1", dns.port),),
                "allow_private": True,
                "authority_port": dns.port,
            }
            return stack.enter_context(closing(DnsResolver(DnsConfig(**settings | changes))))

        yield make


@pytest.fixture
def resolver(make_resolver: MakeResolver) -> DnsResolver:
    """Give a resolver in authoritative mode that has learnt nothing yet."""
    return make_resolver()


@pytest.fixture
def hasty(make_resolver: MakeResolver) -> DnsResolver:
    """Give a resolver that waits for nobody longer than a fifth of a second."""
    return make_resolver(try_timeout=0.2, budget=2.0)


def ask(resolver: DnsResolver, name: str, rdtype: str = "TXT") -> Answer:
    """Ask one question of one server."""
    (answers,) = resolver.resolve([Question(name, RecordType(rdtype))], every_server=False)
    (answer,) = answers.by_server
    return answer


def ask_every(resolver: DnsResolver, name: str, rdtype: str = "TXT") -> dict[str, Answer]:
    """Ask one question of every server; return the answers by server."""
    (answers,) = resolver.resolve([Question(name, RecordType(rdtype))], every_server=True)
    # One answer of a recursive resolver may stand for all.
    assert len(answers.by_server) in {1, answers.servers}
    return {answer.server: answer for answer in answers.by_server}
