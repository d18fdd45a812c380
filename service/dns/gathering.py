"""Look-ups that were handed in together, and handed back as they are complete."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from service.core.answers import Answers
from service.ports import Done, LookUp

_PATIENCE: Final = 0.03
"""Seconds that a complete look-up waits for others: nearly all are complete by then, and
whoever waits for them is woken once."""


Heard = Callable[[Answers | Exception], None]
"""Takes the answers to one question, or the error that ends its look-up."""


class Gathering:
    """Hands complete look-ups back. Belongs to one event loop."""

    def __init__(self, look_ups: Sequence[LookUp], done: Done) -> None:
        """Take the look-ups, of which those without questions are complete already."""
        self._open = {
            number: Entry(self, number, len(each.questions)) for number, each in enumerate(look_ups)
        }
        self._complete: list[tuple[int, Sequence[Answers] | Exception]] = []
        self._done = done
        self._timer: asyncio.TimerHandle | None = None
        for number, look_up in enumerate(look_ups):
            if not look_up.questions:
                self.finish(number, ())

    def entries(self) -> list["Entry"]:
        """Return what takes the answers to each look-up that is not complete."""
        return list(self._open.values())

    def fail(self, error: Exception) -> None:
        """End the look-ups that are not complete."""
        for entry in self.entries():
            entry.take(0, error)

    def finish(self, number: int, result: Sequence[Answers] | Exception) -> None:
        """Hand a look-up back, soon or at once."""
        del self._open[number]
        self._complete.append((number, result))
        if not self._open:
            self._hand_back()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._hand_back)

    def _hand_back(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        complete, self._complete = self._complete, []
        self._done(complete)


class Entry:
    """Takes the answers of one look-up, in any order."""

    __slots__ = ("_answers", "_gathering", "_missing", "number")

    def __init__(self, gathering: Gathering, number: int, questions: int) -> None:
        """Take the number of the look-up, and of its questions."""
        self.number = number
        self._missing = questions
        self._gathering = gathering
        self._answers: list[Answers | None] = [None] * questions

    def take(self, place: int, answers: Answers | Exception) -> None:
        """Take the answers to the question of this place, or the error that ends the look-up."""
        if not self._missing:
            return  # an error has ended it
        if isinstance(answers, Exception):
            self._missing = 0
            self._gathering.finish(self.number, answers)
            return
        self._answers[place] = answers
        self._missing -= 1
        if not self._missing:
            self._gathering.finish(self.number, [each for each in self._answers if each is not None])
