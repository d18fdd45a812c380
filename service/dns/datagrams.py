"""UDP: queries sent from a pool of random ports, and which reply answers which of them.

A socket for each query would cost more than everything else about it. Here sockets are few and
shared, so that a query that waits costs no more than an entry in a table. A blind forger still
has to guess the port among all ports, for none is used for long, and the id (RFC 5452).
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from service.dns.config import Endpoint
from service.dns.message import Query

_PORTS: Final = 64
"""Sockets of each family in use at a time."""
_LIFETIME: Final = 10.0
"""Seconds for which queries go out from one port."""
_LARGEST: Final = 4096
"""Octets taken of a datagram: three times of what we say that we take."""
_BURST: Final = 64
"""Datagrams read from one socket before the others have their turn."""

_Key = tuple[str, int, bytes]
"""Address and port of a server, and the id of a query."""
Heard = Callable[[bytes | None], None]
"""Takes the reply to a query, or None where there is none."""


@dataclass(slots=True)
class _Port:
    sock: socket.socket
    expires: float
    waiting: int = 0
    """Queries that went out from it and have no reply yet."""


@dataclass(slots=True, eq=False)
class Sent:
    """A query under way."""

    key: _Key
    query: Query
    heard: Heard
    port: _Port
    timer: asyncio.TimerHandle


@dataclass(slots=True)
class Datagrams:
    """Sends queries over UDP. Belongs to one event loop."""

    _ports: dict[socket.AddressFamily, list[_Port]] = field(default_factory=dict)
    _sent: dict[_Key, Sent] = field(default_factory=dict)

    def send(self, query: Query, endpoint: Endpoint, deadline: float, heard: Heard) -> Sent | None:
        """Send a query; `heard` is called once, when its reply comes, or at `deadline` (loop time).

        It is not called where None is returned: the query could not be sent.
        """
        address = _canonical(endpoint.address)
        key = address, endpoint.port, query.wire[:2]
        while key in self._sent:
            query = query.renumbered()
            key = address, endpoint.port, query.wire[:2]
        loop = asyncio.get_running_loop()
        try:
            port = self._port(_family(endpoint), loop)
            port.sock.sendto(query.wire, endpoint)
        except OSError:
            # No route, or no socket to be had: silence, as far as anyone can tell.
            return None
        timer = loop.call_at(deadline, self._expire, key)
        sent = self._sent[key] = Sent(key, query, heard, port, timer)
        port.waiting += 1
        return sent

    def withdraw(self, sent: Sent) -> None:
        """Wait no longer for a reply. Harmless where there was one."""
        if self._sent.get(sent.key) is sent:
            self._end(sent.key)

    def close(self) -> None:
        """Close all sockets; nothing more is heard."""
        loop = asyncio.get_running_loop()
        for key in list(self._sent):
            self._end(key)
        for port in (port for ports in self._ports.values() for port in ports):
            _close(port, loop)
        self._ports.clear()

    def _port(self, family: socket.AddressFamily, loop: asyncio.AbstractEventLoop) -> _Port:
        ports = self._ports.setdefault(family, [])
        if len(ports) < _PORTS:
            ports.append(self._open(family, loop))
            return ports[-1]
        number = secrets.randbelow(_PORTS)
        port = ports[number]
        if port.expires <= loop.time():
            retired, port = port, self._open(family, loop)
            ports[number] = port
            retired.expires = 0.0
            if not retired.waiting:
                _close(retired, loop)
        return port

    def _open(self, family: socket.AddressFamily, loop: asyncio.AbstractEventLoop) -> _Port:
        # The kernel picks a random port for a socket that sends before it has one.
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        port = _Port(sock, loop.time() + _LIFETIME)
        loop.add_reader(sock.fileno(), self._receive, port)
        return port

    def _receive(self, port: _Port) -> None:
        for _ in range(_BURST):
            try:
                message, source = port.sock.recvfrom(_LARGEST)
            except OSError:
                return
            key = source[0], source[1], message[:2]
            sent = self._sent.get(key)
            # Whoever does not know the port that was used, or the question, is not heard.
            if sent is not None and sent.port is port and sent.query.is_answered_by(message):
                self._end(key)
                sent.heard(message)

    def _expire(self, key: _Key) -> None:
        self._end(key).heard(None)

    def _end(self, key: _Key) -> Sent:
        sent = self._sent.pop(key)
        sent.timer.cancel()
        port = sent.port
        port.waiting -= 1
        if not (port.waiting or port.expires):
            _close(port, asyncio.get_running_loop())
        return sent


def _close(port: _Port, loop: asyncio.AbstractEventLoop) -> None:
    loop.remove_reader(port.sock.fileno())
    port.sock.close()


def _family(endpoint: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET


def _canonical(address: str) -> str:
    """Return an address as the socket names it, whatever spelling of an IPv6 address it is."""
    if ":" not in address:
        return address
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
