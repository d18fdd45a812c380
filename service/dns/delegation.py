"""Which name servers a name's zone has: found once, remembered for a while.

A zone is found by asking the configured recursive resolver for the SOA record,
which comes with every answer about its names. Where the resolver fails, since
the zone's own servers do, the servers of the zone above are asked the way.
Deeper zones need no search: the servers of the zone above refer to them.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from service.core import names
from service.core.answers import Outcome, Question, RecordType
from service.dns import addresses, reading
from service.dns.budget import Budget
from service.dns.config import DnsConfig, Endpoint
from service.dns.exchange import Exchange
from service.dns.message import Reply
from service.dns.recursion import Failure, Recursion, Told

MAX_SERVERS: Final = 13
"""Name servers of one zone that we look at; the root has as many."""

_MAX_ADDRESSES: Final = 2
"""Of each family, for one name server."""
_MAX_WALK: Final = 10
"""Labels taken off in search of a zone."""
_MAX_GUIDES: Final = 6
"""Addresses of a registry that are asked the way in turn: some may be out of our reach, as those of
IPv6 are in many networks, which costs no time."""
_REMEMBERED: Final = 10_000
_SETTLED: Final = 30.0
"""Seconds for which a zone is not looked for again, though none of its servers answers."""
_SHORTEST: Final = 5.0
"""Seconds that anything is remembered, whatever its TTL; failures, exactly so."""


@dataclass(frozen=True, slots=True)
class NameServer:
    """A server of a zone, with those of its addresses that may be asked."""

    name: str
    addresses: tuple["Address", ...]


class Address(NamedTuple):
    """Where a server listens."""

    endpoint: Endpoint
    said_by: str
    """How answers from there name it: `name (address)`."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A zone and the name servers that it is delegated to."""

    zone: str
    servers: tuple[NameServer, ...]
    addresses: tuple[Address, ...]
    """Of all servers."""
    since: float
    expires: float
    """Both in loop time."""


