"""Name servers by the dozen and a resolver, in a process of their own, for load and for hostile zones.

    with Farm() as farm:
        farm.add([ZonePlan("example.com", ("127.0.0.2", "127.0.0.3"))])
        farm.publish({"example.com": Publication(records, (soon, later))})

The resolver listens on 127.0.0.1, each name server at its address, all on one
port. Unlike `LoopbackDns` it takes nothing from the process that asks.
"""

import asyncio
import contextlib
import random
import signal
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Final, Self

from service.dns import DnsConfig, Endpoint
from tests.support.authority import free_port
from tests.support.dns_octets import Query, read_query, truncated, write_reply
from tests.support.dns_zone import NXDOMAIN, SERVFAIL, Lookup, Record, ancestors
from tests.support.hostile import HostilePlan, HostileZone
from tests.support.sites import Published, Reaction, Site, StagedZone, ZonePlan

RESOLVER: Final = "127.0.0.1"
SERVERS: Final = tuple(f"127.0.0.{host}" for host in range(2, 14))
"""Addresses for the name servers of ordinary zones."""
_MAX_BURST: Final = 64
_LARGEST_QUERY: Final = 4096
_ABSENT: Final = Lookup(NXDOMAIN, authority=[Record("", "SOA", "ns1 hostmaster 1 3600 600 86400 60")])


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to answers, of name servers and the resolver alike."""

    dropped: float
    """The part of them that is lost."""
    failing: float
    """The part of them that is SERVFAIL instead."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The records of a zone, and when each of its servers has them, by this machine's clock (`time.time`)."""

    records: Sequence[Published]
    times: Sequence[float]


@dataclass(slots=True)
class Traffic:
    """What went through one server."""

    queries: int = 0
    """Messages that came, over UDP and TCP."""
    connections: int = 0
    octets: int = 0
    """Sent."""


class Farm:
    """The process, and what it is told."""

    def __init__(self, seed: int | None = None) -> None:
        """Start it; the same seed brings the same chances in the same order."""
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._asking = threading.Lock()
        self._process = context.Process(target=_run, args=(theirs, seed), daemon=True)
        self._process.start()
        theirs.close()
        self.port: int = self._pipe.recv()

    @property
    def settings(self) -> dict[str, str]:
        """What a server is started with to ask here, and nobody else."""
        return {
            "KRAITER_DNS_NAMESERVERS": f"{RESOLVER}:{self.port}",
            "KRAITER_DNS_AUTHORITY_PORT": str(self.port),
            "KRAITER_DNS_ALLOW_PRIVATE": "true",
        }

    def config(self, *, pace: float = 1.0) -> DnsConfig:
        """Return the settings of a resolver that asks here, all its times multiplied by `pace`."""
        defaults = DnsConfig()
        return DnsConfig(
            nameservers=(Endpoint(RESOLVER, self.port),),
            allow_private=True,
            authority_port=self.port,
            try_timeout=defaults.try_timeout * pace,
            budget=defaults.budget * pace,
            cool_down=defaults.cool_down * pace,
        )

    def add(self, plans: Sequence[ZonePlan | HostilePlan]) -> None:
        """Serve these zones, at addresses that are new if need be."""
        self._ask("add", plans)

    def publish(self, publications: Mapping[str, Publication]) -> None:
        """Publish records in zones, in place of what was published there before."""
        self._ask("publish", publications)

    def fault(self, faults: Faults | None) -> None:
        """Have these faults from now on."""
        self._ask("fault", faults)

    def traffic(self) -> dict[str, Traffic]:
        """Return what has gone through each server so far, by address."""
        told: dict[str, Traffic] = self._ask("traffic")
        return told

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, what: str, *arguments: object) -> Any:
        with self._asking:
            self._pipe.send((what, arguments))
            told = self._pipe.recv()
        if isinstance(told, Exception):
            raise told
        return told


# --- the process -------------------------------------------------------------


