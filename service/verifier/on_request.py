"""Checks that somebody asks for, and waits for."""

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from datetime import datetime, timedelta

from service import ports
from service.core.domain import Domain
from service.core.errors import Reason, ServiceError
from service.verifier.checks import Checks
from service.verifier.config import VerifierConfig
from service.verifier.saving import save

_LOOK_AGAIN = 0.05
"""How often a check that another process runs is looked for, in seconds."""


class OnRequest:
    """Checks single domains at once, on the threads of those who ask."""

    def __init__(
        self,
        store: ports.DomainStore,
        queue: ports.CheckQueue,
        checks: Checks,
        clock: ports.Clock,
        config: VerifierConfig,
        stopping: threading.Event,
    ) -> None:
        """Take the ports, and what is set when no more checks are to begin."""
        self._store = store
        self._queue = queue
        self._checks = checks
        self._clock = clock
        self._config = config
        self._stopping = stopping
        self._shared: dict[tuple[str, str], Future[Domain]] = {}
        self._sharing = threading.Lock()

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
        return save(self._queue, checked)[0]


def _was_checked_after(moment: datetime, domain: Domain) -> bool:
    last = domain.checks.last_check_time
    return last is not None and last > moment


def _too_late(name: str) -> ServiceError:
    return ServiceError(
        Reason.DEADLINE_EXCEEDED,
        f"the check of {name} has not ended in time; WatchStatus tells its result",
        metadata={"domain": name},
    )
