"""Zones as the servers of a farm present them: each has the records from its own time on, some are lame."""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tests.support.dns_octets import Query, write_reply
from tests.support.dns_zone import NXDOMAIN, REFUSED, SERVFAIL, Lookup, Record, Zone

NEVER: Final = math.inf
"""A time of publication that does not come."""

Published = tuple[str, str, str]
"""Name, type and value of a record, as `service.core.answers.Answer` documents them."""

LAMENESS: Final = (
    Lookup(REFUSED, authoritative=False),
    Lookup(SERVFAIL, authoritative=False),
    Lookup(NXDOMAIN, authoritative=False),
    # Back up to the root.
    Lookup(authoritative=False, authority=[Record("", "NS", "a.root.example")]),
    # A server of the zone above, which knows nothing of this one.
    Lookup(NXDOMAIN, authority=[Record("example", "SOA", "ns.example hostmaster.example 1 60 60 60 60")]),
)
"""What servers say to whom a zone was delegated without their knowing."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a server does about a query."""

    reply: bytes | None
    """The whole reply; None for silence."""
    delay: float = 0.0
    """Seconds before it is sent."""
    gap: float = 0.0
    """Seconds between two of its octets over TCP; 0 sends it at once."""
    only_tcp: bool = False
    """Whether UDP gets nothing but a pointer to TCP, even where there is room."""


class Site(Protocol):
    """A zone, with what its servers do."""

    @property
    def addresses(self) -> Sequence[str]:
        """Where its name servers are."""

    def react(self, query: Query, address: str | None) -> Reaction:
        """Answer at an address, or as a recursive resolver would (None)."""


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """A zone with one name server at each address; server number N (from 1) is called `nsN.NAME`."""

    name: str
    addresses: tuple[str, ...]
    lame: int | None = None
    """Which of the servers, from 0, does not serve it."""


class StagedZone:
    """A zone that its servers come to have one by one."""

    def __init__(self, plan: ZonePlan) -> None:
        """Begin with nothing but the zone's own records."""
        self.addresses = plan.addresses
        self._plan = plan
        self._bare = infrastructure(plan.name, plan.addresses)
        self._full = self._bare
        self._had_at = [NEVER] * len(plan.addresses)
        self._lameness = random.Random(plan.name).choice(LAMENESS)

    def publish(self, records: Sequence[Published], times: Sequence[float]) -> None:
        """Have these records on each server from its time on, by this machine's clock."""
        full = infrastructure(self._plan.name, self.addresses)
        for name, kind, value in records:
            full.put(name, kind, value)
        self._full, self._had_at = full, list(times)

    def react(self, query: Query, address: str | None) -> Reaction:
        """Answer as that server, or as a resolver that has asked any that serves the zone."""
        if address is None:
            place = random.choice([n for n in range(len(self.addresses)) if n != self._plan.lame])
        else:
            place = self.addresses.index(address)
            if place == self._plan.lame:
                return Reaction(write_reply(query, self._lameness, recursive=False))
        zone = self._full if time.time() >= self._had_at[place] else self._bare
        return Reaction(write_reply(query, zone.look_up(query.name, query.type), recursive=address is None))


def infrastructure(name: str, addresses: Sequence[str]) -> Zone:
    """Return a zone with its SOA, its NS records and their addresses."""
    zone = Zone(name)
    servers = {f"ns{number}.{name}": address for number, address in enumerate(addresses, start=1)}
    zone.put(name, "NS", *servers)
    for server, address in servers.items():
        zone.put(server, "A", address)
    return zone
