"""Checks that somebody asks for: one at a time, and not too often."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from service.core.answers import Outcome
from service.core.domain import Domain
from service.core.errors import Reason, ServiceError
from service.ports import Claim
from service.store.sql import SqlStore
from service.verifier import Verifier, VerifierConfig
from tests.support.checking import check_in_background
from tests.support.clock import HandClock
from tests.support.waiting import until
from tests.verifier.conftest import NAME, POLICY, HandDns, HandProvider

WAIT = timedelta(seconds=10)


class OvertakenQueue:
    """A queue with which another process checks the domain just before it is claimed."""

    def __init__(self, opened: SqlStore, other: Verifier) -> None:
        self._opened = opened
        self._other = other

    def claim(self, tenant: str, name: str, now: datetime, lease: timedelta) -> Claim | None:
        """See `CheckQueue.claim`."""
        self._other.check_now(tenant, name, wait=WAIT)
        return self._opened.claim(tenant, name, now, lease)

    def release(self, claims: Sequence[Claim]) -> None:
        """See `CheckQueue.release`."""
        self._opened.release(claims)


def test_a_check_that_ends_as_another_begins_is_not_repeated(
    verifier: Verifier,
    opened: SqlStore,
    dns: HandDns,
    provider: HandProvider,
    clock: HandClock,
    domain: Domain,
) -> None:
    """It was not there yet when the caller looked, and is by the time that it has the domain."""
    overtaken = Verifier(
        store=opened,
        queue=OvertakenQueue(opened, verifier),  # type: ignore[arg-type]  # all that it may use
        resolver=dns,
        provider=provider,
        clock=clock,
        policy=POLICY,
        config=VerifierConfig(threads=0),
    )
    checked = overtaken.check_now("acme", NAME, wait=WAIT)
    assert checked == opened.get("acme", NAME)
    assert len([every for _, every in dns.asked if every]) == 1
    assert opened.claim("acme", NAME, clock.now(), WAIT) is not None


def test_a_fresh_result_is_there_for_callers_without_time(
    verifier: Verifier, dns: HandDns, clock: HandClock, domain: Domain
) -> None:
    """Nothing has to be waited for; without one, no check is begun for nobody."""
    with pytest.raises(ServiceError) as refused:
        verifier.check_now("acme", NAME, wait=timedelta())
    assert refused.value.reason is Reason.DEADLINE_EXCEEDED
    assert dns.asked == []
    checked = verifier.check_now("acme", NAME, wait=WAIT)
    clock.advance(seconds=4)
    assert verifier.check_now("acme", NAME, wait=timedelta()) == checked


def test_a_check_outlives_the_time_of_whoever_began_it(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain
) -> None:
    """Those who share it get its result, and it is saved."""
    dns.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        hurried = pool.submit(verifier.check_now, "acme", NAME, wait=timedelta(milliseconds=50))
        until(lambda: len(dns.asked) == 1)
        patient = pool.submit(verifier.check_now, "acme", NAME, wait=WAIT)
        until(patient.running)
        dns.gate.set()
        assert patient.result() == opened.get("acme", NAME)
        assert patient.result().checks.last_check_time is not None
        until(hurried.done)
    assert len([every for _, every in dns.asked if every]) == 1


def test_asking_in_an_outage_does_not_make_checks_rare(
    verifier: Verifier, opened: SqlStore, dns: HandDns, clock: HandClock, domain: Domain
) -> None:
    """The pauses that grow while nobody can tell are those between the checks of the background."""
    dns.publish(domain.records)
    clock.time = domain.checks.next_check_time
    check_in_background(verifier, opened.claim_due(clock.time, 1, WAIT))
    dns.outage = Outcome.TIMEOUT
    for _ in range(8):
        clock.advance(seconds=5)
        verifier.check_now("acme", NAME, wait=WAIT)
    clock.time = max(clock.time, opened.get("acme", NAME).checks.next_check_time)
    (checked,) = check_in_background(verifier, opened.claim_due(clock.time, 1, WAIT))
    assert checked is not None
    assert checked.checks.next_check_time - clock.time <= POLICY.intervals.pending * 1.1
