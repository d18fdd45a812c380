"""Hints that a tenant's log has grown: at once, and never relied on."""

import json
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

import psycopg
import structlog

log = structlog.get_logger(__name__)

_CHANNEL = "kraiter_events"
_MAX_PAYLOAD = 7_900
"""PostgreSQL refuses 8,000 octets and more."""
_STOP_CHECK_SECONDS = 0.25
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

Connect = Callable[[], psycopg.Connection[Any]]
"""Opens a connection of its own, in autocommit mode."""


class Hints(Protocol):
    """Where the store tells of its commits."""

    def announce(self, tenants: Collection[str]) -> None:
        """Tell that the logs of these tenants have grown."""

    def close(self) -> None:
        """Stop telling."""


class LocalHints:
    """`CommitHints` of the commits of this process, for one waiter."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._grown: set[str] = set()
        self._anything = False
        self._woken = False

    def announce(self, tenants: Collection[str]) -> None:
        """See `Hints.announce`."""
        with self._condition:
            self._grown.update(tenants)
            self._condition.notify_all()

    def announce_anything(self) -> None:
        """Tell that any log may have grown."""
        with self._condition:
            self._anything = True
            self._condition.notify_all()

    def wait(self, timeout: float) -> frozenset[str] | None:
        """See `CommitHints.wait`."""
        with self._condition:
            self._condition.wait_for(lambda: self._grown or self._anything or self._woken, timeout)
            grown, anything = frozenset(self._grown), self._anything
            self._grown.clear()
            self._anything = self._woken = False
            return None if anything else grown

    def wake(self) -> None:
        """See `CommitHints.wake`."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class PostgresHints:
    """`CommitHints` of all processes, by NOTIFY and LISTEN on connections of its own.

    NOTIFY inside a transaction takes a lock on the whole database at its commit.
    So it is sent afterwards, by a thread that gathers what comes meanwhile.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._local = LocalHints()
        self._outgoing = LocalHints()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_running, args=(loop,), name=loop.__name__, daemon=True)
            for loop in (self._notify, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    def announce(self, tenants: Collection[str]) -> None:
        """See `Hints.announce`."""
        self._local.announce(tenants)
        self._outgoing.announce(tenants)

    def wait(self, timeout: float) -> frozenset[str] | None:
        """See `CommitHints.wait`."""
        return self._local.wait(timeout)

    def wake(self) -> None:
        """See `CommitHints.wake`."""
        self._local.wake()

    def close(self) -> None:
        """Stop both threads and close their connections."""
        self._stopping.set()
        self._outgoing.wake()
        for thread in self._threads:
            thread.join()

    def _keep_running(self, loop: Callable[[psycopg.Connection[Any]], Iterator[None]]) -> None:
        """Run a loop on a connection, on a new one whenever that breaks."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    for _ in loop(connection):
                        pause = _FIRST_PAUSE_SECONDS
                        if self._stopping.is_set():
                            return
            # ValueError: something else was sent on the channel.
            except (psycopg.Error, ValueError) as error:
                log.warning("hints_lost", error=str(error))
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _notify(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        yield
        while True:
            grown = self._outgoing.wait(timeout=_LONGEST_PAUSE_SECONDS)
            for payload in payloads(grown or ()):
                connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, payload))
            yield

    def _listen(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        connection.execute(f"LISTEN {_CHANNEL}")
        # What was sent while nobody listened is lost.
        self._local.announce_anything()
        yield
        while True:
            for notification in connection.notifies(timeout=_STOP_CHECK_SECONDS, stop_after=1):
                self._local.announce(json.loads(notification.payload))
            yield


def payloads(tenants: Collection[str]) -> Iterator[str]:
    """Return JSON lists of the tenants, each short enough for a NOTIFY."""
    part: list[str] = []
    size = 2
    for tenant in sorted(tenants):
        length = len(json.dumps(tenant)) + 2
        if part and size + length > _MAX_PAYLOAD:
            yield json.dumps(part)
            part, size = [], 2
        part.append(tenant)
        size += length
    if part:
        yield json.dumps(part)
