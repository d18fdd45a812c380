"""SES events through a queue while servers are killed: counters are exact in the end.

KRAITER_TEST_EVENTS says how many events there are (default 10000), KRAITER_TEST_SEED with which
random numbers. The stand-in for SQS takes longer the longer a queue is: it is fed as it is read.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from kraiter.domains.v1.domain_pb2 import Domain
from sqlalchemy import select

from service.clock import SystemClock
from service.core.feedback import EventKind
from service.core.health import HOUR, hour_of
from service.store.sql import SqlStore, open_store
from service.store.tables import deliveries
from tests.e2e.conftest import HASTE, Serve
from tests.support import ses_events
from tests.support.authority import LoopbackDns
from tests.support.moto import ENVIRONMENT, MotoServer, moto
from tests.support.postgres import PostgresServer
from tests.support.publishing import publish
from tests.support.server import ServerProcess
from tests.support.waiting import until

__all__ = ["moto"]

EVENTS = int(os.environ.get("KRAITER_TEST_EVENTS", "10000"))
KILLS = 4
DOMAINS = ("shop.example.com", "mail.example.com", "news.example.com")
MOST_WAITING = 60
"""Messages in the queue."""
MOST_RECIPIENTS = 9
REDELIVERY = "3"
"""Seconds after which a message is delivered again that was received and not deleted."""

Key = tuple[str, datetime, EventKind]


@dataclass
class Mailing:
    """Messages about events, and what they come to."""

    bodies: list[str] = field(default_factory=list)
    expected: Counter[Key] = field(default_factory=Counter)

    @classmethod
    def of(cls, events: int, *, seed: int) -> "Mailing":
        """Make messages of so many events, a fifth of them twice, shuffled and wrapped in all ways."""
        chance = random.Random(seed)
        mailing = cls()
        now = datetime.now(UTC)
        while (missing := events - mailing.expected.total()) > 0:
            mailing._add(chance, min(missing, chance.randint(1, MOST_RECIPIENTS)), now)
        chance.shuffle(mailing.bodies)
        return mailing

    def _add(self, chance: random.Random, recipients: int, now: datetime) -> None:
        number = len(self.bodies)
        to = [f"r{number}-{at}@example.net" for at in range(recipients)]
        time, domain = now - chance.randrange(24) * HOUR, chance.choice(DOMAINS)
        sender = {"domain": domain, "source": f"News <a@bounce.{domain}>", "to": to}
        kind = chance.choice(list(EventKind))
        match kind:
            case EventKind.SENT:
                event = ses_events.send(f"m{number}", time=time, **sender)
            case EventKind.DELIVERED:
                event = ses_events.delivery(f"m{number}", time=time, **sender)
            case EventKind.HARD_BOUNCE:
                event = ses_events.bounce(f"b{number}", time=time, **sender)
            case EventKind.COMPLAINT:
                event = ses_events.complaint(f"c{number}", time=time, **sender)
                recipients = 1  # one of them has complained
        self.expected[domain, hour_of(time), kind] += recipients
        for _ in range(2 if chance.random() < 0.2 else 1):
            form = chance.choice([dict, ses_events.by_sns, ses_events.by_event_bridge])
            self.bodies.append(json.dumps(form(event)))


class Feeder(threading.Thread):
    """Puts messages into a queue as fast as they are read from it."""

    def __init__(self, moto: MotoServer, url: str, bodies: list[str]) -> None:
        super().__init__(daemon=True)
        self._moto = moto
        self._url = url
        self._bodies = bodies
        self.fed = 0

    def run(self) -> None:
        """Feed until all is there."""
        while self.fed < len(self._bodies):
            until(lambda: self._moto.left(self._url) <= MOST_WAITING // 2, within=60)
            room = self._bodies[self.fed : self.fed + MOST_WAITING // 2]
            self._moto.put(self._url, room)
            self.fed += len(room)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Return the database that the servers run on."""
    return str(request.param)


@pytest.fixture
def queue(moto: MotoServer) -> str:
    """Return the URL of a new queue."""
    return moto.queue(VisibilityTimeout=REDELIVERY)


@pytest.fixture
def servers(
    engine: str, serve: Serve, queue: str, request: pytest.FixtureRequest
) -> Iterator[list[ServerProcess]]:
    """Give one server on SQLite, or two over one PostgreSQL, that read the queue."""
    settings = {**HASTE, **ENVIRONMENT, "KRAITER_SES_EVENT_QUEUES": queue}
    if engine == "sqlite":
        server = serve(**settings)
        yield [server]
        server.stop()
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    url = postgres.fresh_database()
    running = [serve(url, **settings) for _ in range(2)]
    yield running
    for server in running:
        server.stop()
    postgres.drop(url)


