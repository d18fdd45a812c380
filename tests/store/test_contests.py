"""Names that several tenants claim, on every database."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from service.core import lifecycle, ownership, transfer
from service.core.answers import Answer, Answers, Outcome
from service.core.domain import Domain, Event, EventType, Moved, Status, StatusReason
from service.core.records import Finding, RecordState
from service.core.verdict import Outcome as Judged
from service.core.verdict import Verdict
from service.ports import CheckedMove, Claim
from service.store.sql import SqlStore
from tests.store.moves import Rescheduled, toggled, verified
from tests.support.clock import HandClock
from tests.support.samples import sample_domain

NAME = "example.com"
LEASE = timedelta(minutes=1)
POLICY = lifecycle.Policy()
TENANTS = ("acme", "rival", "third")


def add(store: SqlStore, tenant: str, name: str = NAME) -> Domain:
    """Create a domain as CreateDomain does: contested where another tenant has, or had, the name."""
    draft = sample_domain(tenant, name)
    if store.is_foreign(tenant, name):
        draft = ownership.demanded(draft, f"{tenant:0<40}")
    return store.create(draft, actor="key:1", request=None)


def claim(store: SqlStore, clock: HandClock, tenant: str, name: str = NAME) -> Claim:
    """Take a domain for a check."""
    taken = store.claim(tenant, name, clock.now(), LEASE)
    assert taken is not None
    return taken


def checked(
    store: SqlStore,
    clock: HandClock,
    taken: Claim,
    *,
    passed: bool = True,
    challenges: Collection[str] | None = None,
) -> CheckedMove:
    """Return what a check comes to that finds everything right, or nothing.

    `challenges` are the tenants whose challenges stand in the zone; by default
    the domain's own.
    """
    now = clock.now()
    question = ownership.question(taken.domain.name)

    def values() -> tuple[str, ...]:
        shown = challenges if challenges is not None else [taken.domain.tenant] if passed else []
        domains = [store.get(tenant, taken.domain.name) for tenant in shown]
        return tuple(record.value for each in domains if (record := ownership.record_of(each)))

    seen = Answers(question, (Answer(question, Outcome.FOUND, values(), authoritative=True),))

    def check(domain: Domain) -> lifecycle.Check:
        state = RecordState.FOUND if passed else RecordState.MISSING
        return lifecycle.Check(
            verdict=Verdict(
                records=tuple(replace(record, finding=Finding(state)) for record in domain.records),
                outcome=Judged.PASSED if passed else Judged.FAILED,
                confirmed=True,
                unknown=False,
            ),
            time=now,
            provider_ready=True,
            provider_revoked=False,
            proved_elsewhere=taken.proved_elsewhere,
            challenges=seen,
            token="f" * 40,
        )

    return CheckedMove(
        taken,
        lambda domain: lifecycle.after_check(domain, check(domain), POLICY),
        lambda domain, holder: transfer.contest(domain, holder, check(domain), POLICY),
    )


def look(store: SqlStore, clock: HandClock, tenant: str, **seen: object) -> Domain | None:
    """Check one tenant's domain and save it."""
    taken = claim(store, clock, tenant)
    (saved,) = store.save([checked(store, clock, taken, **seen)])
    return saved


@pytest.fixture
def contested(store: SqlStore, clock: HandClock) -> SqlStore:
    """Return the store in which acme is VERIFIED with a name, and rival and third claim it, in that order."""
    store.create_tenant("third")
    for tenant in TENANTS:
        add(store, tenant)
    look(store, clock, "acme")
    assert store.get("acme", NAME).status is Status.VERIFIED
    return store


def events(store: SqlStore, tenant: str) -> list[Event]:
    """Return everything that a tenant was told, without gaps."""
    told = list(store.read(tenant, 0, 1000))
    assert [event.revision for event in told] == list(range(1, store.head(tenant) + 1))
    return told


