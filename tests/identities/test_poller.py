"""The poller: what the provider says of all identities, and whom that concerns."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from service.core.domain import Domain, Moved
from service.core.errors import Reason, ServiceError
from service.ports import CheckedMove, IdentityRef, ProviderState, StatePoll
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
LEASE = timedelta(minutes=1)


@pytest.fixture
def poller(opened: SqlStore, provider: HandProvider, clock: HandClock) -> StatePoller:
    """A poller of the region that is not started."""
    return poller_of(opened, provider, clock)


@pytest.fixture
def other(opened: SqlStore, provider: HandProvider, clock: HandClock) -> StatePoller:
    """That of another process."""
    return poller_of(opened, provider, clock)


def poller_of(
    opened: SqlStore, provider: HandProvider, clock: HandClock, region: str = REF.region
) -> StatePoller:
    """Return one that looks every half a minute."""
    return StatePoller(
        region=region, identities=opened, lister=provider, clock=clock, interval=INTERVAL, lease=LEASE
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
    poller: StatePoller, other: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """By whichever process comes first."""
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
    empty = poller_of(opened, provider, clock, "eu-west-2")
    assert empty.poll_if_due()
    assert "list" not in provider.calls


def listed_slowly(provider: HandProvider, clock: HandClock, pages: int, seconds: float) -> None:
    """Have a list take so many pages, and each of them so long."""
    provider.page_size = 1
    for number in range(pages - 1):
        provider.create_identity(IdentityRef(f"z{number}.com", REF.region))
    provider.on_list = partial(clock.advance, seconds=seconds)


def test_a_list_may_take_longer_than_its_lease(
    opened: SqlStore, poller: StatePoller, other: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """A page may not. Nobody else takes the region meanwhile, and its states are known in the end."""
    listed_slowly(provider, clock, pages=6, seconds=50)
    slowly = provider.on_list

    def list_slowly() -> None:
        slowly()
        assert not other.poll_if_due()

    provider.on_list = list_slowly
    assert poller.poll_if_due()
    assert provider.calls.count("list") == 6
    assert state(opened) is ProviderState.PENDING
    assert other.poll_if_due()


def test_nobody_is_told_before_what_was_listed_counts(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """That is when the first list is over, and from then on at once."""
    provider.page_size = 1
    provider.create_identity(IdentityRef("z.com", REF.region))
    due: list[int] = []

    def look() -> None:
        claims = opened.claim_due(clock.now(), 10, INTERVAL)
        due.append(len(claims))
        opened.release(claims)

    provider.on_list = look
    for status in (ProviderState.READY, ProviderState.FALTERING):
        provider.change(REF, state=status)
        claim = opened.claim("acme", REF.name, clock.now(), timedelta(seconds=1))
        assert claim is not None
        opened.save([CheckedMove(claim, not_before_an_hour)])
        poller.poll_if_due()
        look()
        clock.advance(seconds=30)
    assert due == [0, 0, 1, 0, 1, 1]


def not_before_an_hour(domain: Domain) -> Moved:
    """Return a domain that is to be checked later."""
    later = domain.checks.next_check_time + timedelta(hours=1)
    return Moved(domain.scheduled(replace(domain.checks, next_check_time=later)))


@pytest.mark.parametrize("seconds", [4, 50])
def test_states_are_known_from_one_list_to_the_next(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock, seconds: float
) -> None:
    """Whatever a list takes, and though each takes longer than the one before."""
    poller.poll_if_due()
    for pages in (3, 8, 20):
        listed_slowly(provider, clock, pages, seconds)
        clock.advance(seconds=31)
        slowly, known = provider.on_list, []

        def list_slowly(slowly: Callable[[], object] = slowly, known: list[ProviderState] = known) -> None:
            slowly()
            known.append(state(opened))

        provider.on_list = list_slowly
        assert poller.poll_if_due()
        assert known == [ProviderState.PENDING] * pages


def test_a_long_list_is_believed_until_the_next_could_fail_half_way(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """For twice as long as it took, where that is longer than four intervals."""
    listed_slowly(provider, clock, pages=4, seconds=50)
    poller.poll_if_due()
    clock.advance(seconds=400)
    assert state(opened) is ProviderState.PENDING
    clock.advance(seconds=1)
    assert state(opened) is ProviderState.UNKNOWN


def test_lists_that_never_end_keep_nothing_known(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """Though they begin well: the states on pages that cannot be read may be others since long."""
    listed_slowly(provider, clock, pages=4, seconds=20)
    poller.poll_if_due()
    slowly = provider.on_list

    def fail_at_the_end() -> None:
        slowly()
        is_last = provider.calls.count("list") % 4 == 3
        provider.failure = RuntimeError("a bug") if is_last else None

    provider.on_list = fail_at_the_end
    for _ in range(3):
        assert poller.poll_if_due()
    assert state(opened) is ProviderState.UNKNOWN


def test_half_a_list_does_not_make_the_rest_look_gone(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """But what was read of it is news at once."""
    rest = IdentityRef("z.example.com", REF.region)
    opened.reserve(rest, clock.now(), timedelta(days=1))
    provider.create_identity(rest)
    provider.page_size = 1
    poller.poll_if_due()
    provider.change(REF, state=ProviderState.READY)

    def fail_at_the_second() -> None:
        provider.failure = RuntimeError("a bug") if provider.calls.count("list") == 3 else None

    provider.on_list = fail_at_the_second
    clock.advance(seconds=30)
    poller.poll_if_due()
    assert opened.states([REF, rest]) == {REF: ProviderState.READY, rest: ProviderState.PENDING}
    assert seen_to(opened, clock) == 0


def test_a_lease_that_is_lost_half_way_ends_the_list(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """Without harm to whoever has it: nothing is noted or given back any more."""
    provider.page_size = 1
    provider.create_identity(IdentityRef("a.com", REF.region))
    provider.change(REF, state=ProviderState.REVOKED)
    taken: list[StatePoll | None] = []

    def lose_the_lease() -> None:
        if provider.calls.count("list") == 1:
            clock.advance(seconds=60)
            taken.append(opened.take_poll(REF.region, clock.now(), LEASE))

    provider.on_list = lose_the_lease
    assert poller.poll_if_due()
    assert seen_to(opened, clock) == 0
    (theirs,) = taken
    assert theirs is not None
    now = clock.now()
    assert opened.renew_poll(theirs, now, due=now + LEASE, fresh_until=now)


@pytest.mark.parametrize(
    ("reason", "at", "calls"),
    [
        (Reason.PROVIDER_LIMIT, 1, 3),
        (Reason.PROVIDER_LIMIT, 2, 3),
        (Reason.PROVIDER_UNAVAILABLE, 1, 1),
        (Reason.PROVIDER_UNAVAILABLE, 2, 3),
    ],
)
def test_a_page_is_asked_for_again(
    opened: SqlStore, poller: StatePoller, provider: HandProvider, reason: Reason, at: int, calls: int
) -> None:
    """Those before would be lost without it. Where nothing was read nobody insists on an answer."""
    provider.page_size = 1
    provider.create_identity(IdentityRef("a.com", REF.region))

    def fail_once() -> None:
        is_now = provider.calls.count("list") == at - 1
        provider.failure = ServiceError(reason, "not now") if is_now else None

    provider.on_list = fail_once
    assert poller.poll_if_due()
    assert provider.calls.count("list") == calls
    assert (state(opened) is ProviderState.PENDING) == (calls == 3)


def test_a_page_that_is_not_to_be_had_is_given_up(
    poller: StatePoller, other: StatePoller, provider: HandProvider, clock: HandClock
) -> None:
    """After five tries, during which nobody else takes the region."""
    provider.failure = ServiceError(Reason.PROVIDER_LIMIT, "full")

    def wait_in_vain() -> None:
        clock.advance(seconds=50)
        assert not other.poll_if_due()

    provider.on_list = wait_in_vain
    assert poller.poll_if_due()
    assert provider.calls.count("list") == 5


def test_a_poller_that_runs_polls_and_ends(
    opened: SqlStore, poller: StatePoller, provider: HandProvider
) -> None:
    """By itself, whatever the provider's error is."""
    provider.failure = RuntimeError("a bug")
    poller.start()
    until(lambda: "list" in provider.calls)
    poller.end()
    assert not poller.is_alive()
