"""Queries over UDP: each is heard of once, whatever goes wrong meanwhile."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import uvloop

from service.dns import wire
from service.dns.config import Endpoint
from service.dns.datagrams import Datagrams

QUERY = wire.build_query("mail.example.com", "TXT", recurse=False)
_SOON = 5.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The kind of loop that the resolver runs."""
    with closing(uvloop.new_event_loop()) as made:
        yield made


@pytest.fixture
def datagrams(loop: asyncio.AbstractEventLoop) -> Iterator[Datagrams]:
    """Sends on that loop."""
    made = Datagrams(loop)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A name server that says what a test has it say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(_SOON)
        yield sock


def answer(server: socket.socket) -> None:
    """Reply to one query: the name has nothing of the kind."""
    query, client = server.recvfrom(4096)
    server.sendto(query[:2] + b"\x84\0" + query[4:6] + bytes(6) + QUERY.question, client)


class Ear:
    """Hears of queries."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the loop, which must not wait for ever."""
        self.heard: list[bytes | None] = []
        self._loop = loop
        self._enough = loop.create_future()
        self._awaited = 0

    def hear(self, message: bytes | None) -> None:
        """Keep what was heard."""
        self.heard.append(message)
        if self._awaited and len(self.heard) >= self._awaited and not self._enough.done():
            self._enough.set_result(None)

    def wait(self, count: int = 1) -> None:
        """Run the loop until so much was heard."""
        self._awaited = count
        if len(self.heard) < count:
            self._loop.run_until_complete(asyncio.wait_for(self._enough, _SOON))


def test_a_query_that_is_late_already_is_heard_of(
    loop: asyncio.AbstractEventLoop, datagrams: Datagrams, server: socket.socket
) -> None:
    """Whoever got its turn after its time, since the loop was busy, does not wait for ever."""
    ear = Ear(loop)
    datagrams.send(QUERY, Endpoint(*server.getsockname()), loop.time() - 1.0, ear.hear)
    ear.wait()
    assert ear.heard == [None]


def test_a_query_sent_because_another_timed_out_is_heard_of(
    loop: asyncio.AbstractEventLoop, datagrams: Datagrams, server: socket.socket
) -> None:
    """Even where its own time is over as well by then."""
    ear, endpoint = Ear(loop), Endpoint(*server.getsockname())

    def again(message: bytes | None) -> None:
        ear.hear(message)
        datagrams.send(QUERY, endpoint, loop.time() - 1.0, ear.hear)

    datagrams.send(QUERY, endpoint, loop.time(), again)
    ear.wait(2)
    assert ear.heard == [None, None]


def test_a_fault_of_one_listener_keeps_no_other_waiting(
    loop: asyncio.AbstractEventLoop, datagrams: Datagrams, server: socket.socket
) -> None:
    """The clock that ends the time of all queries goes on."""
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    ear, endpoint = Ear(loop), Endpoint(*server.getsockname())
    fault = RuntimeError("a bug")

    def fail(_: bytes | None) -> None:
        raise fault

    for heard in (fail, ear.hear):
        datagrams.send(QUERY, endpoint, loop.time(), heard)
    datagrams.send(QUERY, endpoint, loop.time() + 0.2, ear.hear)
    ear.wait(2)
    assert ear.heard == [None, None]
    assert told == [fault]


def test_a_reply_that_came_while_the_loop_stood_still_counts(
    loop: asyncio.AbstractEventLoop, datagrams: Datagrams, server: socket.socket
) -> None:
    """Its time is over when it is looked at, for reasons of ours: the server was not silent."""
    ear = Ear(loop)
    datagrams.send(QUERY, Endpoint(*server.getsockname()), loop.time() + 0.1, ear.hear)

    def stand_still() -> None:
        answer(server)
        time.sleep(0.3)  # what is tested: the loop runs nothing meanwhile
        loop.remove_reader(busy)

    # A loop looks at its clock before it listens again.
    busy, other = socket.socketpair()
    with busy, other:
        loop.add_reader(busy, stand_still)
        other.send(b"!")
        ear.wait()
    (message,) = ear.heard
    assert message is not None


def test_ports_in_use_serve_where_no_more_can_be_opened(
    loop: asyncio.AbstractEventLoop, datagrams: Datagrams, server: socket.socket
) -> None:
    """A process that is out of descriptors still asks."""
    ear, endpoint = Ear(loop), Endpoint(*server.getsockname())
    datagrams.send(QUERY, endpoint, loop.time() + _SOON, ear.hear)
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
    try:
        datagrams.send(QUERY, endpoint, loop.time() + _SOON, ear.hear)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    for _ in range(2):
        answer(server)
    ear.wait(2)
    assert None not in ear.heard


def test_nothing_is_left_of_queries_that_have_ended(
    loop: asyncio.AbstractEventLoop, datagrams: Datagrams, server: socket.socket
) -> None:
    """With a reply, without one, or withdrawn: no entry stays, and no timer after the next tick."""
    ear = Ear(loop)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        for number in range(300):
            sent = datagrams.send(
                QUERY,
                Endpoint(*(silent if number % 3 else server).getsockname()),
                loop.time() + 0.2,
                ear.hear,
            )
            if number % 3 == 0:
                answer(server)
            elif number % 3 == 1:
                datagrams.withdraw(sent)
        ear.wait(200)
    assert sum(message is not None for message in ear.heard) == 100
    assert (datagrams._sent, datagrams._ends) == ({}, {})
    while datagrams._timer is not None:
        loop.run_until_complete(asyncio.sleep(0.01))
