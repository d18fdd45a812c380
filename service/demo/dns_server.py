"""A small DNS server for the demo: one zone, in memory, on loopback, over UDP."""

import socketserver
import threading
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


class DemoZone:
    """Answers for whatever was published, and says no to everything else."""

    def __init__(self, origin: str) -> None:
        """Make an empty zone; it answers between `__enter__` and `__exit__`."""
        self._origin = dns.name.from_text(origin)
        self._published: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Where it listens: `host:port`."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def publish(self, name: str, kind: str, value: str) -> None:
        """Publish the one record of a name and type; `value` as in a zone file."""
        rrset = dns.rrset.from_text(dns.name.from_text(name), 60, "IN", kind, value)
        with self._lock:
            self._published[rrset.name, rrset.rdtype] = rrset

    def withdraw(self, name: str, kind: str) -> None:
        """Take a record out of the zone."""
        with self._lock:
            del self._published[dns.name.from_text(name), dns.rdatatype.from_text(kind)]

    def answer(self, wire: bytes) -> bytes | None:
        """Return the reply to a query; None to what is none."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if not query.question:
            return None
        reply = dns.message.make_response(query, recursion_available=True)
        reply.flags |= dns.flags.AA
        asked = query.question[0]
        with self._lock:
            names = {name for name, _ in self._published}
            for kind in (asked.rdtype, dns.rdatatype.CNAME):
                if (found := self._published.get((asked.name, kind))) is not None:
                    reply.answer.append(found)
                    break
        if not reply.answer:
            reply.authority.append(
                dns.rrset.from_text(self._origin, 60, "IN", "SOA", "ns. hostmaster. 1 60 60 60 60")
            )
            if not any(name.is_subdomain(asked.name) for name in names | {self._origin}):
                reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()


class _Server(socketserver.ThreadingUDPServer):
    daemon_threads = True

    def __init__(self, zone: DemoZone) -> None:
        self.zone = zone
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        wire, socket = self.request
        reply = self.server.zone.answer(wire)
        if reply is not None:
            socket.sendto(reply, self.client_address)
