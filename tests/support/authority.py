"""DNS servers in pure Python, on loopback, whose content and faults change at run time.

    with LoopbackDns() as dns:
        dns.add_zone("example.com")
        dns.put("mail.example.com", "MX", "10 feedback-smtp.eu-west-1.amazonses.com")

`dns.recursive` listens on 127.0.0.1 and stands in for a recursive resolver; the
zones' own name servers listen on 127.0.0.2 and up, on the same port.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Self

import dnslib  # type: ignore[import-untyped]

from tests.support.dns_zone import NOERROR, NXDOMAIN, REFUSED, SERVFAIL, Lookup, Record, Zone

_TTL = 60
_MAX_HOPS = 10
_TRUNCATED = 0x0200
_MAX_BURST = 64
_LARGEST_QUERY = 4096
_LARGEST_CACHE = 100_000

Tamper = Callable[[bytes, bytes], Sequence[bytes]]
"""Takes a query and its right reply, and returns what is sent in its place."""


# --- faults ------------------------------------------------------------------


def silent(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Send nothing."""
    return ()


def failing(rcode: int) -> Tamper:
    """Send a response code without content, and without the AA bit."""
    counts = struct.pack("!4H", 1, 0, 0, 0)
    return lambda query, _: [query[:2] + bytes([0x80, rcode]) + counts + _question_of(query)]


def failing_because(code: int) -> Tamper:
    """Send SERVFAIL with an extended error (RFC 8914)."""

    def reply_with(query: bytes, reply: bytes) -> Sequence[bytes]:
        (plain,) = failing(SERVFAIL)(query, reply)
        option = b"\0" + struct.pack("!HHIHHHH", 41, 1232, 0, 6, 15, 2, code)
        return [plain[:10] + b"\0\1" + plain[12:] + option]

    return reply_with


def not_authoritative(query: bytes, reply: bytes) -> Sequence[bytes]:
    """Send the right reply without the AA bit."""
    return [reply[:2] + bytes([reply[2] & ~0x04]) + reply[3:]]


def answering(fraction: float) -> Tamper:
    """Send only this part of the replies."""
    return lambda _, reply: [reply] if random.random() < fraction else []


def _question_of(query: bytes) -> bytes:
    end = query.index(b"\0", 12) + 5
    return query[12:end]


# --- servers -----------------------------------------------------------------


class Source(Protocol):
    """Where a server's answers come from."""

    def look_up(self, name: str, rdtype: str) -> Lookup:
        """Answer a question."""


