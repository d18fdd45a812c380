"""Zones that are made to hurt whoever looks at them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import count

from tests.support.dns_octets import Query, write_reply
from tests.support.dns_zone import SERVFAIL, Lookup, Record, ancestors
from tests.support.sites import Reaction, infrastructure

_LARGEST = 64_000
_RECORD_HEADER = 12
_SMALL = {"TXT": ("{:04}", 5), "MX": ("7 m{:04}", 9), "CNAME": ("m{:04}", 7), "NS": ("m{:04}", 7)}
"""A short value of each type, and the octets of its data."""
_MANY_SERVERS = 60
_MANY_NAMES = 1_500
_FEW_SERVERS = 2


class Kind(StrEnum):
    """The ways to hurt."""

    SILENT = "silent"
    """Takes queries and connections, and says nothing."""
    TRICKLE = "trickle"
    """Asks for TCP, and sends one octet at a time there."""
    MANY_SERVERS = "many-servers"
    """60 name servers at 60 addresses, all of them silent."""
    MANY_NAMES = "many-names"
    """1,500 NS records in one answer of more than 50 KB; their servers are silent."""
    ALIAS_LOOP = "alias-loop"
    """Two names that are aliases of each other, one hop an answer."""
    ALIAS_CHAIN = "alias-chain"
    """Every name an alias of a new one in another zone, which does the same."""
    REFERRAL_LOOP = "referral-loop"
    """Refers to zones further down and back up, for ever."""
    LARGE = "large"
    """64 KB of the smallest records of whatever type is asked for, over TCP."""
    SLOW = "slow"
    """Every answer comes just before nobody would wait for it any longer."""


@dataclass(frozen=True, slots=True)
class HostilePlan:
    """A hostile zone with its own addresses."""

    kind: Kind
    name: str
    addresses: tuple[str, ...]
    delay: float
    """Seconds: before the answers of SLOW, between the octets of TRICKLE."""


def plans(kind: Kind, number: int, *, delay: float) -> tuple[HostilePlan, ...]:
    """Return a zone of a kind with those that it needs; `number` (below 250) tells it from others."""
    block = 100 + list(Kind).index(kind)
    servers = _MANY_SERVERS if kind is Kind.MANY_SERVERS else _FEW_SERVERS
    addresses = tuple(f"127.{block}.{number}.{host}" for host in range(1, servers + 1))
    zone = f"{kind}-{number}.example"
    names = (zone, partner_of(zone)) if kind is Kind.ALIAS_CHAIN else (zone,)
    return tuple(HostilePlan(kind, name, addresses, delay) for name in names)


def partner_of(zone: str) -> str:
    """Return the zone that the aliases of ALIAS_CHAIN lead to."""
    return zone.removeprefix("other-") if zone.startswith("other-") else f"other-{zone}"


class HostileZone:
    """Tells a resolver whom to ask, and does its worst to whoever asks."""

    def __init__(self, plan: HostilePlan) -> None:
        """Take what is to be done."""
        self.addresses = plan.addresses
        self._plan = plan
        self._zone = infrastructure(plan.name, plan.addresses)
        if plan.kind is Kind.MANY_NAMES:
            names = [f"{number}.{plan.name}" for number in range(_MANY_NAMES)]
            self._zone.put(plan.name, "NS", *names)
            self._zone.put(f"*.{plan.name}", "A", plan.addresses[0])
        self._servers = {record.value for record in self._zone.look_up(plan.name, "NS").answer}
        self._fresh = count()
        self._worst: Mapping[Kind, Callable[[Query], Reaction]] = {
            Kind.SILENT: _nothing,
            Kind.MANY_SERVERS: _nothing,
            Kind.MANY_NAMES: _nothing,
            Kind.TRICKLE: self._trickle,
            Kind.ALIAS_LOOP: self._alias_loop,
            Kind.ALIAS_CHAIN: self._alias_chain,
            Kind.REFERRAL_LOOP: self._refer,
            Kind.LARGE: _large,
            Kind.SLOW: self._slow,
        }

    def react(self, query: Query, address: str | None) -> Reaction:
        """Do the worst, but let a resolver know the way, so that somebody comes."""
        if address is None:
            if query.type in {"SOA", "NS"} or query.name in self._servers:
                return Reaction(self._from_zone(query, recursive=True))
            if self._plan.kind in _KEEP_RESOLVERS_WAITING:
                return Reaction(None)
            if self._plan.kind in _MAKE_RESOLVERS_FAIL:
                return Reaction(write_reply(query, Lookup(SERVFAIL), recursive=True))
        return self._worst[self._plan.kind](query)

    def _from_zone(self, query: Query, *, recursive: bool) -> bytes:
        return write_reply(query, self._zone.look_up(query.name, query.type), recursive=recursive)

    def _trickle(self, query: Query) -> Reaction:
        return Reaction(self._from_zone(query, recursive=False), gap=self._plan.delay, only_tcp=True)

    def _slow(self, query: Query) -> Reaction:
        return Reaction(self._from_zone(query, recursive=False), delay=self._plan.delay)

    def _alias_loop(self, query: Query) -> Reaction:
        there, back = f"there.{self._plan.name}", f"back.{self._plan.name}"
        return _alias(query, back if query.name == there else there)

    def _alias_chain(self, query: Query) -> Reaction:
        return _alias(query, f"n{next(self._fresh)}.{partner_of(self._plan.name)}")

    def _refer(self, query: Query) -> Reaction:
        """Lead one label further down, and from the bottom to the top."""
        own = self._plan.name
        ways = [name for name in (query.name, *ancestors(query.name)) if name.endswith(f".{own}")]
        cut = [own, *ways][-1 - next(self._fresh) % (len(ways) + 1)]
        servers = sorted(self._servers)
        found = Lookup(
            authoritative=False,
            authority=[Record(cut, "NS", server) for server in servers],
            additional=[
                Record(server, "A", address) for server, address in zip(servers, self.addresses, strict=True)
            ],
        )
        return Reaction(write_reply(query, found, recursive=False))


_KEEP_RESOLVERS_WAITING = {Kind.SILENT, Kind.TRICKLE, Kind.MANY_SERVERS, Kind.MANY_NAMES}
_MAKE_RESOLVERS_FAIL = {Kind.ALIAS_LOOP, Kind.ALIAS_CHAIN, Kind.REFERRAL_LOOP}


def _nothing(_: Query) -> Reaction:
    return Reaction(None)


def _alias(query: Query, target: str) -> Reaction:
    return Reaction(write_reply(query, Lookup(answer=[Record(query.name, "CNAME", target)]), recursive=False))


def _large(query: Query) -> Reaction:
    reply = _large_reply(query.question, query.name, query.type)
    return Reaction(query.id + reply[len(query.id) :], only_tcp=True)


@lru_cache(10_000)
def _large_reply(question: bytes, name: str, kind: str) -> bytes:
    """Write it once: it takes its time, which is the asker's to lose."""
    query = Query(b"\0\0", question, name, kind, 0, edns=False)
    found = Lookup(answer=[Record(name, kind, value) for value in _values(kind)])
    return write_reply(query, found, recursive=False)


@lru_cache(10)
def _values(kind: str) -> Sequence[str]:
    form, size = _SMALL.get(kind, ("", _LARGEST))
    return [form.format(number) for number in range(_LARGEST // (_RECORD_HEADER + size))]
