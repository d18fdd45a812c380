"""Reads the initial state of a stream, page by page, in one transaction."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from service import ports
from service.core.domain import Domain, Event, EventType
from service.core.errors import Reason, ServiceError
from service.watch.feed import Codec


class SnapshotReader:
    """An open snapshot, serialised a page at a time. Used off the event loop."""

    def __init__(
        self,
        open_snapshot: Callable[[], AbstractContextManager[ports.Snapshot]],
        codec: Codec,
        *,
        full: bool,
    ) -> None:
        """Take what opens the snapshot; it is opened by the first `next`."""
        self._open_snapshot = open_snapshot
        self._codec = codec
        self._full = full
        self._lock = threading.Lock()
        self._context: AbstractContextManager[ports.Snapshot] | None = None
        self._pages: Iterator[Sequence[Domain]] = iter(())
        self._is_closed = False
        self.revision = 0
        """The revision that the snapshot was taken at, once it was opened."""

    def next(self) -> bytes:
        """Return the next page as joined events; empty at the end.

        Raises:
            ServiceError: RATE_LIMITED when it was closed, since reading it
                took too long; what the log raises.

        """
        with self._lock:
            if self._is_closed:
                raise ServiceError(Reason.RATE_LIMITED, "the current state was not read in time: start again")
            if self._context is None:
                self._context = self._open_snapshot()
                opened = self._context.__enter__()
                self.revision = opened.revision
                self._pages = iter(opened.pages)
            page = next(self._pages, ())
            return b"".join(self._codec.event(_as_event(domain), full=self._full) for domain in page)

    def close(self) -> None:
        """End the transaction. Idempotent."""
        with self._lock:
            self._is_closed = True
            context, self._context = self._context, None
            if context is not None:
                context.__exit__(None, None, None)


def _as_event(domain: Domain) -> Event:
    return Event(
        tenant=domain.tenant,
        revision=domain.revision,
        time=domain.update_time,
        type=EventType.SNAPSHOT,
        domain=domain.name,
        previous_status=None,
        previous_health=None,
        reason="",
        actor="",
        state=domain,
    )