class Delegations:
    """Finds zones and remembers them. Belongs to one event loop."""

    def __init__(
        self, exchange: Exchange, recursion: Recursion, config: DnsConfig, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Start with no zone known."""
        self._loop = loop
        self._exchange = exchange
        self._recursion = recursion
        self._config = config
        self._cuts: OrderedDict[str, Cut] = OrderedDict()
        self._searches: dict[str, asyncio.Task[Cut | Outcome]] = {}

    async def find(self, name: str, budget: Budget) -> Cut | Outcome:
        """Return the closest zone known to contain `name`, or find it.

        Returns an unknown outcome where it was not found within the budget.
        """
        if cut := self.known(name):
            return cut
        anchor = _anchor(name)
        return await self._shared(anchor, lambda: self._search(anchor, budget), budget)

    async def descend(self, referral: reading.Referral, budget: Budget) -> Cut | Outcome:
        """Return the zone that a referral leads to, as `find` does."""
        if cut := self._zone(referral.zone):
            return cut
        return await self._shared(f"below {referral.zone}", lambda: self._arrive(referral, budget), budget)

    def doubt(self, cut: Cut) -> None:
        """Drop a zone none of whose servers answers, but one just found: perhaps it has others now."""
        if self._loop.time() - cut.since > _SETTLED:
            self._forget(cut)

    def _forget(self, cut: Cut) -> None:
        if self._cuts.get(cut.zone) is cut:
            del self._cuts[cut.zone]

    def known(self, name: str) -> Cut | None:
        """Return the closest zone known to contain `name`."""
        # Not as far up as top-level domains: their servers are spared what a resolver has cached.
        while "." in name:
            # Most names on the way are no zones, and every question comes by here.
            if name in self._cuts and (cut := self._zone(name)):
                return cut
            name = _parent(name)
        return None

    def _zone(self, zone: str) -> Cut | None:
        cut = self._cuts.get(zone)
        if cut is None or cut.expires > self._loop.time():
            return cut
        del self._cuts[zone]
        return None

    async def _shared(
        self, key: str, search: Callable[[], Coroutine[None, None, Cut | Outcome]], budget: Budget
    ) -> Cut | Outcome:
        """Join the search that is under way, or has failed just now, or start this one."""
        task = self._searches.get(key)
        if task is None:
            if budget.is_spent(self._loop.time()):
                return Outcome.TIMEOUT  # whoever has time left is not to join such a search
            task = self._searches[key] = asyncio.create_task(search())
            task.add_done_callback(lambda done: self._finished(key, done))
        await asyncio.wait({task}, timeout=budget.deadline - self._loop.time())
        return task.result() if task.done() else Outcome.TIMEOUT

    def _finished(self, key: str, task: asyncio.Task[Cut | Outcome]) -> None:
        failed = not task.cancelled() and task.exception() is None and isinstance(task.result(), Outcome)
        if failed:
            self._loop.call_later(_SHORTEST, self._searches.pop, key, None)
        else:
            del self._searches[key]

    async def _search(self, name: str, budget: Budget) -> Cut | Outcome:
        found = await self._search_by_resolver(name, budget)
        if isinstance(found, Cut) or found is Outcome.DNSSEC_BOGUS:
            return found
        organisation = names.organisational(name)
        # A resolver that is silent may be down, and each name that it is asked for costs its time-out:
        # there is one more, which all that is registered below it shares.
        if name != organisation and found is not Outcome.TIMEOUT:
            return await self.find(organisation, budget)
        registry = _parent(organisation)
        if not registry:
            return found
        return await self._shared(
            f"{organisation} from {registry}",
            lambda: self._search_from(registry, organisation, budget),
            budget,
        )

    async def _search_from(self, registry: str, organisation: str, budget: Budget) -> Cut | Outcome:
        """Ask one server of a registry for the way to a zone that the resolver cannot tell about."""
        cut = await self.find(registry, budget)
        if isinstance(cut, Outcome):
            return cut
        question = Question(organisation, RecordType.NS)
        for endpoint, _ in random.sample(cut.addresses, min(len(cut.addresses), _MAX_GUIDES)):
            reply = await self._exchange.ask_authority(
                endpoint, cut.zone, question.name, question.type, budget
            )
            if not isinstance(reply, Reply):
                continue
            said = reading.read_authority(question, reply, cut.zone)
            if isinstance(said, reading.Referral):
                if "." in cut.zone:
                    # Or all that is registered below it would be asked for there.
                    self._forget(cut)
                return await self.descend(said, budget)
            if isinstance(said, reading.Alias) or said.outcome.is_definite:
                return cut
        return Outcome.SERVER_FAILURE

    async def _search_by_resolver(self, name: str, budget: Budget) -> Cut | Outcome:
        # Half of the time is left for the way from above.
        within = budget.until((self._loop.time() + budget.deadline) / 2)
        for _ in range(_MAX_WALK):
            told = await self._recursion.ask(name, "SOA", within)
            if isinstance(told, Failure):
                return told.outcome
            # With an alias the SOA record is that of the target's zone.
            if reading.end_of_chain(name, told.reply) == name:
                zone = reading.zone_of(name, told.reply)
                if zone is not None:
                    return self._zone(zone) or await self._list_servers(zone, budget)
            if not name:
                break
            name = _parent(name)
        return Outcome.SERVER_FAILURE

    async def _list_servers(self, zone: str, budget: Budget) -> Cut | Outcome:
        told = await self._recursion.ask(zone, "NS", budget)
        if isinstance(told, Failure):
            return told.outcome
        records = [record for record in told.reply.answer if (record.owner, record.type) == (zone, "NS")]
        if not records:
            return Outcome.SERVER_FAILURE
        names = {record.value for record in records}
        return await self._remember(zone, names, {}, min(record.ttl for record in records), budget)

    async def _arrive(self, referral: reading.Referral, budget: Budget) -> Cut | Outcome:
        glue: dict[str, list[str]] = {}
        for record in referral.glue:
            glue.setdefault(record.owner, []).append(record.value)
        return await self._remember(referral.zone, referral.nameservers, glue, referral.ttl, budget)

    async def _remember(
        self, zone: str, names: Iterable[str], glue: dict[str, list[str]], ttl: float, budget: Budget
    ) -> Cut:
        chosen = sorted(names)[:MAX_SERVERS]
        found = await asyncio.gather(*(self._addresses(name, glue, budget) for name in chosen))
        servers = tuple(
            NameServer(name, self._askable(name, texts))
            for name, (texts, _) in zip(chosen, found, strict=True)
        )
        ttl = min(ttl, self._config.delegation_ttl_limit, *(address_ttl for _, address_ttl in found))
        every_address = tuple(address for server in servers for address in server.addresses)
        now = self._loop.time()
        cut = Cut(zone, servers, every_address, now, now + max(ttl, _SHORTEST))
        self._cuts[zone] = cut
        self._cuts.move_to_end(zone)
        if len(self._cuts) > _REMEMBERED:
            self._cuts.popitem(last=False)
        return cut

    async def _addresses(
        self, name: str, glue: dict[str, list[str]], budget: Budget
    ) -> tuple[list[str], float]:
        """Return addresses and their TTL, which is 0 where a look-up failed."""
        if name in glue:
            return glue[name], self._config.delegation_ttl_limit
        told = await asyncio.gather(*(self._recursion.ask(name, kind, budget) for kind in ("A", "AAAA")))
        texts: list[str] = []
        ttl = self._config.delegation_ttl_limit
        for answer in told:
            match answer:
                case Told(reply):
                    end = reading.end_of_chain(name, reply)
                    records = [r for r in reply.answer if r.owner == end and r.type in {"A", "AAAA"}]
                    texts += [record.value for record in records[:_MAX_ADDRESSES]]
                    ttl = min(ttl, *(record.ttl for record in records), ttl)
                case Failure():
                    ttl = 0.0
        return texts, ttl

    def _askable(self, name: str, texts: list[str]) -> tuple[Address, ...]:
        allowed = [text for text in texts if self._config.allow_private or addresses.is_public(text)]
        return tuple(
            Address(Endpoint(text, self._config.authority_port), f"{name} ({text})")
            for text in allowed[: 2 * _MAX_ADDRESSES]
        )


def _anchor(name: str) -> str:
    """Return the host name that a name with underscored labels (RFC 8552) stands below.

    All records of a domain share it, so that its zone is looked for once.
    """
    labels = name.split(".")
    underscored = [index for index, label in enumerate(labels) if label.startswith("_")]
    return ".".join(labels[underscored[-1] + 1 :]) if underscored else name


def _parent(name: str) -> str:
    return name.partition(".")[2]
