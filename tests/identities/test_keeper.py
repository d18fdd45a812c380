"""Identities at the provider: made with the first claim to a name, kept right, removed with the last."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service import ports
from service.core.domain import Change, Domain, EventType, Moved, Status
from service.core.errors import Reason, ServiceError
from service.core.records import Purpose, Record
from service.identity_keeper import IdentityKeeper
from service.ports import ProviderState
from service.store.sql import SqlStore
from service.usecases import CreateDomain, DeleteDomain
from service.usecases.create_domain import NewDomain
from tests.identities.conftest import caller
from tests.support.clock import HandClock
from tests.support.identities import HandProvider
from tests.support.waiting import until

NAME = "mail.example.com"
REF = ports.IdentityRef(NAME, "eu-west-1")
PATIENCE = timedelta(seconds=5)
LEASE = timedelta(minutes=1)
AWAY = ServiceError(Reason.PROVIDER_UNAVAILABLE, "try later")


def created(create: CreateDomain, tenant: str = "acme", name: str = NAME, **fields: str) -> Domain:
    """Create a domain."""
    return create(caller(tenant), NewDomain(domain=name, **fields), wait=PATIENCE)


def see_to_all(keeper: IdentityKeeper) -> int:
    """Have everything seen to that is due, and return how much that was."""
    return sum(1 for _ in iter(keeper.see_to_one, False))


def verified(opened: SqlStore, tenant: str = "acme") -> None:
    """Make a domain VERIFIED."""
    change = Change(EventType.STATUS_CHANGED)
    opened.change(tenant, NAME, lambda domain: Moved(replace(domain, status=Status.VERIFIED), change))


def events(opened: SqlStore) -> list[EventType]:
    """Return what became of acme's domains."""
    return [event.type for event in opened.read("acme", 0, 100)]


