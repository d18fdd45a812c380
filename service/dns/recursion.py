"""The configured recursive resolvers, asked in their order."""

import asyncio
from dataclasses import dataclass
from typing import Final

from service.core.answers import Answer, Outcome, Question
from service.dns import reading, wire
from service.dns.config import Endpoint
from service.dns.exchange import Exchange

_ROUNDS: Final = 2
"""How often the list is gone through: a datagram may be lost."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a resolver said, and its address."""

    reply: wire.Reply
    server: str


@dataclass(frozen=True, slots=True)
class Failure:
    """No resolver had an answer: the most telling outcome, and who gave it."""

    outcome: Outcome
    server: str = ""


class Recursion:
    """Asks recursive resolvers, the next one where one has no answer."""

    def __init__(self, exchange: Exchange, nameservers: tuple[Endpoint, ...]) -> None:
        """Take the resolvers in order of preference."""
        self._exchange = exchange
        self._nameservers = nameservers

    async def ask(self, name: str, rdtype: str, deadline: float) -> Told | Failure:
        """Return the first reply that is NOERROR or NXDOMAIN, or the failure.

        Takes no longer than until `deadline` (loop time).
        """
        failure = Failure(Outcome.TIMEOUT)
        for endpoint in self._nameservers * _ROUNDS:
            if asyncio.get_running_loop().time() >= deadline:
                break
            reply = await self._exchange.ask_recursive(endpoint, name, rdtype, deadline)
            if isinstance(reply, wire.Reply):
                outcome = reading.failure_of(reply)
                if outcome is None:
                    return Told(reply, endpoint.address)
            else:
                outcome = reply
            if outcome is not Outcome.TIMEOUT:
                failure = Failure(outcome, endpoint.address)
            if outcome is Outcome.DNSSEC_BOGUS:
                # Another resolver may not validate; its answer would be a forged one, possibly.
                break
        return failure

    async def answer(self, question: Question, deadline: float) -> Answer:
        """Answer a question; as `ask`, it takes no longer than until `deadline`."""
        told = await self.ask(question.name, question.type, deadline)
        if isinstance(told, Failure):
            return Answer(question, told.outcome, server=told.server)
        content = reading.read_recursive(question, told.reply)
        return Answer(question, content.outcome, content.values, told.server, content.zone or "")
