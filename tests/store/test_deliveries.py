"""`DeliveryStore` and `HealthStore`, on every database."""

import random
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.core.deliveries import BatchAnswer, Rejected
from service.core.domain import Change, Domain, Event, EventType, Moved, Status
from service.core.health import HOUR, Counts, Health, HealthPolicy, Threshold, hour_of
from service.core.tenants import OnCritical, TenantPolicy
from service.core.uses import DomainUse, UseKind, UseState
from service.ports import CheckedMove, DeliveryBatch
from service.store.sql import SqlStore
from service.store.tables import assessments, deliveries, delivery_batches
from tests.store.moves import verified
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

NAME = "example.com"
POLICY = HealthPolicy()
BAD = Counts(sent=1000, delivered=900, hard_bounces=200)
GOOD = Counts(sent=100_000, delivered=100_000)


def batch(batch_id: str, counts: Counts = BAD, *, name: str = NAME, time: datetime = NOON) -> DeliveryBatch:
    """Return a batch of one report."""
    return DeliveryBatch(batch_id, {(name, hour_of(time)): counts}, BatchAnswer(1, ()))


def report(
    store: SqlStore, given: DeliveryBatch, *, tenant: str = "acme", now: datetime = NOON
) -> BatchAnswer:
    """Count a batch, whose domains are due at once."""
    return store.count_deliveries(tenant, given, now=now, due=now)


def first_verified(domain: Domain) -> Moved:
    """Make the domain VERIFIED for the first time."""
    moved = verified(domain)
    return Moved(replace(moved.domain, health=Health.HEALTHY), moved.change)


def add(store: SqlStore, name: str = NAME, tenant: str = "acme") -> None:
    """Create a domain, and verify it."""
    store.create(sample_domain(tenant, name, contested=True), actor="key:1", request=None)
    store.change(tenant, name, first_verified)


def rows(store: SqlStore, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    """Return the contents of a table, in order."""
    found = store._database.query(
        lambda connection: connection.execute(select(*(table.c[column] for column in columns))).all()
    )
    return sorted(map(tuple, found))


def events(store: SqlStore, tenant: str = "acme") -> Sequence[Event]:
    """Return the changes of health, oldest first."""
    return [event for event in store.read(tenant, 0, 1000) if event.type is EventType.HEALTH_CHANGED]


def test_known_names_are_the_tenants(store: SqlStore) -> None:
    """Of names asked for, those that are its domains: not another's, and not the odd ones."""
    add(store)
    add(store, "rivals.com", tenant="rival")
    assert set(store.known("acme", {NAME, "rivals.com", "none.com", "\0", "'"})) == {NAME}
    assert set(store.known("acme", set())) == set()


def test_a_batch_counts_once(store: SqlStore) -> None:
    """The second time it changes nothing, and is answered as the first time whatever it says."""
    first = replace(batch("1"), answer=BatchAnswer(1, (Rejected(3, "sent: \0 'odd'"),)))
    assert report(store, first) == first.answer
    assert report(store, batch("1", GOOD)) == first.answer
    assert rows(store, deliveries, "name", "hour", *Counts._fields) == [(NAME, hour_of(NOON), *BAD)]
    report(store, batch("1"), tenant="rival")
    assert len(rows(store, deliveries, "tenant")) == 2


def test_the_same_batch_from_many_callers_counts_once(
    store: SqlStore, open_one: Callable[[], SqlStore]
) -> None:
    """Also where they come at the same time, to two processes, mixed with others of the same hours."""
    stores = [store, open_one()]
    batches = [
        DeliveryBatch(
            str(number),
            {(f"d{one}.com", hour_of(NOON)): Counts(sent=1) for one in random.sample(range(5), 3)},
            BatchAnswer(3, ()),
        )
        for number in range(20)
    ]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(report, stores[turn % 2], each) for each in batches for turn in range(4)]
        for call in calls:
            call.result()
    expected = Counter(name for each in batches for name, _ in each.counts)
    assert rows(store, deliveries, "name", "sent") == sorted(expected.items())