def test_a_proved_claim_changes_the_holder_in_the_same_save(contested: SqlStore, clock: HandClock) -> None:
    """The holder is told with a revision of its own tenant, and is due at once."""
    saved = look(contested, clock, "rival")
    assert saved == contested.get("rival", NAME)
    assert saved.status is Status.PENDING
    holder = contested.get("acme", NAME)
    assert holder.transfer is not None
    assert ownership.record_of(holder) is not None
    told = events(contested, "acme")[-1]
    assert told.type is EventType.RECORDS_CHANGED
    assert told.state == holder
    assert contested.next_due() == clock.now()
    assert not set(told.reason.split()) & {"rival", saved.generation}


def test_a_claim_that_stays_as_it_was_can_change_the_holder(contested: SqlStore, clock: HandClock) -> None:
    """Where the name is held elsewhere its contest decides, even if its own move would change nothing."""
    quiet = CheckedMove(
        claim(contested, clock, "rival"),
        Rescheduled(clock.now()),
        lambda claimant, holder: (Rescheduled(clock.now())(claimant), toggled(holder)),
    )
    assert contested.save([quiet]) != [None]
    assert not contested.get("acme", NAME).sending_enabled


def test_a_contest_is_given_the_present_holder(contested: SqlStore, clock: HandClock) -> None:
    """Not as it was when a check of it began that has lost its lease since, in the same batch."""
    stale = claim(contested, clock, "acme")
    clock.advance(seconds=LEASE.total_seconds())
    later = claim(contested, clock, "acme")
    contested.save([CheckedMove(later, Rescheduled(clock.now()))])
    present = contested.get("acme", NAME).checks
    quiet = CheckedMove(
        claim(contested, clock, "rival"),
        Rescheduled(clock.now()),
        lambda claimant, holder: (Moved(claimant), toggled(holder)),
    )
    contested.save([CheckedMove(stale, toggled), quiet])
    assert contested.get("acme", NAME).checks == present


def test_a_lost_name_changes_hands_in_one_save(contested: SqlStore, clock: HandClock) -> None:
    """Both are told, each with its own tenant's next revision, and a third can do nothing about it."""
    look(contested, clock, "rival")
    clock.advance(hours=72)
    assert look(contested, clock, "third") is not None
    saved = look(contested, clock, "rival")
    assert saved is not None
    assert saved.status is Status.VERIFIED
    lost = contested.get("acme", NAME)
    assert (lost.status, lost.status_reason) == (Status.FAILED, StatusReason.OWNERSHIP_LOST)
    assert lost.contested
    won, gone = events(contested, "rival")[-1], events(contested, "acme")[-1]
    assert (won.state, gone.state) == (saved, lost)
    assert (won.reason, gone.reason) == ("RECORDS_FOUND", "OWNERSHIP_LOST")
    assert (won.previous_status, gone.previous_status) == (Status.PENDING, Status.VERIFIED)


def test_a_name_that_is_kept_changes_nothing_for_the_claim(contested: SqlStore, clock: HandClock) -> None:
    """Whoever holds it proves it, and no claim restarts anything."""
    look(contested, clock, "rival")
    clock.advance(hours=1)
    look(contested, clock, "acme")
    holder = contested.get("acme", NAME)
    assert holder.transfer is None
    heads = contested.head("acme"), contested.head("rival")
    for _ in range(3):
        clock.advance(hours=20)
        look(contested, clock, "rival", challenges=["acme", "rival"])
    assert (contested.head("acme"), contested.head("rival")) == heads
    assert contested.get("acme", NAME).status is Status.VERIFIED


def test_a_check_of_the_holder_that_runs_is_dropped(contested: SqlStore, clock: HandClock) -> None:
    """It asked for other records than the holder has now, and must be run again."""
    running = claim(contested, clock, "acme")
    look(contested, clock, "rival")
    head = contested.head("acme")
    assert contested.save([CheckedMove(running, toggled)]) == [None]
    assert contested.head("acme") == head
    assert claim(contested, clock, "acme").domain.transfer is not None


