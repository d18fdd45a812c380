"""Assesses the health of domains whose counts or window have changed."""

import threading

import structlog

from service import ports
from service.core.errors import ServiceError
from service.core.health import HealthPolicy

_log = structlog.get_logger(__name__)

_PAUSE = 0.5
"""Between two looks for what is due, in seconds."""
_BATCH = 200


class HealthAssessor(threading.Thread):
    """Carries out what the store says is due. Any number of processes share it."""

    def __init__(self, *, store: ports.HealthStore, clock: ports.Clock, policy: HealthPolicy) -> None:
        """Take the store, and by what health is judged; nothing runs before `start`."""
        super().__init__(name="assessor", daemon=True)
        self._store = store
        self._clock = clock
        self._policy = policy
        self._ended = threading.Event()

    def end(self) -> None:
        """Stop, and wait until it has stopped."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Assess until ended. An error of the database is waited out."""
        is_away = False
        while not self._ended.wait(_PAUSE):
            try:
                while not self._ended.is_set() and self._store.assess_due(
                    self._clock.now(), _BATCH, self._policy
                ):
                    pass
                is_away = False
            except ServiceError as error:
                if not is_away:
                    _log.warning("assessment_interrupted", reason=error.reason)
                is_away = True
