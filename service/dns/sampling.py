"""Asks one name server with one datagram: enough for nearly every question of a steady state.

A question that is answered so takes no task and no future. Whatever needs more than one
datagram is left to `Authorities`, which starts anew.
"""

import random
from collections.abc import Callable

from service.core.answers import Answers, Question
from service.dns import reading, wire
from service.dns.authorities import answer_of
from service.dns.budget import Budget
from service.dns.delegation import Delegations
from service.dns.exchange import Exchange
from service.dns.message import NameTooLongError, Reply


class Sampler:
    """Asks questions about zones whose servers are known. Belongs to one event loop."""

    def __init__(self, exchange: Exchange, delegations: Delegations) -> None:
        """Take what the questions are asked with."""
        self._exchange = exchange
        self._delegations = delegations

    def ask(self, question: Question, budget: Budget, done: Callable[[Answers | None], None]) -> None:
        """Ask a server of the question's zone; `done` gets a definite answer, or None."""
        cut = self._delegations.known(question.name)
        addresses = random.choice(cut.servers).addresses if cut else ()  # noqa: S311 - whom to ask is no secret
        if cut is None or not addresses:
            done(None)
            return
        endpoint, said_by = random.choice(addresses)  # noqa: S311 - as above
        try:
            query = wire.build_query(question.name, question.type, recurse=False)
        except NameTooLongError:
            done(None)
            return

        def heard(reply: Reply | None) -> None:
            said = reply and reading.read_authority(question, reply, cut.zone)
            if isinstance(said, reading.Content) and said.outcome.is_definite:
                done(Answers(question, (answer_of(question, cut, said_by, said),), len(cut.servers)))
            else:
                done(None)

        self._exchange.ask_once(endpoint, query, budget, heard)