@pytest.mark.parametrize("order", [("acme", "rival"), ("rival", "acme")])
def test_claim_and_holder_in_one_batch(contested: SqlStore, clock: HandClock, order: tuple[str, str]) -> None:
    """What the claim makes of the holder counts, in either order."""
    look(contested, clock, "rival")
    clock.advance(hours=72)
    batch = [claim(contested, clock, tenant) for tenant in order]
    saved = contested.save([checked(contested, clock, each, challenges=["rival"]) for each in batch])
    by_tenant = dict(zip(order, saved, strict=True))
    assert by_tenant["acme"] is None
    assert by_tenant["rival"] == contested.get("rival", NAME)
    assert contested.get("rival", NAME).status is Status.VERIFIED
    assert contested.get("acme", NAME).status is Status.FAILED
    events(contested, "acme")


def test_two_claims_in_one_batch(contested: SqlStore, clock: HandClock) -> None:
    """One begins the transfer; the other is looked at again."""
    batch = [claim(contested, clock, tenant) for tenant in ("rival", "third")]
    saved = contested.save([checked(contested, clock, each) for each in batch])
    assert [each is None for each in saved] == [False, True]
    holder = contested.get("acme", NAME)
    assert holder.transfer is not None
    assert holder.transfer.claim == contested.get("rival", NAME).generation
    assert len(events(contested, "acme")) == 3
    clock.advance(seconds=60)
    assert look(contested, clock, "third") is not None


def test_the_deletion_of_the_claim_ends_the_transfer(contested: SqlStore, clock: HandClock) -> None:
    """In one transaction; one that was no part of it ends nothing."""
    look(contested, clock, "rival")
    contested.delete("third", NAME, actor="key:1")
    assert contested.get("acme", NAME).transfer is not None
    contested.delete("rival", NAME, actor="key:1")
    holder = contested.get("acme", NAME)
    assert holder.transfer is None
    assert holder.status is Status.VERIFIED
    assert events(contested, "acme")[-1].state == holder
    assert events(contested, "rival")[-1].type is EventType.DELETED


def test_the_deletion_of_the_holder_frees_the_name(contested: SqlStore, clock: HandClock) -> None:
    """The first to prove has it, without any wait."""
    look(contested, clock, "rival")
    contested.delete("acme", NAME, actor="key:1")
    saved = look(contested, clock, "third")
    assert saved is not None
    assert saved.status is Status.VERIFIED


def test_the_first_tenant_cannot_come_back_unproved(contested: SqlStore, clock: HandClock) -> None:
    """Also when whoever proved the name meanwhile has left: its records may still stand."""
    look(contested, clock, "rival")
    clock.advance(hours=72)
    look(contested, clock, "rival")
    contested.delete("rival", NAME, actor="key:1")
    back = look(contested, clock, "acme")
    # It lost a transfer, so it has its challenge already.
    assert back is not None
    assert back.status is Status.VERIFIED
    assert back.contested


def test_a_first_tenant_that_failed_by_itself_is_asked_for_proof(store: SqlStore, clock: HandClock) -> None:
    """And learns of nothing but that, when another has proved the name and left."""
    add(store, "acme")
    add(store, "rival")
    late = claim(store, clock, "acme")
    assert not late.proved_elsewhere
    look(store, clock, "rival")
    store.delete("rival", NAME, actor="key:1")

    # Its check began before: it is dropped, and run again.
    assert store.save([checked(store, clock, late)]) == [None]
    assert store.get("acme", NAME).status is Status.PENDING
    clock.advance(minutes=1)
    asked = look(store, clock, "acme")
    assert asked is not None
    assert (asked.status, asked.contested) == (Status.PENDING, True)
    assert ownership.record_of(asked) is not None
    proved = look(store, clock, "acme")
    assert proved is not None
    assert proved.status is Status.VERIFIED


def test_a_holder_that_was_beaten_to_it_is_left_alone(contested: SqlStore, clock: HandClock) -> None:
    """A rule that knows of no contest cannot take a name that is VERIFIED for another."""
    taken = claim(contested, clock, "rival")
    assert contested.save([CheckedMove(taken, verified)]) == [None]
    assert contested.get("acme", NAME).status is Status.VERIFIED


