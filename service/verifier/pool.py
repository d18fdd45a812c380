"""The pool of threads that check domains, and the checks that somebody waits for.

Each thread claims a batch under a lease, asks all its questions at once, judges
the answers by the rules of `core`, and saves what is finished in one transaction.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from service import ports
from service.core import lifecycle
from service.core.domain import Domain
from service.core.errors import Reason, ServiceError
from service.verifier.checks import BUDGET, Checks
from service.verifier.pipeline import Pipeline

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
_LAST_WAIT = 2.0
"""How long a stop waits for checks that are under way, in seconds."""
_LOOK_AGAIN = 0.05
"""How often a check that another process runs is looked for, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierConfig:
    """Sizes and times of the pool."""

    threads: int = 1
    batch: int = 64
    """Domains claimed at once."""
    lease: timedelta = timedelta(seconds=60)
    """How long a claim lasts that is never saved. Longer than any check takes."""
    budget: timedelta = BUDGET
    """How long all look-ups of one check may take."""
    poll: float = 0.5
    """Longest time between two looks for due domains, in seconds."""
    min_interval: timedelta = timedelta(seconds=5)
    """A check that is younger is not repeated on request."""


class Verifier:
    """Checks domains: those that are due, and any one on request."""

    def __init__(
        self,
        *,
        store: ports.DomainStore,
        queue: ports.CheckQueue,
        resolver: ports.Resolver,
        provider: ports.MailProvider,
        clock: ports.Clock,
        policy: lifecycle.Policy,
        config: VerifierConfig,
    ) -> None:
        """Take the ports; nothing runs before `start`."""
        self._store = store
        self._queue = queue
        self._resolver = resolver
        self._checks = Checks(resolver, provider, clock, policy, config.budget)
        self._clock = clock
        self._config = config
        self._stopping = threading.Event()
        self._claiming = threading.Lock()
        self._shared: dict[tuple[str, str], Future[Domain]] = {}
        self._sharing = threading.Lock()
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
        """Check the domain, or share a check that runs, and return it as it is then.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND; DEADLINE_EXCEEDED after `wait`; what
                the store raises.

        """
        deadline = time.monotonic() + wait.total_seconds()
        while True:
            with self._sharing:
                future = self._shared.get((tenant, name))
                is_shared = future is not None
                if future is None:
                    future = self._shared[tenant, name] = Future()
            if not is_shared:
                self._run_shared(future, tenant, name, deadline)
            try:
                return future.result(max(deadline - time.monotonic(), 0.0))
            except WaitTimeoutError:
                raise _too_late(name) from None
            except ServiceError as error:
                # The caller that ran it had less time than we have.
                if not is_shared or error.reason is not Reason.DEADLINE_EXCEEDED:
                    raise

    def _run_shared(self, future: Future[Domain], tenant: str, name: str, deadline: float) -> None:
        try:
            future.set_result(self._check_one(tenant, name, deadline))
        except BaseException as error:  # noqa: BLE001 - handed to every waiting caller
            future.set_exception(error)
        finally:
            with self._sharing:
                del self._shared[tenant, name]

    def _check_one(self, tenant: str, name: str, deadline: float) -> Domain:
        youngest = self._clock.now() - self._config.min_interval
        while True:
            domain = self._store.get(tenant, name)
            if _was_checked_after(youngest, domain):
                return domain
            if time.monotonic() >= deadline or self._stopping.is_set():
                raise _too_late(name)
            claim = self._queue.claim(tenant, name, self._clock.now(), self._config.lease)
            if claim is not None:
                # Somebody else's check may have ended since we looked.
                if _was_checked_after(youngest, claim.domain):
                    self._queue.release([claim])
                    return claim.domain
                # None: deleted and created anew, or the lease was lost, while
                # it was checked. What there is now is looked at again.
                if (saved := self._check_claimed(claim)) is not None:
                    return saved
            else:
                self._stopping.wait(_LOOK_AGAIN)

    def _check_claimed(self, claim: ports.Claim) -> Domain | None:
        try:
            checked = self._checks.run([claim], requested=True)
        except BaseException:
            self._queue.release([claim])
            raise
        return self._save(checked)[0]

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
                patience = self._config.poll
        if pipeline:
            self._save_all(pipeline.finished(within=patience))

    def _save_all(self, checked: Sequence[ports.CheckedMove]) -> None:
        """Save moves together, or, where one of them is at fault, each by itself."""
        try:
            self._save(checked)
        except ServiceError:
            raise
        except Exception:
            if len(checked) == 1:
                raise
            for move in checked:
                try:
                    self._save([move])
                except ServiceError:
                    raise
                except Exception:  # noqa: BLE001 - logged with its traceback
                    domain = move.claim.domain
                    _log.exception("check_failed", tenant=domain.tenant, domain=domain.name)

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
            while not self._stopping.is_set():
                now = self._clock.now()
                if claims := self._queue.claim_due(now, limit, config.lease):
                    return claims, 0.0
                due = self._queue.next_due()
                pause = config.poll if due is None else (due - now).total_seconds()
                pause = min(max(pause, 0.0), config.poll)
                if not wait:
                    return (), pause
                self._stopping.wait(pause)
        finally:
            self._claiming.release()
        return (), config.poll

    def _wind_up(self, pipeline: Pipeline) -> None:
        """Save what is finished soon, and give the rest back."""
        deadline = time.monotonic() + _LAST_WAIT
        try:
            while pipeline and (patience := deadline - time.monotonic()) > 0:
                self._save_all(pipeline.finished(within=patience))
            if pipeline:
                self._queue.release(pipeline.abandon())
        except ServiceError as error:
            _log.warning("verifier_interrupted", reason=error.reason)

    def _save(self, checked: Sequence[ports.CheckedMove]) -> Sequence[Domain | None]:
        if not checked:
            return ()
        saved = self._queue.save(checked)
        for move, after in zip(checked, saved, strict=True):
            before = move.claim.domain
            if after is not None and after.status is not before.status:
                _log.info(
                    "domain_status_changed",
                    tenant=after.tenant,
                    domain=after.name,
                    before=before.status,
                    after=after.status,
                    reason=after.status_reason,
                )
        return saved


def _was_checked_after(moment: datetime, domain: Domain) -> bool:
    last = domain.checks.last_check_time
    return last is not None and last > moment


def _too_late(name: str) -> ServiceError:
    return ServiceError(
        Reason.DEADLINE_EXCEEDED,
        f"the check of {name} has not ended in time; WatchStatus tells its result",
        metadata={"domain": name},
    )
