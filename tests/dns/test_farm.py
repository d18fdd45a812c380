"""The name servers in a process of their own do what load tests take for granted."""

import time
from collections.abc import Iterator
from contextlib import closing

import dns.message
import dns.rcode
import pytest

from service.core.answers import Outcome, Question, RecordType
from service.dns import DnsResolver
from tests.dns.conftest import ask_every
from tests.support.dns_octets import read_query, truncated, write_reply
from tests.support.dns_zone import NXDOMAIN, Lookup, Record
from tests.support.farm import SERVERS, Farm, Faults, Publication
from tests.support.sites import NEVER, ZonePlan
from tests.support.waiting import until

ZONE, NAME = "farm.example", "mail.farm.example"
LAME = 2


@pytest.fixture
def farm() -> Iterator[Farm]:
    """Give a zone on three servers, of which the last does not serve it."""
    with Farm() as farm:
        farm.add([ZonePlan(ZONE, SERVERS[:3], lame=LAME)])
        yield farm


@pytest.fixture
def resolver(farm: Farm) -> Iterator[DnsResolver]:
    """Give a resolver that asks there and waits for nobody long."""
    with closing(DnsResolver(farm.config(pace=0.1))) as resolver:
        yield resolver


def outcomes(resolver: DnsResolver) -> list[Outcome]:
    """Return what each server of the zone says of the name, in order."""
    return [answer.outcome for _, answer in sorted(ask_every(resolver, NAME).items())]


def test_each_server_has_the_records_from_its_own_time_on(farm: Farm, resolver: DnsResolver) -> None:
    """Not before it, and on no other server than that; a lame one never says anything."""
    soon = time.time() + 0.5
    farm.publish({ZONE: Publication([(NAME, "TXT", "text")], (soon, NEVER, 0.0))})
    first, second, lame = outcomes(resolver)
    assert (first, second) == (Outcome.NXDOMAIN, Outcome.NXDOMAIN)
    assert not lame.is_definite
    until(lambda: outcomes(resolver)[0] is Outcome.FOUND)
    assert time.time() >= soon
    assert outcomes(resolver)[1:] == [second, lame]


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [(Faults(dropped=1, failing=0), Outcome.TIMEOUT), (Faults(dropped=0, failing=1), Outcome.SERVER_FAILURE)],
)
def test_faults_are_those_that_were_asked_for(
    farm: Farm, resolver: DnsResolver, faults: Faults, outcome: Outcome
) -> None:
    """Of every server and the resolver too, until they are taken back."""
    farm.publish({ZONE: Publication([(NAME, "TXT", "text")], (0.0, 0.0, 0.0))})
    assert outcomes(resolver)[:LAME] == [Outcome.FOUND] * LAME
    farm.fault(faults)
    (answers,) = resolver.resolve([Question(NAME, RecordType.TXT)], every_server=True)
    assert {answer.outcome for answer in answers.by_server} == {outcome}
    farm.fault(None)
    until(lambda: outcomes(resolver)[:LAME] == [Outcome.FOUND] * LAME)


def test_messages_are_read_as_they_were_meant() -> None:
    """By dnspython, which did not write them: every type, all sections, and what does not fit."""
    values = {
        "A": "192.0.2.1",
        "AAAA": "2001:db8::1",
        "NS": "ns.example.net.",
        "CNAME": "target.example.net.",
        "SOA": "ns. hostmaster. 1 2 3 4 5",
        "MX": "10 mx.example.net.",
        "TXT": "x" * 300,
    }
    query = read_query(dns.message.make_query("Mail.Example.com", "MX", use_edns=0, payload=1232).to_wire())
    assert (query.name, query.type, query.room) == ("mail.example.com", "MX", 1232)
    everything = [Record(query.name, kind, value) for kind, value in values.items()]
    found = Lookup(NXDOMAIN, answer=everything, authority=everything[:1], additional=everything[1:2])
    reply = write_reply(query, found, recursive=False)
    read = dns.message.from_wire(reply)
    assert read.rcode() == dns.rcode.NXDOMAIN
    assert {str(rrset[0]).replace('"', "").replace(" ", "") for rrset in read.answer} == {
        value.replace(" ", "") for value in values.values()
    }
    assert [len(section) for section in (read.authority, read.additional)] == [1, 1]
    cut = dns.message.from_wire(truncated(query, reply))
    assert cut.flags & dns.flags.TC
    assert cut.answer == []
