"""PostgreSQL going away under a running server, and coming back."""

import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kraiter import errors
from kraiter.domains.v1.domain_pb2 import StatusEvent
from kraiter.domains.v1.domain_service_pb2 import (
    CreateDomainRequest,
    GetDomainRequest,
    ListDomainsRequest,
    WatchStatusRequest,
)
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub

from tests.e2e import model, wire
from tests.e2e.conftest import HASTE, Serve
from tests.e2e.watcher import Watcher
from tests.support.postgres_process import PostgresProcess
from tests.support.server import ServerProcess
from tests.support.waiting import until

DEADLINE = 3.0
"""Of every call, in seconds."""
STALE_AFTER = 3.0
"""Without the log for so long, a stream must be silent."""
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresProcess]:
    """Give a PostgreSQL server of the test's own."""
    with PostgresProcess(tmp_path_factory.mktemp("postgres")) as process:
        yield process


@pytest.fixture
def server(database: PostgresProcess, serve: Serve) -> Iterator[ServerProcess]:
    """Give a server on that database."""
    server = serve(database.url, migrate=True, **HASTE)
    yield server
    server.stop()


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """Give a channel to it."""
    with wire.connect(server.address) as channel:
        yield channel


class Caller:
    """Calls with a deadline, and tells what became of it."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Take the channel."""
        self._stub = DomainServiceStub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    def create(self, name: str) -> int:
        """Create a domain and return its revision."""
        request = CreateDomainRequest(domain=name)
        return self._stub.CreateDomain(request, metadata=wire.metadata(), timeout=DEADLINE).revision

    def refusals(self) -> list[errors.Error]:
        """Return the errors of a look-up, a read and a write; none where they were answered."""
        told = []
        for call in (self.get, self._list, lambda: self.create("refused.example.com")):
            began = time.monotonic()
            try:
                call()
            except grpc.RpcError as error:
                told.append(errors.from_rpc_error(error))
            assert time.monotonic() - began < DEADLINE + 0.5
        return told

    def get(self) -> None:
        """Get the domain that was there before."""
        request = GetDomainRequest(domain="before.example.com")
        self._stub.GetDomain(request, metadata=wire.metadata(), timeout=DEADLINE)

    def health(self) -> int:
        """Return what the server says of itself."""
        return self._health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE).status

    def _list(self) -> None:
        self._stub.ListDomains(ListDomainsRequest(), metadata=wire.metadata(), timeout=DEADLINE)


def watch(server: ServerProcess) -> Watcher:
    """Watch everything, with a bookmark every second."""
    request = WatchStatusRequest(start=WatchStatusRequest.EARLIEST, heartbeat_interval=Duration(seconds=1))
    return Watcher(server.address, request)


def require_silence(watcher: Watcher, seconds: float) -> None:
    """Check that no message comes for some seconds."""
    count = sum(len(session.arrivals) for session in watcher.sessions)
    until_then = time.monotonic() + seconds
    until(lambda: time.monotonic() > until_then, within=seconds + 1)
    assert sum(len(session.arrivals) for session in watcher.sessions) == count


def outage(
    server: ServerProcess, channel: grpc.Channel, go: Callable[[], None], come_back: Callable[[], None]
) -> list[errors.Error]:
    """Take the database away, and check all but the errors of calls, which are returned."""
    caller = Caller(channel)
    with watch(server) as watcher:
        caller.create("before.example.com")
        caller.get()
        watcher.expect(StatusEvent.CREATED, "before.example.com")
        assert caller.health() == SERVING
        go()
        gone = time.monotonic()
        refusals = [refusal for _ in range(2) for refusal in caller.refusals()]
        until(lambda: caller.health() == NOT_SERVING, within=6)
        until(lambda: time.monotonic() > gone + STALE_AFTER + 1)
        require_silence(watcher, 2)
        come_back()
        until(lambda: caller.health() == SERVING, within=15)
        revision = until(lambda: _attempt(caller), within=15)
        caller.get()
        told = watcher.expect(StatusEvent.CREATED, "after.example.com")
        assert told.event.revision == revision
        model.require_contiguous([event.revision for event in watcher.events])
        assert watcher.events[0].revision == 1
    return refusals


def _attempt(caller: Caller) -> int:
    try:
        return caller.create("after.example.com")
    except grpc.RpcError:
        return 0


def test_stopped_database_is_waited_out(
    server: ServerProcess, channel: grpc.Channel, database: PostgresProcess
) -> None:
    """While PostgreSQL is stopped calls answer DATABASE_UNAVAILABLE; afterwards all goes on without a gap."""
    refusals = outage(server, channel, database.stop, database.start)
    assert len(refusals) == 6
    for refusal in refusals:
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
        assert refusal.retry_after is not None


def test_frozen_database_is_waited_out(
    server: ServerProcess, channel: grpc.Channel, database: PostgresProcess
) -> None:
    """While PostgreSQL hangs calls end at their deadline; afterwards all goes on without a gap."""
    refusals = outage(server, channel, database.freeze, database.thaw)
    assert len(refusals) == 6
    for refusal in refusals:
        assert refusal.code in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
