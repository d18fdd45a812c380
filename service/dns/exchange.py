"""One query to one server: UDP, then TCP where the answer does not fit.

Each query has a socket of its own. It is connected, so that the kernel drops
whatever comes from another address and tells when nobody listens; its port is
random, as the message id is, so that a blind forger has to guess both.
"""

import asyncio
import socket
import struct
from typing import Final

from service.core.answers import Outcome
from service.dns import wire
from service.dns.config import DnsConfig, Endpoint
from service.dns.servers import ServerLimits, acquired

_LARGEST: Final = 65_535
_EDNS_UNKNOWN: Final = {wire.Rcode.FORMERR, wire.Rcode.NOTIMP, wire.Rcode.BADVERS}


class Exchange:
    """Sends queries within the limits of each server. Belongs to one event loop."""

    def __init__(self, config: DnsConfig) -> None:
        """Start with no server known."""
        self._config = config
        self._limits = ServerLimits(config)
        self._recursive_slots = asyncio.Semaphore(config.in_flight)

    async def ask_authority(
        self, endpoint: Endpoint, name: str, rdtype: str, deadline: float
    ) -> wire.Reply | Outcome:
        """Ask a name server of a zone; return its reply, or why there is none.

        Takes at most one try of UDP and one of TCP, and never longer than until
        `deadline` (loop time).

        Raises:
            NameTooLongError: for a name that no message can hold.

        """
        if not await self._limits.enter(endpoint, deadline):
            return Outcome.TIMEOUT
        reply: wire.Reply | Outcome = Outcome.TIMEOUT
        try:
            reply = await self._ask(endpoint, name, rdtype, deadline, recurse=False)
        finally:
            self._limits.leave(endpoint, answered=reply is not Outcome.TIMEOUT)
        return reply

    async def ask_recursive(
        self, endpoint: Endpoint, name: str, rdtype: str, deadline: float
    ) -> wire.Reply | Outcome:
        """Ask a recursive resolver, as `ask_authority` does.

        It never cools down: it is slow wherever a zone behind it is, and nobody's
        zone may take our resolver from everyone else.
        """
        if not await acquired(self._recursive_slots, deadline):
            return Outcome.TIMEOUT
        try:
            return await self._ask(endpoint, name, rdtype, deadline, recurse=True)
        finally:
            self._recursive_slots.release()

    async def _ask(
        self, endpoint: Endpoint, name: str, rdtype: str, deadline: float, *, recurse: bool
    ) -> wire.Reply | Outcome:
        deadline = min(deadline, asyncio.get_running_loop().time() + self._config.try_timeout)
        reply = await _transfer(wire.build_query(name, rdtype, recurse=recurse), endpoint, deadline)
        if isinstance(reply, wire.Reply) and reply.rcode in _EDNS_UNKNOWN:
            # RFC 6891 section 7: a server that knows no EDNS is asked without it.
            plain = wire.build_query(name, rdtype, recurse=recurse, edns=False)
            reply = await _transfer(plain, endpoint, deadline)
        return reply


async def _transfer(query: wire.Query, endpoint: Endpoint, deadline: float) -> wire.Reply | Outcome:
    try:
        message = await _over_udp(query, endpoint, deadline)
        if wire.is_truncated(message):
            message = await _over_tcp(query, endpoint, deadline)
        return wire.parse_reply(message)
    except (OSError, asyncio.IncompleteReadError):
        # Silence, or nobody listening, or a connection cut off: no answer either way.
        return Outcome.TIMEOUT
    except wire.MalformedReplyError:
        return Outcome.SERVER_FAILURE


async def _over_udp(query: wire.Query, endpoint: Endpoint, deadline: float) -> bytes:
    """Return the reply.

    Raises:
        OSError: when none came; TimeoutError is one.

    """
    loop = asyncio.get_running_loop()
    received: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        try:
            message = sock.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            _settle(received, error)
            return
        if query.is_answered_by(message):
            _settle(received, message)

    with socket.socket(_family(endpoint), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(endpoint)
        sock.send(query.wire)
        timer = loop.call_at(deadline, _settle, received, TimeoutError())
        loop.add_reader(sock.fileno(), read)
        try:
            return await received
        finally:
            loop.remove_reader(sock.fileno())
            timer.cancel()


def _settle(received: asyncio.Future[bytes], what: bytes | OSError) -> None:
    if received.done():
        return
    if isinstance(what, bytes):
        received.set_result(what)
    else:
        received.set_exception(what)


async def _over_tcp(query: wire.Query, endpoint: Endpoint, deadline: float) -> bytes:
    """Return the reply (RFC 7766).

    Raises:
        OSError: when none came; TimeoutError is one.
        IncompleteReadError: when the connection was closed too early.
        MalformedReplyError: when something else came.

    """
    async with asyncio.timeout_at(deadline):
        reader, writer = await asyncio.open_connection(*endpoint)
        try:
            writer.write(struct.pack("!H", len(query.wire)) + query.wire)
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            message = await reader.readexactly(size)
        finally:
            writer.transport.abort()
    if not query.is_answered_by(message):
        raise wire.MalformedReplyError
    return message


def _family(endpoint: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
