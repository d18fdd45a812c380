"""The configured recursive resolvers, asked in their order."""

import asyncio
from dataclasses import dataclass
from typing import Final

from service.core.answers import Answer, Outcome, Question
from service.dns import reading
from service.dns.budget import Budget
from service.dns.config import Endpoint
from service.dns.exchange import Exchange
from service.dns.message import Reply

_ROUNDS: Final = 2
"""How often the list is gone through: a datagram may be lost."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a resolver said, and its address."""

    reply: Reply
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

    async def ask(self, name: str, rdtype: str, budget: Budget) -> Told | Failure:
        """Return the first reply that is NOERROR or NXDOMAIN, or the failure.

        Takes no more than the budget.
        """
        failure, failing = Failure(Outcome.TIMEOUT), None
        for endpoint in self._nameservers * _ROUNDS:
            if budget.is_spent(asyncio.get_running_loop().time()):
                break
            reply = await self._exchange.ask_recursive(endpoint, name, rdtype, budget)
            if isinstance(reply, Reply):
                outcome = reading.failure_of(reply)
                if outcome is None:
                    return Told(reply, endpoint.address)
            else:
                outcome = reply
            if outcome is not Outcome.TIMEOUT:
                failure, failing = Failure(outcome, endpoint.address), endpoint
            if outcome is Outcome.DNSSEC_BOGUS:
                # Another resolver may not validate; its answer would be a forged one, possibly.
                break
        has_failed = failure.outcome is Outcome.SERVER_FAILURE
        if has_failed and failing and await self._rejects(failing, name, rdtype, budget):
            return Failure(Outcome.DNSSEC_BOGUS, failing.address)
        return failure

    async def _rejects(self, endpoint: Endpoint, name: str, rdtype: str, budget: Budget) -> bool:
        """Whether a resolver that fails has an answer, and keeps it back since it does not validate.

        Not all of them say so by an extended error (RFC 8914). One that fails by chance is asked
        once more: it must go on to fail.
        """
        for validated in (False, True):
            reply = await self._exchange.ask_recursive(endpoint, name, rdtype, budget, validated=validated)
            has_failed = not isinstance(reply, Reply) or reading.failure_of(reply) is not None
            if has_failed is not validated:
                return False
        return True

    async def answer(self, question: Question, budget: Budget) -> Answer:
        """Answer a question; as `ask`, it takes no more than the budget."""
        told = await self.ask(question.name, question.type, budget)
        if isinstance(told, Failure):
            return Answer(question, told.outcome, server=told.server)
        content = reading.read_recursive(question, told.reply)
        zone = content.zone or ""
        return Answer(question, content.outcome, content.values, told.server, zone, content.alias)
