"""Many domains that are created, published at random times, and watched until all are VERIFIED."""

import math
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import kraiter
from kraiter.domains.v1.domain_pb2 import DnsRecord, Domain, StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusRequest
from kraiter.watch import Watch

from tests.support.farm import SERVERS, Farm, Publication
from tests.support.server import KEY
from tests.support.sites import Published, ZonePlan

_SERVERS_OF_A_ZONE = 3
_CALLERS = 8
_LOOK_AGAIN = 0.1
_PATIENCE = 30.0
_LAG = 1 / 3
"""How long before its last server the others of a zone have the records, at most, against all the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many domains, and when."""

    domains: int
    seconds: float
    """The last server of each zone has the records within so many, at random."""
    patience: float
    """Seconds after that until no more is waited for."""
    lame: int | None = None
    """Which server of each zone, from 0, does not serve it."""


@dataclass(slots=True)
class _Subscriber:
    """Notes when domains were told to be VERIFIED, and at what time they are said to have been."""

    arrivals: dict[str, float] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    wrong: list[StatusEvent] = field(default_factory=list)
    """Changes of status that should not have been."""
    opened: threading.Event = field(default_factory=threading.Event)

    def follow(self, watch: Watch) -> None:
        """Read to the end."""
        for message in watch.messages():
            self.opened.set()
            arrived = time.time()
            for event in message.events:
                if event.type != StatusEvent.STATUS_CHANGED:
                    continue
                if event.state.status != Domain.VERIFIED or event.domain in self.arrivals:
                    self.wrong.append(event)
                self.arrivals.setdefault(event.domain, arrived)
                self.times.setdefault(event.domain, event.event_time.ToNanoseconds() / 1e9)


def verify(address: str, farm: Farm, plan: Plan, chance: random.Random) -> Sequence[float]:
    """Return how long after its last server had the records each domain was told to be VERIFIED, in order.

    In seconds, from the clock of the name servers to the arrival of the event at
    a subscriber to everything; infinite for a domain that was not VERIFIED in time.

    Raises:
        AssertionError: a domain was VERIFIED before all its name servers had the records,
            or became anything but VERIFIED.

    """
    zones = [f"z{number}.example" for number in range(plan.domains)]
    addresses = {zone: tuple(chance.sample(SERVERS, _SERVERS_OF_A_ZONE)) for zone in zones}
    farm.add([ZonePlan(zone, addresses[zone], plan.lame) for zone in zones])
    with kraiter.Client(address, KEY) as client, _subscribed(client) as subscriber:
        created = _created(client, [f"mail.{zone}" for zone in zones])
        publications = {
            zone: Publication(_published(created[f"mail.{zone}"]), times)
            for zone, times in _times(plan, zones, chance).items()
        }
        farm.publish(publications)
        end = time.time() + plan.seconds + plan.patience
        while len(subscriber.arrivals) < plan.domains and time.time() < end:
            time.sleep(_LOOK_AGAIN)  # a poll: the stream is read by another thread
    assert subscriber.wrong == []
    delays = []
    for zone, publication in publications.items():
        name = f"mail.{zone}"
        had_at = max(at for server, at in enumerate(publication.times) if server != plan.lame)
        assert subscriber.times.get(name, math.inf) >= had_at, f"{name} was VERIFIED too early"
        delays.append(subscriber.arrivals.get(name, math.inf) - had_at)
    return sorted(delays)


def quantile(delays: Sequence[float], part: float) -> float:
    """Return the delay, of those in order, that this part of them does not exceed."""
    return delays[math.ceil(part * len(delays)) - 1]


@contextmanager
def _subscribed(client: kraiter.Client) -> Iterator[_Subscriber]:
    subscriber = _Subscriber()
    with client.domains.watch(start=WatchStatusRequest.NOW) as watch:
        reading = threading.Thread(target=subscriber.follow, args=(watch,))
        reading.start()
        assert subscriber.opened.wait(_PATIENCE)
        yield subscriber
    reading.join()


def _created(client: kraiter.Client, names: Sequence[str]) -> Mapping[str, Domain]:
    with ThreadPoolExecutor(_CALLERS) as pool:
        return dict(zip(names, pool.map(client.domains.create, names), strict=True))


def _published(domain: Domain) -> Sequence[Published]:
    return [
        (
            record.name,
            DnsRecord.Type.Name(record.type),
            f"{record.priority} {record.value}" if record.type == DnsRecord.MX else record.value,
        )
        for record in domain.dns_records
    ]


def _times(plan: Plan, zones: Sequence[str], chance: random.Random) -> Mapping[str, Sequence[float]]:
    now = time.time()
    times = {}
    for zone in zones:
        last = now + chance.uniform(0, plan.seconds)
        others = [last - chance.uniform(0, plan.seconds * _LAG) for _ in range(_SERVERS_OF_A_ZONE - 1)]
        times[zone] = chance.sample([last, *others], _SERVERS_OF_A_ZONE)
    return times
