"""The Resolver port: many questions at once, from many threads, each look-up within its budget."""

import asyncio
import threading
import time
import weakref
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, TypeVar, assert_never

import uvloop

from service.core.answers import Answer, Answers, Outcome, Question
from service.dns import wire
from service.dns.authorities import Authorities
from service.dns.budget import Budget
from service.dns.config import DnsConfig, Endpoint, Mode
from service.dns.datagrams import Datagrams
from service.dns.delegation import Delegations
from service.dns.exchange import Exchange
from service.dns.gathering import Entry, Gathering, Heard
from service.dns.message import NameTooLongError
from service.dns.recursion import Recursion
from service.dns.sampling import Sampler
from service.dns.servers import ServerLimits
from service.ports import Done, LookUp

_DNS_PORT = 53
_AT_ONCE: Final = 32
"""Look-ups that are begun before their first answers are read: what many have under way at a time
does not fit the caches of a processor."""
_T = TypeVar("_T")


class DnsResolver:
    """Answers questions on an event loop of its own, in a thread of its own.

    So a thousand questions wait on a few sockets and no threads, and what
    is learnt about one zone serves all callers without a lock.
    """

    def __init__(self, config: DnsConfig) -> None:
        """Start the loop.

        Raises:
            ValueError: when no recursive resolver is configured, here or in the system.

        """
        nameservers = config.nameservers or tuple(
            Endpoint(address, _DNS_PORT) for address in wire.system_nameservers()
        )
        self._config = config
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._datagrams = Datagrams(self._loop)
        limits = ServerLimits(config, self._loop)
        exchange = Exchange(self._datagrams, limits, config, self._loop)
        self._recursion = Recursion(exchange, nameservers)
        delegations = Delegations(exchange, self._recursion, config, self._loop)
        self._authorities = Authorities(exchange, delegations, self._recursion)
        self._sampler = Sampler(
            self._datagrams, limits, delegations, config.try_timeout, self._loop, otherwise=self._ask
        )
        self._tasks: set[asyncio.Task[Answers]] = set()
        self._gatherings: weakref.WeakSet[Gathering] = weakref.WeakSet()
        """Those of look-ups that are not complete, and a few more."""
        self._closed: Exception | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="dns", daemon=True)
        self._thread.start()

    def start(self, look_ups: Sequence[LookUp], done: Done) -> None:
        """Answer look-ups, all at the same time; see the port."""
        self._loop.call_soon_threadsafe(self._start, look_ups, done)

    def resolve(self, questions: Sequence[Question], *, every_server: bool) -> Sequence[Answers]:
        """Answer the questions of one look-up, and wait for it.

        Raises:
            Exception: what is our fault.

        """
        future: Future[Sequence[Answers]] = Future()

        def done(complete: Sequence[tuple[int, Sequence[Answers] | Exception]]) -> None:
            ((_, result),) = complete
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.start([LookUp(questions, every_server=every_server)], done)
        return future.result()

    def close(self) -> None:
        """Stop the loop. Look-ups that still run fail, so that nobody waits for them. Idempotent."""
        if self._loop.is_closed():
            return
        self._submit(self._cancel()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(self, work: Coroutine[None, None, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _start(self, look_ups: Sequence[LookUp], done: Done) -> None:
        gathering = Gathering(look_ups, done)
        if self._closed is not None:
            gathering.fail(self._closed)
            return
        self._gatherings.add(gathering)
        self._begin(look_ups, gathering.entries())

    def _begin(self, look_ups: Sequence[LookUp], entries: Sequence[Entry]) -> None:
        """Ask the questions of some look-ups, and of the others after what has been heard meanwhile."""
        if self._closed is not None:
            return  # they have failed
        if len(entries) > _AT_ONCE:
            self._loop.call_soon(self._begin, look_ups, entries[_AT_ONCE:])
        for entry in entries[:_AT_ONCE]:
            look_up = look_ups[entry.number]
            budget = self._budget(look_up)
            may_sample = not look_up.every_server and self._config.mode is Mode.AUTHORITATIVE
            for place, question in enumerate(look_up.questions):
                heard = partial(entry.take, place)
                if not may_sample:
                    self._ask(question, budget, heard, every_server=look_up.every_server)
                    continue
                try:
                    self._sampler.ask(question, budget, heard)
                except Exception as error:  # noqa: BLE001 - whoever asked is told
                    heard(error)

    def _budget(self, look_up: LookUp) -> Budget:
        seconds = self._config.budget
        if look_up.until is not None:
            seconds = min(seconds, look_up.until - time.monotonic())
        return Budget(self._loop.time() + seconds, self._config.octets)

    def _ask(
        self,
        question: Question,
        budget: Budget,
        heard: Heard,
        *,
        every_server: bool = False,
    ) -> None:
        task = self._loop.create_task(self._answer(question, budget, every_server=every_server))
        self._tasks.add(task)

        def finished(task: asyncio.Task[Answers]) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                error = task.exception()
                heard(error if isinstance(error, Exception) else task.result())

        task.add_done_callback(finished)

    async def _answer(self, question: Question, budget: Budget, *, every_server: bool) -> Answers:
        try:
            match self._config.mode:
                case Mode.AUTHORITATIVE:
                    return await self._authorities.answers(question, every_server=every_server, budget=budget)
                case Mode.RECURSIVE:
                    return Answers(question, (await self._recursion.answer(question, budget),), servers=0)
                case other:
                    assert_never(other)
        except NameTooLongError:
            # Nobody needs to be asked: RFC 1035 section 2.3.4 leaves no room for such a name.
            return Answers(question, (Answer(question, Outcome.NXDOMAIN),))

    async def _cancel(self) -> None:
        self._closed = RuntimeError("the resolver has been closed")
        for gathering in list(self._gatherings):
            gathering.fail(self._closed)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._datagrams.close()
