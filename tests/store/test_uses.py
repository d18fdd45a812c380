"""`UseStore`, and what uses mean for their domain, on every database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core import lifecycle
from service.core.domain import EventType, Moved, Status
from service.core.errors import Reason, ServiceError
from service.core.health import Health
from service.core.tenants import OnCritical, TenantPolicy
from service.core.uses import DomainUse, UseKind, UseState
from service.ports import UseFilter, UseKey
from service.store.sql import SqlStore
from tests.store.moves import toggled
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

NAME = "example.com"
ODD = "a/b \N{GRINNING FACE} 'x' % _ \\"


def use(number: object = 1, kind: UseKind = UseKind.SCHEDULED_SEND, **changes: Any) -> DomainUse:
    """Return an ACTIVE use of NAME, with changes to its fields."""
    made = DomainUse(
        domain=NAME,
        kind=kind,
        use_id=str(number),
        state=UseState.ACTIVE,
        application="crm",
        create_time=NOON,
        update_time=NOON,
    )
    return replace(made, **changes)


def listed(store: SqlStore, *, after: UseKey | None = None, limit: int = 100, **wanted: Any) -> list[str]:
    """Return the ids of the uses that a filter finds."""
    found = store.page_of_uses("acme", NAME, UseFilter(now=NOON, **wanted), after=after, limit=limit)
    return [each.use_id for each in found]


def held(store: SqlStore) -> int:
    """Toggle the domain, and return how many sends that was said to hold back or release."""
    store.change("acme", NAME, toggled)
    return store.newest("acme", None, before=None, limit=1)[0].held_sends


def refusal(store: SqlStore) -> ServiceError:
    """Return how the deletion of the domain is refused."""
    with pytest.raises(ServiceError) as caught:
        store.delete("acme", NAME, actor="key:1")
    return caught.value


@pytest.fixture(autouse=True)
def domain(store: SqlStore) -> None:
    """Create the domain."""
    store.create(sample_domain(), actor="key:1", request=None)


def test_a_use_is_read_back_as_it_was_put(store: SqlStore) -> None:
    """Every field survives, whatever the caller's texts have in them."""
    full = use(
        ODD, application=ODD, scheduled_time=NOON + timedelta(hours=1), expire_time=NOON + timedelta(days=1)
    )
    assert store.put_use("acme", full) == full
    assert store.page_of_uses("acme", NAME, UseFilter(now=NOON), after=None, limit=10) == [full]


def test_putting_again_changes_what_differs_only(store: SqlStore) -> None:
    """The time of creation stays; where nothing changes, so does the time of the last change."""
    later = NOON + timedelta(minutes=1)
    store.put_use("acme", use())
    assert store.put_use("acme", use(create_time=later, update_time=later)) == use()
    paused = store.put_use("acme", use(state=UseState.PAUSED, create_time=later, update_time=later))
    assert paused == use(state=UseState.PAUSED, update_time=later)


def test_uses_are_told_apart_by_kind_and_id(store: SqlStore) -> None:
    """The same id in both kinds is two uses; one is removed without the other."""
    store.put_use("acme", use(1))
    store.put_use("acme", use(1, UseKind.SEQUENCE))
    store.delete_use("acme", NAME, (UseKind.SEQUENCE, "1"))
    assert listed(store) == ["1"]
    with pytest.raises(ServiceError) as caught:
        store.delete_use("acme", NAME, (UseKind.SEQUENCE, "1"))
    assert caught.value.reason is Reason.USE_NOT_FOUND


@pytest.mark.parametrize("tenant", ["rival", "nobody"])
def test_others_domains_do_not_exist(store: SqlStore, tenant: str) -> None:
    """Another tenant can neither put nor remove nor see a use."""
    store.put_use("acme", use())
    for attempt in (
        lambda: store.put_use(tenant, use(2)),
        lambda: store.delete_use(tenant, NAME, (UseKind.SCHEDULED_SEND, "1")),
    ):
        with pytest.raises(ServiceError) as caught:
            attempt()
        assert caught.value.reason is Reason.DOMAIN_NOT_FOUND
    assert store.page_of_uses(tenant, NAME, UseFilter(now=NOON), after=None, limit=10) == []


def test_uses_are_paged_by_kind_and_id(store: SqlStore) -> None:
    """Scheduled sends come first, and each page goes on strictly after the last one."""
    for number in range(3):
        store.put_use("acme", use(number, UseKind.SEQUENCE))
        store.put_use("acme", use(number))
    assert listed(store) == ["0", "1", "2", "0", "1", "2"]
    assert listed(store, limit=2) == ["0", "1"]
    assert listed(store, after=(UseKind.SCHEDULED_SEND, "1"), limit=3) == ["2", "0", "1"]
    assert listed(store, kinds=frozenset({UseKind.SEQUENCE}), after=(UseKind.SCHEDULED_SEND, "9")) == [
        "0",
        "1",
        "2",
    ]


