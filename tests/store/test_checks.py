"""`CheckQueue`, on every database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.domain import Domain, Moved, Status
from service.core.errors import Reason, ServiceError
from service.ports import CheckedMove, Claim
from service.store.sql import SqlStore
from tests.store.moves import Rescheduled, toggled, verified
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

LEASE = timedelta(minutes=1)
LATER = NOON + timedelta(hours=1)


def add(store: SqlStore, name: str, *, due: float = 0, tenant: str = "acme") -> None:
    """Create a domain that is due so many seconds after noon."""
    domain = sample_domain(tenant, name, contested=True)
    checks = replace(domain.checks, next_check_time=NOON + timedelta(seconds=due))
    store.create(replace(domain, checks=checks), actor="key:1", request=None)


def claim(store: SqlStore, tenant: str = "acme", name: str = "example.com") -> Claim:
    """Claim one domain, which nobody has."""
    claimed = store.claim(tenant, name, NOON, LEASE)
    assert claimed is not None
    return claimed


def names(claims: object) -> list[str]:
    """Return the names of claimed domains."""
    return [each.domain.name for each in claims]


def test_the_longest_due_are_claimed_first(store: SqlStore) -> None:
    """Claims are in the order of their times, at most as many as asked for, none early."""
    for name, due in [("c.com", 3), ("a.com", 1), ("d.com", 99), ("b.com", 2)]:
        add(store, name, due=due)
    now = NOON + timedelta(seconds=5)
    assert names(store.claim_due(now, 2, LEASE)) == ["a.com", "b.com"]
    assert names(store.claim_due(now, 9, LEASE)) == ["c.com"]
    assert store.claim_due(now, 9, LEASE) == []


def test_a_claim_does_not_show(store: SqlStore) -> None:
    """A leased domain looks as before, and its next check time is not moved."""
    add(store, "example.com", due=1)
    before = store.get("acme", "example.com")
    (claimed,) = store.claim_due(LATER, 9, LEASE)
    assert claimed.domain == before == store.get("acme", "example.com")


def test_a_lease_that_ran_out_can_be_claimed_again(store: SqlStore) -> None:
    """Until its end nobody else gets the domain; then the late holder has lost it."""
    add(store, "example.com")
    (lost,) = store.claim_due(NOON, 9, LEASE)
    assert store.claim_due(NOON + LEASE - timedelta(microseconds=1), 9, LEASE) == []
    assert store.next_due() == NOON + LEASE
    (taken,) = store.claim_due(NOON + LEASE, 9, LEASE)
    assert store.save([CheckedMove(lost, toggled)]) == [None]
    store.release([lost])
    assert store.head("acme") == 1
    (saved,) = store.save([CheckedMove(taken, toggled)])
    assert saved == store.get("acme", "example.com")
    assert saved.revision == 2


def test_a_saved_domain_is_due_when_its_move_says(store: SqlStore) -> None:
    """An unchanged result writes the schedule, ends the lease and makes no event."""
    add(store, "example.com")
    (saved,) = store.save([CheckedMove(claim(store), Rescheduled(LATER))])
    assert saved == store.get("acme", "example.com")
    assert store.next_due() == saved.checks.next_check_time == LATER
    assert store.head("acme") == 1


def test_findings_are_written_without_an_event(store: SqlStore) -> None:
    """Records that differ are saved also where nothing is told."""
    add(store, "example.com")
    (saved,) = store.save(
        [CheckedMove(claim(store), lambda domain: Moved(replace(domain, records=domain.records[:1])))]
    )
    assert store.get("acme", "example.com") == saved
    assert len(saved.records) == 1
    assert store.head("acme") == 1


def test_a_dns_provider_is_written_without_an_event(store: SqlStore) -> None:
    """It is no news of its own."""
    add(store, "example.com")
    moved_on = CheckedMove(claim(store), lambda domain: Moved(replace(domain, dns_provider="Hetzner")))
    assert store.save([moved_on]) == [store.get("acme", "example.com")]
    assert store.get("acme", "example.com").dns_provider == "Hetzner"
    assert store.head("acme") == 1


def test_a_batch_is_saved_in_its_order(store: SqlStore) -> None:
    """Changes of several tenants get their own revisions, in the order given."""
    for tenant in ("rival", "acme"):
        for name in ("b.com", "a.com"):
            add(store, name, tenant=tenant)
    claims = store.claim_due(NOON, 9, LEASE)
    quiet, *loud = claims
    saved = store.save([CheckedMove(quiet, Rescheduled(LATER)), *(CheckedMove(c, toggled) for c in loud)])
    assert [(d.tenant, d.name) for d in saved if d] == [(c.domain.tenant, c.domain.name) for c in claims]
    assert saved == [store.get(c.domain.tenant, c.domain.name) for c in claims]
    told = {tenant: [e.state for e in store.read(tenant, 2, 9)] for tenant in ("acme", "rival")}
    assert told == {tenant: [d for d in saved[1:] if d and d.tenant == tenant] for tenant in told}
    assert store.claim_due(NOON - timedelta(1), 9, LEASE) == []


def test_a_save_applies_to_the_present_state(store: SqlStore) -> None:
    """A change made during the check is kept."""
    add(store, "example.com")
    claimed = claim(store)
    store.change("acme", "example.com", toggled)
    (saved,) = store.save([CheckedMove(claimed, verified)])
    assert saved is not None
    assert (saved.sending_enabled, saved.status, saved.revision) == (False, Status.VERIFIED, 3)


CHANGES: dict[str, Callable[[SqlStore], object]] = {
    "sending": lambda store: store.change("acme", "example.com", toggled),
    "provider": lambda store: store.change(
        "acme", "example.com", lambda domain: Moved(replace(domain, dns_provider="Hetzner"))
    ),
    "schedule": lambda store: store.change("acme", "example.com", Rescheduled(LATER)),
    "haste": lambda store: store.hasten("acme", ["example.com"], now=LATER, due=LATER),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("quiet", [False, True])
def test_a_move_is_given_the_present_state(
    store: SqlStore, change: Callable[[SqlStore], object], quiet: bool
) -> None:
    """Whatever was changed during the check, schedule alone included: nothing of it is lost."""
    add(store, "example.com")
    claimed = claim(store)
    change(store)
    present = store.get("acme", "example.com")
    seen: list[Domain] = []

    def move(domain: Domain) -> Moved:
        seen.append(domain)
        checks = replace(domain.checks, unknown_checks=domain.checks.unknown_checks + 1)
        after = replace(domain, checks=checks)
        return Moved(after) if quiet else toggled(after)

    (saved,) = store.save([CheckedMove(claimed, move)])
    assert seen[-1] == present
    assert saved == store.get("acme", "example.com")
    assert saved is not None
    assert saved.checks == replace(present.checks, unknown_checks=1)
    assert store.claim("acme", "example.com", NOON, LEASE) is not None


@pytest.mark.parametrize("end", ["expired", "deleted"])
def test_who_has_lost_a_lease_keeps_no_other_from_being_saved(store: SqlStore, end: str) -> None:
    """Of a batch that changes schedules alone those are saved whose claims hold still."""
    for number, name in enumerate(("a.com", "b.com", "c.com")):
        add(store, name, due=number)
    claims = store.claim_due(LATER, 9, LEASE)
    if end == "deleted":
        store.delete("acme", "b.com", actor="key:1")
    else:
        assert store.claim("acme", "b.com", LATER + LEASE, LEASE) is not None
    saved = store.save([CheckedMove(each, Rescheduled(LATER)) for each in claims])
    assert [after and after.name for after in saved] == ["a.com", None, "c.com"]
    assert [store.get("acme", name).checks.next_check_time for name in ("a.com", "c.com")] == [LATER] * 2
    if end == "expired":
        assert store.get("acme", "b.com").checks.next_check_time == NOON + timedelta(seconds=1)


def test_a_change_does_not_end_a_lease(store: SqlStore) -> None:
    """A domain under a lease that is rescheduled cannot be claimed by another."""
    add(store, "example.com")
    claimed = claim(store)
    store.change("acme", "example.com", Rescheduled(NOON))
    assert store.claim("acme", "example.com", NOON, LEASE) is None
    assert store.save([CheckedMove(claimed, toggled)]) != [None]


@pytest.mark.parametrize("created_anew", [False, True])
def test_a_late_result_does_not_touch_another_generation(store: SqlStore, created_anew: bool) -> None:
    """The result for a domain deleted meanwhile is dropped, also if the name is back."""
    add(store, "example.com")
    claimed = claim(store)
    store.delete("acme", "example.com", actor="key:1")
    if created_anew:
        add(store, "example.com")
    head = store.head("acme")
    assert store.save([CheckedMove(claimed, toggled)]) == [None]
    store.release([claimed])
    assert store.head("acme") == head


def test_released_domains_are_due_as_before(store: SqlStore) -> None:
    """A claim given back can be taken at once."""
    add(store, "example.com", due=1)
    claims = store.claim_due(LATER, 9, LEASE)
    store.release(claims)
    assert store.next_due() == NOON + timedelta(seconds=1)
    assert names(store.claim_due(LATER, 9, LEASE)) == ["example.com"]


def test_one_domain_can_be_claimed_before_it_is_due(store: SqlStore) -> None:
    """`claim` takes any domain, none that another has, and says which do not exist."""
    add(store, "example.com", due=999)
    assert claim(store).domain.name == "example.com"
    assert store.claim("acme", "example.com", NOON, LEASE) is None
    assert store.claim("acme", "example.com", NOON + LEASE, LEASE) is not None
    with pytest.raises(ServiceError) as raised:
        store.claim("acme", "none.com", NOON, LEASE)
    assert raised.value.reason is Reason.DOMAIN_NOT_FOUND


def test_every_due_domain_is_claimed_once(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Workers of two processes share the due domains without overlap or rest."""
    wanted = [f"d{number:03}.com" for number in range(120)]
    for name in wanted:
        add(store, name)
    stores = [store, open_one()]

    def work(worker: int) -> list[str]:
        mine: list[str] = []
        while claims := stores[worker % 2].claim_due(NOON, 7, LEASE):
            mine += names(claims)
        return mine

    with ThreadPoolExecutor(6) as pool:
        taken = [name for mine in pool.map(work, range(6)) for name in mine]
    # A worker may find nothing while others hold their locks: ask once more.
    taken += names(store.claim_due(NOON, 120, LEASE))
    assert sorted(taken) == wanted


