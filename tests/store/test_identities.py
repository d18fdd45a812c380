"""`IdentityStore`, on every database."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from service.core import ownership
from service.core.domain import Change, EventType, Moved, Status
from service.core.errors import Reason, ServiceError
from service.ports import IdentityRef, IdentityWork, ProviderState, WantedIdentity
from service.store.sql import SqlStore
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

REF = IdentityRef("example.com", "eu-west-1")
PATIENCE = timedelta(minutes=10)
LEASE = timedelta(minutes=1)
CHANGE = Change(EventType.RECORDS_CHANGED)


def reserve(store: SqlStore, clock: HandClock) -> str:
    """Reserve the identity, which nobody removes."""
    token = store.reserve(REF, clock.now(), PATIENCE)
    assert token is not None
    return token


def create(
    store: SqlStore, token: str | None, tenant: str = "acme", region: str = REF.region, quota: int = 0
) -> None:
    """Create a domain of the name, which all but acme have to prove."""
    draft = sample_domain(tenant, REF.name, region=region)
    if tenant != "acme":
        draft = ownership.demanded(draft, "t" * 40)
    store.create(draft, actor="key:1", request=None, reservation=token, quota=quota)


def refused(store: SqlStore, token: str | None, **arguments: object) -> Reason:
    """Return why the creation of a domain is refused."""
    with pytest.raises(ServiceError) as raised:
        create(store, token, **arguments)
    return raised.value.reason


def take(store: SqlStore, clock: HandClock) -> IdentityWork | None:
    """Take what is due, if anything."""
    return store.take_due(clock.now(), LEASE, None)


def removal(store: SqlStore, clock: HandClock) -> IdentityWork:
    """Take the identity, which is due to be removed."""
    taken = take(store, clock)
    assert taken is not None
    assert taken.ref == REF
    assert taken.wanted is None
    return taken


def settled(store: SqlStore, clock: HandClock) -> IdentityWork:
    """Take the identity, which a domain needs, and say that it is as it has to be."""
    taken = take(store, clock)
    assert taken is not None
    assert taken.ref == REF
    assert taken.wanted is not None
    store.finish(taken, clock.now(), ProviderState.PENDING)
    return taken


def test_a_reservation_ends_with_its_domain(store: SqlStore, clock: HandClock) -> None:
    """There is nothing to be removed then, however late it is."""
    create(store, reserve(store, clock))
    settled(store, clock)
    clock.advance(days=1)
    assert take(store, clock) is None


def test_an_identity_without_a_domain_is_removed_in_the_end(store: SqlStore, clock: HandClock) -> None:
    """Whatever ended its creation: nobody has to be there any more who began it."""
    reserve(store, clock)
    clock.advance(minutes=9)
    assert take(store, clock) is None
    clock.advance(minutes=1)
    taken = removal(store, clock)
    assert take(store, clock) is None
    store.finish(taken, clock.now(), None)
    clock.advance(days=1)
    assert take(store, clock) is None


@pytest.mark.parametrize("why", ["exists", "quota"])
def test_a_creation_that_is_refused_leaves_its_reservation(
    store: SqlStore, clock: HandClock, why: str
) -> None:
    """It is removed only where no other domain needs the identity."""
    if why == "exists":
        create(store, None)
        assert refused(store, reserve(store, clock)) is Reason.DOMAIN_EXISTS
    else:
        store.create(sample_domain(name="other.com"), actor="key:1", request=None)
        assert refused(store, reserve(store, clock), quota=1) is Reason.DOMAIN_QUOTA
    clock.advance(minutes=10)
    taken = [each for each in iter(lambda: take(store, clock), None) if each.ref == REF]
    assert [each.wanted is None for each in taken] == [why == "quota"]


def test_the_last_claim_takes_the_identity_with_it(store: SqlStore, clock: HandClock) -> None:
    """Not one before: every tenant's domain needs it, and none of another region."""
    for tenant, region in (("acme", REF.region), ("rival", REF.region)):
        create(store, reserve(store, clock), tenant, region)
    store.create_tenant("third")
    create(store, None, "third", "us-east-1")
    settled(store, clock)
    store.delete("acme", REF.name, actor="key:1")
    assert settled(store, clock).wanted == WantedIdentity(mail_from=None, tenants=("rival",))
    store.delete("rival", REF.name, actor="key:1")
    assert removal(store, clock).ref == REF


def test_a_deletion_that_fails_notes_nothing(store: SqlStore, clock: HandClock) -> None:
    """What is to be removed and the DELETED event are one transaction."""
    create(store, None)
    with pytest.raises(ServiceError):
        store.delete("rival", REF.name, actor="key:1")
    assert take(store, clock) is None