def test_uses_are_found_by_the_state_in_effect(store: SqlStore) -> None:
    """A filter sees each use in the state that it is shown in, on hold or not."""
    kinds = {"send": UseKind.SCHEDULED_SEND, "run": UseKind.SEQUENCE}
    for name, kind in kinds.items():
        for state in (UseState.ACTIVE, UseState.PAUSED, UseState.ARCHIVED):
            store.put_use("acme", use(f"{name}-{state}", kind, state=state))
        store.put_use("acme", use(f"{name}-over", kind, expire_time=NOON))
        store.put_use("acme", use(f"{name}-later", kind, expire_time=NOON + timedelta(seconds=1)))
    for on_hold in (False, True):
        shown = store.page_of_uses("acme", NAME, UseFilter(now=NOON), after=None, limit=100)
        for state in UseState:
            expected = [each.use_id for each in shown if each.in_effect(NOON, on_hold=on_hold) is state]
            assert listed(store, states=frozenset({state}), on_hold=on_hold) == expected
    assert listed(store, states=frozenset({UseState.HELD}), on_hold=True) == ["send-ACTIVE", "send-later"]


def test_a_domain_in_use_cannot_be_deleted(store: SqlStore) -> None:
    """The refusal counts the uses and names the first ten; pausing, archiving and removing lift it."""
    for number in range(12):
        store.put_use("acme", use(f"{number:02}", UseKind.SEQUENCE, application=""))
    store.put_use("acme", use("mail", state=UseState.PAUSED))
    refused = refusal(store)
    assert refused.reason is Reason.DOMAIN_IN_USE
    assert refused.message == f"{NAME} is used by 12 sequences: pause, archive or remove them first"
    assert refused.metadata == {"domain": NAME, "active_sequences": "12", "active_scheduled_sends": "0"}
    assert [stands.field for stands in refused.violations] == [
        f"domains/{NAME}/uses/SEQUENCE/{number:02}" for number in range(10)
    ]
    for number in range(10):
        store.delete_use("acme", NAME, (UseKind.SEQUENCE, f"{number:02}"))
    store.put_use("acme", use("10", UseKind.SEQUENCE, state=UseState.PAUSED))
    assert [stands.description for stands in refusal(store).violations] == ["ACTIVE sequence"]
    store.put_use("acme", use("11", UseKind.SEQUENCE, state=UseState.ARCHIVED))
    store.delete("acme", NAME, actor="key:1")
    store.create(sample_domain(), actor="key:1", request=None)
    assert listed(store) == []


def test_an_expired_use_counts_no_longer(store: SqlStore, clock: HandClock) -> None:
    """From its time on, before anybody has noticed and afterwards, once and for all."""
    store.put_use("acme", use(1, expire_time=NOON + timedelta(seconds=1)))
    store.put_use("acme", use(2))
    assert held(store) == 2
    clock.advance(seconds=1)
    assert held(store) == 1
    assert store.archive_expired(clock.now(), 10) == 1
    assert store.archive_expired(clock.now(), 10) == 0
    assert held(store) == 1
    assert listed(store, states=frozenset({UseState.ARCHIVED})) == ["1"]
    store.delete_use("acme", NAME, (UseKind.SCHEDULED_SEND, "2"))
    store.delete("acme", NAME, actor="key:1")


def test_expired_uses_are_archived_a_few_at_a_time(store: SqlStore, clock: HandClock) -> None:
    """The longest expired first, of all domains, as many as asked for."""
    for number in range(5):
        store.put_use("acme", use(number, expire_time=NOON + timedelta(seconds=5 - number)))
    clock.advance(seconds=3)
    assert store.archive_expired(clock.now(), 2) == 2
    assert listed(store, states=frozenset({UseState.ACTIVE})) == ["0", "1", "2"]
    assert store.archive_expired(clock.now(), 2) == 1
    assert store.archive_expired(clock.now(), 2) == 0


def test_events_tell_how_many_sends_are_held(store: SqlStore) -> None:
    """Disabling holds back what enabling releases: scheduled sends, and nothing else."""
    for number in range(3):
        store.put_use("acme", use(number))
    store.put_use("acme", use(4, state=UseState.PAUSED))
    store.put_use("acme", use(5, UseKind.SEQUENCE))
    assert [held(store), held(store)] == [3, 3]
    store.change("acme", NAME, lambda domain: lifecycle.enabled(domain, reason="", actor="key:1"))
    assert store.head("acme") == 3