def _run(owner: Connection, seed: int | None) -> None:
    random.seed(seed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Its owner hears of Ctrl-C, and ends it.
    asyncio.run(_serve(owner))


async def _serve(owner: Connection) -> None:
    grounds = _Grounds(free_port([RESOLVER, *SERVERS]))
    for address in (RESOLVER, *SERVERS):
        await grounds.listen(address)
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    loop.add_reader(owner.fileno(), asked.set)
    owner.send(grounds.port)
    while True:
        await asked.wait()
        asked.clear()
        try:
            while owner.poll():
                owner.send(await _obeyed(grounds, *owner.recv()))
        except EOFError:
            return


async def _obeyed(grounds: "_Grounds", what: str, arguments: Sequence[Any]) -> object:
    try:
        match what:
            case "add":
                return await grounds.add(*arguments)
            case "publish":
                grounds.publish(*arguments)
            case "fault":
                grounds.faults = arguments[0]
            case "traffic":
                return {address: server.traffic for address, server in grounds.servers.items()}
    except Exception as error:  # noqa: BLE001 - told to whoever asked
        return error
    return None


class _Grounds:
    """Everything that is served."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.servers: dict[str, _Server] = {}
        self.faults: Faults | None = None
        self._sites: dict[str, Site] = {}

    async def add(self, plans: Sequence[ZonePlan | HostilePlan]) -> None:
        for plan in plans:
            site = StagedZone(plan) if isinstance(plan, ZonePlan) else HostileZone(plan)
            self._sites[plan.name] = site
            for address in site.addresses:
                if address not in self.servers:
                    await self.listen(address)

    def publish(self, publications: Mapping[str, Publication]) -> None:
        for name, publication in publications.items():
            site = self._sites[name]
            assert isinstance(site, StagedZone)
            site.publish(publication.records, publication.times)

    async def listen(self, address: str) -> None:
        where = None if address == RESOLVER else address
        server = _Server(lambda query: self._react(query, where))
        await server.listen(address, self.port)
        self.servers[address] = server

    def _react(self, query: Query, address: str | None) -> Reaction:
        if self.faults is not None:
            chance = random.random()
            if chance < self.faults.dropped:
                return Reaction(None)
            if chance < self.faults.dropped + self.faults.failing:
                return Reaction(write_reply(query, Lookup(SERVFAIL, authoritative=False), recursive=False))
        names = (query.name, *ancestors(query.name))
        site = next((self._sites[name] for name in names if name in self._sites), None)
        if site is None or (address is not None and address not in site.addresses):
            return Reaction(write_reply(query, _ABSENT, recursive=address is None))
        return site.react(query, address)


@dataclass(slots=True)
class _Server:
    """One address, over UDP and TCP."""

    react: Callable[[Query], Reaction]
    traffic: Traffic = field(default_factory=Traffic)

    async def listen(self, address: str, port: int) -> None:
        await asyncio.start_server(self._converse, address, port)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.bind((address, port))
        asyncio.get_running_loop().add_reader(sock, self._receive, sock)

    def _receive(self, sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MAX_BURST):
                wire, sender = sock.recvfrom(_LARGEST_QUERY)
                self.traffic.queries += 1
                query = read_query(wire)
                reaction = self.react(query)
                reply = reaction.reply
                if reply is None:
                    continue
                if reaction.only_tcp or len(reply) > query.room:
                    reply = truncated(query, reply)
                if reaction.delay:
                    asyncio.get_running_loop().call_later(reaction.delay, self._send, sock, reply, sender)
                else:
                    self._send(sock, reply, sender)

    def _send(self, sock: socket.socket, reply: bytes, to: tuple[str, int]) -> None:
        self.traffic.octets += len(reply)
        with contextlib.suppress(OSError):
            # The buffer is full: lost on the way, as datagrams may be.
            sock.sendto(reply, to)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.traffic.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                query = read_query(await reader.readexactly(size))
                self.traffic.queries += 1
                await self._reply(self.react(query), writer)

    async def _reply(self, reaction: Reaction, writer: asyncio.StreamWriter) -> None:
        if reaction.reply is None:
            return
        await asyncio.sleep(reaction.delay)
        message = struct.pack("!H", len(reaction.reply)) + reaction.reply
        step = 1 if reaction.gap else len(message)
        for start in range(0, len(message), step):
            writer.write(message[start : start + step])
            self.traffic.octets += step
            await writer.drain()
            await asyncio.sleep(reaction.gap)