def test_a_name_is_verified_for_one_tenant(store: SqlStore, clock: HandClock) -> None:
    """The slower one's domain is left as it was and looked at again, the others are saved."""
    for tenant in ("acme", "rival"):
        add(store, "example.com", tenant=tenant)
    add(store, "other.com", tenant="rival")
    first, beaten, other = (
        claim(store),
        claim(store, "rival"),
        claim(store, "rival", "other.com"),
    )
    assert not beaten.held_elsewhere
    assert store.save([CheckedMove(first, verified)]) != [None]

    saved = store.save([CheckedMove(beaten, verified), CheckedMove(other, verified)])

    assert saved == [None, store.get("rival", "other.com")]
    left = store.get("rival", "example.com")
    assert left.status is Status.PENDING
    assert [event.domain for event in store.read("rival", 2, 9)] == ["other.com"]
    (again,) = [
        each
        for each in store.claim_due(clock.time + timedelta(seconds=60), 9, LEASE)
        if each.domain.tenant == "rival" and each.domain.name == "example.com"
    ]
    assert again.held_elsewhere


def test_two_tenants_race_for_a_name(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Of two saves at the same time exactly one verifies the name."""
    stores = {"acme": store, "rival": open_one()}
    with ThreadPoolExecutor(2) as pool:
        for number in range(10):
            name = f"d{number}.com"
            for tenant in stores:
                add(store, name, tenant=tenant)
            moves = {tenant: CheckedMove(claim(store, tenant, name), verified) for tenant in stores}
            saved = list(pool.map(lambda tenant, moves=moves: stores[tenant].save([moves[tenant]]), stores))
            assert sum(result != [None] for result in saved) == 1


def test_hastened_domains_are_due_soon(store: SqlStore) -> None:
    """PENDING domains begin their fast phase again; others and unknown names are passed over."""
    add(store, "slow.com", due=999)
    add(store, "late.com", due=-5)
    add(store, "done.com", due=999)
    store.save([CheckedMove(claim(store, name="done.com"), verified)])
    now, soon = NOON + timedelta(seconds=10), NOON + timedelta(seconds=20)

    store.hasten("acme", ["slow.com", "late.com", "done.com", "none.com"], now=now, due=soon)
    store.hasten("acme", [], now=now, due=soon)

    slow, late = (store.get("acme", name).checks for name in ("slow.com", "late.com"))
    assert (slow.next_check_time, slow.fast_since, slow.gap) == (soon, now, 0.0)
    assert late.next_check_time == NOON - timedelta(seconds=5)
    assert store.get("acme", "done.com").checks.fast_since == NOON
    assert names(store.claim_due(soon, 9, LEASE)) == ["late.com", "slow.com"]


def test_hastening_does_not_end_a_lease(store: SqlStore) -> None:
    """A domain that is being checked is not given to a second worker."""
    add(store, "example.com")
    claim(store)
    store.hasten("acme", ["example.com"], now=NOON, due=NOON)
    assert store.claim_due(NOON, 9, LEASE) == []


def test_an_idle_queue_has_nothing_due(store: SqlStore) -> None:
    """Empty batches are allowed."""
    assert store.next_due() is None
    assert list(store.save([])) == []
    store.release([])
