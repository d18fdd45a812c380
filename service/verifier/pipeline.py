"""The checks that one thread has under way."""

import queue
from collections.abc import Sequence

import structlog

from service import ports
from service.core.answers import Answers
from service.verifier.checks import Check, Checks

_log = structlog.get_logger(__name__)

_Step = tuple[ports.Claim, Check]
_Complete = Sequence[tuple[int, Sequence[Answers] | Exception]]


class Pipeline:
    """Takes claims, and gives moves: each as soon as it is there, whatever others do."""

    def __init__(self, checks: Checks, resolver: ports.Resolver) -> None:
        """Start with nothing under way."""
        self._checks = checks
        self._resolver = resolver
        self._open: dict[str, ports.Claim] = {}
        """The claims under way, by generation."""
        self._inbox: queue.SimpleQueue[tuple[Sequence[_Step], _Complete]] = queue.SimpleQueue()

    def __len__(self) -> int:
        """How many checks are under way."""
        return len(self._open)

    def begin(self, claims: Sequence[ports.Claim]) -> None:
        """Begin to check claimed domains."""
        steps = zip(claims, self._checks.begin(claims), strict=True)
        self._ask([(step, next(step[1])) for step in steps])
        self._open |= {claim.domain.generation: claim for claim in claims}

    def finished(self, *, within: float) -> list[ports.CheckedMove]:
        """Return the moves that are there; wait `within` seconds for the first answers.

        A check that fails, by a fault of ours, is logged and left out: its
        domain is due again when its lease ends.
        """
        moves: list[ports.CheckedMove] = []
        further: list[tuple[_Step, ports.LookUp]] = []
        for (claim, check), result in self._received(within):
            try:
                if isinstance(result, Exception):
                    raise result  # noqa: TRY301 - one place for whatever is our fault
                further.append(((claim, check), check.send(result)))
            except StopIteration as end:
                moves.append(end.value)
                self._open.pop(claim.domain.generation, None)
            except Exception:  # noqa: BLE001 - logged with its traceback
                _log.exception("check_failed", tenant=claim.domain.tenant, domain=claim.domain.name)
                self._open.pop(claim.domain.generation, None)
        if further:
            self._ask(further)
        return moves

    def abandon(self) -> Sequence[ports.Claim]:
        """Give up the checks that are under way, and return their claims."""
        claims = list(self._open.values())
        self._open.clear()
        return claims

    def _ask(self, asked: Sequence[tuple[_Step, ports.LookUp]]) -> None:
        steps = [step for step, _ in asked]
        self._resolver.start(
            [look_up for _, look_up in asked], lambda complete: self._inbox.put((steps, complete))
        )

    def _received(self, within: float) -> list[tuple[_Step, Sequence[Answers] | Exception]]:
        received = []
        try:
            steps, complete = self._inbox.get(timeout=within)
            while True:
                received += [(steps[number], result) for number, result in complete]
                steps, complete = self._inbox.get_nowait()
        except queue.Empty:
            return received