_BATCH = st.dictionaries(
    st.tuples(
        st.sampled_from(["a.com", "b.com"]), st.integers(0, 3).map(lambda ago: hour_of(NOON) - ago * HOUR)
    ),
    st.builds(Counts, *[st.integers(0, 1_000_000)] * 4),
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(_BATCH, max_size=6), again=st.randoms(use_true_random=False))
def test_repeated_and_late_batches_come_to_the_same(
    store: SqlStore, contents: list[dict[tuple[str, datetime], Counts]], again: random.Random
) -> None:
    """In any order, each any number of times: the counts are those of each batch once, in order."""
    salt = secrets.token_hex(8)
    batches = [DeliveryBatch(f"{salt}{at}", each, BatchAnswer(0, ())) for at, each in enumerate(contents)]
    before = _sums(store)
    sent = batches + again.choices(batches, k=len(batches)) if batches else []
    again.shuffle(sent)
    for each in sent:
        report(store, each)
    for each in batches:
        for key, counts in each.counts.items():
            before[key] = Counts(*map(sum, zip(before.get(key, Counts()), counts, strict=True)))
    assert _sums(store) == before


def _sums(store: SqlStore) -> dict[tuple[str, datetime], Counts]:
    return {
        (name, hour): Counts(*counts)
        for name, hour, *counts in rows(store, deliveries, "name", "hour", *Counts._fields)
    }


def test_batches_are_forgotten_in_time(store: SqlStore) -> None:
    """Those counted before a time; the counts stay."""
    report(store, batch("1"))
    report(store, batch("2"), now=NOON + HOUR)
    store.forget_batches(NOON + HOUR)
    assert len(rows(store, delivery_batches, "create_time")) == 1
    report(store, batch("1", Counts(sent=1)))
    assert rows(store, deliveries, "sent") == [(1000 + 1000 + 1,)]


def test_counts_make_health(store: SqlStore) -> None:
    """A domain that is due is assessed once, with an event, and shown so wherever it is read."""
    add(store)
    report(store, batch("1"))
    assert store.assess_due(NOON, 10, POLICY) == 1
    assert store.assess_due(NOON, 10, POLICY) == 0
    domain = store.get("acme", NAME)
    assert (domain.health, domain.revision) == (Health.CRITICAL, 3)
    shown = domain.health_report
    assert shown is not None
    assert (shown.counts, shown.bounce_rate, shown.reason) == (BAD, 0.2, "BOUNCE_RATE")
    assert (shown.window.start, shown.window.end) == (
        hour_of(NOON) + HOUR - timedelta(days=7),
        hour_of(NOON) + HOUR,
    )
    (event,) = events(store)
    assert (event.previous_health, event.state, event.reason, event.actor) == (
        Health.HEALTHY,
        domain,
        "BOUNCE_RATE",
        "health",
    )
    assert store.find("acme", {NAME}) == {NAME: domain}


def test_counts_that_change_no_health_show_without_an_event(store: SqlStore) -> None:
    """The report is new, the revision is not."""
    add(store)
    report(store, batch("1", GOOD))
    store.assess_due(NOON, 10, POLICY)
    domain = store.get("acme", NAME)
    assert (domain.health, domain.revision) == (Health.HEALTHY, 2)
    assert domain.health_report is not None
    assert domain.health_report.counts == GOOD
    assert events(store) == []


def test_nothing_is_assessed_before_it_is_due(store: SqlStore) -> None:
    """Counts gather until then; an earlier time is not put off by a later one."""
    add(store)
    store.count_deliveries("acme", batch("1"), now=NOON, due=NOON + timedelta(seconds=1))
    store.count_deliveries("acme", batch("2"), now=NOON, due=NOON + timedelta(seconds=9))
    assert store.assess_due(NOON, 10, POLICY) == 0
    assert store.assess_due(NOON + timedelta(seconds=1), 10, POLICY) == 1


