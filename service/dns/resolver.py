"""The Resolver port: many questions at once, from many threads, within a budget."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import TypeVar, assert_never

import uvloop

from service.core.answers import Answer, Answers, Outcome, Question
from service.dns import wire
from service.dns.authorities import Authorities
from service.dns.config import DnsConfig, Endpoint, Mode
from service.dns.delegation import Delegations
from service.dns.exchange import Exchange
from service.dns.recursion import Recursion

_DNS_PORT = 53
_T = TypeVar("_T")


class DnsResolver:
    """Answers questions on an event loop of its own, in a thread of its own.

    So a thousand questions wait on a thousand sockets and no threads, and what
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
        exchange = Exchange(config)
        self._recursion = Recursion(exchange, nameservers)
        delegations = Delegations(self._recursion, config)
        self._authorities = Authorities(exchange, delegations, self._recursion, config)
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dns", daemon=True)
        self._thread.start()

    def resolve(self, questions: Sequence[Question], *, every_server: bool) -> Sequence[Answers]:
        """Answer all questions at once, in the order given; see the port."""
        return self._submit(self._answer_all(questions, every_server=every_server)).result()

    def close(self) -> None:
        """Stop the loop. Calls that still run elsewhere end with CancelledError. Idempotent."""
        if self._loop.is_closed():
            return
        self._submit(_cancel_others()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(self, work: Coroutine[None, None, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _answer_all(self, questions: Sequence[Question], *, every_server: bool) -> Sequence[Answers]:
        deadline = self._loop.time() + self._config.budget
        return await asyncio.gather(
            *(self._answer(question, deadline, every_server=every_server) for question in questions)
        )

    async def _answer(self, question: Question, deadline: float, *, every_server: bool) -> Answers:
        try:
            match self._config.mode:
                case Mode.AUTHORITATIVE:
                    return await self._authorities.answers(
                        question, every_server=every_server, deadline=deadline
                    )
                case Mode.RECURSIVE:
                    return Answers(question, (await self._recursion.answer(question, deadline),))
                case other:
                    assert_never(other)
        except wire.NameTooLongError:
            # Nobody needs to be asked: RFC 1035 section 2.3.4 leaves no room for such a name.
            return Answers(question, (Answer(question, Outcome.NXDOMAIN),))


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
