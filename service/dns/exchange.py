"""One query to one server: UDP, then TCP where the answer does not fit."""

import asyncio
import struct
from typing import Final

from service.core.answers import Outcome
from service.dns import wire
from service.dns.budget import Budget
from service.dns.config import DnsConfig, Endpoint
from service.dns.datagrams import Datagrams
from service.dns.message import MalformedReplyError, Query, Rcode, Reply, is_truncated
from service.dns.servers import ServerLimits, Slots, held, taken

_SENT_AGAIN: Final = (0.25, 0.5)
"""When a query goes out again, in parts of the time that its reply is waited for."""
_EDNS_UNKNOWN: Final = {Rcode.FORMERR, Rcode.NOTIMP, Rcode.BADVERS}


class _UnaskedError(Exception):
    """Not the server was at fault: there was no route, no socket, no slot or no budget left."""


class Exchange:
    """Sends queries within the limits of each server. Belongs to one event loop."""

    def __init__(
        self,
        datagrams: Datagrams,
        limits: ServerLimits,
        config: DnsConfig,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take how queries are sent over UDP, and how many to whom."""
        self._datagrams = datagrams
        self._limits = limits
        self._config = config
        self._loop = loop
        self._recursive_slots = Slots(config.in_flight, loop)
        self._connections = Slots(config.connections, loop)

    async def ask_authority(
        self, endpoint: Endpoint, zone: str, name: str, rdtype: str, budget: Budget
    ) -> Reply | Outcome:
        """Ask a name server of a zone; return its reply, or why there is none.

        Takes at most one try of UDP and one of TCP, and never more than the budget.

        Raises:
            NameTooLongError: for a name that no message can hold.

        """
        if not await taken(lambda then: self._limits.enter(endpoint, zone, budget.deadline, then)):
            return Outcome.TIMEOUT
        answered = None
        try:
            reply = await self._ask(endpoint, name, rdtype, budget, recurse=False)
            answered = reply is not Outcome.TIMEOUT
        except _UnaskedError:
            return Outcome.TIMEOUT
        finally:
            self._limits.leave(endpoint, zone, answered=answered)
        return reply

    async def ask_recursive(
        self, endpoint: Endpoint, name: str, rdtype: str, budget: Budget, *, validated: bool = True
    ) -> Reply | Outcome:
        """Ask a recursive resolver, as `ask_authority` does, for what it has `validated` or for all.

        It never cools down: it is slow wherever a zone behind it is, and nobody's
        zone may take our resolver from everyone else.
        """
        async with (
            held(budget.turns(self._loop), budget.deadline) as has_turn,
            held(self._recursive_slots, budget.deadline, when=has_turn) as has_slot,
        ):
            if not has_slot:
                return Outcome.TIMEOUT
            try:
                return await self._ask(endpoint, name, rdtype, budget, recurse=True, validated=validated)
            except _UnaskedError:
                return Outcome.TIMEOUT

    def _patience(self, budget: Budget) -> float:
        return min(budget.deadline, self._loop.time() + self._config.try_timeout)

    async def _ask(
        self,
        endpoint: Endpoint,
        name: str,
        rdtype: str,
        budget: Budget,
        *,
        recurse: bool,
        validated: bool = True,
    ) -> Reply | Outcome:
        """Ask a server.

        Raises:
            _UnaskedError: when it could not be asked.

        """
        reply = await self._transfer(
            wire.build_query(name, rdtype, recurse=recurse, validated=validated), endpoint, budget
        )
        if isinstance(reply, Reply) and reply.rcode in _EDNS_UNKNOWN:
            # RFC 6891 section 7: a server that knows no EDNS is asked without it.
            plain = wire.build_query(name, rdtype, recurse=recurse, edns=False, validated=validated)
            reply = await self._transfer(plain, endpoint, budget)
        return reply

    async def _transfer(self, query: Query, endpoint: Endpoint, budget: Budget) -> Reply | Outcome:
        if budget.is_spent(self._loop.time()):
            raise _UnaskedError
        try:
            message = await self._over_udp(query, endpoint, budget)
        except OSError as error:
            raise _UnaskedError from error
        try:
            if message is not None and is_truncated(message):
                message = await self._over_tcp(query, endpoint, budget)
            return Outcome.TIMEOUT if message is None else wire.parse_reply(message, budget, asked=query.name)
        except (OSError, asyncio.IncompleteReadError):
            # Nobody listening, or a connection cut off, or too slow: no answer either way.
            return Outcome.TIMEOUT
        except MalformedReplyError:
            return Outcome.SERVER_FAILURE

    async def _over_tcp(self, query: Query, endpoint: Endpoint, budget: Budget) -> bytes:
        async with (
            held(budget.connections(self._loop), budget.deadline) as has_turn,
            held(self._connections, budget.deadline, when=has_turn) as has_slot,
        ):
            if not has_slot:
                raise _UnaskedError
            return await _converse(query, endpoint, budget.until(self._patience(budget)))

    async def _over_udp(self, query: Query, endpoint: Endpoint, budget: Budget) -> bytes | None:
        """Return the reply to the query, sent again while there is none: datagrams get lost."""
        received: asyncio.Future[bytes] = self._loop.create_future()

        def listen(message: bytes | None) -> None:
            if message is not None and not received.done():
                budget.charge(len(message))
                received.set_result(message)

        began = self._loop.time()
        deadline = self._patience(budget)
        under_way = []
        try:
            for part in (*_SENT_AGAIN, 1.0):
                under_way.append(self._datagrams.send(query, endpoint, deadline, listen))
                until = began + part * (deadline - began)
                await asyncio.wait({received}, timeout=until - self._loop.time())
                if received.done():
                    return received.result()
                query = query.renumbered()
            return None
        finally:
            for sent in under_way:
                self._datagrams.withdraw(sent)


async def _converse(query: Query, endpoint: Endpoint, budget: Budget) -> bytes:
    """Return the reply (RFC 7766).

    Raises:
        OSError: when none came; TimeoutError is one.
        IncompleteReadError: when the connection was closed too early.
        MalformedReplyError: when something else came, or more than is read.

    """
    async with asyncio.timeout_at(budget.deadline):
        reader, writer = await asyncio.open_connection(*endpoint, limit=wire.LARGEST)
        try:
            writer.write(struct.pack("!H", len(query.wire)) + query.wire)
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            if size > wire.LARGEST:
                raise MalformedReplyError
            budget.charge(size)
            message = await reader.readexactly(size)
        finally:
            writer.transport.abort()
    if not query.is_answered_by(message):
        raise MalformedReplyError
    return message
