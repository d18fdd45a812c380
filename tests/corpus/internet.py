"""Everything that name servers say in one situation, held in memory.

The zones are those of the situation and the common ones, with what connects
them: SOA, NS and address records, and the delegation of each zone in the one
above it. The root delegates those of all situations, so that there is only one.
A name server's address tells what is wrong with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import dns.rdata
import dns.rdatatype
import dns.zone
from dns.rdtypes.ANY.TXT import TXT

from tests.corpus.situation import Fault, Recursion, Situation, ZoneFile, common_zones, every_situation
from tests.support.authority import Zones
from tests.support.dns_zone import Zone

SOUND = ("127.0.0.101", "127.0.0.102", "127.0.0.103", "127.0.0.104")
"""Where the first name server of a zone listens, the second, and so on, if nothing is wrong with them."""
FAULTY: Mapping[Fault, str] = {
    Fault.SILENT: "127.0.0.2",
    Fault.TOO_SLOW: "127.0.0.3",
    Fault.SLOW: "127.0.0.4",
    Fault.SERVFAIL: "127.0.0.5",
    Fault.REFUSED: "127.0.0.6",
    Fault.NOTAUTH: "127.0.0.7",
    Fault.NOT_AUTHORITATIVE: "127.0.0.8",
    Fault.REFERS_UP: "127.0.0.9",
    Fault.MALFORMED: "127.0.0.10",
    Fault.NO_TCP: "127.0.0.11",
    Fault.NO_EDNS: "127.0.0.12",
}
"""Where name servers with a fault listen."""

_MAX_HOPS = 8


@dataclass(frozen=True)
class MasterFile:
    """The text of a zone, and the address where it is served."""

    zone: str
    address: str
    text: str


class Internet:
    """The zones of a situation."""

    def __init__(self, situation: Situation) -> None:
        """Connect them."""
        self._zones = (*situation.zones, *common_zones())
        self._addresses = dict(pair for zone in self._zones for pair in addresses(zone))
        self.known = Zones()
        """Every zone as its first name server has it: what a recursive resolver knows."""
        for zone in self._zones:
            self.known.add(parsed(zone.name, self._text(zone, zone.servers[0])))

    def master_files(self) -> Iterator[MasterFile]:
        """Yield every zone, once for each address that it is served at."""
        for zone in self._zones:
            served = {self._addresses[host]: self._text(zone, host) for host in zone.servers}
            yield from (MasterFile(zone.name, address, text) for address, text in served.items() if address)

    @cached_property
    def served(self) -> Mapping[str, Zones]:
        """Return what each address serves."""
        served: dict[str, Zones] = {}
        for file in self.master_files():
            served.setdefault(file.address, Zones()).add(parsed(file.zone, file.text))
        return served

    def hosts(self) -> Zones:
        """Return the addresses of the name servers that have their names elsewhere."""
        zones = Zones()
        for host, address in self._addresses.items():
            if address and not self.zone_of(host).name:
                zone = Zone(host)
                zone.put(host, "A", address)
                zones.add(zone)
        return zones

    def zone_of(self, name: str) -> ZoneFile:
        """Return the zone that a name is in, by its delegations: the root where nobody has it."""
        containing = [zone for zone in self._zones if _is_within(name, zone.name)]
        return max(containing, key=lambda zone: len(zone.name))

    def address_of(self, host: str) -> str:
        """Return where a name server listens; nothing where its name does not exist."""
        return self._addresses[host]

    def recursion(self, name: str, rdtype: str) -> Recursion:
        """Return what a recursive resolver makes of a question, there and where aliases lead."""
        zones = map(self.zone_of, self._chain(name, rdtype))
        made = [zone.resolver for zone in zones if zone.resolver is not Recursion.ANSWERS]
        is_on_the_way = rdtype in {"SOA", "NS", "A", "AAAA"}
        if not made or (made[0] is Recursion.KNOWS_THE_WAY and is_on_the_way):
            return Recursion.ANSWERS
        return made[0]

    def _chain(self, name: str, rdtype: str) -> Iterator[str]:
        for _ in range(_MAX_HOPS):
            yield name
            found = self.known.look_up(name, rdtype).answer
            if not found or found[-1].type == rdtype:
                break
            name = found[-1].value

    def _text(self, zone: ZoneFile, host: str) -> str:
        below = [child for child in self._zones if zone.name and self._parent(child) is zone]
        lines = [
            f"$ORIGIN {zone.name}.",
            "$TTL 60",
            "@ SOA ns1 hostmaster 1 3600 600 86400 60",
            *(line for each in (zone, *below) for line in _delegation(each, zone.name, self._addresses)),
            *(() if zone.name else _delegations_of_the_root()),
            zone.texts[host],
        ]
        return "\n".join(lines)

    def _parent(self, zone: ZoneFile) -> ZoneFile:
        _, _, above = zone.name.partition(".")
        return self.zone_of(above)


def _delegation(zone: ZoneFile, inside: str, addresses: Mapping[str, str]) -> Iterator[str]:
    for host in zone.servers:
        yield f"{zone.name}. NS {host}."
        if addresses[host] and _is_within(host, inside):
            yield f"{host}. A {addresses[host]}"


@cache
def _delegations_of_the_root() -> tuple[str, ...]:
    return tuple(
        line
        for zone in (*common_zones(), *(zone for situation in every_situation() for zone in _tops(situation)))
        if zone.name
        for line in _delegation(zone, zone.name, dict(addresses(zone)))
    )


def _tops(situation: Situation) -> Iterator[ZoneFile]:
    """Yield the zones that are in no other one of the situation."""
    for zone in situation.zones:
        others = (other.name for other in situation.zones if other is not zone)
        if not any(_is_within(zone.name, other) for other in others):
            yield zone


# The root is the same in all situations, and long.
@cache
def parsed(name: str, text: str) -> Zone:
    """Return the zone that a master file describes."""
    zone = Zone(name)
    read = dns.zone.from_text(text, origin=f"{name}.", relativize=False)
    for owner, rdataset in read.iterate_rdatasets():
        rdtype = dns.rdatatype.to_text(rdataset.rdtype)
        if rdtype != "SOA":
            values = [_value(rdata) for rdata in rdataset]
            zone.put(owner.to_text().removesuffix("."), rdtype, *values)
    return zone


def _value(rdata: dns.rdata.Rdata) -> str:
    if isinstance(rdata, TXT):
        return b"".join(rdata.strings).decode("utf-8", "surrogateescape")
    text = rdata.to_text()
    # RFC 7505: the null MX names the root, which is written as a dot.
    return text if text.endswith(" .") else text.removesuffix(".")


def addresses(zone: ZoneFile) -> Iterator[tuple[str, str]]:
    """Yield the name servers of a zone with their addresses, nothing where the name does not exist."""
    for host, sound in zip(zone.servers, SOUND, strict=False):
        match zone.faults.get(host):
            case None:
                yield host, sound
            case Fault.NO_ADDRESS:
                yield host, ""
            case fault:
                yield host, FAULTY[fault]


def _is_within(name: str, zone: str) -> bool:
    return not zone or name == zone or name.endswith(f".{zone}")
