"""`EventStore`, on every database."""

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from service.core.domain import Change, Domain, EventType, Moved, Status
from service.core.feedback import EventKind, FeedbackEvent, Tally
from service.core.health import HOUR, Counts, Health, HealthPolicy, hour_of
from service.ports import DeadLetter, LetterHead, QueueLag
from service.store.sql import SqlStore
from service.store.tables import counted_events, dead_letters, deliveries
from tests.store.test_deliveries import add, first_verified, rows
from tests.support.samples import NOON, sample_domain

NAME = "example.com"
BEGINS = hour_of(NOON) - timedelta(days=7)
LETTER = DeadLetter(LetterHead("1" * 32, "queue", NOON, 'mail: "odd" \\ text'), "\0 \ud800 'body'")


def event(
    number: int, kind: EventKind = EventKind.SENT, *, host: str = NAME, time: datetime = NOON
) -> FeedbackEvent:
    """Return an event, told from others by its number."""
    return FeedbackEvent(number.to_bytes(16, "big"), kind, host, int(time.timestamp()))


def count(
    store: SqlStore, events: Sequence[FeedbackEvent], dead: Sequence[DeadLetter] = (), *, due: datetime = NOON
) -> Tally:
    """Count events, whose domains are due at once."""
    return store.count_events(events, dead, begins=BEGINS, due=due)


def counters(store: SqlStore) -> list[tuple[object, ...]]:
    """Return all counts: tenant, name, hour and the counts of each."""
    return rows(store, deliveries, "tenant", "name", "hour", *Counts._fields)


def test_events_are_counted_by_kind_and_hour(store: SqlStore) -> None:
    """Each in the hour of its own time, in whatever order they come."""
    add(store)
    tally = count(
        store,
        [
            event(1, EventKind.COMPLAINT),
            event(2, EventKind.SENT, time=NOON - HOUR),
            event(3, EventKind.SENT),
            event(4, EventKind.SENT),
            event(5, EventKind.DELIVERED),
            event(6, EventKind.HARD_BOUNCE),
        ],
    )
    assert tally == Tally(counted=6)
    assert counters(store) == [
        ("acme", NAME, hour_of(NOON) - HOUR, 1, 0, 0, 0),
        ("acme", NAME, hour_of(NOON), 2, 1, 1, 1),
    ]


