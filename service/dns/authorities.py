"""Asks the name servers of a name's own zone, and follows where they point."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from service.core.answers import Answer, Answers, Outcome, Question
from service.dns import reading
from service.dns.budget import Budget
from service.dns.delegation import Cut, Delegations, NameServer
from service.dns.exchange import Exchange
from service.dns.message import Reply
from service.dns.recursion import Recursion

_TRIES: Final = 3
"""For a server that nobody stands in for: it may fail, or datagrams be lost."""
_SILENCES: Final = 2
"""Tries without an answer, after which a server is given up."""
_PASSING: Final = Outcome.SERVER_FAILURE
"""What may be another answer in a moment."""
_SAMPLED: Final = 3
"""Servers tried for one answer, before a recursive resolver is asked."""
_MAX_DESCENTS: Final = 4
"""Referrals followed for one question, each at least one label down."""
_MAX_TARGETS: Final = 3
"""Targets followed where the servers of a zone disagree about one alias."""
_RESERVED: Final = 0.25
"""Of the time that is left, kept for the recursive resolver."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What one name server of a zone said."""

    server: str
    said: reading.Content | reading.Alias | reading.Referral


class Authorities:
    """Answers questions in authoritative mode. Belongs to one event loop."""

    def __init__(self, exchange: Exchange, delegations: Delegations, recursion: Recursion) -> None:
        """Take what the questions are asked with."""
        self._exchange = exchange
        self._delegations = delegations
        self._recursion = recursion

    async def answers(
        self, question: Question, *, every_server: bool, budget: Budget, hops: int = reading.MAX_HOPS
    ) -> Answers:
        """Answer a question within the budget, following at most `hops` aliases.

        What no name server of the zone can tell, a recursive resolver is asked
        for: its answer is then the only one, and not marked authoritative.

        Raises:
            NameTooLongError: for a name that no message can hold.

        """
        now = asyncio.get_running_loop().time()
        asking = budget.until(budget.deadline - _RESERVED * max(budget.deadline - now, 0))
        cut, heard = await self._hear(question, asking, every_server=every_server)
        if isinstance(cut, Outcome):
            return Answers(question, (await self._recursion.answer(question, budget),))
        answers = await self._conclude(question, cut, heard, asking, hops)
        # Where an alias leads nobody could tell, a recursive resolver included.
        told_elsewhere = any(isinstance(h.said, reading.Alias) for h in heard)
        if not told_elsewhere and not any(answer.outcome.is_definite for answer in answers):
            self._delegations.doubt(cut)
            told = await self._recursion.answer(question, budget)
            if told.outcome.is_definite:
                return Answers(question, (told._replace(zone=told.zone or cut.zone),), len(cut.servers))
        return Answers(question, answers, len(cut.servers))

    async def _hear(
        self, question: Question, budget: Budget, *, every_server: bool
    ) -> tuple[Cut | Outcome, Sequence[_Heard]]:
        """Ask the servers of the question's zone, which they may refer us down to."""
        cut = await self._delegations.find(question.name, budget)
        for _ in range(_MAX_DESCENTS):
            if isinstance(cut, Outcome):
                break
            if every_server:
                heard = await asyncio.gather(
                    *(self._ask(question, cut.zone, server, _TRIES, budget) for server in cut.servers)
                )
            else:
                heard = [await self._sample(question, cut, budget)]
            referral = next((h.said for h in heard if isinstance(h.said, reading.Referral)), None)
            if referral is None:
                return cut, heard
            cut = await self._delegations.descend(referral, budget)
        return Outcome.SERVER_FAILURE, ()

    async def _sample(self, question: Question, cut: Cut, budget: Budget) -> _Heard:
        """Ask servers in random order until one has an answer."""
        heard = _Heard("", reading.Content(Outcome.TIMEOUT))
        sampled = random.sample(cut.servers, min(len(cut.servers), _SAMPLED))
        tries = _TRIES if len(sampled) == 1 else 1
        for server in sampled:
            heard = await self._ask(question, cut.zone, server, tries, budget)
            if not (isinstance(heard.said, reading.Content) and not heard.said.outcome.is_definite):
                break
        return heard

    async def _ask(
        self, question: Question, zone: str, server: NameServer, tries: int, budget: Budget
    ) -> _Heard:
        """Ask one server, at its addresses in turn where it is silent or fails."""
        heard = _Heard(server.name, reading.Content(Outcome.TIMEOUT))
        addresses = random.sample(server.addresses, len(server.addresses))
        silences = 0
        for endpoint, who in (addresses * tries)[:tries]:
            reply = await self._exchange.ask_authority(endpoint, zone, question.name, question.type, budget)
            if isinstance(reply, Reply):
                heard = _Heard(who, reading.read_authority(question, reply, zone))
                if not (isinstance(heard.said, reading.Content) and heard.said.outcome is _PASSING):
                    break
            else:
                heard = _Heard(who, reading.Content(reply))
                silences += 1
                if reply is not Outcome.TIMEOUT or silences == _SILENCES:
                    break
        return heard

    async def _conclude(
        self, question: Question, cut: Cut, heard: Sequence[_Heard], budget: Budget, hops: int
    ) -> tuple[Answer, ...]:
        """Turn what was heard into answers, asking for each alias's target once."""
        aliases = {h.said.target for h in heard if isinstance(h.said, reading.Alias)}
        targets = sorted(aliases)[:_MAX_TARGETS]
        followed = await asyncio.gather(
            *(self._follow(Question(target, question.type), budget, hops) for target in targets)
        )
        at_target = dict(zip(targets, followed, strict=True))
        return tuple(_answer(question, cut, h, at_target) for h in heard)

    async def _follow(self, question: Question, budget: Budget, hops: int) -> Answer:
        if hops == 0:
            told = await self._recursion.answer(question, budget)
            is_endless = told.outcome is Outcome.SERVER_FAILURE
            return told._replace(alias=question.name) if is_endless else told
        answers = await self.answers(question, every_server=False, budget=budget, hops=hops - 1)
        return answers.by_server[0]


def answer_of(question: Question, cut: Cut, server: str, said: reading.Content) -> Answer:
    """Return what a server of a zone said as an answer."""
    outcome, values, zone, alias = said
    return Answer(
        question,
        outcome,
        values,
        server,
        cut.zone if zone is None else zone,
        alias,
        authoritative=outcome.is_definite,
    )


def _answer(question: Question, cut: Cut, heard: _Heard, at_target: dict[str, Answer]) -> Answer:
    match heard.said:
        case reading.Content():
            return answer_of(question, cut, heard.server, heard.said)
        case reading.Alias(target):
            followed = at_target.get(target, Answer(question, Outcome.SERVER_FAILURE))
            if followed.alias:
                # The first alias is the one that whoever asks can mend.
                followed = followed._replace(server="", alias=target)
            if followed.server and not followed.outcome.is_definite:
                # Whoever could not tell is to be named: another, where the alias leads elsewhere.
                return followed._replace(question=question)
            return followed._replace(question=question, server=heard.server, zone=cut.zone)
        case reading.Referral():
            raise AssertionError("a referral is followed before anything is concluded")
        case other:
            assert_never(other)
