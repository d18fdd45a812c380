"""What the provider says of identities, on every database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from service.core.domain import Change, EventType, Moved
from service.ports import CheckedMove, IdentityRef, KnownState, ProviderState, StatePoll
from service.store.sql import SqlStore
from tests.support.clock import HandClock
from tests.support.samples import sample_domain

HERE, THERE = "eu-west-1", "us-east-1"
NAME = "example.com"
REF = IdentityRef(NAME, HERE)
LEASE = timedelta(minutes=1)
CHANGE = Change(EventType.RECORDS_CHANGED)

Open = Callable[[], SqlStore]


@pytest.fixture(autouse=True)
def _identity(store: SqlStore, clock: HandClock) -> None:
    """A domain of acme's, whose identity is as it has to be."""
    reservation = store.reserve(REF, clock.now(), LEASE)
    store.create(sample_domain(name=NAME), actor="key:1", request=None, reservation=reservation)
    see_to_all(store, clock)


def see_to_all(store: SqlStore, clock: HandClock, state: ProviderState | None = None) -> int:
    """Say that every identity that is due is as it has to be, and return how many were."""
    count = 0
    while (work := store.take_due(clock.now(), LEASE, None)) is not None:
        store.finish(work, clock.now(), state)
        count += 1
    return count


def poll(store: SqlStore, clock: HandClock, region: str = HERE) -> StatePoll:
    """Take a region, whose poll is due."""
    taken = store.take_poll(region, clock.now(), LEASE)
    assert taken is not None
    return taken


def told(store: SqlStore, clock: HandClock, *states: ProviderState, missing: tuple[str, ...] = ()) -> None:
    """Have a poll bring states for the name, one after the other, which stay fresh for a minute."""
    for state in states or (None,):
        taken = poll(store, clock)
        changed = {} if state is None else {NAME: state}
        store.save_states(taken, clock.now(), changed=changed, missing=missing)
        store.end_poll(taken, clock.now(), clock.now() + LEASE)


def test_states_are_of_a_region_and_for_a_while(store: SqlStore, clock: HandClock) -> None:
    """What is not known, or no longer, is UNKNOWN."""
    elsewhere, nobody = IdentityRef(NAME, THERE), IdentityRef("nobody.com", HERE)
    told(store, clock, ProviderState.READY)
    unknown = ProviderState.UNKNOWN
    asked = [REF, elsewhere, nobody]
    assert store.states(asked) == {REF: ProviderState.READY, elsewhere: unknown, nobody: unknown}
    assert store.states([]) == {}
    clock.advance(minutes=1)
    assert store.states([REF]) == {REF: ProviderState.READY}
    clock.advance(microseconds=1)
    assert store.states([REF]) == {REF: unknown}


def test_a_poll_is_one_processes_at_a_time(store: SqlStore, open_one: Open, clock: HandClock) -> None:
    """Until its lease ends, or it is given back; whoever lost it has no say any more."""
    lost = poll(store, clock)
    other = open_one()
    assert other.take_poll(HERE, clock.now(), LEASE) is None
    assert poll(other, clock, THERE).known == {}
    clock.advance(minutes=1)
    taken = poll(other, clock)
    store.end_poll(lost, clock.now(), clock.now() + LEASE)
    assert store.take_poll(HERE, clock.now(), LEASE) is None
    other.end_poll(taken, clock.now() + LEASE, None)
    clock.advance(seconds=59)
    assert store.take_poll(HERE, clock.now(), LEASE) is None
    clock.advance(seconds=1)
    assert poll(store, clock).known.keys() == {NAME}


