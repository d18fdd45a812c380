"""Calls that come together are answered together: one hop to a thread, one query for all.

Threads that each read one row fight over the interpreter with the event loop, and that
costs several times what the reading does. So while one batch is answered, the calls that
come gather into the next. A call that is alone waits for nobody; batches grow with the load.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.core.errors import ServiceError

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

Work = Callable[[Sequence[_Item]], Sequence[_Answer | ServiceError]]
"""Answers a batch, in its order; an error in the place of an answer is that item's alone."""

_MANY = 4
"""Items of one batch that are a sign of load, where more calls are about to come."""
_PAUSE_SECONDS = 0.003
"""For how long they gather then. Without load it would only keep callers waiting."""
_MOST = 64
"""Items of one batch: more would hold up the first of them for the last."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[_Item, _Answer]):
    item: _Item
    future: "asyncio.Future[_Answer]"


class Gatherer(Generic[_Item, _Answer]):
    """Answers items in batches, one batch after the other, on threads. Lives on the event loop."""

    def __init__(self, executor: Executor, work: Work[_Item, _Answer]) -> None:
        """Take the threads, and the blocking function that answers a batch. Called on the loop."""
        self._loop = asyncio.get_running_loop()
        self._executor = executor
        self._work = work
        self._waiting: deque[_Waiting[_Item, _Answer]] = deque()
        self._is_idle = True

    async def answer(self, item: _Item) -> _Answer:
        """Return the answer to one item. Its work is not begun once its caller has gone.

        Raises:
            ServiceError: what the item was answered with, and what the work raises.

        """
        future: asyncio.Future[_Answer] = self._loop.create_future()
        self._waiting.append(_Waiting(item, future))
        if self._is_idle:
            self._is_idle = False
            self._begin()
        return await future

    def _begin(self) -> None:
        batch: list[_Waiting[_Item, _Answer]] = []
        while self._waiting and len(batch) < _MOST:
            first = self._waiting.popleft()
            if not first.future.done():
                batch.append(first)
        if batch:
            self._executor.submit(self._run, batch)
        else:
            self._is_idle = True

    def _run(self, batch: Sequence[_Waiting[_Item, _Answer]]) -> None:
        answers = self._answers([waiting.item for waiting in batch])
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, batch, answers)

    def _answers(self, items: Sequence[_Item]) -> Sequence[_Answer | Exception]:
        try:
            return self._work(items)
        except ServiceError as error:
            return [error] * len(items)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            # An item that breaks the work must not take the others with it.
            return [error] if len(items) == 1 else [self._answers([item])[0] for item in items]

    def _end(self, batch: Sequence[_Waiting[_Item, _Answer]], answers: Sequence[_Answer | Exception]) -> None:
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.future.done():
                continue
            if isinstance(answer, Exception):
                waiting.future.set_exception(answer)
            else:
                waiting.future.set_result(answer)
        if len(batch) >= _MANY:
            self._loop.call_later(_PAUSE_SECONDS, self._begin)
        else:
            self._begin()