def test_an_event_counts_once(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Within a batch, in a later one, and in another process."""
    add(store)
    assert count(store, [event(1), event(1), event(2)]) == Tally(counted=2, duplicates=1)
    assert count(open_one(), [event(2), event(3)]) == Tally(counted=1, duplicates=1)
    assert count(store, [event(3)]) == Tally(duplicates=1)
    assert counters(store) == [("acme", NAME, hour_of(NOON), 3, 0, 0, 0)]


def test_batches_of_any_size(store: SqlStore) -> None:
    """None, and more than a statement of SQLite takes."""
    add(store)
    assert count(store, []) == Tally()
    many = [event(number) for number in range(2_001)]
    assert count(store, many) == Tally(counted=2_001)
    assert count(store, many) == Tally(duplicates=2_001)


def test_the_same_events_at_the_same_time_count_once(
    store: SqlStore, open_one: Callable[[], SqlStore]
) -> None:
    """Two processes of several threads get all of them, each shuffled and some twice, in other batches."""
    hosts = [f"d{number}.com" for number in range(3)]
    for host in hosts:
        add(store, host)
    kinds = list(EventKind)
    events = [
        event(number, random.choice(kinds), host=random.choice(hosts), time=NOON - number % 3 * HOUR)
        for number in range(400)
    ]
    stores = [store, open_one()]

    def batches() -> Iterable[Sequence[FeedbackEvent]]:
        shuffled = random.sample(events + events[:80], 480)
        size = random.randrange(20, 60)
        return [shuffled[start : start + size] for start in range(0, len(shuffled), size)]

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(count, stores[turn % 2], batch) for turn in range(6) for batch in batches()]
        tallies = [call.result() for call in calls]
    assert sum(tally.counted for tally in tallies) == len(events)
    assert sum(map(sum, tallies)) == 6 * 480
    expected = Counter(
        (each.host, hour_of(datetime.fromtimestamp(each.time, NOON.tzinfo)), each.kind) for each in events
    )
    found = {
        (name, hour, kind): counted
        for _, name, hour, *counts in counters(store)
        for kind, counted in zip(kinds, counts, strict=True)
        if counted
    }
    assert found == expected


def test_nothing_is_counted_by_halves(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the counters cannot be written, the ids and the letters are not kept either."""
    add(store)

    def broken(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("service.store.assessments.hasten", broken)
        with pytest.raises(RuntimeError):
            count(store, [event(1)], [LETTER])
    assert rows(store, counted_events, "digest") == rows(store, dead_letters, "id") == counters(store) == []
    assert count(store, [event(1)], [LETTER]) == Tally(counted=1, dead=1)


def test_counts_make_health(store: SqlStore) -> None:
    """The domain is assessed when it is due, and no sooner."""
    add(store)
    events = [event(number) for number in range(100)]
    bounces = [event(1000 + number, EventKind.HARD_BOUNCE) for number in range(40)]
    count(store, [*events, *bounces], due=NOON + timedelta(seconds=1))
    assert store.assess_due(NOON, 10, HealthPolicy()) == 0
    assert store.assess_due(NOON + timedelta(seconds=1), 10, HealthPolicy()) == 1
    assert store.get("acme", NAME).health is Health.CRITICAL


def test_what_is_too_old_counts_no_more(store: SqlStore) -> None:
    """From the first hour of the window on it counts; what is before is only told."""
    add(store)
    events = [event(1, time=BEGINS), event(2, time=BEGINS - timedelta(seconds=1))]
    assert count(store, events) == Tally(counted=1, too_old=1)
    assert len(rows(store, counted_events, "digest")) == 1


def test_an_event_belongs_to_the_longest_name_above_its_host(store: SqlStore) -> None:
    """The domain itself, or the nearest above it; others' are dropped, and may count once it is there."""
    add(store, "example.com")
    add(store, "mail.example.com", tenant="rival")
    hosts = ("example.com", "bounce.example.com", "a.b.mail.example.com", "mail.example.com")
    others = ("notexample.com", "com", "example.org", "_odd.example.net", "")
    events = [event(number, host=host) for number, host in enumerate(hosts + others)]
    assert count(store, events) == Tally(counted=4, of_no_domain=len(others))
    assert [row[:2] for row in counters(store)] == [("acme", "example.com"), ("rival", "mail.example.com")]
    add(store, "example.org")
    assert count(store, events) == Tally(counted=1, duplicates=4, of_no_domain=len(others) - 1)


def test_a_claim_takes_no_events_from_whoever_has_proved_a_name_above(store: SqlStore) -> None:
    """Not another tenant's, nor its own: mail of hosts below a VERIFIED domain is sent as that domain."""
    add(store, "example.com")
    for tenant, name in (("rival", "news.example.com"), ("acme", "shop.example.com")):
        store.create(sample_domain(tenant, name), actor="key:1", request=None)
    hosts = ("news.example.com", "a.shop.example.com")
    assert count(store, [event(number, host=host) for number, host in enumerate(hosts)]).counted == 2
    assert [row[:2] for row in counters(store)] == [("acme", "example.com")]


def test_a_name_that_was_proved_once_keeps_its_events(store: SqlStore) -> None:
    """Late ones are of the mail that it sent, not of that of the VERIFIED domain above."""
    add(store, "example.com")
    add(store, "news.example.com", tenant="rival")
    store.change("rival", "news.example.com", _failed)
    assert count(store, [event(1, host="news.example.com")]).counted == 1
    assert [row[:2] for row in counters(store)] == [("rival", "news.example.com")]


def test_a_deleted_domain_has_no_events(store: SqlStore) -> None:
    """Those of hosts below it are then of the next name above."""
    add(store, "mail.example.com")
    add(store, "example.com")
    store.delete("acme", "mail.example.com", actor="key:1")
    count(store, [event(1, host="mail.example.com")])
    assert [row[1] for row in counters(store)] == ["example.com"]


def _failed(domain: Domain) -> Moved:
    failed = replace(domain, status=Status.FAILED)
    return Moved(failed, Change(EventType.STATUS_CHANGED, reason="GRACE_PERIOD_OVER", actor="verifier"))


def _verified_at(time: datetime) -> Callable[[Domain], Moved]:
    def move(domain: Domain) -> Moved:
        moved = first_verified(domain)
        return replace(moved, domain=replace(moved.domain, verify_time=time))

    return move


def test_of_several_tenants_the_one_that_has_the_name_verified(store: SqlStore) -> None:
    """Whoever had it before, and whoever only claims it."""
    store.create_tenant("third")
    _claim(store, "acme", NOON + HOUR)
    store.change("acme", NAME, _failed)
    _claim(store, "rival", NOON)
    _claim(store, "third", None)
    assert _owner(store) == "rival"


def test_of_several_tenants_the_one_that_had_the_name_last(store: SqlStore) -> None:
    """Where nobody has it VERIFIED now."""
    for tenant, time in (("acme", NOON - HOUR), ("rival", NOON), ("third", None)):
        store.create_tenant(tenant)
        _claim(store, tenant, time)
        if time is not None:
            store.change(tenant, NAME, _failed)
    assert _owner(store) == "rival"


def test_of_several_tenants_that_never_had_the_name_nobody(store: SqlStore) -> None:
    """A sole claim is enough; of two nobody knows whose mail it is."""
    _claim(store, "acme", None)
    assert _owner(store) == "acme"
    _claim(store, "rival", None)
    assert _owner(store) is None


def _claim(store: SqlStore, tenant: str, verify_time: datetime | None) -> None:
    store.create(sample_domain(tenant, NAME, contested=True), actor="key:1", request=None)
    if verify_time is not None:
        store.change(tenant, NAME, _verified_at(verify_time))


def _owner(store: SqlStore) -> str | None:
    """Return whose an event is."""
    before = {row[0]: row[3] for row in counters(store)}
    tally = count(store, [FeedbackEvent(secrets.token_bytes(16), EventKind.SENT, f"a.{NAME}", event(1).time)])
    after = {row[0]: row[3] for row in counters(store)}
    changed = [str(tenant) for tenant, sent in after.items() if before.get(tenant) != sent]
    assert tally.counted == len(changed)
    assert tally.of_no_domain == 1 - len(changed)
    return changed[0] if changed else None


def test_ids_are_forgotten_in_batches(store: SqlStore) -> None:
    """Those of hours before a time, the oldest first; the counts stay."""
    add(store)
    count(store, [event(number, time=NOON - number * HOUR) for number in range(5)])
    kept = [row[3] for row in counters(store)]
    assert store.forget_events(hour_of(NOON) - HOUR, 2) == 2
    assert [hour for (hour,) in rows(store, counted_events, "hour")] == [
        hour_of(NOON) - ago * HOUR for ago in (2, 1, 0)
    ]
    assert store.forget_events(hour_of(NOON) - HOUR, 2) == 1
    assert store.forget_events(hour_of(NOON) - HOUR, 2) == 0
    assert [row[3] for row in counters(store)] == kept


def test_dead_letters_are_kept_once_and_as_they_came(store: SqlStore) -> None:
    """With characters that no text column takes; the first arrival is told."""
    assert count(store, [], [LETTER]) == Tally(dead=1)
    later = replace(LETTER, head=LETTER.head._replace(time=NOON + HOUR))
    assert count(store, [], [later, later]) == Tally()
    assert store.dead_letters(10) == [LETTER.head]
    assert store.dead_letter(LETTER.head.id) == LETTER
    assert store.dead_letter("2" * 32) is None
    assert store.dead_letter("\0") is None


def test_dead_letters_are_listed_and_deleted(store: SqlStore) -> None:
    """The oldest first."""
    letters = [_letter(number, NOON - number * HOUR) for number in range(4)]
    count(store, [], letters)
    assert store.dead_letters(3) == [letter.head for letter in reversed(letters)][:3]
    assert store.dead_letters(3, letters[2].head) == [letters[1].head, letters[0].head]
    assert store.delete_dead_letters([letters[0].head.id, letters[3].head.id, "none"]) == 2
    assert store.delete_dead_letters([]) == 0
    assert store.dead_letters(3) == [letters[2].head, letters[1].head]
    assert store.forget_dead_letters(NOON - HOUR, 10) == 1
    assert store.dead_letters(3) == [letters[1].head]


def _letter(number: int, time: datetime) -> DeadLetter:
    return DeadLetter(LetterHead(f"{number:032}", "queue", time, "body: must be JSON"), str(number))


def test_the_last_lag_is_kept(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Of each queue, for other processes."""
    assert store.lags() == {}
    store.note_lag("one", QueueLag(NOON, timedelta(seconds=90)))
    store.note_lag("two", QueueLag(NOON, timedelta(0)))
    store.note_lag("one", QueueLag(NOON + HOUR, timedelta(milliseconds=1500)))
    assert open_one().lags() == {
        "one": QueueLag(NOON + HOUR, timedelta(milliseconds=1500)),
        "two": QueueLag(NOON, timedelta(0)),
    }


def test_all_that_count_lock_in_one_order(
    store: SqlStore, open_one: Callable[[], SqlStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same events of many domains in any order, in four processes: nobody waits in a circle."""
    # Whoever did would be undone, and tried again without a word.
    monkeypatch.setattr("service.store.database._ATTEMPTS", 1)
    hosts = [f"d{number}.com" for number in range(6)]
    for host in hosts:
        add(store, host)
    stores = [store, *(open_one() for _ in range(3))]
    events = [event(number, host=random.choice(hosts)) for number in range(2_000)]

    def ingest(turn: int) -> None:
        own = [event(10_000 + 100 * turn + number, host=host) for number, host in enumerate(hosts)]
        letters = [_letter(turn // 4 * 100 + number, NOON) for number in range(50)]
        for batch in (random.sample(events, 100), random.sample(own, len(own))):
            count(stores[turn % 4], batch)
        count(stores[turn % 4], [], random.sample(letters, len(letters)))

    with ThreadPoolExecutor(4) as pool:
        for call in [pool.submit(ingest, turn) for turn in range(60)]:
            call.result()
    assert len(rows(store, counted_events, "digest")) == sum(int(str(row[3])) for row in counters(store))
