"""A verifier over a real store on SQLite, and a DNS that a test writes by hand."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from service import ports
from service.core import lifecycle, records, schedule
from service.core.answers import Answer, Answers, Outcome, Question, RecordType
from service.core.domain import Domain
from service.core.records import DmarcPolicy, Identity, Record
from service.store.sql import SqlStore, migrate, open_store
from service.verifier import Verifier, VerifierConfig
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

NAME = "mail.example.com"
POLICY = lifecycle.Policy()


@dataclass
class HandDns:
    """Name servers whose content, faults and speed a test decides."""

    servers: list[dict[Question, tuple[str, ...]]] = field(default_factory=lambda: [{}, {}])
    outage: Outcome | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    slow: set[str] | None = None
    """The names whose answers wait for the gate; None for all."""
    asked: list[tuple[frozenset[Question], bool]] = field(default_factory=list)
    error: Exception | None = None

    def publish(self, published: Sequence[Record], *, servers: Sequence[int] = (0, 1)) -> None:
        """Publish records at some of the servers."""
        for number in servers:
            for record in published:
                value = f"{record.priority} {record.value}" if record.type is RecordType.MX else record.value
                self.servers[number][Question(record.name, record.type)] = (value,)

    def add(self, record: Record) -> None:
        """Publish a TXT record beside others of its name, at all servers."""
        for server in self.servers:
            question = Question(record.name, record.type)
            server[question] = (*server.get(question, ()), record.value)

    def withdraw(self, record: Record) -> None:
        """Take a record from all servers."""
        for server in self.servers:
            server.pop(Question(record.name, record.type))

    def start(self, look_ups: Sequence[ports.LookUp], done: ports.Done) -> None:
        """Answer from the first server, or from each, once the gate is open."""
        self.asked += [(frozenset(each.questions), each.every_server) for each in look_ups]
        error = self.error
        threading.Thread(target=self._finish, args=(look_ups, done, error), daemon=True).start()

    def _finish(self, look_ups: Sequence[ports.LookUp], done: ports.Done, error: Exception | None) -> None:
        waiting = [number for number, each in enumerate(look_ups) if self._is_slow(each)]
        if quick := [number for number in range(len(look_ups)) if number not in waiting]:
            done([(number, error or self._answers(look_ups[number])) for number in quick])
        if waiting:
            self.gate.wait(10)
            done([(number, error or self._answers(look_ups[number])) for number in waiting])

    def _is_slow(self, look_up: ports.LookUp) -> bool:
        return self.slow is None or any(question.name in self.slow for question in look_up.questions)

    def _answers(self, look_up: ports.LookUp) -> list[Answers]:
        numbers = range(len(self.servers)) if look_up.every_server else (0,)
        return [
            Answers(question, tuple(self._answer(question, number) for number in numbers), len(self.servers))
            for question in look_up.questions
        ]

    def _answer(self, question: Question, number: int) -> Answer:
        values = self.servers[number].get(question, ())
        exists = any(each.name == question.name for each in self.servers[number])
        absence = Outcome.NODATA if exists else Outcome.NXDOMAIN
        outcome = self.outage or (Outcome.FOUND if values else absence)
        return Answer(
            question,
            outcome,
            () if self.outage else values,
            server=f"ns{number}.example.com",
            zone="example.com",
            authoritative=True,
        )


@dataclass
class HandProvider:
    """A mail provider that is as ready as a test says."""

    state: ports.ProviderState = ports.ProviderState.READY

    def states(self, refs: Sequence[ports.IdentityRef]) -> Mapping[ports.IdentityRef, ports.ProviderState]:
        """Return the one state for all."""
        return dict.fromkeys(refs, self.state)


@pytest.fixture
def clock() -> HandClock:
    """The clock of the store and the verifier."""
    return HandClock()


@pytest.fixture
def dns() -> HandDns:
    """Two name servers with nothing published."""
    made = HandDns()
    made.gate.set()
    return made


@pytest.fixture
def provider() -> HandProvider:
    """A provider that is ready."""
    return HandProvider()


@pytest.fixture
def opened(tmp_path: Path, clock: HandClock) -> Iterator[SqlStore]:
    """A new store with the tenant acme."""
    url = f"sqlite:///{tmp_path}/verifier.db"
    migrate(url)
    made = open_store(url, clock=clock, pool_size=8)
    made.create_tenant("acme")
    yield made
    made.close()


@pytest.fixture
def verifier(opened: SqlStore, dns: HandDns, provider: HandProvider, clock: HandClock) -> Iterator[Verifier]:
    """A verifier that is not started; it is stopped at the end."""
    made = Verifier(
        store=opened,
        queue=opened,
        resolver=dns,
        provider=provider,
        clock=clock,
        policy=POLICY,
        config=VerifierConfig(threads=2, poll=0.01, lease=timedelta(seconds=60)),
    )
    yield made
    dns.gate.set()


@pytest.fixture
def domain(opened: SqlStore) -> Domain:
    """A pending domain, due after five seconds."""
    identity = Identity(("t1", "t2", "t3"), "dkim.test", "feedback.test", "spf.test")
    draft = sample_domain(
        name=NAME,
        create_time=NOON,
        status_time=NOON,
        verification_deadline=NOON + POLICY.window,
        mail_from=NAME,
        records=records.required_for(
            NAME,
            identity,
            mail_from=NAME,
            dmarc_policy=DmarcPolicy.NONE,
            dmarc_report_address="dmarc@example.com",
            challenge=None,
        ),
        checks=schedule.first(NOON, POLICY.intervals),
    )
    return opened.create(draft, actor="key:test", request=None)
