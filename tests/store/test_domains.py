"""`DomainStore`, on every database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.domain import EventType, Moved, Status
from service.core.errors import Reason, ServiceError
from service.core.health import Health
from service.core.records import Finding, Problem, RecordState
from service.ports import CreateRequest, DomainFilter
from service.store.document import dump_state, load_state
from service.store.sql import SqlStore
from tests.store.moves import Rescheduled, toggled
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain


def add(store: SqlStore, *names: str, tenant: str = "acme") -> None:
    """Create domains with these names."""
    for name in names:
        store.create(sample_domain(tenant, name, contested=True), actor="key:1", request=None)


def test_a_created_domain_is_read_back_as_it_was_returned(store: SqlStore) -> None:
    """What `create` returned is what `get` returns, with revision 1."""
    created = store.create(sample_domain(), actor="key:1", request=None)
    assert created == replace(sample_domain(generation=created.generation), revision=1)
    assert store.get("acme", "example.com") == created
    assert store.head("acme") == 1


def test_those_that_exist_are_found_by_name(store: SqlStore) -> None:
    """`find` returns what `get` does, of one tenant, and passes over what there is not."""
    add(store, "a.com", "b.com", "c.com")
    add(store, "a.com", "only.rivals.com", tenant="rival")
    found = store.find("acme", {"a.com", "c.com", "only.rivals.com", "none.com"})
    assert found == {name: store.get("acme", name) for name in ("a.com", "c.com")}
    assert store.find("acme", {"b.com"}) == {"b.com": store.get("acme", "b.com")}
    assert store.find("nobody", {"a.com"}) == {}
    assert store.find("acme", set()) == {}


def test_odd_names_find_nothing(store: SqlStore) -> None:
    """Whatever a name has in it, it is a name and no part of a statement."""
    add(store, "a.com")
    odd = {"\0", "a.com\0", "'", '"]', "a.com' OR '1'='1", "{a.com}", "\\", "%", "\u00e9", "A.COM", "a.com "}
    assert store.find("acme", odd) == {}


def test_what_is_found_is_never_old(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """A change, a check and a deletion by another process show in the next look-up."""
    add(store, "a.com")
    other = open_one()
    assert store.find("acme", {"a.com"})["a.com"].revision == 1
    changed = other.change("acme", "a.com", toggled)
    assert store.find("acme", {"a.com"}) == {"a.com": changed}
    later = other.change("acme", "a.com", Rescheduled(NOON + timedelta(days=1)))
    assert later.checks != changed.checks
    assert store.find("acme", {"a.com"}) == {"a.com": later}
    other.delete("acme", "a.com", actor="key:1")
    assert store.find("acme", {"a.com"}) == {}


def test_text_of_any_kind_survives(store: SqlStore) -> None:
    """Findings with NUL, quotes and characters of every plane are read back exactly."""
    odd = "\0 ' \" \\ % _ \n é 漢 \U0001f600 \\u0000"
    found = Finding(RecordState.MISMATCH, (odd, ""), Problem.WRONG_VALUE, odd, odd)
    store.create(sample_domain(), actor=odd, request=None)

    changed = store.change(
        "acme",
        "example.com",
        lambda domain: Moved(
            replace(domain, records=tuple(replace(record, finding=found) for record in domain.records))
        ),
    )

    assert store.get("acme", "example.com") == changed
    assert store.find("acme", {"example.com"}) == {"example.com": changed}
    assert store.read("acme", 0, 10)[0].actor == odd
    assert changed.records[0].finding == found


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    time=st.datetimes(timezones=st.just(NOON.tzinfo)) | st.none(),
    gap=st.floats(0, 1e9),
)
def test_a_document_loses_nothing(text: str, time: object, gap: float) -> None:
    """Every text, time and number of a domain passes through its document unchanged."""
    before = sample_domain()
    checks = replace(before.checks, gap=gap, failing_since=time)
    domain = replace(before, disable_reason=text, verify_time=time, checks=checks)
    assert load_state(dump_state(domain)) == domain


def test_names_differ_by_their_octets(store: SqlStore) -> None:
    """Case tells names and tenants apart, and blanks at the end do."""
    add(store, "example.com", "EXAMPLE.com", "example.com ")
    assert store.get("acme", "EXAMPLE.com").name == "EXAMPLE.com"
    for tenant, name in [("ACME", "example.com"), ("acme", "Example.com"), ("acme ", "example.com")]:
        with pytest.raises(ServiceError) as raised:
            store.get(tenant, name)
        assert raised.value.reason is Reason.DOMAIN_NOT_FOUND


@pytest.mark.parametrize("name", ["", "a\0b", "%", "' OR 1=1", "a" * 5000])
def test_a_name_that_cannot_be_is_not_found(store: SqlStore, name: str) -> None:
    """Any text may be looked for."""
    with pytest.raises(ServiceError) as raised:
        store.get("acme", name)
    assert raised.value.reason is Reason.DOMAIN_NOT_FOUND


def test_a_name_exists_once_in_a_tenant(store: SqlStore) -> None:
    """A second creation is refused, and leaves no trace."""
    add(store, "example.com")
    with pytest.raises(ServiceError) as raised:
        add(store, "example.com")
    assert raised.value.reason is Reason.DOMAIN_EXISTS
    assert store.head("acme") == 1


def test_repeating_a_request_returns_its_first_answer(store: SqlStore) -> None:
    """A creation with a request id seen before changes nothing, also after a change."""
    request = CreateRequest("any \0 text", "fingerprint")
    assert store.find_created("acme", request) is None
    first = store.create(sample_domain(), actor="key:1", request=request)
    store.change("acme", "example.com", toggled)

    again = store.create(sample_domain(), actor="key:1", request=request)

    assert again == first == store.find_created("acme", request)
    assert store.head("acme") == 2
    assert store.find_created("rival", request) is None


def test_a_request_id_cannot_name_two_requests(store: SqlStore) -> None:
    """Another fingerprint under a known request id is refused."""
    store.create(sample_domain(), actor="key:1", request=CreateRequest("id", "one"))
    other = CreateRequest("id", "two")
    with pytest.raises(ServiceError) as raised:
        store.create(sample_domain(name="other.com"), actor="key:1", request=other)
    assert raised.value.reason is Reason.INVALID_FIELD
    with pytest.raises(ServiceError, match="request_id"):
        store.find_created("acme", other)


def test_a_request_is_forgotten_after_a_day(store: SqlStore, clock: HandClock) -> None:
    """After 24 hours a request id may name another creation."""
    store.create(sample_domain(), actor="key:1", request=CreateRequest("id", "one"))
    clock.advance(hours=24)
    other = CreateRequest("id", "two")
    assert store.find_created("acme", other) is None
    created = store.create(sample_domain(name="other.com"), actor="key:1", request=other)
    assert store.find_created("acme", other) == created


def test_a_repeated_request_creates_once_when_sent_at_once(store: SqlStore) -> None:
    """Eight equal requests at the same time get one domain as their answer."""
    request = CreateRequest("id", "fingerprint")
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: store.create(sample_domain(), actor="key:1", request=request), range(8))
        )
    assert len(set(answers)) == 1
    assert store.head("acme") == 1


def test_a_name_is_foreign_once_another_tenant_had_it(store: SqlStore) -> None:
    """A name stays foreign to others after its domain was deleted, never to its holder."""
    assert not store.is_foreign("acme", "example.com")
    add(store, "example.com")
    store.delete("acme", "example.com", actor="key:1")
    assert store.is_foreign("rival", "example.com")
    assert not store.is_foreign("acme", "example.com")
    add(store, "example.com")


def test_only_one_of_two_tenants_is_first(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Of two uncontested creations of one name at the same time, one must be made again."""
    stores = {"acme": store, "rival": open_one()}

    def create(tenant: str, name: str) -> Reason | None:
        try:
            stores[tenant].create(sample_domain(tenant, name), actor="key:1", request=None)
        except ServiceError as error:
            return error.reason
        return None

    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            name = f"name{number}.com"
            results = set(pool.map(create, ["acme", "rival"], [name, name]))
            assert results == {None, Reason.CONCURRENT_CHANGE}


