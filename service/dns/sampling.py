"""Asks one name server with one datagram: enough for nearly every question of a steady state.

A question that is answered so takes no task and no future. Whatever needs more than one
datagram is left to `Authorities`, which starts anew.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from service.core.answers import Answers, Question
from service.dns import reading, wire
from service.dns.authorities import answer_of
from service.dns.budget import Budget
from service.dns.delegation import Address, Cut, Delegations
from service.dns.exchange import Exchange
from service.dns.message import NameTooLongError, Reply

Done = Callable[[Answers | None], None]


class Sampler:
    """Asks questions about zones whose servers are known. Belongs to one event loop."""

    def __init__(self, exchange: Exchange, delegations: Delegations) -> None:
        """Take what the questions are asked with."""
        self._exchange = exchange
        self._delegations = delegations

    def ask(self, question: Question, budget: Budget, done: Done) -> None:
        """Ask a server of the question's zone; `done` gets a definite answer, or None."""
        cut = self._delegations.known(question.name)
        if cut is None or not cut.addresses:
            done(None)
            return
        # Whom to ask is no secret.
        address = cut.addresses[int(random.random() * len(cut.addresses))]  # noqa: S311 - see above
        try:
            query = wire.build_query(question.name, question.type, recurse=False)
        except NameTooLongError:
            done(None)
            return
        sample = _Sample(question, cut, address, done)
        self._exchange.ask_once(address.endpoint, cut.zone, query, budget, sample.hear)


@dataclass(slots=True, eq=False)
class _Sample:
    question: Question
    cut: Cut
    address: Address
    done: Done

    def hear(self, reply: Reply | None) -> None:
        answers = None
        if reply is not None:
            said = reading.read_authority(self.question, reply, self.cut.zone)
            if isinstance(said, reading.Content) and said.outcome.is_definite:
                answer = answer_of(self.question, self.cut, self.address.said_by, said)
                answers = Answers(self.question, (answer,), len(self.cut.servers))
        self.done(answers)
