"""The pool of threads that check domains when they are due.

Each thread claims a batch under a lease, asks all its questions at once, judges
the answers by the rules of `core`, and saves together what is finished.
"""

import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog

from service import ports
from service.core import lifecycle
from service.core.domain import Domain
from service.core.errors import ServiceError
from service.verifier.checks import Checks
from service.verifier.config import VerifierConfig
from service.verifier.on_request import OnRequest
from service.verifier.pipeline import Pipeline
from service.verifier.saving import save_all

_log = structlog.get_logger(__name__)

_PAUSE_AFTER_ERROR = 1.0
_BATCHES = 4
"""How many batches of checks one thread has under way at most, without the slow ones: so that
many can wait for their answers, and not all are asked about at once."""
_SLOW = 1.5
"""Seconds after which a check is slow: some server has been silent for a whole try."""
_SLOW_BATCHES = 8
"""How many batches of slow checks there may be besides. They cost memory alone; but for this
limit whoever has many silent name servers would have it all."""
_NEXT_BATCH = 0.05
"""How long a thread waits for a batch before it begins the next one, in seconds."""
_LAST_WAIT = 2.0
"""How long a stop waits for checks that are under way, in seconds."""


class Verifier:
    """Checks domains: those that are due, and any one on request."""

    def __init__(
        self,
        *,
        store: ports.DomainStore,
        queue: ports.CheckQueue,
        resolver: ports.Resolver,
        provider: ports.ProviderStates,
        clock: ports.Clock,
        policy: lifecycle.Policy,
        config: VerifierConfig,
    ) -> None:
        """Take the ports; nothing runs before `start`."""
        self._queue = queue
        self._resolver = resolver
        self._checks = Checks(resolver, provider, clock, policy, config.budget)
        self._clock = clock
        self._config = config
        self._stopping = threading.Event()
        self._claiming = threading.Lock()
        self._on_request = OnRequest(store, queue, self._checks, clock, config, self._stopping)
        self._threads = [
            threading.Thread(target=self._work, name=f"verifier-{number}", daemon=True)
            for number in range(config.threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop claiming, and wait a little: then every claim is saved or given back."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def check_now(self, tenant: str, name: str, *, wait: timedelta) -> Domain:
        """Check the domain on request; see `OnRequest.check_now`."""
        return self._on_request.check_now(tenant, name, wait=wait)

    def _work(self) -> None:
        pipeline = Pipeline(self._checks, self._resolver, lease=self._config.lease)
        while not self._stopping.is_set():
            try:
                self._turn(pipeline)
            except ServiceError as error:
                _log.warning("verifier_interrupted", reason=error.reason)
                self._stopping.wait(_PAUSE_AFTER_ERROR)
            except Exception:  # noqa: BLE001 - logged with its traceback
                # A thread that dies would go unseen; a claim that it had is
                # due again when its lease ends.
                _log.exception("verifier_failed")
                self._stopping.wait(_PAUSE_AFTER_ERROR)
        self._wind_up(pipeline)

    def _turn(self, pipeline: Pipeline) -> None:
        """Take on what is due, as far as there is room, and save what is finished."""
        batch = self._config.batch
        room = min(
            _BATCHES * batch - pipeline.young(_SLOW), (_BATCHES + _SLOW_BATCHES) * batch - len(pipeline)
        )
        patience = self._config.poll
        if room > 0:
            claims, patience = self._claim(min(room, batch), wait=not pipeline)
            if claims:
                self._begin(pipeline, claims)
                # More may be due: where name servers are far away, it is asked before they answer.
                patience = _NEXT_BATCH if len(claims) == batch else self._config.poll
        if pipeline:
            save_all(self._queue, pipeline.finished(within=patience))

    def _begin(self, pipeline: Pipeline, claims: Sequence[ports.Claim]) -> None:
        try:
            pipeline.begin(claims)
        except BaseException:
            self._queue.release(claims)
            raise

    def _claim(self, limit: int, *, wait: bool) -> tuple[Sequence[ports.Claim], float]:
        """Claim due domains; return them, and in how many seconds there may be more.

        One idle thread polls, the others wait behind it; threads that are busy
        leave it to that one.
        """
        config = self._config
        if not self._claiming.acquire(blocking=wait):
            return (), config.poll
        try:
            pause = 0.0
            while not self._stopping.is_set():
                # To claim is to write: while nothing is due, looking is enough.
                if pause < config.poll and (
                    claims := self._queue.claim_due(self._clock.now(), limit, config.lease)
                ):
                    return claims, 0.0
                pause = self._until_due()
                if not wait:
                    return (), pause
                self._stopping.wait(pause)
        finally:
            self._claiming.release()
        return (), config.poll

    def _until_due(self) -> float:
        """Return in how many seconds something is due, at most those of a poll."""
        due = self._queue.next_due()
        if due is None:
            return self._config.poll
        return min(max((due - self._clock.now()).total_seconds(), 0.0), self._config.poll)

    def _wind_up(self, pipeline: Pipeline) -> None:
        """Save what is finished soon, and give the rest back."""
        deadline = time.monotonic() + _LAST_WAIT
        try:
            while pipeline and (patience := deadline - time.monotonic()) > 0:
                save_all(self._queue, pipeline.finished(within=patience))
            if pipeline:
                self._queue.release(pipeline.abandon())
        except ServiceError as error:
            _log.warning("verifier_interrupted", reason=error.reason)
