"""Checks that are under way: none is lost, none keeps its room for ever, none harms another."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from service import ports
from service.core.answers import Answers
from service.core.domain import Domain, Moved, Status
from service.store.sql import SqlStore
from service.verifier import Checks, Verifier, VerifierConfig
from service.verifier.checks import BUDGET
from service.verifier.pipeline import Pipeline
from service.verifier.saving import save_all
from tests.support.clock import HandClock
from tests.support.samples import sample_domain
from tests.support.waiting import until
from tests.verifier.conftest import NAME, POLICY, HandDns, HandProvider

LEASE = timedelta(seconds=60)
PATIENCE = 5.0


class Seconds:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        """Begin somewhere."""
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    """How old checks are."""
    return Seconds()


@pytest.fixture
def checks(dns: HandDns, provider: HandProvider, clock: HandClock) -> Checks:
    """Checks by the rules of the tests."""
    return Checks(dns, provider, clock, POLICY)


@pytest.fixture
def pipeline(checks: Checks, dns: HandDns, seconds: Seconds) -> Iterator[Pipeline]:
    """A pipeline with nothing under way; whatever waits is answered at the end."""
    yield Pipeline(checks, dns, lease=LEASE, monotonic=seconds)
    dns.gate.set()


def claimed(opened: SqlStore, clock: HandClock, name: str = NAME) -> ports.Claim:
    """Claim a domain for a minute."""
    claim = opened.claim("acme", name, clock.now(), LEASE)
    assert claim is not None
    return claim


def moves_of(pipeline: Pipeline) -> list[ports.CheckedMove]:
    """Wait for all checks."""
    moves: list[ports.CheckedMove] = []
    until(lambda: moves.extend(pipeline.finished(within=0.05)) or not pipeline)
    return moves


def test_a_domain_may_be_under_way_twice(
    pipeline: Pipeline, opened: SqlStore, dns: HandDns, clock: HandClock, domain: Domain
) -> None:
    """Claimed again after its lease has ended: both checks are waited for, and the later one counts."""
    dns.publish(domain.records)
    dns.gate.clear()
    first = claimed(opened, clock)
    pipeline.begin([first])
    clock.advance(seconds=61)
    second = claimed(opened, clock)
    pipeline.begin([second])
    assert len(pipeline) == 2
    dns.gate.set()
    moves = moves_of(pipeline)
    assert {move.claim.lease for move in moves} == {first.lease, second.lease}
    saved = [after for after in opened.save(moves) if after is not None]
    assert [after.status for after in saved] == [Status.VERIFIED]


def test_both_claims_of_a_domain_are_given_back(
    pipeline: Pipeline, opened: SqlStore, dns: HandDns, clock: HandClock, domain: Domain
) -> None:
    """Whoever stops knows all that is under way."""
    dns.gate.clear()
    claims = []
    for _ in range(2):
        claims.append(claimed(opened, clock))
        pipeline.begin(claims[-1:])
        clock.advance(seconds=61)
    assert list(pipeline.abandon()) == claims


def test_a_check_that_is_never_answered_loses_its_room_with_its_lease(
    pipeline: Pipeline, opened: SqlStore, dns: HandDns, clock: HandClock, seconds: Seconds, domain: Domain
) -> None:
    """And an answer that comes later is passed over."""
    dns.gate.clear()
    pipeline.begin([claimed(opened, clock)])
    seconds.now += 59
    assert pipeline.finished(within=0) == []
    assert len(pipeline) == 1
    seconds.now += 2
    assert pipeline.finished(within=0) == []
    assert len(pipeline) == 0
    dns.gate.set()
    assert pipeline.finished(within=PATIENCE) == []


def test_a_domain_that_cannot_be_asked_about_keeps_no_other_from_it(
    pipeline: Pipeline, opened: SqlStore, dns: HandDns, clock: HandClock, domain: Domain
) -> None:
    """A fault of ours costs one check, though all of a batch are begun together."""
    dns.publish(domain.records)
    claim = claimed(opened, clock)
    broken = claim._replace(domain=replace(domain, name="broken.example", records=None))  # type: ignore[arg-type]
    pipeline.begin([broken, claim])
    assert [move.claim for move in moves_of(pipeline)] == [claim]


def test_a_move_that_fails_keeps_no_other_from_being_saved(
    pipeline: Pipeline,
    verifier: Verifier,
    opened: SqlStore,
    dns: HandDns,
    clock: HandClock,
    domain: Domain,
) -> None:
    """A fault of ours costs one check, though all that are finished are saved together."""
    dns.publish(domain.records)
    opened.create(sample_domain(name="other.example.net"), actor="key:test", request=None)
    pipeline.begin([claimed(opened, clock)])
    (move,) = moves_of(pipeline)

    def fail(_: Domain) -> Moved:
        raise RuntimeError("a bug")

    faulty = ports.CheckedMove(claimed(opened, clock, "other.example.net"), fail)
    save_all(verifier._queue, [faulty, move])
    assert opened.get("acme", NAME).status is Status.VERIFIED


def test_one_budget_is_for_all_look_ups_of_a_check(
    checks: Checks, opened: SqlStore, dns: HandDns, clock: HandClock, domain: Domain
) -> None:
    """However often servers have to be asked, a check ends by then."""
    (check,) = checks.begin([claimed(opened, clock)])
    look_ups: list[ports.LookUp] = []

    def complete() -> None:
        answers: list[Answers] | None = None
        while True:
            look_ups.append(next(check) if answers is None else check.send(answers))
            answers = dns._answers(look_ups[-1])

    latest = time.monotonic() + BUDGET.total_seconds()
    with pytest.raises(StopIteration):
        complete()
    assert len(look_ups) > 1
    (end,) = {look_up.until for look_up in look_ups}
    assert end is not None
    assert latest <= end < latest + 1.0


def test_slow_domains_leave_room_for_others(
    opened: SqlStore, dns: HandDns, provider: HandProvider, domain: Domain, clock: HandClock
) -> None:
    """More of them than are asked about at once take turns in being new, and then only wait."""
    slow = [
        opened.create(
            sample_domain(name=f"slow{n}.example.net", checks=domain.checks), actor="key:test", request=None
        )
        for n in range(8)
    ]
    dns.publish(domain.records)
    dns.slow = {record.name for each in slow for record in each.records}
    dns.gate.clear()
    config = VerifierConfig(threads=1, batch=1, poll=0.01, lease=LEASE)
    verifier = Verifier(
        store=opened,
        queue=opened,
        resolver=dns,
        provider=provider,
        clock=clock,
        policy=POLICY,
        config=config,
    )
    verifier.start()
    clock.advance(seconds=5)
    until(lambda: len(dns.asked) > len(slow))
    until(lambda: opened.get("acme", NAME).status is Status.VERIFIED)
    dns.gate.set()
    verifier.stop()