def test_a_poll_is_renewed_while_it_is_ones_own(store: SqlStore, open_one: Open, clock: HandClock) -> None:
    """Also when its lease is over, as long as nobody else has taken the region."""
    mine = poll(store, clock)
    other = open_one()
    for seconds in (59, 60):
        clock.advance(seconds=seconds)
        now = clock.now()
        assert store.renew_poll(mine, now, due=now + LEASE, fresh_until=now)
        assert other.take_poll(HERE, now, LEASE) is None
    clock.advance(minutes=1)
    theirs = poll(other, clock)
    now = clock.now()
    assert not store.renew_poll(mine, now, due=now, fresh_until=now)
    assert store.take_poll(HERE, now, LEASE) is None
    other.end_poll(theirs, now, None)
    assert not other.renew_poll(theirs, now, due=now + LEASE, fresh_until=now)


def test_what_counts_does_so_while_its_list_goes_on(store: SqlStore, clock: HandClock) -> None:
    """What does no more is not revived by it, and what counts for longer loses nothing."""
    told(store, clock, ProviderState.READY)
    taken = poll(store, clock)
    assert taken.fresh_until == clock.now() + LEASE
    clock.advance(minutes=1)
    now = clock.now()
    for fresh_until in (now + LEASE, now):
        assert store.renew_poll(taken, now, due=now + LEASE, fresh_until=fresh_until)
    clock.advance(minutes=1)
    assert store.states([REF]) == {REF: ProviderState.READY}
    clock.advance(microseconds=1)
    now = clock.now()
    assert store.renew_poll(taken, now, due=now + LEASE, fresh_until=now + LEASE)
    assert store.states([REF]) == {REF: ProviderState.UNKNOWN}


def test_nothing_counts_before_the_first_list_is_over(store: SqlStore, clock: HandClock) -> None:
    """However long it takes."""
    taken = poll(store, clock)
    assert taken.fresh_until is None
    now = clock.now()
    store.save_states(taken, now, changed={NAME: ProviderState.READY}, missing=())
    assert store.renew_poll(taken, now, due=now + LEASE, fresh_until=now + LEASE)
    assert store.states([REF]) == {REF: ProviderState.UNKNOWN}


def test_of_two_processes_at_once_one_polls(store: SqlStore, open_one: Open, clock: HandClock) -> None:
    """Also the first time, when there is nothing to lock."""
    stores = [open_one() for _ in range(4)]
    for region in (HERE, THERE):
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(lambda each: each.take_poll(region, clock.now(), LEASE), stores))  # noqa: B023
        assert sum(each is not None for each in taken) == 1


def test_a_poll_that_failed_leaves_what_is_known(store: SqlStore, clock: HandClock) -> None:
    """For as long as it was to be believed."""
    told(store, clock, ProviderState.READY)
    taken = poll(store, clock)
    store.end_poll(taken, clock.now(), taken.fresh_until)
    assert store.states([REF]) == {REF: ProviderState.READY}


def test_news_has_all_domains_of_the_name_looked_at(store: SqlStore, clock: HandClock) -> None:
    """At once, and a check that runs is void. What a new identity begins with is no news."""
    (running,) = store.claim_due(clock.now() + timedelta(days=1), 10, timedelta(days=2))
    told(store, clock, ProviderState.PENDING)
    assert store.claim_due(clock.now(), 10, LEASE) == []
    told(store, clock, ProviderState.READY)
    later = replace(running.domain.checks, next_check_time=clock.now() + timedelta(days=1))
    assert store.save([CheckedMove(running, lambda domain: Moved(domain.scheduled(later)))]) == [None]
    (claim,) = store.claim_due(clock.now(), 10, LEASE)
    assert claim.domain.name == NAME
    store.release([claim])
    told(store, clock, ProviderState.READY)
    assert store.get("acme", NAME).checks.next_check_time <= clock.now()


@pytest.mark.parametrize(
    ("states", "missing", "due"),
    [
        ((ProviderState.READY,), (), 0),
        ((ProviderState.REVOKED,), (), 1),
        ((), (NAME,), 1),
        ((ProviderState.READY, ProviderState.FALTERING), (), 0),
    ],
)
def test_what_is_wrong_there_becomes_due(
    store: SqlStore, clock: HandClock, states: tuple[ProviderState, ...], missing: tuple[str, ...], due: int
) -> None:
    """To be started again, or made again."""
    told(store, clock, *states, missing=missing)
    assert see_to_all(store, clock) == due


