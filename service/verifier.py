"""The verifier: a pool of threads that looks at domains when they are due.

Each thread claims a batch under a lease, asks all its questions at once, judges
the answers by the rules of `core`, and saves the batch in one transaction.
"""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from dataclasses import dataclass
from datetime import timedelta
from itertools import compress

import structlog

from service import ports
from service.core import lifecycle, verdict
from service.core.answers import Answers, Question
from service.core.domain import Domain, Moved
from service.core.errors import Reason, ServiceError

_log = structlog.get_logger(__name__)

_PAUSE_AFTER_ERROR = 1.0
_LOOK_AGAIN = 0.05
"""How often a check that another process runs is looked for, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierConfig:
    """Sizes and times of the pool."""

    threads: int = 4
    batch: int = 64
    """Domains claimed at once."""
    lease: timedelta = timedelta(seconds=60)
    """How long a claim lasts that is never saved. Longer than any check takes."""
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
        self._checks = Checks(resolver, provider, clock, policy)
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
        """Stop claiming, and wait until every claim is saved or given back."""
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
        asked = self._clock.now()
        while time.monotonic() < deadline and not self._stopping.is_set():
            domain = self._store.get(tenant, name)
            last = domain.checks.last_check_time
            if last is not None and last > asked - self._config.min_interval:
                return domain
            claim = self._queue.claim(tenant, name, self._clock.now(), self._config.lease)
            if claim is not None:
                # None: deleted and created anew, or the lease was lost, while
                # it was checked. What there is now is looked at again.
                if (saved := self._check([claim], requested=True)[0]) is not None:
                    return saved
            else:
                self._stopping.wait(_LOOK_AGAIN)
        raise _too_late(name)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._check(self._claim())
            except ServiceError as error:
                _log.warning("verifier_interrupted", reason=error.reason)
                self._stopping.wait(_PAUSE_AFTER_ERROR)
            except Exception:  # noqa: BLE001 - logged with its traceback
                # A thread that dies would go unseen; a claim that it had is
                # due again when its lease ends.
                _log.exception("verifier_failed")
                self._stopping.wait(_PAUSE_AFTER_ERROR)

    def _claim(self) -> Sequence[ports.Claim]:
        """Wait for due domains. One idle thread polls, the others wait behind it."""
        config = self._config
        with self._claiming:
            while not self._stopping.is_set():
                now = self._clock.now()
                if claims := self._queue.claim_due(now, config.batch, config.lease):
                    return claims
                due = self._queue.next_due()
                wait = config.poll if due is None else (due - now).total_seconds()
                self._stopping.wait(min(max(wait, 0.0), config.poll))
        return ()

    def _check(self, claims: Sequence[ports.Claim], *, requested: bool = False) -> Sequence[Domain | None]:
        if not claims:
            return ()
        try:
            checked = self._checks.run(claims, requested=requested)
        except BaseException:
            self._queue.release(claims)
            raise
        saved = self._queue.save(checked)
        for claim, after in zip(claims, saved, strict=True):
            if after is not None and after.status is not claim.domain.status:
                _log.info(
                    "domain_status_changed",
                    tenant=after.tenant,
                    domain=after.name,
                    before=claim.domain.status,
                    after=after.status,
                    reason=after.status_reason,
                )
        return saved


class Checks:
    """One check of a batch of domains, from questions to moves. Saves nothing."""

    def __init__(
        self,
        resolver: ports.Resolver,
        provider: ports.MailProvider,
        clock: ports.Clock,
        policy: lifecycle.Policy,
    ) -> None:
        """Take what a check asks, and the rules that it is judged by."""
        self._resolver = resolver
        self._provider = provider
        self._clock = clock
        self._policy = policy

    def run(self, claims: Sequence[ports.Claim], *, requested: bool) -> Sequence[ports.CheckedMove]:
        """Look at every claimed domain, and return what becomes of each.

        First one name server answers for each record; where the check was
        requested each does, since whoever waits wants to know which of them
        lags. Only what would move a domain is asked again, of all its name
        servers; only what is wrong is asked about further, for its hint.
        """
        domains = [claim.domain for claim in claims]
        asked = [verdict.questions(domain) for domain in domains]
        answers = self._ask(asked, every_server=requested)
        sampled = [verdict.judge(domain, answers) for domain in domains]
        now = self._clock.now()
        moving = [
            lifecycle.needs_confirmation(domain, seen, now, self._policy)
            for domain, seen in zip(domains, sampled, strict=True)
        ]
        if not requested:
            answers |= self._ask(list(compress(asked, moving)), every_server=True)
        # Mostly a domain is as it was, with nothing to explain: that is all then.
        settled = [
            seen if not moves and all(record.finding.problem is None for record in seen.records) else None
            for seen, moves in zip(sampled, moving, strict=True)
        ]
        unsettled = [domain for domain, seen in zip(domains, settled, strict=True) if seen is None]
        answers |= self._ask([verdict.diagnose(domain, answers) for domain in unsettled], every_server=False)
        states = self._provider.states([_ref(domain) for domain in domains])
        return [
            self._move(claim, answers, seen, states[_ref(claim.domain)], requested=requested)
            for claim, seen in zip(claims, settled, strict=True)
        ]

    def _ask(self, asked: Sequence[Sequence[Question]], *, every_server: bool) -> dict[Question, Answers]:
        questions = list(dict.fromkeys(question for each in asked for question in each))
        if not questions:
            return {}
        found = self._resolver.resolve(questions, every_server=every_server)
        return dict(zip(questions, found, strict=True))

    def _move(
        self,
        claim: ports.Claim,
        answers: Mapping[Question, Answers],
        settled: verdict.Verdict | None,
        state: ports.ProviderState,
        *,
        requested: bool,
    ) -> ports.CheckedMove:
        now = self._clock.now()
        spread = random.random()  # noqa: S311 - jitter, no secret

        def move(domain: Domain) -> Moved:
            # Judged anew where more was asked, or its records have changed since.
            if settled is not None and domain.records == claim.domain.records:
                judged = settled
            else:
                judged = verdict.judge(domain, answers)
            check = lifecycle.Check(
                verdict=judged,
                time=now,
                provider_ready=state is ports.ProviderState.READY,
                provider_revoked=state is ports.ProviderState.REVOKED,
                held_elsewhere=claim.held_elsewhere,
                requested=requested,
                spread=spread,
            )
            return lifecycle.after_check(domain, check, self._policy)

        return ports.CheckedMove(claim, move)


def _ref(domain: Domain) -> ports.IdentityRef:
    return ports.IdentityRef(domain.tenant, domain.name, domain.region)


def _too_late(name: str) -> ServiceError:
    return ServiceError(
        Reason.DEADLINE_EXCEEDED,
        f"the check of {name} has not ended in time; it goes on, and WatchStatus tells its result",
        metadata={"domain": name},
    )