def test_a_name_that_its_tenant_adds_again_is_not_contested(store: SqlStore, clock: HandClock) -> None:
    """Where no other tenant ever had it."""
    add(store, "acme")
    look(store, clock, "acme")
    store.delete("acme", NAME, actor="key:1")
    assert not add(store, "acme").contested


def test_exactly_one_is_verified_in_any_race(
    store: SqlStore, open_one: Callable[[], SqlStore], clock: HandClock
) -> None:
    """Three tenants prove one name at the same time, over and over, and lose it to one another.

    Both logs together, in the order of commits, never have two VERIFIED.
    """
    store.create_tenant("third")
    stores = dict(zip(TENANTS, (store, open_one(), open_one()), strict=True))
    names = [f"d{number}.com" for number in range(6)]
    for name in names:
        for tenant in TENANTS:
            add(store, tenant, name)
    barrier = Barrier(len(TENANTS), action=lambda: clock.advance(hours=24))

    def undefended(each: Claim) -> list[str]:
        return [] if each.domain.status is Status.VERIFIED else [each.domain.tenant]

    def prove(tenant: str) -> None:
        mine = stores[tenant]
        for _ in range(12):
            barrier.wait(60)
            claims = [claim(mine, clock, tenant, name) for name in names]
            # Whoever has the name does not defend it: it goes round.
            mine.save([checked(mine, clock, each, challenges=undefended(each)) for each in claims])

    with ThreadPoolExecutor(len(TENANTS)) as pool:
        list(pool.map(prove, TENANTS))

    transfers = 0
    for name in names:
        statuses = [store.get(tenant, name).status for tenant in TENANTS]
        assert statuses.count(Status.VERIFIED) == 1
    for tenant in TENANTS:
        transfers += sum(event.reason == "OWNERSHIP_LOST" for event in events(store, tenant))
    assert transfers
    _assert_one_at_a_time(store, names)


def _assert_one_at_a_time(store: SqlStore, names: list[str]) -> None:
    """Look through the logs of all tenants: nobody became VERIFIED while another was."""
    for name in names:
        moves = sorted(
            (event.time, event.state.status is Status.VERIFIED, event.tenant)
            for tenant in TENANTS
            for event in events(store, tenant)
            if event.domain == name and event.type is EventType.STATUS_CHANGED
        )
        holder = None
        for _, is_verified, tenant in moves:
            if is_verified:
                assert holder is None
                holder = tenant
            elif holder == tenant:
                holder = None


def test_moves_and_deletions_at_once_do_not_deadlock(
    store: SqlStore, open_one: Callable[[], SqlStore], clock: HandClock
) -> None:
    """Claims, contests and deletions of the same names by several processes all get through."""
    store.create_tenant("third")
    stores = [store, open_one(), open_one()]
    names = [f"d{number}.com" for number in range(4)]

    def churn(number: int) -> None:
        mine, tenant = stores[number], TENANTS[number]
        for _ in range(15):
            for name in names:
                if not mine.find(tenant, {name}):
                    draft = ownership.demanded(sample_domain(tenant, name), f"{tenant:0<40}")
                    mine.create(draft, actor="key:1", request=None)
            claims = [
                taken for name in names if (taken := mine.claim(tenant, name, clock.now(), LEASE)) is not None
            ]
            mine.save([checked(mine, clock, each) for each in claims])
            clock.advance(hours=30)
            mine.delete(tenant, names[number], actor="key:1")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(churn, range(3)))
    for tenant in TENANTS:
        events(store, tenant)


def test_a_move_is_all_or_nothing(contested: SqlStore, clock: HandClock) -> None:
    """A contest that breaks leaves both as they were, and both leases standing."""

    def broken(claimant: Domain, holder: Domain) -> tuple[Moved, Moved | None]:
        raise RuntimeError("broken")

    heads = {tenant: contested.head(tenant) for tenant in TENANTS}
    taken = claim(contested, clock, "rival")
    with pytest.raises(RuntimeError):
        contested.save([CheckedMove(taken, verified, broken)])
    assert {tenant: contested.head(tenant) for tenant in TENANTS} == heads
    assert contested.save([checked(contested, clock, taken)]) != [None]
