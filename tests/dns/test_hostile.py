"""Each way in which a zone may try to hurt costs no more than it may: time, queries and octets."""

import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count

import pytest

from service.core.answers import Outcome, Question, RecordType
from service.dns import DnsResolver
from tests.support import hostile
from tests.support.farm import RESOLVER, SERVERS, Farm, Publication, Traffic
from tests.support.hostile import Kind
from tests.support.sites import ZonePlan

PACE = 0.2
"""How long is waited for anything, against the defaults: 0.2 s for an answer, 1.6 s altogether."""
LATE = 0.9 * PACE
SLACK = 3.0
"""Seconds that a busy machine may take besides, also to read some megabytes."""
UNKNOWN = {Outcome.TIMEOUT, Outcome.SERVER_FAILURE, Outcome.LAME_DELEGATION}
SERVERS_LOOKED_AT, TRIES, SENDS, TARGETS, HOPS = 13, 2, 3, 3, 8
"""Of one question; a datagram that gets no answer is sent again."""
OWN_SERVERS = 2
"""Of the zones whose servers say anything at all."""
LARGEST_MESSAGE = 65_537
ORDINARY = Question("mail.ordinary.example", RecordType.TXT)

_numbers = count()


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    """Give name servers with one ordinary zone."""
    with Farm(1) as farm:
        farm.add([ZonePlan("ordinary.example", SERVERS[:3])])
        record = (ORDINARY.name, ORDINARY.type.value, "text")
        farm.publish({"ordinary.example": Publication([record], [0.0] * 3)})
        yield farm


@pytest.fixture
def resolver(farm: Farm) -> Iterator[DnsResolver]:
    """Give a resolver that has learnt nothing yet."""
    with closing(DnsResolver(farm.config(pace=PACE))) as resolver:
        yield resolver


def questions(farm: Farm, kind: Kind) -> list[Question]:
    """Add a zone of a kind, at addresses of its own, and return what a check of a domain in it asks."""
    plans = hostile.plans(kind, next(_numbers), delay=LATE)
    farm.add(plans)
    name = f"mail.{plans[0].name}"
    return [
        *(Question(f"token{number}._domainkey.{name}", RecordType.CNAME) for number in range(3)),
        Question(name, RecordType.MX),
        Question(name, RecordType.TXT),
        Question(f"_dmarc.{plans[0].name}", RecordType.TXT),
    ]


def spent(before: dict[str, Traffic], after: dict[str, Traffic]) -> tuple[Traffic, Traffic]:
    """Return what went through the resolver and through all name servers meanwhile."""
    sums = Traffic(), Traffic()
    for address, traffic in after.items():
        total, earlier = sums[address != RESOLVER], before.get(address, Traffic())
        total.queries += traffic.queries - earlier.queries
        total.connections += traffic.connections - earlier.connections
        total.octets += traffic.octets - earlier.octets
    return sums


@pytest.mark.parametrize("every_server", [False, True])
@pytest.mark.parametrize("kind", Kind)
def test_cost_of_a_hostile_zone_is_bounded(
    farm: Farm, resolver: DnsResolver, kind: Kind, every_server: bool
) -> None:
    """One check ends within its budget, after a bounded number of queries and octets."""
    asked = questions(farm, kind)
    before, began = farm.traffic(), time.monotonic()
    resolver.resolve(asked, every_server=every_server)
    took = time.monotonic() - began
    by_resolver, by_servers = spent(before, farm.traffic())
    assert took < 8 * PACE + SLACK
    assert by_servers.queries <= SERVERS_LOOKED_AT * TRIES * SENDS * len(asked)
    assert by_servers.octets <= LARGEST_MESSAGE * OWN_SERVERS * TRIES * len(asked)
    # Addresses of each server, in two families; and what no server tells, at each hop of an alias.
    assert by_resolver.queries <= TRIES * SENDS * (2 * SERVERS_LOOKED_AT + TARGETS * HOPS * len(asked))


@pytest.mark.parametrize("every_server", [False, True])
@pytest.mark.parametrize(
    "kind", sorted(set(Kind) - {Kind.LARGE, Kind.SLOW, Kind.ALIAS_LOOP, Kind.ALIAS_CHAIN})
)
def test_hostile_zone_is_unknown(farm: Farm, resolver: DnsResolver, kind: Kind, every_server: bool) -> None:
    """What comes too late, or never to the point, says nothing about the records."""
    for answers in resolver.resolve(questions(farm, kind), every_server=every_server):
        assert {answer.outcome for answer in answers.by_server} <= UNKNOWN


@pytest.mark.parametrize("kind", [Kind.ALIAS_LOOP, Kind.ALIAS_CHAIN])
def test_endless_aliases_are_unknown(farm: Farm, resolver: DnsResolver, kind: Kind) -> None:
    """Whatever is asked for at their end; the alias itself stands where it stands."""
    for answers in resolver.resolve(questions(farm, kind), every_server=True):
        is_alias = answers.question.type is RecordType.CNAME
        expected = {Outcome.FOUND} if is_alias else {Outcome.SERVER_FAILURE}
        assert {answer.outcome for answer in answers.by_server} == expected


def test_slow_zone_is_read_all_the_same(farm: Farm, resolver: DnsResolver) -> None:
    """An answer that comes just in time counts like any other."""
    for answers in resolver.resolve(questions(farm, Kind.SLOW), every_server=True):
        assert {answer.outcome for answer in answers.by_server} == {Outcome.NXDOMAIN}


def test_large_answer_is_kept_in_part(farm: Farm, resolver: DnsResolver) -> None:
    """Of 64 KB of records only as many are kept as somebody could want to see."""
    for answers in resolver.resolve(questions(farm, Kind.LARGE), every_server=True):
        assert max(len(answer.values) for answer in answers.by_server) <= 64


def test_hostile_zones_hold_up_nobody(farm: Farm, resolver: DnsResolver) -> None:
    """While a check of each kind runs, an ordinary question is answered as ever."""

    def hurt(asked: Sequence[Question]) -> None:
        resolver.resolve(asked, every_server=True)

    resolver.resolve([ORDINARY], every_server=True)
    kinds = [questions(farm, kind) for kind in Kind if kind is not Kind.LARGE]
    with ThreadPoolExecutor(len(kinds)) as pool:
        running = [pool.submit(hurt, asked) for asked in kinds]
        waits = []
        while not all(done.done() for done in running):
            began = time.monotonic()
            (answers,) = resolver.resolve([ORDINARY], every_server=True)
            waits.append(time.monotonic() - began)
            assert {answer.values for answer in answers.by_server} == {("text",)}
    assert statistics.median(waits) < 0.1 * PACE
