"""The send gate for asyncio."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Self

from kraiter import errors
from kraiter.admission import Admission
from kraiter.aio.sending import Sending
from kraiter.aio.watch import Watch
from kraiter.decision_cache import DecisionCache
from kraiter.decisions import UNDECIDED, Decision
from kraiter.domains.v1.sending_service_pb2 import SendDecision
from kraiter.gate import PAUSE

_log = logging.getLogger(__name__)

_ALLOW = SendDecision.ALLOW
_LOCKS = 64


class SendGate:
    """See `kraiter.SendGate`. A task of the loop reads the stream."""

    def __init__(self, open_watch: Callable[[], Watch], sending: Sending, max_silence: float) -> None:
        """Begin to read; `open_watch` begins a watch with the current state."""
        self._open_watch = open_watch
        self._sending = sending
        self._cache = DecisionCache(max_silence)
        self._admission = Admission()
        # One call about a domain is enough, however many tasks ask.
        self._asking = [asyncio.Lock() for _ in range(_LOCKS)]
        self._changed = asyncio.Event()
        self._is_closed = False
        self._reader = asyncio.create_task(self._follow(), name="send-gate")

    async def allowed(self, domain: str) -> bool:
        """See `kraiter.SendGate.allowed`."""
        decision = self._cache.recall(domain)
        if decision is None:
            decision = await self._ask(domain)
        return decision.decision == _ALLOW or self._admission.delay(domain, decision) == 0

    async def decision(self, domain: str) -> Decision:
        """See `kraiter.SendGate.decision`."""
        decision = self._cache.recall(domain)
        return await self._ask(domain) if decision is None else decision

    async def wait_until_allowed(self, domain: str, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as in the gate for threads
        """See `kraiter.SendGate.wait_until_allowed`."""
        async with asyncio.timeout(timeout):
            while True:
                changed = self._changed
                pause = self._admission.pause(domain, await self.decision(domain))
                if pause == 0:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await changed.wait()

    async def close(self) -> None:
        """See `kraiter.SendGate.close`."""
        self._is_closed = True
        self._reader.cancel()
        await asyncio.wait([self._reader])
        self._cache.forget()
        self._announce()

    async def _ask(self, domain: str) -> Decision:
        async with self._asking[hash(domain) % _LOCKS]:
            # Another task may have asked meanwhile.
            decision = self._cache.recall(domain)
            if decision is None and not self._is_closed:
                await self._check(domain)
                decision = self._cache.recall(domain)
        if self._is_closed:
            raise errors.GateClosed
        return UNDECIDED if decision is None else decision

    async def _check(self, domain: str) -> None:
        asked = self._cache.clock()
        try:
            (answer,) = await self._sending.check(domain, min_revision=self._cache.revision)
        except errors.Error as error:
            if self._cache.failed(domain, error):
                _log.warning("messages are held, nobody can tell whether %s may send: %s", domain, error)
        else:
            self._cache.answered(domain, answer, asked)

    async def _follow(self) -> None:
        while True:
            try:
                await self._read(self._open_watch())
            except errors.Error as error:
                self._cache.forget()
                _log.warning("the state of the domains is read anew: %s", error)
                await asyncio.sleep(PAUSE)

    async def _read(self, watch: Watch) -> None:
        async for stream in watch.streams():
            self._cache.opened()
            async with contextlib.aclosing(stream):
                async for message in stream:
                    self._cache.take(message)
                    if message.events or message.snapshot_complete:
                        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
