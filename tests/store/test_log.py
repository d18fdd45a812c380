"""`EventLog`, on every database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.domain import Change, Event, EventType, Move, Moved
from service.ports import CheckedMove, CreateRequest, LogBounds
from service.store.sql import SqlStore
from tests.store.moves import toggled
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

WRITERS = 6
CHANGES = 40


def add(store: SqlStore, name: str, tenant: str = "acme") -> None:
    """Create a domain."""
    store.create(sample_domain(tenant, name, contested=True), actor="key:1", request=None)


def revisions(events: object) -> list[int]:
    """Return the revisions of events."""
    return [event.revision for event in events]


def test_events_are_read_in_pages(store: SqlStore) -> None:
    """`read` returns what lies strictly above a revision, of one tenant, in order."""
    for number in range(5):
        add(store, f"d{number}.com")
    add(store, "d0.com", "rival")
    assert revisions(store.read("acme", 0, 3)) == [1, 2, 3]
    assert revisions(store.read("acme", 3, 3)) == [4, 5]
    assert store.read("acme", 5, 3) == store.read("nobody", 0, 3) == []


def test_the_newest_come_first(store: SqlStore) -> None:
    """`newest` goes backwards, for all domains, some, or none."""
    for name in ("a.com", "b.com", "A.com"):
        add(store, name)
    store.change("acme", "a.com", toggled)
    assert revisions(store.newest("acme", None, before=None, limit=3)) == [4, 3, 2]
    assert revisions(store.newest("acme", None, before=2, limit=3)) == [1]
    assert revisions(store.newest("acme", frozenset({"a.com"}), before=None, limit=3)) == [4, 1]
    assert revisions(store.newest("acme", frozenset({"b.com", "A.com"}), before=3, limit=3)) == [2]
    assert store.newest("acme", frozenset(), before=None, limit=3) == []


def test_the_bounds_of_every_tenant_asked_for(store: SqlStore) -> None:
    """A tenant that does not exist has bounds too."""
    add(store, "a.com")
    assert store.bounds(["acme", "rival", "nobody"]) == {
        "acme": LogBounds(0, 1),
        "rival": LogBounds(0, 0),
        "nobody": LogBounds(0, 0),
    }
    assert store.bounds([]) == {}


def test_old_events_are_trimmed_from_below(store: SqlStore, clock: HandClock) -> None:
    """At most `limit` go at once, the oldest first, and the bounds say through which."""
    for number in range(4):
        add(store, f"d{number}.com")
    add(store, "d0.com", "rival")
    clock.advance(days=1)
    add(store, "young.com")

    assert store.trim(clock.time, 3) == 3
    assert store.bounds(["acme"]) == {"acme": LogBounds(3, 5)}
    assert revisions(store.read("acme", 0, 9)) == [4, 5]

    assert store.trim(clock.time, 3) == 2
    assert store.bounds(["acme", "rival"]) == {"acme": LogBounds(4, 5), "rival": LogBounds(1, 1)}
    assert store.trim(clock.time, 3) == 0
    assert store.get("acme", "d0.com").revision == 1


def test_the_times_of_a_log_never_fall(store: SqlStore, clock: HandClock) -> None:
    """A replica whose clock is behind does not make an older event above a newer one."""
    add(store, "a.com")
    clock.advance(seconds=-30)
    add(store, "b.com")
    assert [event.time for event in store.read("acme", 0, 9)] == [NOON, NOON]
    assert store.get("acme", "b.com").update_time == NOON


def test_trimming_forgets_old_requests(store: SqlStore, clock: HandClock) -> None:
    """A request id is kept for a day, whatever the retention of events."""
    request = CreateRequest("id", "fingerprint")
    store.create(sample_domain(), actor="key:1", request=request)
    clock.advance(hours=23)
    store.trim(NOON, 10)
    assert store.find_created("acme", request) is not None
    clock.advance(hours=1)
    store.trim(NOON, 10)
    clock.time = NOON
    assert store.find_created("acme", request) is None


def test_a_snapshot_holds_still(store: SqlStore) -> None:
    """What is committed while a snapshot is open is not in it; pages come in name order."""
    for number in range(1100):
        add(store, f"d{number:04}.com")
    add(store, "rival.com", "rival")
    with store.snapshot("acme", None) as snapshot:
        store.delete("acme", "d1099.com", actor="key:1")
        add(store, "d1100.com")
        pages = list(snapshot.pages)
    seen = [domain.name for page in pages for domain in page]
    assert snapshot.revision == 1100
    assert seen == [f"d{number:04}.com" for number in range(1100)]
    assert len(pages) > 1


def test_a_snapshot_of_some_names(store: SqlStore) -> None:
    """Only the names asked for are in it, unknown ones are allowed."""
    for name in ("a.com", "b.com"):
        add(store, name)
    for names, expected in [({"b.com", "none.com"}, ["b.com"]), (set[str](), [])]:
        with store.snapshot("acme", frozenset(names)) as snapshot:
            assert [d.name for page in snapshot.pages for d in page] == expected


def test_a_snapshot_goes_from_thread_to_thread(store: SqlStore) -> None:
    """It may be entered, read and left by three threads, one after the other."""
    add(store, "a.com")
    manager = store.snapshot("acme", None)
    steps = [
        manager.__enter__,
        lambda: list(snapshots[0].pages),
        lambda: manager.__exit__(None, None, None),
    ]
    snapshots: list = []
    for step in steps:
        thread = threading.Thread(target=lambda step=step: snapshots.append(step()))
        thread.start()
        thread.join()
    assert [[d.name for d in page] for page in snapshots[1]] == [["a.com"]]
    add(store, "b.com")


def test_a_snapshot_is_cut_at_its_revision(store: SqlStore) -> None:
    """While writers run, every snapshot equals the log replayed to its revision."""
    names = [f"d{number}.com" for number in range(8)]
    for name in names:
        add(store, name)
    done = threading.Event()

    def write(number: int) -> None:
        while not done.is_set():
            store.change("acme", names[number], toggled)
            store.delete("acme", names[number + 4], actor="key:1")
            add(store, names[number + 4])

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        cuts = []
        try:
            for _ in range(25):
                with store.snapshot("acme", None) as snapshot:
                    cuts.append((snapshot.revision, [d for page in snapshot.pages for d in page]))
        finally:
            done.set()
        for writer in writers:
            writer.result()
    events = list(store.read("acme", 0, 1_000_000))
    for revision, domains in cuts:
        assert domains == replayed(events[:revision])


def replayed(events: list[Event]) -> list[object]:
    """Return the domains that remain when events are applied to nothing."""
    state = {}
    for event in events:
        state[event.domain] = event.state
        if event.type == "DELETED":
            del state[event.domain]
    return [state[name] for name in sorted(state)]


def test_a_reader_misses_nothing(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """A tail that follows concurrent writers sees every revision once, in order."""
    other = open_one()
    names = [f"d{number}.com" for number in range(WRITERS)]
    for name in names:
        add(store, name)
    total = WRITERS + WRITERS * CHANGES

    def write(number: int) -> None:
        writer = store if number % 2 else other
        for step in range(CHANGES):
            if step % 4:
                writer.change("acme", names[number], toggled)
            else:
                claim = writer.claim("acme", names[number], NOON, timedelta(minutes=1))
                assert claim is not None
                writer.save([CheckedMove(claim, toggled)])

    def tail() -> list[int]:
        seen: list[int] = []
        while len(seen) < total and not given_up.is_set():
            seen += revisions(other.read("acme", seen[-1] if seen else 0, 7))
        return seen

    given_up = threading.Event()
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reader = pool.submit(tail)
        try:
            for writer in [pool.submit(write, number) for number in range(WRITERS)]:
                writer.result()
        except BaseException:
            given_up.set()
            raise
        assert reader.result() == list(range(1, total + 1))


def test_a_save_and_a_change_do_not_undo_each_other(
    store: SqlStore, open_one: Callable[[], SqlStore]
) -> None:
    """Two writers of one domain each find what the other wrote."""
    add(store, "a.com")
    other = open_one()

    def grown(field: str) -> Move:
        change = Change(EventType.RECORDS_CHANGED)
        return lambda domain: Moved(replace(domain, **{field: getattr(domain, field) + "x"}), change)

    def save(_: int) -> None:
        claim = other.claim("acme", "a.com", NOON, timedelta(minutes=1))
        assert claim is not None
        other.save([CheckedMove(claim, grown("dns_provider"))])

    with ThreadPoolExecutor(2) as pool:
        saves = pool.submit(lambda: [save(number) for number in range(CHANGES)])
        for _ in range(CHANGES):
            store.change("acme", "a.com", grown("disable_reason"))
        saves.result()
    after = store.get("acme", "a.com")
    assert after.dns_provider == after.disable_reason == "x" * CHANGES


def test_a_commit_of_any_process_is_noticed(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """`has_changed` is true at first and after every commit, whoever made it."""
    other = open_one()
    assert store.has_changed()
    add(other, "a.com")
    assert store.has_changed()
    add(store, "b.com")
    assert store.has_changed()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_an_idle_file_has_not_changed(store: SqlStore) -> None:
    """On SQLite the poll tells when there is nothing to read."""
    store.has_changed()
    assert not store.has_changed()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_poll_that_fails_tells_of_a_change(store: SqlStore) -> None:
    """Whoever reads then learns what is wrong; a connection made anew knows of no version before."""
    store.has_changed()
    assert not store.has_changed()
    poll = store._poll
    assert poll is not None
    poll._connection._connection.close()
    assert store.has_changed()
    assert store.has_changed()
    assert not store.has_changed()
