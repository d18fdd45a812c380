"""Identities at the provider: made with the first claim to a name, removed with the last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from service import ports
from service.core import lifecycle
from service.core.errors import Reason, ServiceError
from service.core.keys import Scope
from service.core.records import Identity
from service.mail import LocalMailProvider
from service.removal import IdentityRemover
from service.sending_memory import SendingMemory
from service.store.sql import SqlStore
from service.usecases import CreateDomain, DeleteDomain
from service.usecases.caller import Caller
from service.usecases.create_domain import NewDomain
from tests.support.clock import HandClock
from tests.support.waiting import until

NAME = "mail.example.com"
REF = ports.IdentityRef(NAME, "eu-west-1")


@dataclass
class CountedProvider:
    """A provider that knows its identities, and fails as a test says."""

    identities: set[ports.IdentityRef] = field(default_factory=set)
    failure: Exception | None = None
    deletions: int = 0
    regions: frozenset[str] = frozenset({"eu-west-1", "eu-west-2"})

    def create_identity(self, ref: ports.IdentityRef, mail_from: str) -> Identity:
        """Note it down."""
        self.identities.add(ref)
        return LocalMailProvider(b"secret").create_identity(ref, mail_from)

    def delete_identity(self, ref: ports.IdentityRef) -> None:
        """Forget it, or fail."""
        self.deletions += 1
        if self.failure is not None:
            raise self.failure
        self.identities.discard(ref)

    def states(self, refs: Sequence[ports.IdentityRef]) -> Mapping[ports.IdentityRef, ports.ProviderState]:
        """Return READY for all."""
        return dict.fromkeys(refs, ports.ProviderState.READY)


def delete_domain(opened: SqlStore) -> DeleteDomain:
    """DeleteDomain, with nobody who asks whether domains may send."""
    return DeleteDomain(opened, SendingMemory(store=opened, log=opened, policies=opened))


@pytest.fixture
def kept() -> CountedProvider:
    """A provider without identities."""
    return CountedProvider()


@pytest.fixture
def remover(opened: SqlStore, kept: CountedProvider, clock: HandClock) -> IdentityRemover:
    """A remover that is not started."""
    return IdentityRemover(identities=opened, provider=kept, clock=clock, lease=timedelta(minutes=1))


@pytest.fixture
def create(opened: SqlStore, kept: CountedProvider, clock: HandClock) -> CreateDomain:
    """CreateDomain, for the tenants acme and rival."""
    opened.create_tenant("rival")
    return CreateDomain(
        store=opened,
        identities=opened,
        provider=kept,
        clock=clock,
        policy=lifecycle.Policy(),
        region=REF.region,
        quota=1,
    )


def caller(tenant: str) -> Caller:
    """Return a caller who may do everything."""
    return Caller(tenant=tenant, key_id="test", scopes=frozenset(Scope), domains=None)


def test_an_identity_goes_with_the_last_claim(
    opened: SqlStore, create: CreateDomain, kept: CountedProvider, remover: IdentityRemover
) -> None:
    """Whichever tenant's that is."""
    for tenant in ("acme", "rival"):
        create(caller(tenant), NewDomain(domain=NAME))
    assert kept.identities == {REF}
    delete = delete_domain(opened)
    delete(caller("acme"), NAME)
    assert not remover.remove_one()
    assert kept.identities == {REF}
    delete(caller("rival"), NAME)
    assert remover.remove_one()
    assert kept.identities == set()
    assert not remover.remove_one()


def test_a_provider_in_trouble_is_asked_again_less_and_less_often(
    opened: SqlStore,
    create: CreateDomain,
    kept: CountedProvider,
    remover: IdentityRemover,
    clock: HandClock,
) -> None:
    """Until the identity is removed, whatever the error is."""
    create(caller("acme"), NewDomain(domain=NAME))
    delete_domain(opened)(caller("acme"), NAME)
    for failure, delay in [
        (ServiceError(Reason.PROVIDER_UNAVAILABLE, "try later"), 5),
        (RuntimeError("a bug"), 10),
        (ServiceError(Reason.PROVIDER_UNAVAILABLE, "try later"), 20),
    ]:
        kept.failure = failure
        assert remover.remove_one()
        clock.advance(seconds=delay - 1)
        assert not remover.remove_one()
        clock.advance(seconds=1)
    kept.failure = None
    assert remover.remove_one()
    assert kept.identities == set()
    assert kept.deletions == 4


def test_an_identity_without_a_domain_is_removed(
    create: CreateDomain, kept: CountedProvider, remover: IdentityRemover, clock: HandClock
) -> None:
    """Here the quota refused the domain after its identity was made."""
    create(caller("acme"), NewDomain(domain="first.example.com"))
    with pytest.raises(ServiceError):
        create(caller("acme"), NewDomain(domain=NAME))
    assert REF in kept.identities
    clock.advance(minutes=10)
    assert remover.remove_one()
    assert kept.identities == {ports.IdentityRef("first.example.com", REF.region)}


def test_a_creation_waits_for_a_removal_and_makes_the_identity_anew(
    opened: SqlStore, create: CreateDomain, kept: CountedProvider, clock: HandClock
) -> None:
    """The domain never has an identity that is about to go."""
    create(caller("acme"), NewDomain(domain=NAME))
    delete_domain(opened)(caller("acme"), NAME)
    taken = opened.take_removal(clock.now(), timedelta(minutes=1))
    assert taken is not None
    pauses = []

    def finish(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 3:
            kept.delete_identity(taken.ref)
            opened.finish(taken)

    patient = CreateDomain(
        **{name: getattr(create, name) for name in CreateDomain.__slots__ if name != "pause"}, pause=finish
    )
    patient(caller("acme"), NewDomain(domain=NAME))
    assert len(pauses) == 3
    assert kept.identities == {REF}


def test_a_remover_that_runs_removes_and_ends(
    opened: SqlStore, create: CreateDomain, kept: CountedProvider, remover: IdentityRemover
) -> None:
    """By itself."""
    create(caller("acme"), NewDomain(domain=NAME))
    delete_domain(opened)(caller("acme"), NAME)
    remover.start()
    until(lambda: not kept.identities)
    remover.end()
    assert not remover.is_alive()