class DnsServer:
    """Listens at one address over UDP and TCP, and answers from one source."""

    def __init__(self, address: str, source: Source, *, recursive: bool = False) -> None:
        """Take the address and the source; `listen` starts it."""
        self.address = address
        self.tamper: Tamper | None = None
        """A fault, over UDP and TCP alike."""
        self.delay = 0.0
        """How long a reply over UDP is held back, in seconds."""
        self.queries: Counter[tuple[str, str]] = Counter()
        """How often each name and type was asked for."""
        self.tcp_connections = 0
        self._source = source
        self._recursive = recursive
        self._remembered: dict[str, Lookup] = {}
        self._version = 0
        self._replies: dict[tuple[int, bytes, bool], tuple[tuple[str, str], bytes]] = {}
        self._closers: list[Callable[[], object]] = []

    async def listen(self, port: int) -> None:
        """Start to listen."""
        server = await asyncio.start_server(self._converse, self.address, port)
        self._closers.append(server.close)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._closers.append(sock.close)
        sock.bind((self.address, port))
        loop = asyncio.get_running_loop()
        loop.add_reader(sock, self._receive, sock)
        self._closers.insert(0, lambda: loop.remove_reader(sock))

    def close(self) -> None:
        """Stop to listen. To be called on the loop that `listen` ran on."""
        for close in self._closers:
            close()

    def answer_instead(self, name: str, found: Lookup) -> None:
        """Give this for a name from now on, whatever its type: what a cache holds may be old."""
        self._remembered[name] = found
        self.changed()

    def changed(self) -> None:
        """Forget encoded replies, since the source has changed."""
        self._version += 1
        self._replies.clear()

    def replies(self, query: bytes, *, stream: bool) -> Sequence[bytes]:
        """Return the messages to send for a query."""
        # With the version: a reply that was being encoded during a change is not found again.
        key = (self._version, query[2:], stream)
        cached = self._replies.get(key)
        if cached is None:
            cached = self._encoded(query, stream=stream)
            if len(self._replies) < _LARGEST_CACHE:
                self._replies[key] = cached
        asked, reply = cached
        self.queries[asked] += 1
        reply = query[:2] + reply[2:]
        return [reply] if self.tamper is None else self.tamper(query, reply)

    def _receive(self, sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MAX_BURST):
                query, sender = sock.recvfrom(_LARGEST_QUERY)
                for reply in self.replies(query, stream=False):
                    self._send(sock, reply, sender)

    def _send(self, sock: socket.socket, reply: bytes, receiver: object) -> None:
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, _send_late, sock, reply, receiver)
        else:
            sock.sendto(reply, receiver)

    def _encoded(self, query: bytes, *, stream: bool) -> tuple[tuple[str, str], bytes]:
        request = dnslib.DNSRecord.parse(query)
        name = str(request.q.qname).rstrip(".").lower()
        rdtype = dnslib.QTYPE.get(request.q.qtype)
        found = self._remembered.get(name) or self._source.look_up(name, rdtype)
        reply = request.reply(ra=int(self._recursive), aa=int(found.authoritative and not self._recursive))
        reply.header.rcode = found.rcode
        for add, records in (
            (reply.add_answer, found.answer),
            (reply.add_auth, found.authority),
            (reply.add_ar, found.additional),
        ):
            add(*(_resource(record) for record in records))
        room = 512
        for option in request.ar:
            if option.rtype == dnslib.QTYPE.OPT:
                room = max(room, option.edns_len)
                reply.add_ar(dnslib.EDNS0(udp_len=1232))
        wire: bytes = reply.pack()
        if not stream and len(wire) > room:
            flags = struct.pack("!H", reply.header.bitmap | _TRUNCATED)
            wire = query[:2] + flags + struct.pack("!4H", 1, 0, 0, 0) + _question_of(query)
        return (name, rdtype), wire

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tcp_connections += 1
        try:
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                for reply in self.replies(await reader.readexactly(size), stream=True):
                    writer.write(struct.pack("!H", len(reply)) + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The other side has gone, as it may.
        finally:
            writer.close()


# --- sources -----------------------------------------------------------------


class Zones:
    """Zones that one name server is authoritative for."""

    def __init__(self) -> None:
        """Start without a zone."""
        self._zones: dict[str, Zone] = {}

    def __iter__(self) -> Iterator[Zone]:
        return iter(list(self._zones.values()))

    def add(self, zone: Zone) -> None:
        """Add a zone, in place of one of its name."""
        self._zones[zone.name] = zone

    def remove(self, name: str) -> None:
        """Take a zone away."""
        del self._zones[name]

    def zone_of(self, name: str) -> Zone | None:
        """Return the deepest zone that contains a name."""
        containing = [zone for zone in self if zone.contains(name)]
        return max(containing, key=lambda zone: len(zone.name), default=None)

    def look_up(self, name: str, rdtype: str) -> Lookup:
        """Answer as their server has to."""
        zone = self.zone_of(name)
        return zone.look_up(name, rdtype) if zone else Lookup(REFUSED, authoritative=False)


class Internet:
    """Everything that some name servers say, as a recursive resolver would tell it."""

    def __init__(self, authorities: Sequence[Zones]) -> None:
        """Take the zones of each name server; the first that has a zone speaks for it."""
        self._authorities = authorities

    def look_up(self, name: str, rdtype: str) -> Lookup:
        """Answer, following aliases from zone to zone."""
        answer: list[Record] = []
        for _ in range(_MAX_HOPS):
            zones = [zone for zones in self._authorities if (zone := zones.zone_of(name))]
            if not zones:
                return Lookup(NXDOMAIN, answer=answer, authority=Zone("").look_up("", "SOA").answer)
            found = max(zones, key=lambda zone: len(zone.name)).look_up(name, rdtype)
            answer += found.answer
            if not found.authoritative:
                return Lookup(SERVFAIL)
            last = answer[-1] if answer else None
            if found.rcode != NOERROR or found.authority or last is None or rdtype == "CNAME":
                return Lookup(found.rcode, answer=answer, authority=found.authority)
            if last.type == rdtype:
                return Lookup(answer=answer)
            name = last.value
        return Lookup(SERVFAIL)


class Authority(DnsServer):
    """A name server whose zones can be changed while it runs."""

    def __init__(self, address: str) -> None:
        """Start without a zone."""
        self.zones = Zones()
        super().__init__(address, self.zones)

    def put(self, name: str, rdtype: str, *values: str) -> None:
        """Make `values` all that this server has at a name for a type."""
        self._zone_of(name).put(name, rdtype, *values)
        self.changed()

    def remove(self, name: str, rdtype: str | None = None) -> None:
        """Take records away from this server."""
        self._zone_of(name).remove(name, rdtype)
        self.changed()

    def _zone_of(self, name: str) -> Zone:
        zone = self.zones.zone_of(name.lower())
        if zone is None:
            raise LookupError(f"no zone of {self.address} contains {name}")
        return zone


class LoopbackDns:
    """A recursive resolver and some name servers, all on one port, in one daemon thread."""

    def __init__(self, authorities: int = 2) -> None:
        """Start the servers."""
        self.authorities = tuple(Authority(f"127.0.0.{2 + index}") for index in range(authorities))
        internet = Internet([authority.zones for authority in self.authorities])
        self.recursive = DnsServer("127.0.0.1", internet, recursive=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback-dns", daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the servers."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add_zone(self, name: str, *authorities: Authority) -> None:
        """Delegate a zone to name servers, to all there are by default.

        Server number N (from 1) is called `nsN.NAME`.
        """
        chosen = authorities or self.authorities
        servers = {f"ns{1 + self.authorities.index(authority)}.{name}": authority for authority in chosen}
        for authority in chosen:
            zone = Zone(name)
            zone.put(name, "NS", *servers)
            for server, at in servers.items():
                zone.put(server, "A", at.address)
            authority.zones.add(zone)
        self._changed()

    def put(self, name: str, rdtype: str, *values: str) -> None:
        """Make `values` all that there is at a name for a type, on every server of its zone."""
        for authority in self._serving(name):
            authority.put(name, rdtype, *values)
        self._changed()

    def remove(self, name: str, rdtype: str | None = None) -> None:
        """Take records away, on every server of their zone."""
        for authority in self._serving(name):
            authority.remove(name, rdtype)
        self._changed()

    def _serving(self, name: str) -> Sequence[Authority]:
        serving = [authority for authority in self.authorities if authority.zones.zone_of(name.lower())]
        if not serving:
            raise LookupError(f"no zone contains {name}")
        return serving

    def _changed(self) -> None:
        for server in (self.recursive, *self.authorities):
            server.changed()

    async def _listen(self) -> int:
        port = free_port([self.recursive.address, *(authority.address for authority in self.authorities)])
        for server in (self.recursive, *self.authorities):
            await server.listen(port)
        return port

    async def _close(self) -> None:
        for server in (self.recursive, *self.authorities):
            server.close()
        conversations = asyncio.all_tasks() - {asyncio.current_task()}
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


def free_port(addresses: Sequence[str]) -> int:
    """Return a port that is free at all addresses, over UDP and TCP."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            port = 0
            for address in addresses:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    probe.bind((address, port))
                    port = probe.getsockname()[1]
            return port


def _send_late(sock: socket.socket, reply: bytes, receiver: object) -> None:
    # By then the server may have been closed.
    with contextlib.suppress(OSError):
        sock.sendto(reply, receiver)


def _resource(record: Record) -> dnslib.RR:
    return dnslib.RR(record.owner, dnslib.QTYPE.reverse[record.type], ttl=_TTL, rdata=_rdata(record))


def _rdata(record: Record) -> dnslib.RD:
    match record.type:
        case "TXT":
            octets = record.value.encode("utf-8", "surrogateescape")
            return dnslib.TXT([octets[start : start + 255] for start in range(0, len(octets), 255)] or [b""])
        case "MX":
            preference, exchange = record.value.split(" ")
            return dnslib.MX(exchange, int(preference))
        case "SOA":
            primary, contact, *times = record.value.split(" ")
            return dnslib.SOA(primary, contact, tuple(map(int, times)))
        case kind:
            return getattr(dnslib, kind)(record.value)