def test_only_the_window_counts(store: SqlStore) -> None:
    """Hours that have not begun, and hours that are over, make no health."""
    add(store)
    report(store, batch("1", time=NOON + HOUR))
    report(store, batch("2", time=NOON - timedelta(days=7)))
    report(store, batch("3", GOOD, time=NOON - timedelta(days=7) + HOUR))
    store.assess_due(NOON, 10, POLICY)
    domain = store.get("acme", NAME)
    assert domain.health is Health.HEALTHY
    assert domain.health_report is not None
    assert domain.health_report.counts == GOOD


def test_health_recovers_as_the_window_moves_on(store: SqlStore) -> None:
    """Without anything being reported: the domain is looked at after each hour, until no counts are left."""
    add(store)
    report(store, batch("1"))
    store.assess_due(NOON, 10, POLICY)
    assert store.assess_due(NOON + HOUR + timedelta(minutes=1), 10, POLICY) == 1
    after = hour_of(NOON) + timedelta(days=7, minutes=1)
    assert store.assess_due(after, 10, POLICY) == 1
    assert store.get("acme", NAME).health is Health.HEALTHY
    _, better = events(store)
    assert (better.previous_health, better.reason) == (Health.CRITICAL, "BOUNCE_RATE")
    assert rows(store, deliveries, "name") == []
    assert rows(store, assessments, "due") == [(None,)]


def test_a_domain_is_assessed_when_it_is_first_verified(store: SqlStore, clock: HandClock) -> None:
    """Before, its counts gather and make no health: there is none to be had."""
    store.create(sample_domain(), actor="key:1", request=None)
    report(store, batch("1"))
    assert store.assess_due(NOON, 10, POLICY) == 1
    assert store.get("acme", NAME).health_report is None
    (claim,) = store.claim_due(NOON + timedelta(seconds=5), 10, timedelta(minutes=1))
    store.save([CheckedMove(claim, first_verified)])
    assert store.assess_due(clock.now(), 10, POLICY) == 1
    assert store.get("acme", NAME).health is Health.CRITICAL


def test_a_verified_domain_has_a_report_without_counts(store: SqlStore, clock: HandClock) -> None:
    """It is assessed once, and then only when there are counts."""
    store.create(sample_domain(), actor="key:1", request=None)
    (claim,) = store.claim_due(NOON + timedelta(seconds=5), 10, timedelta(minutes=1))
    store.save([CheckedMove(claim, first_verified)])
    assert store.assess_due(clock.now(), 10, POLICY) == 1
    shown = store.get("acme", NAME).health_report
    assert shown is not None
    assert (shown.counts, shown.health) == (Counts(), Health.HEALTHY)
    assert rows(store, assessments, "due") == [(None,)]


def test_a_name_keeps_its_reputation(store: SqlStore, clock: HandClock) -> None:
    """Deleted and created again, a domain has its counts still, and its health once it is verified."""
    add(store)
    report(store, batch("1"))
    store.assess_due(NOON, 10, POLICY)
    store.delete("acme", NAME, actor="key:1")
    store.assess_due(NOON, 10, POLICY)
    store.create(sample_domain(), actor="key:1", request=None)
    assert store.get("acme", NAME).health_report is None
    (claim,) = store.claim_due(NOON + timedelta(seconds=5), 10, timedelta(minutes=1))
    store.save([CheckedMove(claim, first_verified)])
    store.assess_due(clock.now(), 10, POLICY)
    assert store.get("acme", NAME).health is Health.CRITICAL


def test_a_deleted_domain_is_forgotten_in_time(store: SqlStore) -> None:
    """Its counts as soon as they have left the window, and with them all that is kept of its health."""
    add(store)
    report(store, batch("1"))
    store.assess_due(NOON, 10, POLICY)
    store.delete("acme", NAME, actor="key:1")
    store.assess_due(NOON, 10, POLICY)
    assert len(rows(store, assessments, "name")) == 1
    store.assess_due(NOON + timedelta(days=8), 10, POLICY)
    assert rows(store, assessments, "name") == []
    assert rows(store, deliveries, "name") == []