def test_an_identity_goes_with_the_last_claim(
    create: CreateDomain, delete: DeleteDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """Whichever tenant's that is."""
    for tenant in ("acme", "rival"):
        created(create, tenant)
    delete(caller("acme"), NAME)
    see_to_all(keeper)
    assert set(provider.identities) == {REF}
    delete(caller("rival"), NAME)
    assert see_to_all(keeper) == 1
    assert not provider.identities
    assert see_to_all(keeper) == 0


def test_what_others_have_made_is_never_deleted(
    create: CreateDomain, delete: DeleteDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """It was adopted, and is left as it was found."""
    provider.create_identity(REF)
    provider.change(REF, is_ours=False)
    created(create)
    delete(caller("acme"), NAME)
    assert see_to_all(keeper) == 1
    assert set(provider.identities) == {REF}
    assert "delete" not in provider.calls
    assert see_to_all(keeper) == 0


def test_a_provider_in_trouble_is_asked_again_less_and_less_often(
    create: CreateDomain,
    delete: DeleteDomain,
    provider: HandProvider,
    keeper: IdentityKeeper,
    clock: HandClock,
) -> None:
    """Until the identity is removed, whatever the error is."""
    created(create)
    delete(caller("acme"), NAME)
    for failure, delay in [(AWAY, 5), (RuntimeError("a bug"), 10), (AWAY, 20)]:
        provider.failure = failure
        assert keeper.see_to_one()
        clock.advance(seconds=delay - 1)
        assert not keeper.see_to_one()
        clock.advance(seconds=1)
    provider.failure = None
    assert keeper.see_to_one()
    assert not provider.identities


def test_an_identity_without_a_domain_is_removed(
    opened: SqlStore, create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper, clock: HandClock
) -> None:
    """Here the tenant has gone after its identity was made."""
    with pytest.raises(RuntimeError):
        created(create, "nobody")
    see_to_all(keeper)
    assert set(provider.identities) == {REF}
    clock.advance(minutes=10)
    assert keeper.see_to_one()
    assert not provider.identities


def test_what_is_refused_anyway_costs_the_provider_nothing(
    create: CreateDomain, provider: HandProvider
) -> None:
    """A domain that there is, and one too many."""
    created(create)
    for name, reason in ((NAME, Reason.DOMAIN_EXISTS), ("more.example.com", Reason.DOMAIN_QUOTA)):
        with pytest.raises(ServiceError) as raised:
            created(create, name=name)
        assert raised.value.reason is reason
    assert provider.calls == ["create"]


def test_a_creation_waits_for_a_removal_and_makes_the_identity_anew(
    opened: SqlStore, create: CreateDomain, delete: DeleteDomain, provider: HandProvider, clock: HandClock
) -> None:
    """The domain never has an identity that is about to go."""
    created(create)
    delete(caller("acme"), NAME)
    taken = opened.take_due(clock.now(), LEASE, None)
    assert taken is not None
    pauses = []

    def finish(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 3:
            provider.delete_identity(taken.ref)
            opened.finish(taken, clock.now(), None)

    created(replace(create, pause=finish))
    assert len(pauses) == 3
    assert set(provider.identities) == {REF}


def test_a_removal_that_was_killed_holds_its_name_for_its_lease_alone(
    opened: SqlStore, create: CreateDomain, delete: DeleteDomain, clock: HandClock
) -> None:
    """Until then whoever asks for it is told so, and when to come back."""
    created(create)
    delete(caller("acme"), NAME)
    assert opened.take_due(clock.now(), LEASE, None)
    with pytest.raises(ServiceError, match=f"identity of {NAME} is being removed") as raised:
        create(caller("acme"), NewDomain(domain=NAME), wait=timedelta(0))
    assert raised.value.reason is Reason.CONCURRENT_CHANGE
    assert raised.value.retry_after == timedelta(seconds=1)
    clock.advance(seconds=LEASE.total_seconds())
    created(create)
    assert events(opened) == [EventType.CREATED, EventType.DELETED, EventType.CREATED]


def test_the_envelope_sender_is_set_once(
    create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """And after that only read."""
    created(create, mail_from_subdomain="bounce")
    assert see_to_all(keeper) == 1
    assert provider.identities[REF].mail_from == "bounce.mail.example.com"
    assert provider.calls == ["create", "find", "set_mail_from"]


def test_a_claim_does_not_move_anothers_envelope_sender(
    opened: SqlStore, create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """Until it has the name VERIFIED."""
    created(create, mail_from_subdomain="first")
    see_to_all(keeper)
    created(create, "rival", mail_from_subdomain="second")
    see_to_all(keeper)
    assert provider.identities[REF].mail_from == "first.mail.example.com"
    verified(opened, "rival")
    see_to_all(keeper)
    assert provider.identities[REF].mail_from == "second.mail.example.com"


def test_the_identity_of_a_stranger_has_to_be_proved(
    opened: SqlStore, create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """Its records are in DNS already; until then its envelope sender stays as it is, too."""
    provider.create_identity(REF)
    provider.change(REF, is_ours=False, state=ProviderState.READY, mail_from="bounce.mail.example.com")
    domain = created(create, mail_from_subdomain="evil")
    assert domain.contested
    assert Purpose.OWNERSHIP in {record.purpose for record in domain.records}
    see_to_all(keeper)
    assert provider.identities[REF].mail_from == "bounce.mail.example.com"
    verified(opened)
    see_to_all(keeper)
    assert provider.identities[REF].mail_from == "evil.mail.example.com"


def test_a_domain_that_moved_to_another_region_keeps_its_records(
    opened: SqlStore,
    create: CreateDomain,
    delete: DeleteDomain,
    provider: HandProvider,
    keeper: IdentityKeeper,
) -> None:
    """Whoever sees to the identity of the first region has asked for its domains before."""
    created(create)
    elsewhere = "eu-west-2"
    find = provider.find_identity

    def find_late(ref: ports.IdentityRef) -> ports.FoundIdentity | None:
        provider.find_identity = find  # type: ignore[method-assign]
        delete(caller("acme"), NAME)
        created(create, region=elsewhere)
        see_to_all(keeper)  # of the other region: that of the first is taken
        return find(ref)

    provider.find_identity = find_late  # type: ignore[method-assign]
    see_to_all(keeper)
    domain = opened.get("acme", NAME)
    tokens = provider.identities[ports.IdentityRef(NAME, elsewhere)].identity.dkim_tokens
    assert {key_of(record) for record in domain.records if record.purpose is Purpose.DKIM} == set(tokens)


def key_of(record: Record) -> str:
    """Return the token of a DKIM record."""
    return record.name.partition(".")[0]


def test_domains_learn_of_other_keys_though_the_envelope_sender_is_refused(
    opened: SqlStore, create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """The one has nothing to do with the other."""
    created(create, mail_from_subdomain="bounce")
    other = replace(provider.identities[REF].identity, dkim_tokens=("a", "b", "c"))
    provider.change(REF, identity=other)
    provider.failure, provider.failing = AWAY, {"set_mail_from"}
    see_to_all(keeper)
    domain = opened.get("acme", NAME)
    assert {key_of(record) for record in domain.records if record.purpose is Purpose.DKIM} == {"a", "b", "c"}


def test_an_identity_with_keys_of_its_own_is_not_started_again(
    create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """Whoever gave it other keys since has to mend it: it would sign with SES's from then on."""
    created(create)
    keyless = replace(provider.identities[REF].identity, dkim_tokens=())
    provider.change(REF, identity=keyless, state=ProviderState.REVOKED)
    see_to_all(keeper)
    assert "restart" not in provider.calls
    assert provider.identities[REF].state is ProviderState.REVOKED


def test_an_envelope_sender_that_was_given_up_is_set_again(
    opened: SqlStore, create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """SES does so after three days without the MX record: once its domain is VERIFIED, it is there."""
    created(create, mail_from_subdomain="bounce")
    see_to_all(keeper)
    provider.change(REF, mail_from_failed=True)
    verified(opened)
    assert see_to_all(keeper) == 1
    assert not provider.identities[REF].mail_from_failed


def test_an_identity_that_somebody_deleted_is_made_again(
    opened: SqlStore,
    create: CreateDomain,
    provider: HandProvider,
    keeper: IdentityKeeper,
    clock: HandClock,
) -> None:
    """Its state is PENDING then, and its domain is to be looked at."""
    created(create, mail_from_subdomain="bounce")
    see_to_all(keeper)
    clock.advance(seconds=1)
    del provider.identities[REF]
    verified(opened)
    see_to_all(keeper)
    found = provider.identities[REF]
    assert (found.state, found.mail_from) == (ProviderState.PENDING, "bounce.mail.example.com")


def test_while_a_deleted_identity_cannot_be_made_again_it_counts_as_revoked(
    opened: SqlStore,
    create: CreateDomain,
    provider: HandProvider,
    keeper: IdentityKeeper,
    clock: HandClock,
) -> None:
    """Nothing can be sent with it."""
    created(create)
    see_to_all(keeper)
    opened.end_poll(poll(opened, clock), clock.now(), clock.now())
    del provider.identities[REF]
    provider.failure, provider.failing = AWAY, {"create"}
    verified(opened)
    see_to_all(keeper)
    assert opened.states([REF]) == {REF: ProviderState.REVOKED}


def poll(opened: SqlStore, clock: HandClock) -> ports.StatePoll:
    """Take the region's poll."""
    taken = opened.take_poll(REF.region, clock.now(), timedelta(minutes=1))
    assert taken is not None
    return taken


def test_other_keys_become_other_records(
    opened: SqlStore, create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """Of every tenant that has the name; their DMARC and SPF records stay, and all is told once."""
    before = created(create)
    created(create, "rival")
    see_to_all(keeper)
    other = replace(provider.identities[REF].identity, dkim_tokens=("x", "y", "z"), dkim_zone="dkim.test")
    provider.change(REF, identity=other)
    verified(opened)
    see_to_all(keeper)
    for tenant in ("acme", "rival"):
        after = opened.get(tenant, NAME)
        keys = [record.value for record in after.records if record.purpose is Purpose.DKIM]
        assert keys == ["x.dkim.test", "y.dkim.test", "z.dkim.test"]
    others = [record for record in opened.get("acme", NAME).records if record.purpose is not Purpose.DKIM]
    assert others == [record for record in before.records if record.purpose is not Purpose.DKIM]
    assert events(opened) == [EventType.CREATED, EventType.STATUS_CHANGED, EventType.RECORDS_CHANGED]


def test_keys_that_are_not_the_providers_change_no_records(
    opened: SqlStore, create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """Somebody has given the identity keys of its own: there are no tokens to publish."""
    before = created(create)
    provider.change(REF, identity=replace(provider.identities[REF].identity, dkim_tokens=()))
    see_to_all(keeper)
    assert opened.get("acme", NAME).records == before.records


def test_an_identity_that_was_given_up_is_looked_for_again(
    create: CreateDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """Fixing the DNS is always enough."""
    created(create)
    provider.change(REF, state=ProviderState.REVOKED)
    see_to_all(keeper)
    assert provider.identities[REF].state is ProviderState.PENDING


def test_a_keeper_that_runs_keeps_and_ends(
    create: CreateDomain, delete: DeleteDomain, provider: HandProvider, keeper: IdentityKeeper
) -> None:
    """By itself."""
    created(create)
    delete(caller("acme"), NAME)
    keeper.start()
    until(lambda: not provider.identities)
    keeper.end()
    assert not keeper.is_alive()
