"""Asks the name servers of a name's own zone, and follows where they point."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from service.core.answers import Answer, Answers, Outcome, Question
from service.dns import reading
from service.dns.config import DnsConfig, Endpoint
from service.dns.delegation import Cut, Delegations, NameServer
from service.dns.exchange import Exchange
from service.dns.recursion import Recursion

_TRIES: Final = 2
"""For a server that nobody stands in for: a datagram may be lost."""
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

    def __init__(
        self, exchange: Exchange, delegations: Delegations, recursion: Recursion, config: DnsConfig
    ) -> None:
        """Take what the questions are asked with."""
        self._exchange = exchange
        self._delegations = delegations
        self._recursion = recursion
        self._config = config

    async def answers(
        self, question: Question, *, every_server: bool, deadline: float, hops: int = reading.MAX_HOPS
    ) -> Answers:
        """Answer a question by `deadline` (loop time), following at most `hops` aliases.

        What no name server of the zone can tell, a recursive resolver is asked
        for: its answer is then the only one, and not marked authoritative.

        Raises:
            NameTooLongError: for a name that no message can hold.

        """
        now = asyncio.get_running_loop().time()
        asked_until = deadline - _RESERVED * max(deadline - now, 0)
        cut, heard = await self._hear(question, asked_until, every_server=every_server)
        if isinstance(cut, Outcome):
            return Answers(question, (await self._recursion.answer(question, deadline),))
        answers = await self._conclude(question, cut, heard, asked_until, hops)
        if not any(answer.outcome.is_definite for answer in answers):
            self._delegations.forget(cut)
            told = await self._recursion.answer(question, deadline)
            if told.outcome.is_definite:
                return Answers(question, (replace(told, zone=told.zone or cut.zone),))
        return Answers(question, answers, len(cut.servers))

    async def _hear(
        self, question: Question, deadline: float, *, every_server: bool
    ) -> tuple[Cut | Outcome, Sequence[_Heard]]:
        """Ask the servers of the question's zone, which they may refer us down to."""
        cut = await self._delegations.find(question.name, deadline)
        for _ in range(_MAX_DESCENTS):
            if isinstance(cut, Outcome):
                break
            if every_server:
                heard = await asyncio.gather(
                    *(self._ask(question, cut.zone, server, _TRIES, deadline) for server in cut.servers)
                )
            else:
                heard = [await self._sample(question, cut, deadline)]
            referral = next((h.said for h in heard if isinstance(h.said, reading.Referral)), None)
            if referral is None:
                return cut, heard
            cut = await self._delegations.descend(referral, deadline)
        return Outcome.SERVER_FAILURE, ()

    async def _sample(self, question: Question, cut: Cut, deadline: float) -> _Heard:
        """Ask servers in random order until one has an answer."""
        heard = _Heard("", reading.Content(Outcome.TIMEOUT))
        sampled = random.sample(cut.servers, min(len(cut.servers), _SAMPLED))
        tries = _TRIES if len(sampled) == 1 else 1
        for server in sampled:
            heard = await self._ask(question, cut.zone, server, tries, deadline)
            if not (isinstance(heard.said, reading.Content) and not heard.said.outcome.is_definite):
                break
        return heard

    async def _ask(
        self, question: Question, zone: str, server: NameServer, tries: int, deadline: float
    ) -> _Heard:
        """Ask one server, at its addresses in turn where it is silent."""
        who = server.name
        addresses = random.sample(server.addresses, len(server.addresses))
        for address in (addresses * tries)[:tries]:
            endpoint = Endpoint(address, self._config.authority_port)
            who = f"{server.name} ({address})"
            reply = await self._exchange.ask_authority(endpoint, question.name, question.type, deadline)
            if not isinstance(reply, Outcome):
                return _Heard(who, reading.read_authority(question, reply, zone))
            if reply is not Outcome.TIMEOUT:
                return _Heard(who, reading.Content(reply))
        return _Heard(who, reading.Content(Outcome.TIMEOUT))

    async def _conclude(
        self, question: Question, cut: Cut, heard: Sequence[_Heard], deadline: float, hops: int
    ) -> tuple[Answer, ...]:
        """Turn what was heard into answers, asking for each alias's target once."""
        aliases = {h.said.target for h in heard if isinstance(h.said, reading.Alias)}
        targets = sorted(aliases)[:_MAX_TARGETS]
        followed = await asyncio.gather(
            *(self._follow(Question(target, question.type), deadline, hops) for target in targets)
        )
        at_target = dict(zip(targets, followed, strict=True))
        return tuple(_answer(question, cut, h, at_target) for h in heard)

    async def _follow(self, question: Question, deadline: float, hops: int) -> Answer:
        if hops == 0:
            return Answer(question, Outcome.SERVER_FAILURE)
        answers = await self.answers(question, every_server=False, deadline=deadline, hops=hops - 1)
        return answers.by_server[0]


def _answer(question: Question, cut: Cut, heard: _Heard, at_target: dict[str, Answer]) -> Answer:
    match heard.said:
        case reading.Content(outcome, values, zone):
            return Answer(
                question,
                outcome,
                values,
                heard.server,
                cut.zone if zone is None else zone,
                authoritative=outcome.is_definite,
            )
        case reading.Alias(target):
            followed = at_target.get(target, Answer(question, Outcome.SERVER_FAILURE))
            return replace(followed, question=question, server=heard.server, zone=cut.zone)
        case reading.Referral():
            raise AssertionError("a referral is followed before anything is concluded")
        case other:
            assert_never(other)
