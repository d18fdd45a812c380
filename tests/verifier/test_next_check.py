"""`next_check_time` is true: a domain is looked at then, not before and not later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from service.core import lifecycle
from service.core.answers import Outcome
from service.core.domain import CheckState, Domain, Status
from service.core.keys import Scope
from service.ports import CheckedMove, Claim
from service.store.sql import SqlStore
from service.usecases import VerifyDomain
from service.usecases.caller import Caller
from service.verifier import Verifier, VerifierConfig
from tests.store.moves import Rescheduled
from tests.support.checking import check_in_background
from tests.support.clock import HandClock
from tests.support.waiting import until
from tests.verifier.conftest import NAME, POLICY, HandDns, HandProvider

MOMENT = timedelta(microseconds=1)
LEASE = timedelta(seconds=60)


@dataclass
class Scene:
    """A domain, and all that can happen to its schedule."""

    verifier: Verifier
    opened: SqlStore
    dns: HandDns
    clock: HandClock
    domain: Domain

    @property
    def checks(self) -> CheckState:
        """The schedule as anybody reads it."""
        return self.opened.get("acme", NAME).checks

    def sweep(self) -> None:
        """Check the domain when it is due, as the background does."""
        self.clock.time = self.checks.next_check_time
        (checked,) = check_in_background(self.verifier, self.opened.claim_due(self.clock.time, 1, LEASE))
        assert checked is not None

    def sweep_until(self, is_so: Callable[[Domain], bool]) -> None:
        """Check it whenever it is due, until something is so."""
        while not is_so(self.opened.get("acme", NAME)):
            self.sweep()

    def verify(self) -> None:
        """Do what VerifyDomain does, a little later than the last check."""
        self.clock.advance(seconds=6)
        use_case = VerifyDomain(self.opened, self.opened, self.verifier, self.clock, POLICY)
        answer = use_case(Caller("acme", "1", frozenset(Scope)), NAME, wait=timedelta(seconds=10))
        assert answer.checks == self.checks

    def hasten(self) -> None:
        """Do what a stream does that names the domain."""
        now = self.clock.now()
        self.opened.hasten("acme", [NAME], now=now, due=now + POLICY.intervals.pending)

    def update(self) -> None:
        """Do what UpdateDomain does."""
        now = self.clock.now()
        self.opened.change(
            "acme",
            NAME,
            lambda domain: lifecycle.updated(
                domain, mail_from=f"m.{NAME}", actor="key:1", now=now, policy=POLICY
            ),
        )

    def slow_down(self) -> None:
        """Have the fast phase end with nothing found."""
        self.sweep_until(lambda domain: domain.checks.gap > 60)

    def become(self, status: Status) -> None:
        """Publish the records, or let the time of the domain run out."""
        if status is Status.VERIFIED:
            self.dns.publish(self.domain.records)
        else:
            self.opened.change("acme", NAME, Rescheduled(self.clock.now() + POLICY.window))
        self.sweep_until(lambda domain: domain.status is status)


@pytest.fixture
def scene(verifier: Verifier, opened: SqlStore, dns: HandDns, clock: HandClock, domain: Domain) -> Scene:
    """A domain that was just created."""
    return Scene(verifier, opened, dns, clock, domain)


def _created(_: Scene) -> None:
    pass


def _checked(scene: Scene) -> None:
    scene.sweep()


def _slow(scene: Scene) -> None:
    scene.slow_down()


def _hastened(scene: Scene) -> None:
    scene.slow_down()
    scene.hasten()
    assert scene.checks.next_check_time == scene.clock.now() + POLICY.intervals.pending


def _unknown(scene: Scene) -> None:
    scene.dns.outage = Outcome.TIMEOUT
    for _ in range(5):
        scene.sweep()


def _requested(scene: Scene) -> None:
    scene.sweep()
    scene.verify()


def _requested_when_due(scene: Scene) -> None:
    scene.verify()
    assert timedelta() < scene.checks.next_check_time - scene.clock.now() <= POLICY.intervals.pending


def _requested_in_vain(scene: Scene) -> None:
    scene.slow_down()
    scene.dns.outage = Outcome.TIMEOUT
    scene.verify()


def _updated(scene: Scene) -> None:
    scene.slow_down()
    scene.update()


def _verified(scene: Scene) -> None:
    scene.become(Status.VERIFIED)


def _verified_and_requested(scene: Scene) -> None:
    scene.become(Status.VERIFIED)
    scene.verify()


def _verified_and_updated(scene: Scene) -> None:
    scene.become(Status.VERIFIED)
    scene.update()
    assert scene.checks.next_check_time == scene.clock.now() + POLICY.intervals.pending


def _broken(scene: Scene) -> None:
    scene.become(Status.VERIFIED)
    scene.dns.withdraw(scene.domain.records[3])
    scene.sweep()


def _failed(scene: Scene) -> None:
    scene.become(Status.FAILED)


def _failed_and_updated(scene: Scene) -> None:
    scene.become(Status.FAILED)
    scene.update()
    assert scene.checks.next_check_time == scene.clock.now() + POLICY.intervals.pending


def _reopened(scene: Scene) -> None:
    scene.become(Status.FAILED)
    scene.verify()
    assert scene.opened.get("acme", NAME).status is Status.PENDING


def _released(scene: Scene) -> None:
    scene.opened.release(scene.opened.claim_due(scene.checks.next_check_time, 1, LEASE))


def _hastened_while_checked(scene: Scene) -> None:
    scene.slow_down()
    claim = scene.opened.claim("acme", NAME, scene.clock.now(), LEASE)
    assert claim is not None
    scene.hasten()
    check_in_background(scene.verifier, [claim])


def _updated_while_checked(scene: Scene) -> None:
    scene.become(Status.VERIFIED)
    claim = scene.opened.claim("acme", NAME, scene.clock.now(), LEASE)
    assert claim is not None
    scene.update()
    assert check_in_background(scene.verifier, [claim]) == [None]


@pytest.mark.parametrize(
    "happened",
    [
        _created,
        _checked,
        _slow,
        _hastened,
        _unknown,
        _requested,
        _requested_when_due,
        _requested_in_vain,
        _updated,
        _verified,
        _verified_and_requested,
        _verified_and_updated,
        _broken,
        _failed,
        _failed_and_updated,
        _reopened,
        _released,
        _hastened_while_checked,
        _updated_while_checked,
    ],
)
def test_a_domain_is_due_when_it_says(scene: Scene, happened: Callable[[Scene], None]) -> None:
    """Whatever happened to it: a moment before nobody gets it to check, and then somebody does."""
    happened(scene)
    shown = scene.checks.next_check_time
    assert shown >= scene.clock.now()
    assert scene.opened.next_due() == shown
    assert scene.opened.claim_due(shown - MOMENT, 1, LEASE) == []
    (claim,) = scene.opened.claim_due(shown, 1, LEASE)
    assert claim.domain.checks.next_check_time == shown
    # Under its lease it says still since when it was due.
    assert scene.checks.next_check_time == shown


class WatchedQueue:
    """A store whose looks for due domains are counted."""

    def __init__(self, opened: SqlStore) -> None:
        self._opened = opened
        self.looks = 0
        self.claims = 0

    def claim_due(self, now: datetime, limit: int, lease: timedelta) -> Sequence[Claim]:
        """See `CheckQueue.claim_due`."""
        self.claims += 1
        return self._opened.claim_due(now, limit, lease)

    def save(self, checked: Sequence[CheckedMove]) -> Sequence[Domain | None]:
        """See `CheckQueue.save`."""
        return self._opened.save(checked)

    def next_due(self) -> datetime | None:
        """See `CheckQueue.next_due`."""
        due = self._opened.next_due()
        self.looks += 1
        return due


def test_workers_that_wait_check_then_and_not_before(
    opened: SqlStore, dns: HandDns, provider: HandProvider, clock: HandClock, domain: Domain
) -> None:
    """Also where somebody who waits has made it sooner than they were waiting for."""
    opened.change("acme", NAME, Rescheduled(clock.now() + timedelta(minutes=15)))
    queue = WatchedQueue(opened)
    verifier = Verifier(
        store=opened,
        queue=queue,  # type: ignore[arg-type]  # all that the background uses
        resolver=dns,
        provider=provider,
        clock=clock,
        policy=POLICY,
        config=VerifierConfig(threads=2, poll=0.01),
    )
    verifier.start()

    def looked() -> None:
        before = queue.looks
        until(lambda: queue.looks > before + 1)

    looked()
    assert queue.claims == 1  # at the start: then it is known that nothing is due
    now = clock.now()
    opened.hasten("acme", [NAME], now=now, due=now + POLICY.intervals.pending)
    due = opened.get("acme", NAME).checks.next_check_time
    clock.time = due - MOMENT
    looked()
    assert dns.asked == []
    clock.time = due
    until(lambda: opened.get("acme", NAME).checks.last_check_time == due)
    verifier.stop()
