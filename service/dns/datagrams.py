"""UDP: queries sent from a pool of random ports, and which reply answers which of them.

A socket for each query would cost more than everything else about it. Here sockets are few and
shared, so that a query that waits costs no more than an entry in a table. A blind forger still
has to guess the port among all ports, for none is used for long, and the id (RFC 5452). One who
has a name server of his own sees the ports: he has to guess which of them, and the id, of every
query to every name server of a zone, for nothing less moves a domain.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from service.dns.config import Endpoint
from service.dns.message import Query

_PORTS: Final = 64
"""Sockets of each family in use at a time: a power of two."""
_LIFETIME: Final = 10.0
"""Seconds for which queries go out from one port."""
_LARGEST: Final = 4096
"""Octets taken of a datagram: three times of what we say that we take."""
_BURST: Final = 64
"""Datagrams read from one socket before the others have their turn."""
_TICK: Final = 0.05
"""Seconds between two looks for queries that have waited long enough."""

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
    tick: int
    """The one that ends its time."""


class Datagrams:
    """Sends queries over UDP. Belongs to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the loop; sockets are opened as they are needed."""
        self._loop = loop
        self._ports: dict[socket.AddressFamily, list[_Port]] = {socket.AF_INET: [], socket.AF_INET6: []}
        self._numbers = _random_octets()
        self._sent: dict[_Key, Sent] = {}
        self._ends: dict[int, set[Sent]] = {}
        """Those by the tick that ends their time."""
        self._ticked = 0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, query: Query, endpoint: Endpoint, deadline: float, heard: Heard) -> Sent:
        """Send a query; `heard` is called once, with its reply, or soon after `deadline` (loop time).

        Raises:
            OSError: when it could not be sent, for no fault of the server: there
                is no route to it, or no socket to be had. `heard` is not called.

        """
        address, number = endpoint
        if ":" in address:
            address = _canonical(address)
        key = address, number, query.wire[:2]
        while key in self._sent:
            query = query.renumbered()
            key = address, number, query.wire[:2]
        port = self._port(socket.AF_INET6 if ":" in address else socket.AF_INET)
        port.sock.sendto(query.wire, endpoint)
        port.waiting += 1
        if self._timer is None:
            self._ticked = int(self._loop.time() / _TICK)
            self._timer = self._loop.call_later(_TICK, self._tick)
        # A loop that was busy may be late: no tick that has been comes again.
        tick = max(int(deadline / _TICK), self._ticked) + 1
        sent = self._sent[key] = Sent(key, query, heard, port, tick)
        ending = self._ends.get(tick)
        if ending is None:
            self._ends[tick] = {sent}
        else:
            ending.add(sent)
        return sent

    def withdraw(self, sent: Sent) -> None:
        """Wait no longer for a reply. Harmless where there was one."""
        if self._is_open(sent):
            self._end(sent)

    def close(self) -> None:
        """Close all sockets; nothing more is heard."""
        if self._timer is not None:
            self._timer.cancel()
        for sent in list(self._sent.values()):
            self._end(sent)
        for ports in self._ports.values():
            for port in ports:
                self._close(port)
            ports.clear()

    def _port(self, family: socket.AddressFamily) -> _Port:
        ports = self._ports[family]
        number = next(self._numbers) % _PORTS
        port = ports[number] if number < len(ports) else None
        if port is not None and port.expires > self._loop.time():
            return port
        try:
            opened = self._open(family)
        except OSError:
            # No descriptor to be had: a port that is old is better than none.
            if ports:
                return ports[number % len(ports)]
            raise
        if port is None:
            ports.append(opened)
            return opened
        ports[number] = opened
        port.expires = 0.0
        if not port.waiting:
            self._close(port)
        return opened

    def _open(self, family: socket.AddressFamily) -> _Port:
        # The kernel picks a random port for a socket that sends before it has one.
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        port = _Port(sock, self._loop.time() + _LIFETIME)
        self._loop.add_reader(sock.fileno(), self._receive, port)
        return port

    def _close(self, port: _Port) -> None:
        self._loop.remove_reader(port.sock.fileno())
        port.sock.close()

    def _receive(self, port: _Port) -> None:
        for _ in range(_BURST):
            try:
                message, source = port.sock.recvfrom(_LARGEST)
            except OSError:
                return
            sent = self._sent.get((source[0], source[1], message[:2]))
            # Whoever does not know the port that was used, or the question, is not heard.
            if sent is not None and sent.port is port and sent.query.is_answered_by(message):
                self._end(sent)
                sent.heard(message)

    def _tick(self) -> None:
        first, self._ticked = self._ticked, int(self._loop.time() / _TICK)
        for tick in range(first, self._ticked + 1):
            for sent in self._ends.get(tick, ()):
                # Each by itself: a listener that fails keeps none from being heard.
                self._loop.call_soon(self._expire, sent)
        self._timer = self._loop.call_later(_TICK, self._tick) if self._ends else None

    def _expire(self, sent: Sent) -> None:
        if self._is_open(sent):
            # Where the loop stood still the reply may be there: it looks at its clock before it listens.
            self._receive(sent.port)
        if self._is_open(sent):
            self._end(sent)
            sent.heard(None)

    def _is_open(self, sent: Sent) -> bool:
        # By identity: its key may be that of a later one by now.
        return self._sent.get(sent.key) is sent

    def _end(self, sent: Sent) -> None:
        del self._sent[sent.key]
        ending = self._ends[sent.tick]
        ending.remove(sent)
        if not ending:
            del self._ends[sent.tick]
        port = sent.port
        port.waiting -= 1
        if not (port.waiting or port.expires):
            self._close(port)


def _random_octets() -> Iterator[int]:
    while True:
        yield from os.urandom(4096)


def _canonical(address: str) -> str:
    """Return an IPv6 address as the socket names it, whatever spelling it has."""
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
