"""A hub over a real store on SQLite, and subscribers that remember what they saw."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import SystemClock
from service.core import lifecycle
from service.core.domain import Domain, Event, EventType, Moved
from service.core.keys import Scope
from service.core.schedule import Intervals
from service.core.tokens import TokenSealer
from service.store import sql as store
from service.store.sql import SqlStore
from service.usecases.caller import Caller
from service.usecases.watch_status import WatchQuery, WatchStatus
from service.watch import Hub, HubConfig
from tests.support.samples import sample_domain

PATIENCE = 10.0
CALLER = Caller("acme", "test", frozenset(Scope))


class LineCodec:
    """Messages that a test can read: a line for each event, then one for the rest."""

    def event(self, event: Event, *, full: bool) -> bytes:  # noqa: ARG002 - the port's signature
        """Return `revision type domain`."""
        return f"{event.revision} {event.type} {event.domain}\n".encode()

    def message(
        self, events: bytes, *, resume_token: str, snapshot_complete: bool = False, caught_up: bool = False
    ) -> bytes:
        """Return the events' lines, then `token complete caught_up`."""
        return events + f"{resume_token} {snapshot_complete} {caught_up}".encode()


@dataclass(frozen=True)
class Message:
    """A message as `LineCodec` writes it."""

    events: list[tuple[int, str, str]]
    token: str
    complete: bool
    caught_up: bool

    @classmethod
    def parse(cls, octets: bytes) -> "Message":
        """Read a message."""
        *lines, last = octets.decode().split("\n")
        token, complete, caught_up = last.split(" ")
        split = (line.split(" ") for line in lines)
        events = [(int(revision), kind, name) for revision, kind, name in split]
        return cls(events, token, complete == "True", caught_up == "True")


@dataclass
class Subscriber:
    """A task that reads a stream, until told to stop or the stream ends."""

    messages: list[Message] = field(default_factory=list)
    error: Exception | None = None
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    may_read: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def events(self) -> list[tuple[int, str, str]]:
        """Everything that was seen: revision, type, domain."""
        return [event for message in self.messages for event in message.events]

    @property
    def revisions(self) -> list[int]:
        """The revisions of all changes seen, snapshots left out."""
        return [revision for revision, kind, _ in self.events if kind != EventType.SNAPSHOT]

    async def until(self, condition: Callable[["Subscriber"], bool]) -> None:
        """Wait until a condition holds of what was seen."""
        async with asyncio.timeout(PATIENCE):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()

    async def leave(self) -> None:
        """End the stream as a client does that goes away."""
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


class Watching:
    """A store, a hub over it, and what a test does with both."""

    def __init__(self, opened: SqlStore, config: HubConfig) -> None:
        identity = opened.identity
        self.store = opened
        self.tokens = TokenSealer(epoch=identity.epoch, secret=identity.secret)
        self.hub = Hub(
            log=opened,
            hints=opened.hints,
            queue=opened,
            clock=SystemClock(),
            codec=LineCodec(),
            tokens=self.tokens,
            intervals=Intervals(),
            config=config,
        )
        self._subscribe = WatchStatus(
            opened, opened, SystemClock(), self.tokens, Intervals(), timedelta(seconds=5)
        )

    def subscribe(self, *, reads: bool = True, restless: bool = False, **query: object) -> Subscriber:
        """Open a stream; with `reads` False it takes one message and then stalls.

        A `restless` one is sent a bookmark every millisecond.
        """
        subscription = self._subscribe(CALLER, WatchQuery(**query))  # type: ignore[arg-type]  # fields by name
        if restless:
            subscription = replace(subscription, heartbeat=timedelta(milliseconds=1))
        stream = self.hub.stream(subscription)
        subscriber = Subscriber()
        if reads:
            subscriber.may_read.set()

        async def write(octets: bytes) -> None:
            subscriber.messages.append(Message.parse(octets))
            subscriber.changed.set()
            await subscriber.may_read.wait()

        async def read() -> None:
            try:
                await stream.deliver(write)
            except Exception as error:  # noqa: BLE001 - tests look at it
                subscriber.error = error
                subscriber.changed.set()

        subscriber.task = asyncio.get_running_loop().create_task(read())
        return subscriber

    async def create(self, name: str, tenant: str = "acme") -> int:
        """Create a domain; return its revision."""
        domain = sample_domain(tenant=tenant, name=name)
        made = await asyncio.to_thread(self.store.create, domain, actor="key:test", request=None)
        return made.revision

    async def toggle(self, name: str) -> int:
        """Pause or resume a domain; return the revision."""

        def move(domain: Domain) -> Moved:
            if domain.sending_enabled:
                return lifecycle.disabled(domain, reason="", actor="key:test")
            return lifecycle.enabled(domain, reason="", actor="key:test")

        return (await asyncio.to_thread(self.store.change, "acme", name, move)).revision

    async def delete(self, name: str) -> int:
        """Delete a domain; return the revision."""
        return await asyncio.to_thread(self.store.delete, "acme", name, actor="key:test")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[SqlStore]:
    """A new store with the tenants acme and zenith."""
    url = f"sqlite:///{tmp_path}/watch.db"
    store.migrate(url)
    made = store.open_store(url, clock=SystemClock(), pool_size=8)
    for tenant in ("acme", "zenith"):
        made.create_tenant(tenant)
    yield made
    made.close()


@pytest.fixture
def start_watching(opened: SqlStore) -> Callable[..., contextlib.AbstractAsyncContextManager[Watching]]:
    """Return what runs a hub for the length of an `async with`."""

    @contextlib.asynccontextmanager
    async def run(**config: float) -> AsyncIterator[Watching]:
        watching = Watching(opened, HubConfig(**({"poll": 0.025} | config)))  # type: ignore[arg-type]  # fields by name
        await watching.hub.start()
        try:
            yield watching
        finally:
            await watching.hub.stop()

    return run
