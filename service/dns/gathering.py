"""Look-ups that were handed in together, and handed back as they are complete."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from service.core.answers import Answers
from service.ports import Done, LookUp

_PATIENCE: Final = 0.03
"""Seconds that a complete look-up waits for others: nearly all are complete by then, and
whoever waits for them is woken once."""


class Gathering:
    """Takes answers in any order. Belongs to one event loop."""

    def __init__(self, look_ups: Sequence[LookUp], done: Done) -> None:
        """Take the look-ups, of which those without questions are complete already."""
        self._answers: list[list[Answers | None]] = [[None] * len(each.questions) for each in look_ups]
        self._missing = [len(each.questions) for each in look_ups]
        self._open = sum(map(bool, self._missing))
        self._complete: list[tuple[int, Sequence[Answers] | Exception]] = []
        self._done = done
        self._timer: asyncio.TimerHandle | None = None
        for number, missing in enumerate(self._missing):
            if not missing:
                self._complete.append((number, ()))
        if self._complete:
            self._note()

    def slot(self, number: int, place: int) -> Callable[[Answers | Exception], None]:
        """Return what takes the answers to one question, by look-up and place in it."""

        def take(answers: Answers | Exception) -> None:
            if not self._missing[number]:
                return  # an error has ended the look-up
            if isinstance(answers, Exception):
                self._missing[number] = 0
                self._finish(number, answers)
                return
            own = self._answers[number]
            own[place] = answers
            self._missing[number] -= 1
            if not self._missing[number]:
                self._finish(number, [each for each in own if each is not None])

        return take

    def fail(self, error: Exception) -> None:
        """End the look-ups that are not complete yet."""
        for number, missing in enumerate(self._missing):
            if missing:
                self._missing[number] = 0
                self._finish(number, error)

    def _finish(self, number: int, result: Sequence[Answers] | Exception) -> None:
        self._open -= 1
        self._complete.append((number, result))
        self._note()

    def _note(self) -> None:
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