def test_a_creation_that_comes_before_the_removal_keeps_the_identity(
    store: SqlStore, clock: HandClock
) -> None:
    """It was not touched yet."""
    create(store, reserve(store, clock))
    store.delete("acme", REF.name, actor="key:1")
    create(store, reserve(store, clock))
    clock.advance(days=1)
    settled(store, clock)
    assert take(store, clock) is None


def test_a_creation_waits_for_a_removal_that_runs(store: SqlStore, clock: HandClock) -> None:
    """And makes the identity anew afterwards."""
    create(store, None)
    store.delete("acme", REF.name, actor="key:1")
    taken = removal(store, clock)
    assert store.reserve(REF, clock.now(), PATIENCE) is None
    store.finish(taken, clock.now(), None)
    create(store, reserve(store, clock))


def test_a_creation_that_began_before_a_removal_must_begin_again(store: SqlStore, clock: HandClock) -> None:
    """What it made may be gone: while the removal runs, after it was put off, and after it was done."""
    token = reserve(store, clock)
    clock.advance(minutes=10)
    taken = removal(store, clock)
    assert refused(store, token) is Reason.CONCURRENT_CHANGE
    store.put_off(taken, clock.now())
    assert refused(store, token) is Reason.CONCURRENT_CHANGE
    store.finish(removal(store, clock), clock.now(), None)
    assert refused(store, token) is Reason.CONCURRENT_CHANGE
    again = reserve(store, clock)
    assert refused(store, token) is Reason.CONCURRENT_CHANGE
    create(store, again)


def test_creations_at_the_same_time_share_an_identity(store: SqlStore, clock: HandClock) -> None:
    """Whoever ends first takes nothing from the other."""
    first, second = reserve(store, clock), reserve(store, clock)
    create(store, first)
    create(store, second, "rival")


def test_a_removal_that_fails_is_taken_again_when_it_says(store: SqlStore, clock: HandClock) -> None:
    """It counts how often."""
    reserve(store, clock)
    clock.advance(minutes=10)
    store.put_off(removal(store, clock), clock.now() + timedelta(seconds=30))
    clock.advance(seconds=29)
    assert take(store, clock) is None
    clock.advance(seconds=1)
    assert removal(store, clock).failures == 1


def test_a_removal_whose_process_died_is_taken_again(store: SqlStore, clock: HandClock) -> None:
    """After its lease; whoever comes back late has no say any more."""
    reserve(store, clock)
    clock.advance(minutes=10)
    lost = removal(store, clock)
    clock.advance(minutes=1)
    taken = removal(store, clock)
    store.finish(lost, clock.now(), None)
    store.put_off(lost, clock.now())
    assert take(store, clock) is None
    clock.advance(minutes=1)
    assert removal(store, clock).failures == taken.failures == 0


def test_a_creation_goes_on_where_a_removal_has_died(store: SqlStore, clock: HandClock) -> None:
    """After its lease, and the late one must not forget what was reserved."""
    reserve(store, clock)
    clock.advance(minutes=10)
    lost = removal(store, clock)
    clock.advance(minutes=1)
    token = reserve(store, clock)
    store.finish(lost, clock.now(), None)
    create(store, token)


def test_who_decides_on_the_envelope_sender(store: SqlStore, clock: HandClock) -> None:
    """The only domain of the name; of several, the one that is VERIFIED, and nobody while none is."""
    create(store, reserve(store, clock))
    only = settled(store, clock).wanted
    assert only == WantedIdentity(mail_from="bounce.example.com", tenants=("acme",))
    create(store, reserve(store, clock), "rival")
    both = settled(store, clock).wanted
    assert both == WantedIdentity(mail_from=None, tenants=("acme", "rival"))
    store.change("rival", REF.name, lambda domain: Moved(replace(domain, mail_from="m.example.com"), CHANGE))
    assert settled(store, clock).wanted == both
    store.change("rival", REF.name, lambda domain: Moved(replace(domain, status=Status.VERIFIED), CHANGE))
    holder = settled(store, clock).wanted
    assert holder == WantedIdentity(mail_from="m.example.com", tenants=("acme", "rival"))


def test_a_claim_that_has_to_be_proved_decides_nothing_before(store: SqlStore, clock: HandClock) -> None:
    """Though it is the only one: the identity may be of somebody who is no tenant here."""
    create(store, reserve(store, clock), "rival")
    assert settled(store, clock).wanted == WantedIdentity(mail_from=None, tenants=("rival",))
    store.change("rival", REF.name, lambda domain: Moved(replace(domain, status=Status.VERIFIED), CHANGE))
    holder = WantedIdentity(mail_from="bounce.example.com", tenants=("rival",))
    assert settled(store, clock).wanted == holder