@pytest.fixture
def store(servers: list[ServerProcess]) -> Iterator[SqlStore]:
    """Give the store that the servers count in."""
    with ExitStack() as stack:
        opened = open_store(servers[0].environment()["KRAITER_DATABASE_URL"], clock=SystemClock())
        stack.callback(opened.close)
        yield opened


def counted(store: SqlStore) -> Counter[Key]:
    """Return what is counted."""
    rows = store._database.query(lambda connection: connection.execute(select(deliveries)).all())
    return Counter(
        {
            (row.name, row.hour, kind): count
            for row in rows
            for kind in EventKind
            if (count := getattr(row, kind))
        }
    )


@pytest.mark.timeout(1800)
def test_each_event_counts_once_whoever_is_killed(
    servers: list[ServerProcess], store: SqlStore, moto: MotoServer, queue: str
) -> None:
    """Servers are killed while events arrive, a fifth of them twice, in any order and wrapping."""
    seed = int(os.environ.get("KRAITER_TEST_SEED") or random.randrange(2**32))
    print(f"KRAITER_TEST_SEED={seed}")  # noqa: T201 - to do it again
    with servers[0].client() as client:
        for domain in DOMAINS:
            client.domains.create(domain)
    mailing = Mailing.of(EVENTS, seed=seed)
    feeder = Feeder(moto, queue, mailing.bodies)
    started = time.monotonic()
    feeder.start()
    chance = random.Random(seed)
    for kill in range(1, KILLS + 1):
        goal = EVENTS * kill // (KILLS + 1)
        until(lambda goal=goal: counted(store).total() >= goal, within=900)
        victim = chance.choice(servers)
        victim.kill()
        victim.start()
    until(lambda: not feeder.is_alive() and moto.left(queue) == 0, within=900)
    print(f"{EVENTS} events in {len(mailing.bodies)} messages: {time.monotonic() - started:.1f} s")  # noqa: T201
    assert feeder.fed == len(mailing.bodies)
    assert counted(store) == mailing.expected
    assert store.dead_letters(10) == []
    assert store.lags().keys() == {queue}


def test_bounces_make_a_domain_critical(serve: Serve, moto: MotoServer, queue: str, dns: LoopbackDns) -> None:
    """As SES tells of them, without anybody reporting anything."""
    server = serve(**HASTE, **ENVIRONMENT, KRAITER_SES_EVENT_QUEUES=queue)
    now, name = datetime.now(UTC), "critical.example.com"
    with server.client() as client:
        publish(client.domains.create(name), dns)
        until(lambda: client.domains.get(name).status == Domain.VERIFIED)
        to = [f"r{number}@example.net" for number in range(50)]
        terms = {"domain": name, "to": to, "time": now}
        moto.put(queue, [json.dumps(ses_events.send(**terms)), json.dumps(ses_events.bounce(**terms))])
        until(lambda: client.domains.get(name).health == Domain.CRITICAL)


def test_dead_letters_on_the_command_line(serve: Serve, moto: MotoServer, queue: str) -> None:
    """They are listed with their problem, shown, tried again and deleted."""
    server = serve(**HASTE, **ENVIRONMENT, KRAITER_SES_EVENT_QUEUES=queue)
    ahead = json.dumps(ses_events.send(time=datetime.now(UTC) + timedelta(minutes=20)))
    moto.put(queue, ['["hello"]', ahead])
    until(lambda: moto.left(queue) == 0)
    listed = server.command("dead-letters", "list").stdout.splitlines()[1:]
    ids = {" ".join(words[4:]): words[0] for words in map(str.split, listed)}
    problem, early = "body: must be a JSON object", "timestamp: must be at most 10 minutes in the future"
    hello = ids[problem]
    assert server.command("dead-letters", "show", hello).stdout == '["hello"]\n'
    retried = server.command("dead-letters", "retry", "--all").stdout.splitlines()
    assert sorted(retried) == sorted(f"{ids[each]}: kept: {each}" for each in (problem, early))
    assert server.command("dead-letters", "delete", hello).stdout == "deleted 1\n"
    refused = server.command("dead-letters", "retry", hello)
    assert refused.returncode != 0
    assert f"there is no dead letter {hello}" in " ".join(refused.stderr.replace("│", " ").split())
    assert server.command("dead-letters", "delete").returncode != 0
    assert server.command("dead-letters", "delete", "--all").stdout == "deleted 1\n"
