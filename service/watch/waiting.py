"""Subscribers that wait: the PENDING domains that they name are looked at often, while they do."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

import structlog

from service import ports
from service.core.errors import ServiceError
from service.core.schedule import Intervals

_log = structlog.get_logger(__name__)

_BATCH = 500
_SHORTEST_PAUSE = timedelta(seconds=1)
_PAUSE_AFTER_ERROR = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Awaited:
    """The domains that one open stream names."""

    tenant: str
    names: frozenset[str]


class Waiting(threading.Thread):
    """Renews the fast phase of domains that open streams name, before it ends.

    One for each process, whatever the number of its streams. A stream begins
    the phase when it is opened; of a domain that becomes PENDING later it
    begins by itself.
    """

    def __init__(
        self,
        *,
        queue: ports.CheckQueue,
        clock: ports.Clock,
        intervals: Intervals,
        awaited: Callable[[], Iterable[Awaited]],
    ) -> None:
        """Take the queue, and what tells of the streams that are open, on any thread."""
        super().__init__(name="watch-waiting", daemon=True)
        self._queue = queue
        self._clock = clock
        self._intervals = intervals
        self._awaited = awaited
        self._ended = threading.Event()
        self._period = max(intervals.fast_phase / 2, intervals.pending, _SHORTEST_PAUSE)

    def end(self) -> None:
        """Stop, and wait until it has stopped."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Renew until ended, twice in each fast phase. An error of the database is waited out."""
        pause = self._period
        while not self._ended.wait(pause.total_seconds()):
            try:
                self.renew()
                pause = self._period
            except ServiceError as error:
                _log.warning("watch_waiting_interrupted", reason=error.reason)
                pause = min(_PAUSE_AFTER_ERROR, self._period)

    def renew(self) -> None:
        """Begin the fast phase again of what is PENDING now, a few domains at a time.

        Raises:
            ServiceError: what the queue raises.

        """
        by_tenant: dict[str, set[str]] = {}
        for each in self._awaited():
            by_tenant.setdefault(each.tenant, set()).update(each.names)
        for tenant, names in by_tenant.items():
            for batch in _batches(names):
                if self._ended.is_set():
                    return
                now = self._clock.now()
                self._queue.hasten(tenant, batch, now=now, due=now + self._intervals.pending)


def _batches(names: Iterable[str]) -> Iterable[Sequence[str]]:
    rest = iter(names)
    while batch := list(islice(rest, _BATCH)):
        yield batch
