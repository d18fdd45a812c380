"""The poller: what the provider says of all identities, and whom that concerns."""

from datetime import timedelta

import pytest

from service.core.errors import Reason, ServiceError
from service.ports import IdentityRef, ProviderState
from service.state_poller import StatePoller
from service.store.sql import SqlStore
from service.usecases import CreateDomain
from service.usecases.create_domain import NewDomain
from tests.identities.conftest import caller
from tests.support.clock import HandClock
from tests.support.identities import HandProvider
from tests.support.waiting import until

REF = IdentityRef("mail.example.com", "eu-west-1")
INTERVAL = timedelta(seconds=30)


@pytest.fixture
def poller(opened: SqlStore, provider: HandProvider, clock: HandClock) -> StatePoller:
    """A poller of the region that is not started."""
    return StatePoller(
        region=REF.region,
        identities=opened,
        lister=provider,
        clock=clock,
        interval=INTERVAL,
        lease=timedelta(minutes=1),
    )


@pytest.fixture(autouse=True)
def _domain(create: CreateDomain, opened: SqlStore, clock: HandClock) -> None:
    """A domain of acme's, whose identity is as it has to be."""
    create(caller("acme"), NewDomain(domain=REF.name), wait=timedelta(seconds=5))
    seen_to(opened, clock)


def seen_to(opened: SqlStore, clock: HandClock, state: ProviderState | None = None) -> int:
    """Say that every identity that is due is as it has to be, and return how many were."""
    count = 0
    while (work := opened.take_due(clock.now(), timedelta(minutes=1), None)) is not None:
        opened.finish(work, clock.now(), state)
        count += 1
    return count


def state(opened: SqlStore) -> ProviderState:
    """Return what is known of the identity."""
    return opened.states([REF])[REF]


def test_nothing_is_known_before_the_first_list(opened: SqlStore, poller: StatePoller) -> None:
    """Then it is."""
    assert state(opened) is ProviderState.UNKNOWN
    assert poller.poll_if_due()
    assert state(opened) is ProviderState.PENDING


def test_a_region_is_listed_once_in_an_interval(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """By whichever process comes first."""
    other = StatePoller(
        region=REF.region,
        identities=opened,
        lister=provider,
        clock=clock,
        interval=INTERVAL,
        lease=timedelta(minutes=1),
    )
    assert poller.poll_if_due()
    assert not other.poll_if_due()
    clock.advance(seconds=30)
    assert other.poll_if_due()
    assert not poller.poll_if_due()
    assert provider.calls.count("list") == 2


def test_news_has_the_domain_looked_at_at_once(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """What every new identity begins with is none."""
    poller.poll_if_due()
    due = opened.next_due()
    clock.advance(minutes=1)
    assert due is not None
    assert due != clock.now()
    provider.change(REF, state=ProviderState.READY)
    claim = opened.claim("acme", REF.name, clock.now(), timedelta(minutes=1))
    assert claim is not None
    assert poller.poll_if_due()
    # A check that runs has heard of the former state: it is void.
    assert [each.domain.name for each in opened.claim_due(clock.now(), 10, INTERVAL)] == [REF.name]
    assert opened.get("acme", REF.name).checks.next_check_time == clock.now()


def test_a_provider_that_does_not_answer_is_believed_for_a_while(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """After four intervals what it said last is as good as unknown, and never counts against a domain."""
    provider.change(REF, state=ProviderState.REVOKED)
    poller.poll_if_due()
    provider.failure = ServiceError(Reason.PROVIDER_UNAVAILABLE, "away")
    for _ in range(4):
        clock.advance(seconds=30)
        assert poller.poll_if_due()
        assert state(opened) is ProviderState.REVOKED
    clock.advance(seconds=1)
    assert state(opened) is ProviderState.UNKNOWN
    provider.failure = None
    clock.advance(seconds=30)
    poller.poll_if_due()
    assert state(opened) is ProviderState.REVOKED


@pytest.mark.parametrize("how", ["revoked", "missing"])
def test_what_went_wrong_there_is_seen_to(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock, how: str
) -> None:
    """An identity that was given up is to be started again, one that is gone to be made again."""
    assert poller.poll_if_due()
    assert seen_to(opened, clock) == 0
    if how == "revoked":
        provider.change(REF, state=ProviderState.REVOKED)
    else:
        del provider.identities[REF]
    clock.advance(seconds=30)
    poller.poll_if_due()
    assert seen_to(opened, clock) == 1


def test_what_was_seen_to_since_the_list_began_is_passed_over(
    opened: SqlStore, provider: HandProvider, clock: HandClock
) -> None:
    """The list may be of before."""
    poll = opened.take_poll(REF.region, clock.now(), timedelta(minutes=1))
    assert poll is not None
    with_verdict = {REF.name: ProviderState.REVOKED}
    opened.release([])
    reserved = opened.reserve(REF, clock.now(), timedelta(seconds=1))
    assert reserved is not None
    clock.advance(seconds=1)
    assert seen_to(opened, clock, ProviderState.PENDING) == 1
    opened.save_states(poll, clock.now(), changed=with_verdict, missing=())
    opened.end_poll(poll, clock.now(), clock.now())
    assert state(opened) is ProviderState.PENDING
    assert seen_to(opened, clock) == 0


def test_who_else_is_there_is_nobodys_concern(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """Identities of others in the same account are neither noted nor touched."""
    other = IdentityRef("other.com", REF.region)
    provider.create_identity(other)
    poller.poll_if_due()
    assert seen_to(opened, clock) == 0
    assert opened.states([other]) == {other: ProviderState.UNKNOWN}


def test_a_region_without_identities_is_not_asked(
    opened: SqlStore, provider: HandProvider, clock: HandClock
) -> None:
    """There would be nothing to learn."""
    empty = StatePoller(
        region="eu-west-2",
        identities=opened,
        lister=provider,
        clock=clock,
        interval=INTERVAL,
        lease=timedelta(minutes=1),
    )
    assert empty.poll_if_due()
    assert "list" not in provider.calls


def test_a_poller_that_runs_polls_and_ends(
    opened: SqlStore, poller: StatePoller, provider: HandProvider
) -> None:
    """By itself, whatever the provider's error is."""
    provider.failure = RuntimeError("a bug")
    poller.start()
    until(lambda: "list" in provider.calls)
    poller.end()
    assert not poller.is_alive()
