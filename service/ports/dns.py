"""Looking names up."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from service.core.answers import Answers, Question


class LookUp(NamedTuple):
    """Questions that are answered together, within one budget of time and octets."""

    questions: Sequence[Question]
    every_server: bool
    """Whether each name server of a question's zone is asked, or one of them."""
    until: float | None = None
    """When it must be complete, by `time.monotonic`; None where the adapter's own budget is enough."""


Done = Callable[[Sequence[tuple[int, Sequence[Answers] | Exception]]], None]
"""Takes look-ups that are complete: the number of each, and the answers to its questions, in
their order. In place of answers, what went wrong where that is our fault."""


class Resolver(Protocol):
    """Looks names up. A failed look-up is a result, never an exception."""

    def start(self, look_ups: Sequence[LookUp], done: Done) -> None:
        """Begin to answer look-ups, all at the same time, and return.

        `done` gets each of them once, some together as they are complete, on a
        thread of the adapter: it must return at once. A slow look-up keeps none
        of the others waiting. Each must be complete within the adapter's time
        budget, and when it says, whatever the servers do, with unknown outcomes for what was not
        answered; `Answers.servers` says how many servers a zone has. Called by
        several threads at once.
        """
