"""Forgets what is older than it has to be kept."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from service import ports
from service.core.errors import ServiceError

_log = structlog.get_logger(__name__)

_BATCH = 1000
_PAUSE = 60.0


class Upkeep(threading.Thread):
    """Forgets what is old and archives expired uses, once a minute. Harmless in several processes."""

    def __init__(
        self,
        *,
        log: ports.EventLog,
        uses: ports.UseStore,
        deliveries: ports.DeliveryStore,
        feedback: ports.EventStore,
        clock: ports.Clock,
        retention: timedelta,
        count_memory: timedelta,
        letter_retention: timedelta,
    ) -> None:
        """Take the stores, and how long events, the ids of what was counted, and dead letters are kept.

        Nothing runs before `start`.
        """
        super().__init__(name="upkeep", daemon=True)
        self._event_log = log
        self._uses = uses
        self._deliveries = deliveries
        self._feedback = feedback
        self._clock = clock
        self._retention = retention
        self._count_memory = count_memory
        self._letter_retention = letter_retention
        self._ended = threading.Event()

    def end(self) -> None:
        """Stop, and wait until it has stopped."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Look after all of it until ended. An error of the database is waited out."""
        while not self._ended.wait(min(_PAUSE, self._retention.total_seconds())):
            try:
                self._trim()
                self._archive()
                self._deliveries.forget_batches(self._clock.now() - self._count_memory)
                self._forget(self._feedback.forget_events, self._count_memory)
                self._forget(self._feedback.forget_dead_letters, self._letter_retention)
            except ServiceError as error:
                _log.warning("upkeep_interrupted", reason=error.reason)

    def _trim(self) -> None:
        before = self._clock.now() - self._retention
        trimmed = 0
        # In batches: one large delete would hold the only writer of SQLite.
        while (count := self._event_log.trim(before, _BATCH)) and not self._ended.is_set():
            trimmed += count
        if trimmed:
            _log.info("events_trimmed", count=trimmed)

    def _forget(self, forget: Callable[[datetime, int], int], age: timedelta) -> None:
        while forget(self._clock.now() - age, _BATCH) and not self._ended.is_set():
            pass

    def _archive(self) -> None:
        while self._uses.archive_expired(self._clock.now(), _BATCH) and not self._ended.is_set():
            pass