def test_what_is_on_hold_already_is_not_held_twice(store: SqlStore) -> None:
    """Where health has suspended a domain, pausing it holds back nothing more."""
    store.put_use("acme", use())
    store.set_policy("acme", TenantPolicy(on_critical=OnCritical.SUSPEND), NOON)
    store.change(
        "acme", NAME, lambda one: Moved(replace(one, status=Status.VERIFIED, health=Health.CRITICAL))
    )
    assert held(store) == 0


def test_a_domain_of_several_applications_is_shared(store: SqlStore) -> None:
    """Only ACTIVE uses count, and those that name their application."""
    assert not store.get("acme", NAME).is_shared
    store.put_use("acme", use(1, application="crm"))
    store.put_use("acme", use(2, application=""))
    store.put_use("acme", use(3, UseKind.SEQUENCE, application="shop", state=UseState.PAUSED))
    assert not store.get("acme", NAME).is_shared
    store.put_use("acme", use(3, UseKind.SEQUENCE, application="shop"))
    assert store.get("acme", NAME).is_shared
    assert store.find("acme", {NAME})[NAME].is_shared
    store.put_use("acme", use(1, application="shop"))
    assert not store.get("acme", NAME).is_shared


_PUT = st.builds(
    use,
    st.integers(0, 3),
    st.sampled_from(UseKind),
    state=st.sampled_from([UseState.ACTIVE, UseState.PAUSED, UseState.ARCHIVED]),
    application=st.sampled_from(["", "crm", "shop"]),
    expire_time=st.sampled_from([None, NOON, NOON + timedelta(days=1)]),
)
_STEPS = st.lists(
    _PUT | st.tuples(st.sampled_from(UseKind), st.integers(0, 3).map(str)) | st.just("archive"), max_size=12
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_the_counts_are_those_of_the_uses(store: SqlStore, steps: list[Any]) -> None:
    """Whatever was put, changed, removed and archived before."""
    for kind in UseKind:
        for number in range(4):
            _remove(store, (kind, str(number)))
    for step in steps:
        match step:
            case DomainUse():
                store.put_use("acme", step)
            case "archive":
                store.archive_expired(NOON, 10)
            case key:
                _remove(store, key)
    kept = store.page_of_uses("acme", NAME, UseFilter(now=NOON), after=None, limit=100)
    counted = [each for each in kept if each.counts(NOON)]
    assert held(store) == sum(each.kind is UseKind.SCHEDULED_SEND for each in counted)
    if counted:
        metadata = refusal(store).metadata
        assert int(metadata["active_sequences"]) == sum(each.kind is UseKind.SEQUENCE for each in counted)


def _remove(store: SqlStore, key: UseKey) -> None:
    assert _reason(lambda: store.delete_use("acme", NAME, key)) in {None, Reason.USE_NOT_FOUND}


def test_a_use_and_a_deletion_never_both_succeed(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Put at the same time, the use either blocks the deletion or finds no domain."""
    other = open_one()
    outcomes = set()
    with ThreadPoolExecutor(2) as pool:
        for number in range(40):
            name = f"d{number}.com"
            store.create(sample_domain(name=name), actor="key:1", request=None)
            start = threading.Barrier(2)

            def put(name: str = name, start: threading.Barrier = start) -> Reason | None:
                start.wait()
                return _reason(lambda: store.put_use("acme", use(domain=name)))

            def delete(name: str = name, start: threading.Barrier = start) -> Reason | None:
                start.wait()
                return _reason(lambda: other.delete("acme", name, actor="key:1"))

            running = pool.submit(put), pool.submit(delete)
            outcomes.add(tuple(each.result() for each in running))
    assert outcomes <= {(None, Reason.DOMAIN_IN_USE), (Reason.DOMAIN_NOT_FOUND, None)}


def _reason(attempt: Callable[[], object]) -> Reason | None:
    try:
        attempt()
    except ServiceError as error:
        return error.reason
    return None


def test_many_callers_put_the_same_uses(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """At the same time, from two processes: each use is there once, and counted once."""
    stores = [store, open_one()]
    with ThreadPoolExecutor(8) as pool:
        puts = [pool.submit(stores[number % 2].put_use, "acme", use(number % 10)) for number in range(80)]
        for put in puts:
            put.result()
    assert len(listed(store)) == 10
    assert held(store) == 10
    assert store.newest("acme", None, before=None, limit=1)[0].type is EventType.SENDING_DISABLED