@pytest.mark.parametrize("is_finished", [True, False], ids=["finished", "put off"])
def test_a_turn_does_not_undo_what_a_poll_has_learnt(
    store: SqlStore, clock: HandClock, is_finished: bool
) -> None:
    """What the turn has found is older: the poll was begun after it was taken."""
    create(store, reserve(store, clock))
    taken = take(store, clock)
    assert taken is not None
    poll = store.take_poll(REF.region, clock.now(), LEASE)
    assert poll is not None
    store.save_states(poll, clock.now(), changed={REF.name: ProviderState.READY}, missing=())
    store.end_poll(poll, clock.now(), clock.now() + LEASE)
    if is_finished:
        store.finish(taken, clock.now(), ProviderState.PENDING)
    else:
        store.put_off(taken, clock.now() + LEASE, ProviderState.PENDING)
    assert store.states([REF]) == {REF: ProviderState.READY}


def test_what_does_not_concern_the_provider_makes_nothing_due(store: SqlStore, clock: HandClock) -> None:
    """Pausing, say."""
    create(store, reserve(store, clock))
    settled(store, clock)
    store.change("acme", REF.name, lambda domain: Moved(replace(domain, sending_enabled=False), CHANGE))
    assert take(store, clock) is None
    restored = replace(CHANGE, type=EventType.RECORDS_RESTORED)
    store.change("acme", REF.name, lambda domain: Moved(replace(domain, sending_enabled=True), restored))
    assert settled(store, clock).wanted is not None


def test_what_is_wanted_meanwhile_is_not_lost(store: SqlStore, clock: HandClock) -> None:
    """Whoever sees to the identity has asked before: it is due again at once, but not to another."""
    create(store, reserve(store, clock))
    taken = take(store, clock)
    assert taken is not None
    store.change("acme", REF.name, lambda domain: Moved(replace(domain, mail_from="m.example.com"), CHANGE))
    assert take(store, clock) is None
    store.finish(taken, clock.now(), ProviderState.PENDING)
    again = settled(store, clock).wanted
    assert again is not None
    assert again.mail_from == "m.example.com"
    assert take(store, clock) is None


def test_a_reservation_outlasts_work_on_the_identity(store: SqlStore, clock: HandClock) -> None:
    """Neither of them ends the other."""
    create(store, reserve(store, clock))
    taken = take(store, clock)
    assert taken is not None
    token = reserve(store, clock)
    store.finish(taken, clock.now(), ProviderState.PENDING)
    store.delete("acme", REF.name, actor="key:1")
    assert take(store, clock) is None
    create(store, token)
    assert settled(store, clock).wanted is not None


def test_each_region_is_seen_to_by_itself(store: SqlStore, clock: HandClock) -> None:
    """Where one does not answer, others are not kept waiting."""
    create(store, reserve(store, clock))
    assert store.take_due(clock.now(), LEASE, "us-east-1") is None
    assert store.take_due(clock.now(), LEASE, REF.region) is not None


@dataclass
class Provider:
    """A provider that has the one identity, or not."""

    store: SqlStore
    has_identity: bool = False

    def create(self, tenant: str) -> bool:
        """Try to create a domain as CreateDomain does; False where it has to begin again."""
        token = self.store.reserve(REF, NOON, PATIENCE)
        if token is None:
            return False
        self.has_identity = True
        try:
            create(self.store, token, tenant)
        except ServiceError as error:
            if error.reason is not Reason.CONCURRENT_CHANGE:
                raise
            return False
        return True

    def remove(self) -> bool:
        """Carry out a removal, if one is due."""
        if (taken := self.store.take_due(NOON, LEASE, None)) is None:
            return False
        if taken.wanted is None:
            self.has_identity = False
        self.store.finish(taken, NOON, None)
        return taken.wanted is None


def test_a_domain_never_lacks_its_identity(store: SqlStore, clock: HandClock) -> None:
    """Creations, deletions and removals of one name, all at once."""
    provider = Provider(store)
    store.create_tenant("third")

    def live(tenant: str) -> int:
        removed = 0
        for _ in range(25):
            while not provider.create(tenant):
                pass
            assert provider.has_identity
            store.delete(tenant, REF.name, actor="key:1")
            removed += provider.remove()
        return removed

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(live, ["rival", "third"]))
