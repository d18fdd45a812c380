"""What a subscriber may rely on, one promise of the contract at a time."""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest

from service.clock import SystemClock
from service.core.domain import EventType
from service.core.errors import Reason, ServiceError
from service.core.tokens import TokenSealer
from service.ports import LogBounds
from service.store import sql as store
from service.store.sql import SqlStore
from service.usecases.watch_status import Start
from service.watch.feed import Entry, Feed, FeedKey, Waiter
from tests.watch.conftest import PATIENCE, Subscriber, Watching

StartWatching = Callable[..., AbstractAsyncContextManager[Watching]]


def run(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run a scenario on a loop of its own."""
    asyncio.run(scenario())


def test_changes_arrive_in_order_without_gap_or_duplicate(start_watching: StartWatching) -> None:
    """Also when they come faster than messages go out."""

    async def scenario() -> None:
        async with start_watching() as watching:
            subscriber = watching.subscribe()
            await watching.create("a.example.com")
            for _ in range(50):
                await watching.toggle("a.example.com")
            await subscriber.until(lambda seen: len(seen.revisions) >= 51)
            assert subscriber.revisions == list(range(1, 52))

    run(scenario)


def test_a_stream_from_now_has_only_what_comes_after(start_watching: StartWatching) -> None:
    """And begins with a bookmark, so that it can be resumed from its first moment."""

    async def scenario() -> None:
        async with start_watching() as watching:
            await watching.create("a.example.com")
            subscriber = watching.subscribe(start=Start.NOW)
            await subscriber.until(lambda seen: bool(seen.messages))
            assert subscriber.messages[0].events == []
            later = await watching.toggle("a.example.com")
            await subscriber.until(lambda seen: bool(seen.revisions))
            assert subscriber.revisions == [later]

    run(scenario)


def test_a_stream_from_the_earliest_has_everything_kept(start_watching: StartWatching) -> None:
    """What was there before the hub had ever read the log too."""

    async def scenario() -> None:
        async with start_watching() as watching:
            for number in range(1200):
                await watching.create(f"d{number}.example.com")
            subscriber = watching.subscribe(start=Start.EARLIEST)
            await subscriber.until(lambda seen: len(seen.revisions) >= 1200)
            await watching.toggle("d0.example.com")
            await subscriber.until(lambda seen: len(seen.revisions) >= 1201)
            assert subscriber.revisions == list(range(1, 1202))

    run(scenario)


def test_the_current_state_comes_first_and_changes_follow_without_gap(start_watching: StartWatching) -> None:
    """However much is written while the snapshot is read."""

    async def scenario() -> None:
        async with start_watching() as watching:
            names = [f"d{number}.example.com" for number in range(700)]
            for name in names:
                await watching.create(name)

            async def write() -> None:
                for name in names[::7]:
                    await watching.toggle(name)

            writing = asyncio.create_task(write())
            subscriber = watching.subscribe(start=Start.CURRENT_STATE)
            await writing
            await subscriber.until(lambda seen: seen.revisions[-1:] == [800] or is_at(seen, 800, watching))
            snapshot = [event for event in subscriber.events if event[1] == EventType.SNAPSHOT]
            assert sorted(name for _, _, name in snapshot) == sorted(names)
            marks = [index for index, message in enumerate(subscriber.messages) if message.complete]
            assert len(marks) == 1
            assert all(not message.token for message in subscriber.messages[: marks[0]])
            cut = watching.tokens.open_resume(subscriber.messages[marks[0]].token, "acme")
            assert max(revision for revision, _, _ in snapshot) <= cut
            assert subscriber.revisions == list(range(cut + 1, 801))

    run(scenario)


def is_at(seen: Subscriber, revision: int, watching: Watching) -> bool:
    """Whether the subscriber's token is complete through a revision."""
    tokens = [message.token for message in seen.messages if message.token]
    return bool(tokens) and watching.tokens.open_resume(tokens[-1], "acme") >= revision


def test_every_token_resumes_strictly_after_its_message(start_watching: StartWatching) -> None:
    """Whichever message was the last that a subscriber saw."""

    async def scenario() -> None:
        async with start_watching() as watching:
            first = watching.subscribe(start=Start.EARLIEST)
            await watching.create("a.example.com")
            for _ in range(20):
                await watching.toggle("a.example.com")
            await first.until(lambda seen: len(seen.revisions) == 21)
            seen = 0
            for message in first.messages:
                seen += len(message.events)
                resumed = watching.subscribe(resume_token=message.token)
                await resumed.until(lambda it: is_at(it, 21, watching))
                assert resumed.revisions == list(range(seen + 1, 22))
                await resumed.leave()

    run(scenario)


def test_a_filtered_stream_has_what_it_asked_for_and_its_token_moves_on(
    start_watching: StartWatching,
) -> None:
    """A domain that does not exist yet may be asked for."""

    async def scenario() -> None:
        async with start_watching() as watching:
            wanted = watching.subscribe(
                domains=["later.example.com"],
                types=frozenset({EventType.CREATED, EventType.DELETED}),
                heartbeat=timedelta(seconds=1),
            )
            await watching.create("other.example.com")
            created = await watching.create("later.example.com")
            await watching.toggle("later.example.com")
            deleted = await watching.delete("later.example.com")
            await watching.toggle("other.example.com")
            await wanted.until(lambda seen: is_at(seen, 5, watching))
            assert wanted.revisions == [created, deleted]

    run(scenario)


def test_a_quiet_stream_is_bookmarked_every_heartbeat(start_watching: StartWatching) -> None:
    """So that a client can tell quiet from dead."""

    async def scenario() -> None:
        async with start_watching() as watching:
            loop = asyncio.get_running_loop()
            started = loop.time()
            subscriber = watching.subscribe(heartbeat=timedelta(seconds=1))
            await subscriber.until(lambda seen: len(seen.messages) >= 3)
            assert 1.9 <= loop.time() - started <= 3.0
            assert all(not message.events for message in subscriber.messages)

    run(scenario)


def test_a_stream_whose_log_was_not_looked_at_has_no_bookmark(
    opened: SqlStore, start_watching: StartWatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others' bookmarks show that the log is read, but not for whom: it may have missed anything."""
    bounds = opened.bounds

    def away(tenants: Collection[str]) -> Mapping[str, LogBounds]:
        if threading.current_thread().name == "watch-tail":
            raise ServiceError(Reason.DATABASE_UNAVAILABLE, "the database cannot be reached now")
        return bounds(tenants)

    async def scenario() -> None:
        async with start_watching() as watching:
            other = watching.subscribe(heartbeat=timedelta(seconds=1))
            await other.until(lambda seen: len(seen.messages) == 2)
            with monkeypatch.context() as patched:
                patched.setattr(opened, "bounds", away)
                subscriber = watching.subscribe(full=True, heartbeat=timedelta(seconds=1))
                await other.until(lambda seen: len(seen.messages) == 4)
                assert len(subscriber.messages) == 1
            await subscriber.until(lambda seen: len(seen.messages) == 2)

    run(scenario)


def test_a_stream_says_when_it_has_caught_up(start_watching: StartWatching) -> None:
    """Not while it reads what was missed, of which a filter may leave nothing but bookmarks."""

    async def scenario() -> None:
        async with start_watching(ring=4) as watching:
            await watching.create("a.example.com")
            for _ in range(1200):
                await watching.toggle("a.example.com")
            last = await watching.create("b.example.com")
            full = watching.subscribe(start=Start.EARLIEST, heartbeat=timedelta(seconds=1))
            await full.until(lambda seen: seen.messages[-1:] != [] and seen.messages[-1].caught_up)
            assert full.revisions == list(range(1, last + 1))
            assert [message.caught_up for message in full.messages[:-1]] == [False] * (len(full.messages) - 1)
            # From now on each message leaves nothing out.
            await watching.toggle("a.example.com")
            await full.until(lambda seen: seen.revisions[-1] == last + 1)
            assert full.messages[-1].caught_up

            filtered = watching.subscribe(start=Start.EARLIEST, domains=["b.example.com"], restless=True)
            await filtered.until(lambda seen: any(message.caught_up for message in seen.messages))
            told = next(number for number, message in enumerate(filtered.messages) if message.caught_up)
            assert is_at(filtered, last + 1, watching)
            before = filtered.messages[:told]
            assert sum(not message.events for message in before) > 2
            assert [event for message in filtered.messages[: told + 1] for event in message.events] == [
                (last, EventType.CREATED, "b.example.com")
            ]

    run(scenario)


def test_a_stream_is_not_caught_up_while_the_log_cannot_be_read(
    opened: SqlStore, start_watching: StartWatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was when last it could: its messages say so for three seconds, the last one too."""

    def away() -> bool:
        raise ServiceError(Reason.DATABASE_UNAVAILABLE, "the database cannot be reached now")

    async def scenario() -> None:
        async with start_watching(max_age=6.0, stale_after=60.0) as watching:
            subscriber = watching.subscribe(heartbeat=timedelta(seconds=1))
            await subscriber.until(lambda seen: seen.messages[-1:] != [] and seen.messages[-1].caught_up)
            with monkeypatch.context() as patched:
                patched.setattr(opened, "has_changed", away)
                assert subscriber.task is not None
                await asyncio.wait_for(subscriber.task, PATIENCE)
            assert [message.caught_up for message in subscriber.messages][-1] is False
            assert all(not message.events for message in subscriber.messages)

    run(scenario)


def test_a_subscriber_that_stalls_catches_up_from_the_log(start_watching: StartWatching) -> None:
    """It loses nothing, though far more happened than memory keeps, and holds up nobody."""

    async def scenario() -> None:
        async with start_watching(ring=4) as watching:
            slow = watching.subscribe(reads=False)
            fast = watching.subscribe()
            await slow.until(lambda seen: bool(seen.messages))
            await watching.create("a.example.com")
            for _ in range(60):
                await watching.toggle("a.example.com")
            await fast.until(lambda seen: len(seen.revisions) == 61)
            assert slow.revisions == []
            slow.may_read.set()
            await slow.until(lambda seen: len(seen.revisions) == 61)
            assert slow.revisions == list(range(1, 62))

    run(scenario)


def test_a_stream_that_falls_behind_the_history_is_told_so(start_watching: StartWatching) -> None:
    """With the oldest revision kept and the current one; it is never skipped in silence."""

    async def scenario() -> None:
        async with start_watching(ring=2) as watching:
            stalled = watching.subscribe(reads=False)
            await stalled.until(lambda seen: bool(seen.messages))
            await watching.create("a.example.com")
            for _ in range(20):
                await watching.toggle("a.example.com")
            # Another stream has seen all of it: the feed has moved on.
            other = watching.subscribe(start=Start.EARLIEST)
            await other.until(lambda seen: len(seen.revisions) == 21)
            await asyncio.to_thread(watching.store.trim, datetime.now(UTC) + timedelta(hours=1), 10)
            stalled.may_read.set()
            await stalled.until(lambda seen: seen.error is not None)
            assert isinstance(stalled.error, ServiceError)
            assert stalled.error.reason is Reason.RESUME_TOKEN_EXPIRED
            assert stalled.error.metadata["oldest_revision"] == "11"
            assert stalled.error.metadata["current_revision"] == "21"

    run(scenario)


def test_a_token_that_cannot_be_resumed_says_why(start_watching: StartWatching) -> None:
    """Too old, from the future, of another tenant, another database, or made up."""

    async def scenario() -> None:
        async with start_watching() as watching:
            for number in range(4):
                await watching.create(f"d{number}.example.com")
            await asyncio.to_thread(watching.store.trim, datetime.now(UTC) + timedelta(hours=1), 2)
            tokens = watching.tokens
            for token, reason in (
                (tokens.resume("acme", 1), Reason.RESUME_TOKEN_EXPIRED),
                (tokens.resume("acme", 5), Reason.RESUME_TOKEN_AHEAD),
                (tokens.resume("zenith", 0), Reason.INVALID_RESUME_TOKEN),
                (tokens.page("acme", ["domains"], "a"), Reason.INVALID_RESUME_TOKEN),
                (tokens.resume("acme", 2)[:-1] + "!", Reason.INVALID_RESUME_TOKEN),
                ("x", Reason.INVALID_RESUME_TOKEN),
            ):
                with pytest.raises(ServiceError) as refused:
                    watching.subscribe(resume_token=token)
                assert refused.value.reason is reason
            resumed = watching.subscribe(resume_token=tokens.resume("acme", 2))
            await resumed.until(lambda seen: seen.revisions == [3, 4])

    run(scenario)


def test_a_stopping_hub_ends_streams_with_a_last_bookmark(
    opened: SqlStore, start_watching: StartWatching
) -> None:
    """Clients go on elsewhere from exactly there."""

    async def scenario() -> None:
        async with start_watching() as watching:
            subscriber = watching.subscribe()
            await watching.create("a.example.com")
            await subscriber.until(lambda seen: len(seen.revisions) == 1)
            await watching.hub.stop()
            await subscriber.until(lambda seen: seen.error is not None)
            assert isinstance(subscriber.error, ServiceError)
            assert subscriber.error.reason is Reason.SHUTTING_DOWN
            assert subscriber.messages[-1].events == []
            assert is_at(subscriber, 1, watching)
            with pytest.raises(ServiceError):
                watching.subscribe()

    run(scenario)


def test_a_stream_ends_cleanly_at_its_age(start_watching: StartWatching) -> None:
    """With a bookmark, so that load moves to new replicas in time."""

    async def scenario() -> None:
        async with start_watching(max_age=0.2) as watching:
            subscriber = watching.subscribe()
            assert subscriber.task is not None
            await asyncio.wait_for(subscriber.task, 5)
            assert subscriber.error is None
            assert len(subscriber.messages) == 2

    run(scenario)


def test_streams_of_other_tenants_see_nothing(start_watching: StartWatching) -> None:
    """A tenant's log is its own."""

    async def scenario() -> None:
        async with start_watching() as watching:
            subscriber = watching.subscribe()
            await watching.create("theirs.example.com", tenant="zenith")
            await watching.create("ours.example.com")
            await subscriber.until(lambda seen: bool(seen.events))
            assert [name for _, _, name in subscriber.events] == ["ours.example.com"]

    run(scenario)


def test_a_snapshot_that_is_not_read_does_not_hold_its_transaction(start_watching: StartWatching) -> None:
    """A subscriber that stalls during the initial state has to start again."""

    async def scenario() -> None:
        async with start_watching(snapshot_limit=0.1) as watching:
            for number in range(1100):
                await watching.create(f"d{number}.example.com")
            stalled = watching.subscribe(reads=False, start=Start.CURRENT_STATE)
            await stalled.until(lambda seen: bool(seen.messages))
            await asyncio.sleep(0.5)  # longer than the limit: it is real time that runs out here
            stalled.may_read.set()
            await stalled.until(lambda seen: seen.error is not None)
            assert isinstance(stalled.error, ServiceError)
            assert stalled.error.reason is Reason.RATE_LIMITED

    run(scenario)


def test_feeds_are_dropped_with_their_last_stream(start_watching: StartWatching) -> None:
    """A tenant that nobody watches costs nothing."""

    async def scenario() -> None:
        async with start_watching() as watching:
            subscribers = [watching.subscribe() for _ in range(3)]
            for subscriber in subscribers:
                await subscriber.until(lambda seen: bool(seen.messages))
            assert watching.hub.streams == 3
            for subscriber in subscribers:
                await subscriber.leave()
            assert watching.hub.streams == 0
            assert watching.hub._feeds == {}

    run(scenario)


def test_tokens_of_a_restored_database_are_refused(opened: SqlStore) -> None:
    """A restore may take changes back that a token counts as seen."""
    url = opened._database.engine.url.render_as_string()
    store.new_epoch(url)
    again = store.open_store(url, clock=SystemClock(), pool_size=1)
    tokens = TokenSealer(epoch=again.identity.epoch, secret=again.identity.secret)
    again.close()
    before = TokenSealer(epoch=opened.identity.epoch, secret=opened.identity.secret)
    with pytest.raises(ServiceError) as refused:
        tokens.open_resume(before.resume("acme", 0), "acme")
    assert refused.value.reason is Reason.INVALID_RESUME_TOKEN


def test_the_end_of_one_stream_wakes_no_other() -> None:
    """Or a thousand that end together would each wake the rest."""

    async def scenario() -> None:
        feed = Feed(FeedKey("acme", full=False), ring=4, message=lambda events, *_, **__: events)
        ending, waiting = Waiter(), Waiter()
        for waiter in (ending, waiting):
            feed.join(waiter)
        first, second = (waiter.wait(time.monotonic() + 60) for waiter in (ending, waiting))
        ending.wake()
        assert first.done()
        assert not second.done()
        feed.extend([], 1)
        assert second.done()

    run(scenario)


def test_a_message_of_a_feed_says_whether_more_follows() -> None:
    """A long feed is handed over in parts; the last leaves nothing, if the log was read lately."""

    async def scenario() -> None:
        feed = Feed(
            FeedKey("acme", full=False),
            ring=4096,
            message=lambda _events, through, caught_up: f"{through} {caught_up}".encode(),
        )
        feed.reset(0)
        entries = [
            Entry(revision, "a.example.com", EventType.STATUS_CHANGED, b"") for revision in range(1, 1202)
        ]
        feed.extend(entries, 1201)
        assert feed.message_after(0, is_current=True) == (b"1000 False", 1000)
        assert feed.message_after(1000, is_current=True) == (b"1201 True", 1201)
        assert feed.message_after(1000, is_current=False) == (b"1201 False", 1201)

    run(scenario)