def test_a_quota_is_kept_by_creations_at_once(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Of eight creations at the same time three succeed, and the others leave no trace."""
    stores = [store, open_one()]

    def create(number: int) -> Reason | None:
        draft = sample_domain(name=f"d{number}.com")
        try:
            stores[number % 2].create(draft, actor="key:1", request=None, quota=3)
        except ServiceError as error:
            return error.reason
        return None

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(8)))
    assert sorted(map(str, results)) == ["DOMAIN_QUOTA"] * 5 + ["None"] * 3
    assert store.head("acme") == 3
    assert sum(store.is_foreign("rival", f"d{number}.com") for number in range(8)) == 3


def test_a_change_is_stamped_and_told(store: SqlStore, clock: HandClock) -> None:
    """A move with a change takes a revision and the time, and its event says all."""
    add(store, "example.com")
    clock.advance(seconds=1)

    after = store.change("acme", "example.com", toggled)

    assert (after.revision, after.update_time, after.sending_enabled) == (2, clock.time, False)
    assert store.get("acme", "example.com") == after
    created, event = store.read("acme", 0, 10)
    assert (created.type, created.previous_status, created.revision) == (EventType.CREATED, None, 1)
    assert event.state == after
    assert (event.type, event.reason, event.actor) == (EventType.SENDING_DISABLED, "on request", "key:1")
    assert (event.previous_status, event.previous_health) == (Status.PENDING, Health.UNSPECIFIED)
    assert (event.revision, event.time, event.domain) == (2, clock.time, "example.com")


def test_a_move_without_change_makes_no_event(store: SqlStore, clock: HandClock) -> None:
    """Only the schedule is written, with its odd numbers kept exactly."""
    add(store, "example.com")
    due = NOON + timedelta(hours=3, microseconds=1)
    after = store.change("acme", "example.com", Rescheduled(due))
    assert after.checks.next_check_time == due
    assert after.checks.gap == 0.1 + 0.2
    assert store.get("acme", "example.com") == after
    assert store.head("acme") == after.revision == 1
    assert store.next_due() == due


def test_a_move_that_raises_changes_nothing(store: SqlStore) -> None:
    """What a move raises reaches the caller."""
    add(store, "example.com")

    def refuse(_: object) -> Moved:
        raise ServiceError(Reason.DOMAIN_IN_USE, "in use")

    with pytest.raises(ServiceError, match="in use"):
        store.change("acme", "example.com", refuse)
    assert store.head("acme") == 1


def test_a_deleted_domain_is_gone_and_told(store: SqlStore) -> None:
    """The DELETED event carries the last state, and nothing is due any more."""
    add(store, "example.com")
    last = store.get("acme", "example.com")
    assert store.delete("acme", "example.com", actor="key:2") == 2
    event = store.read("acme", 1, 10)[0]
    assert (event.type, event.state, event.actor) == (EventType.DELETED, last, "key:2")
    assert store.next_due() is None
    for gone in (
        lambda: store.delete("acme", "example.com", actor="key:2"),
        lambda: store.change("acme", "example.com", toggled),
    ):
        with pytest.raises(ServiceError) as raised:
            gone()
        assert raised.value.reason is Reason.DOMAIN_NOT_FOUND


def test_a_change_needs_its_tenant(store: SqlStore) -> None:
    """A domain of a tenant that does not exist is a bug of the caller."""
    with pytest.raises(RuntimeError, match="nobody"):
        add(store, "example.com", tenant="nobody")


def test_pages_follow_the_octets_of_names(store: SqlStore) -> None:
    """Pages are in the order of the octets, complete, and of one tenant."""
    names = ["Z.com", "a-b.com", "a.com", "a.com.au", "a_b.com", "aa.com", "b.com", "é.com"]
    add(store, *reversed(names))
    add(store, "b.org", tenant="rival")
    seen: list[str] = []
    while True:
        page = store.page("acme", DomainFilter(), after=seen[-1] if seen else "", limit=3)
        seen += [domain.name for domain in page.domains]
        assert page.revision == len(names)
        if not page.has_more:
            break
    assert seen == sorted(names, key=str.encode)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (DomainFilter(), ["a%b.com", "a_b.com", "ab.com", "b.com"]),
        (DomainFilter(prefix="a_"), ["a_b.com"]),
        (DomainFilter(prefix="a%"), ["a%b.com"]),
        (DomainFilter(prefix="A"), []),
        (DomainFilter(prefix="a\0"), []),
        (DomainFilter(prefix="ab.com"), ["ab.com"]),
        (DomainFilter(names=frozenset({"b.com", "none.com"})), ["b.com"]),
        (DomainFilter(names=frozenset()), []),
        (DomainFilter(statuses=frozenset({Status.FAILED})), ["ab.com"]),
        (DomainFilter(healths=frozenset({Health.CRITICAL, Health.WARNING})), ["b.com"]),
        (DomainFilter(sending_enabled=False), ["a_b.com"]),
        (DomainFilter(sending_enabled=True, prefix="a"), ["a%b.com", "ab.com"]),
    ],
)
def test_a_page_holds_what_was_asked_for(store: SqlStore, wanted: DomainFilter, expected: list[str]) -> None:
    """Each filter means itself, and a prefix has no wildcards."""
    changes = {
        "a%b.com": {},
        "a_b.com": {"sending_enabled": False},
        "ab.com": {"status": Status.FAILED},
        "b.com": {"health": Health.CRITICAL},
    }
    for name, changed in changes.items():
        store.create(sample_domain(name=name, **changed), actor="key:1", request=None)
    page = store.page("acme", wanted, after="", limit=10)
    assert [domain.name for domain in page.domains] == expected