def test_each_tenant_is_judged_by_its_own_policy(store: SqlStore) -> None:
    """Another policy has all the tenant's domains assessed anew, and nobody else's."""
    add(store)
    add(store, "rivals.com", tenant="rival")
    few = Counts(sent=1000, delivered=1000, hard_bounces=40)
    report(store, batch("1", few))
    report(store, batch("1", few, name="rivals.com"), tenant="rival")
    assert store.assess_due(NOON, 10, POLICY) == 2
    assert store.get("acme", NAME).health is Health.HEALTHY
    store.set_policy("acme", TenantPolicy(bounce_warning=0.01), NOON)
    assert store.assess_due(NOON, 10, POLICY) == 1
    domain = store.get("acme", NAME)
    assert domain.health is Health.WARNING
    assert domain.health_report is not None
    assert domain.health_report.thresholds.bounce == Threshold(0.01, 0.10)


def test_suspending_holds_sends_and_says_how_many(store: SqlStore) -> None:
    """The event of a domain that becomes CRITICAL tells it, where its tenant's policy is to suspend."""
    add(store)
    send = DomainUse(
        domain=NAME,
        kind=UseKind.SCHEDULED_SEND,
        use_id="1",
        state=UseState.ACTIVE,
        create_time=NOON,
        update_time=NOON,
    )
    store.put_use("acme", send)
    store.set_policy("acme", TenantPolicy(on_critical=OnCritical.SUSPEND), NOON)
    report(store, batch("1"))
    store.assess_due(NOON, 10, POLICY)
    store.assess_due(NOON + timedelta(days=8), 10, POLICY)
    assert [event.held_sends for event in events(store)] == [1, 1]


def test_several_processes_assess_each_domain_once(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Together they assess all that is due, and each change has one event."""
    names = [f"d{number}.com" for number in range(30)]
    for name in names:
        add(store, name)
        report(store, batch(name, name=name))
    stores = [store, open_one(), open_one()]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda each: [each.assess_due(NOON, 7, POLICY) for _ in range(10)], stores))
    assert sorted(event.domain for event in events(store)) == sorted(names)
    assert {store.get("acme", name).health for name in names} == {Health.CRITICAL}


def test_an_assessment_leaves_other_changes_as_they_are(
    store: SqlStore, open_one: Callable[[], SqlStore]
) -> None:
    """Domains that change at the same time keep what both made of them."""
    names = [f"d{number}.com" for number in range(20)]
    for name in names:
        add(store, name)
    other = open_one()

    def disable(domain: Domain) -> Moved:
        paused = replace(domain, sending_enabled=False)
        return Moved(paused, Change(EventType.SENDING_DISABLED, "", "key:1"))

    with ThreadPoolExecutor(3) as pool:
        disabling = pool.submit(lambda: [other.change("acme", name, disable) for name in names])
        reporting = pool.submit(lambda: [report(other, batch(name, name=name)) for name in names])
        while not (reporting.done() and disabling.done()):
            store.assess_due(NOON, 5, POLICY)
        reporting.result()
        disabling.result()
    while store.assess_due(NOON, 5, POLICY):
        pass
    for name in names:
        domain = store.get("acme", name)
        assert (domain.health, domain.sending_enabled, domain.status) == (
            Health.CRITICAL,
            False,
            Status.VERIFIED,
        )


def test_policies_are_kept(store: SqlStore) -> None:
    """A tenant has the default until it is given another; one that does not exist has none."""
    assert store.policy("acme") == TenantPolicy()
    chosen = TenantPolicy(complaint_critical=0.25, on_critical=OnCritical.SUSPEND, messages_per_hour=7)
    store.set_policy("acme", chosen, NOON)
    assert store.policy("acme") == chosen
    assert store.policies({"acme", "rival", "nobody"}) == {"acme": chosen, "rival": TenantPolicy()}
    with pytest.raises(Exception, match="there is no tenant 'nobody'"):
        store.policy("nobody")
    with pytest.raises(Exception, match="there is no tenant 'nobody'"):
        store.set_policy("nobody", chosen, NOON)
