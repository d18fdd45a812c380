"""The checks that one thread has under way."""

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from service import ports
from service.core.answers import Answers
from service.verifier.checks import Check, Checks

_log = structlog.get_logger(__name__)

_Result = Sequence[Answers] | Exception
_Complete = Sequence[tuple[int, _Result]]


@dataclass(slots=True, eq=False)
class _Step:
    """A check that is under way."""

    claim: ports.Claim
    check: Check
    begun: float
    """By the monotonic clock."""


class Pipeline:
    """Takes claims, and gives moves: each as soon as it is there, whatever others do."""

    def __init__(
        self,
        checks: Checks,
        resolver: ports.Resolver,
        *,
        lease: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with nothing under way. What takes longer than its lease is given up."""
        self._checks = checks
        self._resolver = resolver
        self._lease = lease.total_seconds()
        self._monotonic = monotonic
        self._open: dict[_Step, None] = {}
        """In the order in which they were begun. By identity: where a lease has ended, the same
        domain may be under way twice."""
        self._inbox: queue.SimpleQueue[tuple[Sequence[_Step], _Complete]] = queue.SimpleQueue()

    def __len__(self) -> int:
        """How many checks are under way."""
        return len(self._open)

    def young(self, age: float) -> int:
        """How many of them have been under way for no longer than `age` seconds."""
        since = self._monotonic() - age
        count = 0
        for step in reversed(self._open):
            if step.begun < since:
                break
            count += 1
        return count

    def begin(self, claims: Sequence[ports.Claim]) -> None:
        """Begin to check claimed domains."""
        now = self._monotonic()
        asked: list[tuple[_Step, ports.LookUp]] = []
        for claim, check in zip(claims, self._checks.begin(claims), strict=True):
            step = _Step(claim, check, now)
            try:
                asked.append((step, next(check)))
            except Exception:  # noqa: BLE001 - logged with its traceback
                _log_failure(step)
        self._ask(asked)
        self._open |= dict.fromkeys(step for step, _ in asked)

    def finished(self, *, within: float) -> list[ports.CheckedMove]:
        """Return the moves that are there; wait `within` seconds for the first answers.

        A check that fails, by a fault of ours, is logged and left out: its
        domain is due again when its lease ends.
        """
        moves: list[ports.CheckedMove] = []
        further: list[tuple[_Step, ports.LookUp]] = []
        for step, result in self._received(within):
            if step not in self._open:
                continue  # given up
            try:
                if isinstance(result, Exception):
                    raise result  # noqa: TRY301 - one place for whatever is our fault
                further.append((step, step.check.send(result)))
            except StopIteration as end:
                moves.append(end.value)
                del self._open[step]
            except Exception:  # noqa: BLE001 - logged with its traceback
                _log_failure(step)
                del self._open[step]
        if further:
            self._ask(further)
        self._give_up_lost()
        return moves

    def abandon(self) -> Sequence[ports.Claim]:
        """Give up the checks that are under way, and return their claims."""
        claims = [step.claim for step in self._open]
        self._open.clear()
        return claims

    def _ask(self, asked: Sequence[tuple[_Step, ports.LookUp]]) -> None:
        if not asked:
            return
        steps = [step for step, _ in asked]
        self._resolver.start(
            [look_up for _, look_up in asked], lambda complete: self._inbox.put((steps, complete))
        )

    def _received(self, within: float) -> list[tuple[_Step, _Result]]:
        received = []
        try:
            steps, complete = self._inbox.get(timeout=within)
            while True:
                received += [(steps[number], result) for number, result in complete]
                steps, complete = self._inbox.get_nowait()
        except queue.Empty:
            return received

    def _give_up_lost(self) -> None:
        """Let go of checks whose lease has ended: others may have their domains by now."""
        since = self._monotonic() - self._lease
        while self._open and (step := next(iter(self._open))).begun < since:
            del self._open[step]
            _log.error("check_lost", tenant=step.claim.domain.tenant, domain=step.claim.domain.name)


def _log_failure(step: _Step) -> None:
    _log.exception("check_failed", tenant=step.claim.domain.tenant, domain=step.claim.domain.name)
