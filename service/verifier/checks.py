"""One check of one domain, from questions to a move. Saves nothing."""

import random
import secrets
import time
from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from queue import SimpleQueue
from typing import Final

from service import ports
from service.core import lifecycle, ownership, records, transfer, verdict
from service.core.answers import Answers, Question
from service.core.domain import Domain, Moved

BUDGET: Final = timedelta(seconds=8)
"""How long all look-ups of one check may take, where nobody says otherwise."""

_UNREADY = {ports.ProviderState.PENDING, ports.ProviderState.FALTERING}
"""What a domain whose records are right may have to wait for: it is looked why."""
_REVOKED = {ports.ProviderState.REVOKED, ports.ProviderState.PENDING}
"""What a VERIFIED domain may not send with. It was ready once: PENDING is an identity made anew since."""

Check = Generator[ports.LookUp, Sequence[Answers], ports.CheckedMove]
"""Yields what it has to ask, is sent the answers, and returns the move."""


class Checks:
    """Makes checks of claimed domains."""

    def __init__(
        self,
        resolver: ports.Resolver,
        provider: ports.ProviderStates,
        clock: ports.Clock,
        policy: lifecycle.Policy,
        budget: timedelta = BUDGET,
    ) -> None:
        """Take what a check asks, the rules that it is judged by, and how long all its look-ups may take."""
        self._resolver = resolver
        self._provider = provider
        self._clock = clock
        self._policy = policy
        self._budget = budget.total_seconds()

    def begin(self, claims: Sequence[ports.Claim], *, requested: bool = False) -> list[Check]:
        """Return a check of each domain, none of which has asked yet."""
        refs = [ports.IdentityRef(claim.domain.name, claim.domain.region) for claim in claims]
        states = self._provider.states(refs)
        return [
            self._check(claim, states[ref], requested=requested)
            for claim, ref in zip(claims, refs, strict=True)
        ]

    def run(self, claims: Sequence[ports.Claim], *, requested: bool) -> Sequence[ports.CheckedMove]:
        """Check the domains one after the other, and wait for it."""
        return [self._wait_for(check) for check in self.begin(claims, requested=requested)]

    def _check(self, claim: ports.Claim, state: ports.ProviderState, *, requested: bool) -> Check:
        """Look at a domain.

        First one name server answers for each record; where the check was
        requested each does, since whoever waits wants to know which of them
        lags. Only what would move a domain is asked again, of all its name
        servers; only what is wrong is asked about further, for its hint. One
        budget of time is for all of it.
        """
        domain = claim.domain
        until = time.monotonic() + self._budget
        questions = verdict.questions(domain)
        answers = yield from _ask(questions, every_server=requested, until=until)
        seen = verdict.judge(domain, answers)
        # A claim to another's name may move that one, too, by being proved or not.
        moving = claim.held_elsewhere or lifecycle.needs_confirmation(
            domain, seen, self._clock.now(), self._policy
        )
        if moving and not requested:
            answers = yield from _ask(questions, every_server=True, until=until)
            seen = verdict.judge(domain, answers)
        if further := self._further(domain, answers, seen, state, moving=moving):
            answers |= yield from _ask(further, every_server=False, until=until)
            seen = verdict.judge(domain, answers)
        return self._move(claim, answers, seen, state, requested=requested)

    def _further(
        self,
        domain: Domain,
        answers: Mapping[Question, Answers],
        seen: verdict.Verdict,
        state: ports.ProviderState,
        *,
        moving: bool,
    ) -> tuple[Question, ...]:
        """Return what else to ask: mostly a domain is as it was, with nothing to explain."""
        further: tuple[Question, ...] = ()
        if any(record.finding.problem is not None for record in seen.records):
            further = verdict.diagnose(domain, answers)
        if moving and seen.outcome is verdict.Outcome.PASSED and state in _UNREADY:
            further += verdict.key_questions(domain)
        return further

    def _move(
        self,
        claim: ports.Claim,
        answers: Mapping[Question, Answers],
        seen: verdict.Verdict,
        state: ports.ProviderState,
        *,
        requested: bool,
    ) -> ports.CheckedMove:
        now = self._clock.now()
        spread = random.random()  # noqa: S311 - jitter, no secret
        token = secrets.token_hex(records.CHALLENGE_OCTETS)

        def check(domain: Domain) -> lifecycle.Check:
            # Judged anew where its records have changed since.
            is_same = domain.records is claim.domain.records or domain.records == claim.domain.records
            return lifecycle.Check(
                verdict=seen if is_same else verdict.judge(domain, answers),
                time=now,
                provider_ready=state is ports.ProviderState.READY,
                provider_revoked=state in _REVOKED,
                proved_elsewhere=claim.proved_elsewhere,
                challenges=answers.get(ownership.question(domain.name)),
                token=token,
                requested=requested,
                spread=spread,
            )

        def move(domain: Domain) -> Moved:
            return lifecycle.after_check(domain, check(domain), self._policy)

        def contest(domain: Domain, holder: Domain) -> tuple[Moved, Moved | None]:
            return transfer.contest(domain, holder, check(domain), self._policy)

        return ports.CheckedMove(claim, move, contest)

    def _wait_for(self, check: Check) -> ports.CheckedMove:
        inbox: SimpleQueue[Sequence[Answers] | Exception] = SimpleQueue()

        def done(complete: Sequence[tuple[int, Sequence[Answers] | Exception]]) -> None:
            inbox.put(complete[0][1])

        try:
            asked = next(check)
            while True:
                self._resolver.start([asked], done)
                answers = inbox.get()
                if isinstance(answers, Exception):
                    raise answers
                asked = check.send(answers)
        except StopIteration as end:
            moved: ports.CheckedMove = end.value
            return moved


def _ask(
    questions: Sequence[Question], *, every_server: bool, until: float
) -> Generator[ports.LookUp, Sequence[Answers], dict[Question, Answers]]:
    answers = yield ports.LookUp(questions, every_server=every_server, until=until)
    return dict(zip(questions, answers, strict=True))
