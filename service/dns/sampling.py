"""Asks one name server with one datagram: enough for nearly every question of a steady state.

A question that is answered so takes no task and no future. Whatever needs more than one
datagram is left to `Authorities`, which starts anew.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.core.answers import Answers, Question
from service.dns import reading, wire
from service.dns.authorities import answer_of
from service.dns.budget import Budget
from service.dns.datagrams import Datagrams
from service.dns.delegation import Address, Cut, Delegations
from service.dns.gathering import Heard
from service.dns.message import MalformedReplyError, NameTooLongError, Query, is_truncated
from service.dns.servers import ServerLimits

_PATIENCE: Final = 0.25
"""How long a reply is waited for, in parts of the time of a whole try."""


class Sampler:
    """Asks questions about zones whose servers are known. Belongs to one event loop."""

    def __init__(
        self,
        datagrams: Datagrams,
        limits: ServerLimits,
        delegations: Delegations,
        try_timeout: float,
        loop: asyncio.AbstractEventLoop,
        *,
        otherwise: Callable[[Question, Budget, Heard], None],
    ) -> None:
        """Take what the questions are asked with, and how many seconds a whole try may take.

        `otherwise` is handed the questions that are not answered so.
        """
        self.datagrams = datagrams
        self.limits = limits
        self._delegations = delegations
        self.patience = _PATIENCE * try_timeout
        self.loop = loop
        self.otherwise = otherwise

    def ask(self, question: Question, budget: Budget, heard: Heard) -> None:
        """Ask a server of the question's zone."""
        cut = self._delegations.known(question.name)
        if cut is None or not cut.addresses:
            self.otherwise(question, budget, heard)
            return
        # Whom to ask is no secret.
        address = cut.addresses[int(random.random() * len(cut.addresses))]  # noqa: S311 - see above
        try:
            query = wire.build_query(question.name, question.type, recurse=False)
        except NameTooLongError:
            self.otherwise(question, budget, heard)
            return
        sample = _Sample(self, question, query, cut, address, budget, heard)
        self.limits.enter(address.endpoint, cut.zone, budget.deadline, sample.send, hasty=True)


@dataclass(slots=True, eq=False)
class _Sample:
    """A question under way."""

    sampler: Sampler
    question: Question
    query: Query
    cut: Cut
    address: Address
    budget: Budget
    heard: Heard

    def send(self, has_slot: bool) -> None:  # noqa: FBT001 - a Then
        if not has_slot:
            self.give_up()
            return
        sampler = self.sampler
        deadline = min(self.budget.deadline, sampler.loop.time() + sampler.patience)
        try:
            sampler.datagrams.send(self.query, self.address.endpoint, deadline, self.hear)
        except OSError:
            sampler.limits.leave(self.address.endpoint, self.cut.zone, answered=None)
            self.give_up()

    def hear(self, message: bytes | None) -> None:
        # One datagram may be lost: that the server is silent, others have to find.
        answered = True if message is not None else None
        self.sampler.limits.leave(self.address.endpoint, self.cut.zone, answered=answered)
        answers = None if message is None else self._read(message)
        if answers is None:
            self.give_up()
        else:
            self.heard(answers)

    def give_up(self) -> None:
        self.sampler.otherwise(self.question, self.budget, self.heard)

    def _read(self, message: bytes) -> Answers | None:
        self.budget.charge(len(message))
        if is_truncated(message):
            return None
        try:
            reply = wire.parse_reply(message, self.budget, asked=self.query.name)
        except MalformedReplyError:
            return None
        said = reading.read_authority(self.question, reply, self.cut.zone)
        if not isinstance(said, reading.Content) or not said.outcome.is_definite:
            return None
        answer = answer_of(self.question, self.cut, self.address.said_by, said)
        return Answers(self.question, (answer,), len(self.cut.servers))
