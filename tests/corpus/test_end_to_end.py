"""The corpus end to end: Knot serves the zones, and the DNS adapter asks for them.

Two processes of Knot have all zones of the corpus: one is the first and third
name server of each, the other the second and fourth. What Knot cannot show, a
silent or lame server, a recursive resolver that fails, is in pure Python.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import dnslib  # type: ignore[import-untyped]
import pytest

from service.dns import DnsConfig, DnsResolver, Endpoint
from tests.corpus import checking
from tests.corpus.internet import FAULTY, SOUND, Internet
from tests.corpus.situation import Fault, Recursion, Situation, every_situation
from tests.support import authority
from tests.support.authority import LoopbackDns, Tamper, Zones
from tests.support.dns_zone import REFUSED, SERVFAIL
from tests.support.knot import Knot

CORPUS = every_situation()
TRY_TIMEOUT = 0.4
BUDGET = 4.0
FORMERR, NOTAUTH = 1, 9
DATAGRAM = 1232


def refers_up(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Send the name servers of the root and no answer."""
    (plain,) = authority.failing(0)(query, reply)
    root = b"\0" + struct.pack("!HHIH", 2, 1, 60, 4) + b"\2ns\0"
    return [plain[:8] + b"\0\1" + plain[10:] + root]


def malformed(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Send a message that ends in the middle of a record."""
    return [reply[:-3]]


def without_tcp(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Send only what fits a datagram."""
    return [reply] if len(reply) < DATAGRAM else []


def without_edns(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Send FORMERR for a query with EDNS."""
    has_edns = query[10:12] != b"\0\0"
    return authority.failing(FORMERR)(query, reply) if has_edns else [reply]


TAMPERS: Mapping[Fault, Tamper] = {
    Fault.SILENT: authority.silent,
    Fault.SERVFAIL: authority.failing(SERVFAIL),
    Fault.REFUSED: authority.failing(REFUSED),
    Fault.NOTAUTH: authority.failing(NOTAUTH),
    Fault.NOT_AUTHORITATIVE: authority.not_authoritative,
    Fault.REFERS_UP: refers_up,
    Fault.MALFORMED: malformed,
    Fault.NO_TCP: without_tcp,
    Fault.NO_EDNS: without_edns,
}
DELAYS: Mapping[Fault, float] = {Fault.SLOW: TRY_TIMEOUT / 4, Fault.TOO_SLOW: TRY_TIMEOUT * 2}
RECURSION: Mapping[Recursion, Tamper] = {
    Recursion.SILENT: authority.silent,
    Recursion.SERVFAIL: authority.failing(SERVFAIL),
    Recursion.KNOWS_THE_WAY: authority.failing(SERVFAIL),
    Recursion.UNREACHABLE: authority.failing_because(22),
    Recursion.BOGUS: authority.failing_because(6),
    Recursion.SIGNATURE_EXPIRED: authority.failing_because(7),
}


@dataclass(frozen=True)
class Network:
    """Servers that stand for those of the whole internet."""

    dns: LoopbackDns

    def become(self, situation: Situation) -> None:
        """Let what is not Knot have the zones of a situation and no others."""
        internet = Internet(situation)
        *faulty, known = self.dns.authorities
        for server in faulty:
            _replace(server.zones, internet.served.get(server.address, Zones()))
        # Nobody is referred to it: the recursive resolver knows from it what stands in Knot.
        _replace(known.zones, internet.known, internet.hosts())
        self.dns.recursive.tamper = _resolver_tamper(internet)
        for each in (self.dns.recursive, *self.dns.authorities):
            each.changed()

    def resolver(self) -> DnsResolver:
        """Return the adapter, as it asks these servers."""
        return DnsResolver(
            DnsConfig(
                nameservers=(Endpoint(self.dns.recursive.address, self.dns.port),),
                allow_private=True,
                authority_port=self.dns.port,
                try_timeout=TRY_TIMEOUT,
                budget=BUDGET,
            )
        )


def _replace(zones: Zones, *sources: Zones) -> None:
    for zone in zones:
        zones.remove(zone.name)
    for source in sources:
        for zone in source:
            zones.add(zone)


def _resolver_tamper(internet: Internet) -> Tamper:
    def tamper(query: bytes, reply: bytes) -> Sequence[bytes]:
        asked = dnslib.DNSRecord.parse(query).q
        name = str(asked.qname).rstrip(".").lower()
        made = internet.recursion(name, dnslib.QTYPE.get(asked.qtype))
        return [reply] if made is Recursion.ANSWERS else RECURSION[made](query, reply)

    return tamper


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Give name servers at all addresses, with all zones of the corpus in Knot."""
    zones: dict[str, dict[str, str]] = {address: {} for address in SOUND}
    for situation in CORPUS:
        for file in Internet(situation).master_files():
            if file.address in zones:
                zones[file.address][file.zone or "."] = file.text
    with LoopbackDns(authorities=len(FAULTY) + 1) as dns:
        for fault, address in FAULTY.items():
            server = next(each for each in dns.authorities if each.address == address)
            server.tamper = TAMPERS.get(fault)
            server.delay = DELAYS.get(fault, 0.0)
        first, second, third, fourth = SOUND
        with (
            Knot(tmp_path_factory.mktemp("odd"), first, dns.port, also_at=[third]) as odd,
            Knot(tmp_path_factory.mktemp("even"), second, dns.port, also_at=[fourth]) as even,
        ):
            odd.put_zones(zones[third] | zones[first])
            even.put_zones(zones[fourth] | zones[second])
            yield Network(dns)


@pytest.mark.parametrize("situation", CORPUS, ids=lambda situation: situation.name)
def test_says_what_is_wrong_and_how_to_mend_it(network: Network, situation: Situation) -> None:
    """Real name servers and the real adapter give what the file wants, as the core by itself does."""
    network.become(situation)
    with closing(network.resolver()) as resolver:
        checked = checking.check(situation, resolver, requested=True)
    assert not (wrong := checking.differences(situation, checked)), "\n".join([situation.teaches, *wrong])
