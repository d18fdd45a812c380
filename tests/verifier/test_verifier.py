"""The verifier: what it asks, what it saves, and what it survives."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from service.core.answers import Outcome
from service.core.domain import Domain, EventType, Status, StatusReason
from service.core.errors import Reason, ServiceError
from service.core.records import Problem, RecordState
from service.ports import ProviderState
from service.store.sql import SqlStore
from service.verifier import Verifier
from tests.support.checking import check_in_background
from tests.support.clock import HandClock
from tests.support.samples import sample_domain
from tests.support.waiting import until
from tests.verifier.conftest import NAME, HandDns, HandProvider

WAIT = timedelta(seconds=10)


def events_of(opened: SqlStore) -> list[str]:
    """Return what was told of all domains, in order."""
    return [event.type for event in opened.read("acme", 0, 100)]


def look(verifier: Verifier, clock: HandClock, **later: float) -> Domain:
    """Have the domain checked on request, after some time has gone by."""
    clock.advance(**later)
    return verifier.check_now("acme", NAME, wait=WAIT)


def sweep(verifier: Verifier, opened: SqlStore, clock: HandClock, **later: float) -> Domain:
    """Check the domain as the background does, after some time has gone by."""
    clock.advance(**later)
    claim = opened.claim("acme", NAME, clock.now(), timedelta(seconds=60))
    assert claim is not None
    (checked,) = check_in_background(verifier, [claim])
    assert checked is not None
    return checked


def test_a_due_domain_is_checked_and_verified(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """Nobody has to ask."""
    dns.publish(domain.records)
    verifier.start()
    clock.time += timedelta(seconds=4)
    assert opened.get("acme", NAME).checks.last_check_time is None
    clock.time += timedelta(seconds=1)
    until(lambda: opened.get("acme", NAME).status is Status.VERIFIED)
    verifier.stop()
    assert events_of(opened) == [EventType.CREATED, EventType.STATUS_CHANGED]


def test_a_domain_is_not_verified_before_every_name_server_agrees(
    verifier: Verifier, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """The record that one of them lacks says so."""
    dns.publish(domain.records)
    dns.publish(domain.records[1:], servers=[1])
    del dns.servers[1][next(iter(dns.servers[1]))]
    checked = look(verifier, clock, seconds=5)
    assert checked.status is Status.PENDING
    lagging = checked.records[0].finding
    assert (lagging.state, lagging.server) == (RecordState.MISSING, "ns1.example.com")
    dns.publish(domain.records)
    assert look(verifier, clock, seconds=10).status is Status.VERIFIED


def test_only_transitions_are_confirmed(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """In the steady state one name server is asked, once."""
    dns.publish(domain.records)
    verifier.start()
    clock.time += timedelta(seconds=5)
    until(lambda: opened.get("acme", NAME).status is Status.VERIFIED)
    assert [every_server for _, every_server in dns.asked] == [False, True]
    dns.asked.clear()
    clock.time += timedelta(hours=2)
    until(lambda: opened.get("acme", NAME).checks.last_check_time == clock.time)
    verifier.stop()
    assert [every_server for _, every_server in dns.asked] == [False]


def test_whoever_asks_is_told_which_name_server_lags(
    verifier: Verifier, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """A check on request asks every name server, whatever one of them would say."""
    dns.publish(domain.records, servers=[1])
    checked = look(verifier, clock, seconds=5)
    assert checked.status is Status.PENDING
    assert "Not all name servers" in checked.records[0].finding.hint


def test_a_hint_costs_questions_only_while_something_is_missing(
    verifier: Verifier, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """The value in a TXT record is found, and said."""
    dns.publish(domain.records[1:])
    moved = domain.records[0]
    dns.servers[0] |= {
        question.__class__(moved.name, question.type): (moved.value,)
        for question in dns.servers[0]
        if question.type == "TXT"
    }
    checked = look(verifier, clock, seconds=5)
    assert checked.records[0].finding.problem is Problem.WRONG_TYPE


def test_the_provider_has_to_be_ready_too(
    verifier: Verifier,
    opened: SqlStore,
    dns: HandDns,
    provider: HandProvider,
    domain: Domain,
    clock: HandClock,
) -> None:
    """And one that cannot be asked counts neither for nor against."""
    dns.publish(domain.records)
    provider.state = ProviderState.PENDING
    assert sweep(verifier, opened, clock, seconds=5).status is Status.PENDING
    provider.state = ProviderState.FALTERING
    assert sweep(verifier, opened, clock, seconds=10).status is Status.PENDING
    provider.state = ProviderState.UNKNOWN
    assert sweep(verifier, opened, clock, seconds=10).status is Status.PENDING
    provider.state = ProviderState.READY
    assert sweep(verifier, opened, clock, seconds=10).status is Status.VERIFIED


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (ProviderState.UNKNOWN, Status.VERIFIED),
        (ProviderState.FALTERING, Status.VERIFIED),
        (ProviderState.REVOKED, Status.FAILED),
        (ProviderState.PENDING, Status.FAILED),
    ],
)
def test_a_provider_may_take_its_word_back(
    verifier: Verifier,
    opened: SqlStore,
    dns: HandDns,
    provider: HandProvider,
    domain: Domain,
    clock: HandClock,
    state: ProviderState,
    status: Status,
) -> None:
    """One that was ready and is pending has made the identity anew; one that only doubts lets send still."""
    dns.publish(domain.records)
    assert sweep(verifier, opened, clock, seconds=5).status is Status.VERIFIED
    provider.state = state
    after = sweep(verifier, opened, clock, hours=1)
    assert after.status is status
    assert (after.status_reason is StatusReason.PROVIDER_REVOKED) is (status is Status.FAILED)


def test_a_provider_that_has_not_published_its_keys_is_waited_for(
    verifier: Verifier,
    opened: SqlStore,
    dns: HandDns,
    provider: HandProvider,
    domain: Domain,
    clock: HandClock,
) -> None:
    """The owner is told that the records are right, until the provider is ready."""
    dns.publish(domain.records)
    provider.state = ProviderState.PENDING
    found = sweep(verifier, opened, clock, seconds=5).records[0].finding
    assert (found.state, found.problem) == (RecordState.FOUND, None)
    assert found.hint.startswith("Wait: the record is right")
    provider.state = ProviderState.READY
    checked = sweep(verifier, opened, clock, seconds=10)
    assert (checked.status, checked.records[0].finding.hint) == (Status.VERIFIED, "")


def test_an_outage_up_to_the_grace_period_changes_nothing_and_tells_nothing(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """Neither while it lasts nor when it ends."""
    dns.publish(domain.records)
    sweep(verifier, opened, clock, seconds=5)
    told = events_of(opened)
    for outage in (Outcome.TIMEOUT, Outcome.SERVER_FAILURE, Outcome.REFUSED, Outcome.LAME_DELEGATION):
        dns.outage = outage
        for _ in range(6):
            checked = sweep(verifier, opened, clock, hours=3)
            assert checked.status is Status.VERIFIED
            assert checked.records[0].finding.state is RecordState.UNKNOWN
    dns.outage = None
    assert sweep(verifier, opened, clock, minutes=1).records[0].finding.state is RecordState.FOUND
    assert events_of(opened) == told


def test_a_real_break_is_told_at_once_fails_after_the_grace_period_and_heals_by_itself(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """The whole way down and up again, as subscribers see it."""
    dns.publish(domain.records)
    sweep(verifier, opened, clock, seconds=5)
    dns.withdraw(domain.records[3])
    assert sweep(verifier, opened, clock, hours=1).status is Status.VERIFIED
    assert events_of(opened)[-1] == EventType.RECORDS_BROKEN
    for _ in range(71):
        assert sweep(verifier, opened, clock, hours=1).status is Status.VERIFIED
    assert sweep(verifier, opened, clock, hours=1).status is Status.FAILED
    dns.publish(domain.records)
    assert sweep(verifier, opened, clock, hours=6).status is Status.VERIFIED
    assert events_of(opened) == [
        EventType.CREATED,
        EventType.STATUS_CHANGED,
        EventType.RECORDS_BROKEN,
        EventType.STATUS_CHANGED,
        EventType.STATUS_CHANGED,
    ]


def test_a_check_on_request_demotes_nobody(
    verifier: Verifier,
    opened: SqlStore,
    dns: HandDns,
    provider: HandProvider,
    domain: Domain,
    clock: HandClock,
) -> None:
    """However long the records have been broken, and though the provider has revoked the identity."""
    dns.publish(domain.records)
    sweep(verifier, opened, clock, seconds=5)
    dns.withdraw(domain.records[3])
    for _ in range(4):
        assert look(verifier, clock, hours=30).status is Status.VERIFIED
    provider.state = ProviderState.REVOKED
    assert look(verifier, clock, hours=1).status is Status.VERIFIED
    assert sweep(verifier, opened, clock, hours=1).status is Status.FAILED


def test_a_check_on_request_puts_off_no_other(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """Or whoever asks often enough would never be demoted."""
    dns.publish(domain.records)
    sweep(verifier, opened, clock, seconds=5)
    dns.withdraw(domain.records[3])
    due = sweep(verifier, opened, clock, hours=1).checks.next_check_time
    for _ in range(5):
        assert look(verifier, clock, seconds=6).checks.next_check_time <= due


def test_calls_at_the_same_time_share_one_check(verifier: Verifier, dns: HandDns, domain: Domain) -> None:
    """Twenty callers cost no more queries than one."""
    dns.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(verifier.check_now, "acme", NAME, wait=WAIT) for _ in range(20)]
        until(lambda: len(dns.asked) == 1)
        dns.gate.set()
        checked = {call.result().checks.last_check_time for call in calls}
    assert len(checked) == 1
    assert len(dns.asked) <= 2  # the check, and its follow-up


def test_a_check_younger_than_five_seconds_is_not_repeated(
    verifier: Verifier, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """The last result is returned in its place."""
    look(verifier, clock, seconds=5)
    asked = len(dns.asked)
    look(verifier, clock, seconds=4)
    assert len(dns.asked) == asked
    look(verifier, clock, seconds=1)
    assert len(dns.asked) > asked


def test_a_caller_waits_no_longer_than_it_can(verifier: Verifier, dns: HandDns, domain: Domain) -> None:
    """The check that it shares goes on without it."""
    dns.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(verifier.check_now, "acme", NAME, wait=WAIT)
        until(lambda: len(dns.asked) == 1)
        with pytest.raises(ServiceError) as refused:
            verifier.check_now("acme", NAME, wait=timedelta(milliseconds=20))
        assert refused.value.reason is Reason.DEADLINE_EXCEEDED
        dns.gate.set()
        assert patient.result().checks.last_check_time is not None


def test_a_check_that_another_process_runs_is_waited_for(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """Its lease is respected, and its result taken when it is given back."""
    claim = opened.claim("acme", NAME, clock.now(), timedelta(seconds=60))
    assert claim is not None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(verifier.check_now, "acme", NAME, wait=WAIT)
        until(waiting.running)
        assert dns.asked == []
        opened.release([claim])
        assert waiting.result().checks.last_check_time is not None


def test_a_domain_that_is_deleted_while_it_is_checked_stays_deleted(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """The late result touches nothing."""
    dns.publish(domain.records)
    dns.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        check = pool.submit(verifier.check_now, "acme", NAME, wait=WAIT)
        until(lambda: len(dns.asked) == 1)
        opened.delete("acme", NAME, actor="key:test")
        dns.gate.set()
        with pytest.raises(ServiceError) as refused:
            check.result()
    assert refused.value.reason is Reason.DOMAIN_NOT_FOUND
    assert events_of(opened) == [EventType.CREATED, EventType.DELETED]


def test_a_fault_of_ours_costs_one_check_not_the_pool(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """The thread goes on, and the domain is looked at again when its lease ends: not sooner, not never."""
    dns.publish(domain.records)
    dns.error = RuntimeError("a bug")
    verifier.start()
    clock.time += timedelta(seconds=5)
    until(lambda: bool(dns.asked))
    dns.error = None
    assert opened.get("acme", NAME).status is Status.PENDING
    clock.time += timedelta(seconds=60)
    until(lambda: opened.get("acme", NAME).status is Status.VERIFIED)
    verifier.stop()


def test_a_slow_domain_keeps_no_other_waiting(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """What is finished is saved, and what is due is claimed, while slow checks are under way."""
    slow = [
        opened.create(sample_domain(name=f"slow{n}.example.net"), actor="key:test", request=None)
        for n in range(8)
    ]
    dns.publish(domain.records)
    dns.slow = {record.name for each in slow for record in each.records}
    dns.gate.clear()
    verifier.start()
    clock.time += timedelta(seconds=5)
    until(lambda: opened.get("acme", NAME).status is Status.VERIFIED)
    clock.time += timedelta(hours=2)
    until(lambda: opened.get("acme", NAME).checks.last_check_time == clock.time)
    assert all(opened.get("acme", each.name).checks.last_check_time is None for each in slow)
    dns.gate.set()
    verifier.stop()
    assert all(opened.get("acme", each.name).checks.last_check_time is not None for each in slow)


def test_a_stop_gives_back_what_is_not_finished(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """It waits for slow name servers for a moment only."""
    dns.gate.clear()
    verifier.start()
    clock.time += timedelta(seconds=5)
    until(lambda: bool(dns.asked))
    verifier.stop()
    assert opened.get("acme", NAME).checks.last_check_time is None
    assert opened.claim("acme", NAME, clock.now(), timedelta(seconds=1)) is not None


def test_a_stop_waits_for_the_check_that_runs(
    verifier: Verifier, opened: SqlStore, dns: HandDns, domain: Domain, clock: HandClock
) -> None:
    """Its result is saved, and nothing is left leased."""
    dns.publish(domain.records)
    dns.gate.clear()
    verifier.start()
    clock.time += timedelta(seconds=5)
    until(lambda: bool(dns.asked))
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(verifier.stop)
        dns.gate.set()
        stopping.result()
    assert opened.get("acme", NAME).status is Status.VERIFIED
    assert opened.claim("acme", NAME, clock.now(), timedelta(seconds=1)) is not None