def test_what_was_put_off_stays_so(store: SqlStore, clock: HandClock) -> None:
    """Though each poll finds it missing: its provider is in trouble."""
    told(store, clock, missing=(NAME,))
    work = store.take_due(clock.now(), LEASE, None)
    assert work is not None
    store.put_off(work, clock.now() + LEASE, ProviderState.REVOKED)
    told(store, clock, missing=(NAME,))
    assert store.take_due(clock.now(), LEASE, None) is None
    assert store.states([REF]) == {REF: ProviderState.REVOKED}


def test_a_list_of_before_is_not_believed(store: SqlStore, clock: HandClock) -> None:
    """Somebody has seen to the identity since it was begun."""
    before = poll(store, clock)
    assert before.known == {NAME: KnownState(None, before.known[NAME].version)}
    store.change("acme", NAME, lambda domain: Moved(replace(domain, mail_from="m.example.com"), CHANGE))
    see_to_all(store, clock, ProviderState.PENDING)
    store.save_states(before, clock.now(), changed={NAME: ProviderState.REVOKED}, missing=(NAME,))
    store.end_poll(before, clock.now(), clock.now() + LEASE)
    assert store.states([REF]) == {REF: ProviderState.PENDING}
    assert see_to_all(store, clock) == 0


def test_what_there_should_be(store: SqlStore, clock: HandClock) -> None:
    """By region, and whether it has to be there already."""
    reserved = IdentityRef("reserved.com", THERE)
    store.reserve(reserved, clock.now(), LEASE)
    assert store.identity_names(HERE) == {NAME: True}
    assert store.identity_names(THERE) == {reserved.name: False}
    assert sorted(store.regions()) == [HERE, THERE]


NAMES = [f"d{number}.example.com" for number in range(8)]
BOTH = (ProviderState.READY, ProviderState.REVOKED)


def change_all(store: SqlStore, _: HandClock) -> None:
    """Change what the identities of all names have to be like, again and again."""
    for number, name in product(range(25), NAMES):
        host = f"m{number}.example.com"
        store.change("acme", name, lambda domain, host=host: Moved(replace(domain, mail_from=host), CHANGE))


def keep_all(store: SqlStore, clock: HandClock) -> None:
    """See to what is due, again and again."""
    for number in range(100):
        if (work := store.take_due(clock.now(), LEASE, None)) is not None:
            store.finish(work, clock.now(), BOTH[number % 2])


def list_all(store: SqlStore, clock: HandClock) -> None:
    """Have polls bring news of all names, again and again."""
    for number in range(50):
        if (taken := store.take_poll(HERE, clock.now(), LEASE)) is not None:
            changed = dict.fromkeys(taken.known, BOTH[number % 2])
            store.save_states(taken, clock.now(), changed=changed, missing=())
            store.end_poll(taken, clock.now(), clock.now() + LEASE)


def test_whoever_writes_at_the_same_time_waits_in_one_order(
    store: SqlStore, open_one: Open, clock: HandClock
) -> None:
    """Changes of domains, work on identities and polls: none fails, and nothing that is wanted is lost."""
    for name in NAMES:
        reservation = store.reserve(IdentityRef(name, HERE), clock.now(), LEASE)
        store.create(sample_domain(name=name), actor="key:1", request=None, reservation=reservation)
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(work, open_one(), clock) for work in (change_all, keep_all, list_all)]
        assert [each.exception() for each in running] == [None] * 3
    hosts = set()
    while (work := store.take_due(clock.now(), LEASE, None)) is not None:
        assert work.wanted is not None
        if work.ref.name in NAMES:
            hosts.add(work.wanted.mail_from)
        store.finish(work, clock.now(), None)
    assert hosts <= {"m24.example.com"}
