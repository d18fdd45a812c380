"""Counts the events that arrive on a queue."""

import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog

from service import ports
from service.core.errors import Reason, ServiceError
from service.core.feedback import Tally
from service.usecases.count_events import CountEvents

_log = structlog.get_logger(__name__)

_BATCH = 200
"""Messages that are counted in one transaction."""
_WAIT = timedelta(seconds=2)
"""For the first of them: a stop waits as long."""
_SHORTEST_DELAY, _LONGEST_DELAY = 0.5, 15.0
"""Between two tries, in seconds, while something fails."""
_REPORT_EVERY = 60.0
_NOTE_EVERY = 10.0
_PASSING = {Reason.DATABASE_UNAVAILABLE, Reason.CONCURRENT_CHANGE}


class EventIngester:
    """Receives, counts and deletes, in threads of its own. Any number of processes share a queue.

    A message is deleted once its events are counted durably. What happens in between, or
    fails, has it received again, and then it counts for nothing.
    """

    def __init__(
        self,
        *,
        queue: ports.EventQueue,
        store: ports.EventStore,
        count: CountEvents,
        clock: ports.Clock,
        threads: int,
    ) -> None:
        """Take the queue, which is closed in the end, and what counts; nothing runs before `start`."""
        self._queue = queue
        self._count = count
        self._clock = clock
        self._report = _Report(queue.name, store)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"ingest-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop, and wait until all has stopped. What was received is counted first, or comes again."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._report.write()
        self._queue.close()

    def _run(self) -> None:
        backoff = _BackOff(self._ended, self._queue.name)
        while not self._ended.is_set():
            try:
                messages = self._queue.receive(_BATCH, _WAIT)
                if messages:
                    self._report.add(self._counted(messages, backoff))
                    self._delete(messages)
                self._report.tell(self._lag(messages))
                backoff.reset()
            except Exception as error:  # noqa: BLE001 - whatever it is, the messages come again
                backoff.wait(error)

    def _counted(self, messages: Sequence[ports.QueuedMessage], backoff: "_BackOff") -> Tally:
        """Count messages, once the database is there: others would only be received in vain."""
        while True:
            try:
                return self._count(self._queue.name, messages)
            except ServiceError as error:
                if error.reason not in _PASSING or not backoff.wait(error):
                    raise

    def _delete(self, messages: Sequence[ports.QueuedMessage]) -> None:
        if failed := self._queue.delete([message.receipt for message in messages]):
            _log.warning("messages_not_deleted", queue=self._queue.name, count=failed)

    def _lag(self, messages: Sequence[ports.QueuedMessage]) -> ports.QueueLag:
        now = self._clock.now()
        waited = now - min((message.sent for message in messages), default=now)
        # The queue's clock is another.
        return ports.QueueLag(now, max(waited, timedelta(0)))


class _BackOff:
    """Waits longer from one failure to the next, and logs the first and then some of them."""

    def __init__(self, ended: threading.Event, queue: str) -> None:
        self._ended = ended
        self._queue = queue
        self._delay = _SHORTEST_DELAY
        self._logged = -_REPORT_EVERY

    def wait(self, error: Exception) -> bool:
        """Wait; False where all is to end."""
        reason = error.reason if isinstance(error, ServiceError) else None
        if (now := time.monotonic()) >= self._logged + _REPORT_EVERY:
            self._logged = now
            _log.warning(
                "ingest_interrupted",
                queue=self._queue,
                reason=reason,
                error=str(error.__cause__ or error),
                exc_info=reason is None,
            )
        is_over = self._ended.wait(self._delay)
        self._delay = min(2 * self._delay, _LONGEST_DELAY)
        return not is_over

    def reset(self) -> None:
        """Begin anew: all went well."""
        self._delay = _SHORTEST_DELAY


class _Report:
    """What became of a queue's events in this process, told from time to time."""

    def __init__(self, queue: str, store: ports.EventStore) -> None:
        self._queue = queue
        self._store = store
        self._lock = threading.Lock()
        self._tally = Tally()
        self._longest = timedelta(0)
        self._next_note = 0.0
        self._next_report = time.monotonic() + _REPORT_EVERY

    def add(self, tally: Tally) -> None:
        """Add what became of a batch."""
        with self._lock:
            self._tally = self._tally.plus(tally)

    def tell(self, lag: ports.QueueLag) -> None:
        """Note how far behind the queue was read, and log what came of it, each when it is time."""
        now = time.monotonic()
        with self._lock:
            self._longest = max(self._longest, lag.lag)
            is_note, is_report = now >= self._next_note, now >= self._next_report
            if is_note:
                self._next_note = now + _NOTE_EVERY
            if is_report:
                self._next_report = now + _REPORT_EVERY
        if is_report:
            self.write()
        if is_note:
            self._store.note_lag(self._queue, lag)

    def write(self) -> None:
        """Log what became of the events since the last time, if there were any."""
        with self._lock:
            tally, self._tally = self._tally, Tally()
            longest, self._longest = self._longest, timedelta(0)
        if any(tally):
            _log.info(
                "events_counted",
                queue=self._queue,
                **tally._asdict(),
                lag_seconds=round(longest.total_seconds(), 3),
            )
