"""SIGTERM under load: everybody is told, what runs finishes, and all goes on after the next start."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kraiter.domains.v1.domain_pb2 import Domain, StatusEvent
from kraiter.domains.v1.domain_service_pb2 import (
    CreateDomainRequest,
    VerifyDomainRequest,
    WatchStatusRequest,
)
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub

from tests.e2e import wire
from tests.e2e.conftest import HASTE, Serve
from tests.e2e.watcher import Watcher
from tests.support.authority import LoopbackDns, silent
from tests.support.server import ServerProcess
from tests.support.waiting import until

SHUTDOWN_GRACE = 10.0
SLOW_CHECK = {"KRAITER_DNS_TIMEOUT": "1s", "KRAITER_DNS_BUDGET": "3s"}


@pytest.fixture
def server(serve: Serve) -> ServerProcess:
    """Give a server whose checks take seconds where DNS is silent."""
    return serve(**HASTE | SLOW_CHECK)


@pytest.fixture
def silence(dns: LoopbackDns) -> Iterator[None]:
    """Have all of DNS say nothing."""
    servers = (dns.recursive, *dns.authorities)
    for server in servers:
        server.tamper = silent
    yield
    for server in servers:
        server.tamper = None


class Load:
    """Creates domains, one after the other, until it is refused."""

    def __init__(self, address: str, name: str) -> None:
        """Begin."""
        self.created: list[Domain] = []
        self.outcome: tuple[str, str] | None = None
        self._address = address
        self._name = name
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with wire.connect(self._address) as channel:
            stub = DomainServiceStub(channel)
            while self.outcome is None:
                name = f"d{len(self.created)}.{self._name}.example"
                request = CreateDomainRequest(domain=name)
                try:
                    answer = stub.CreateDomain(request, metadata=wire.metadata(), timeout=SHUTDOWN_GRACE)
                except grpc.RpcError as error:
                    self.outcome = wire.outcome(error)
                else:
                    self.created.append(answer)


def health_until_the_end(address: str) -> list[int]:
    """Watch the server's health until it ends the stream; return what it said."""
    said: list[int] = []
    with wire.connect(address) as channel, contextlib.suppress(grpc.RpcError):
        answers = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        said.extend(answer.status for answer in answers)
    return said


def test_everybody_is_told_and_what_runs_finishes(
    server: ServerProcess, silence: None, dns: LoopbackDns
) -> None:
    """SIGTERM: health, streams and callers hear of it, a running check ends well, the exit code is 0."""
    watchers = [
        Watcher(server.address),
        Watcher(server.address, WatchStatusRequest(start=WatchStatusRequest.NOW)),
        Watcher(server.address, WatchStatusRequest(start=WatchStatusRequest.CURRENT_STATE)),
    ]
    with ThreadPoolExecutor() as pool, wire.connect(server.address) as channel:
        health = pool.submit(health_until_the_end, server.address)
        with server.client() as client:
            client.domains.create("slow.example.com")
        load = [Load(server.address, f"load{number}") for number in range(4)]
        until(
            lambda: all(len(each.created) > 5 for each in load) and all(w.session.is_open for w in watchers)
        )
        asked = sum(dns.recursive.queries.values())
        request = VerifyDomainRequest(domain="slow.example.com")
        verifying = DomainServiceStub(channel).VerifyDomain.future(request, metadata=wire.metadata())
        until(lambda: sum(dns.recursive.queries.values()) > asked)

        asked_to_stop = time.monotonic()
        exit_code = server.stop()
        assert time.monotonic() - asked_to_stop < SHUTDOWN_GRACE
        assert exit_code == 0

        assert health.result()[0] == health_pb2.HealthCheckResponse.SERVING
        assert health.result()[-1] == health_pb2.HealthCheckResponse.NOT_SERVING
        assert verifying.result().domain == "slow.example.com"
        for each in load:
            each.thread.join()
            assert each.outcome in {("UNAVAILABLE", "SHUTTING_DOWN"), *wire.GONE}
        assert any(each.outcome == ("UNAVAILABLE", "SHUTTING_DOWN") for each in load)
    for watcher in watchers:
        first = watcher.sessions[0]
        assert first.outcome == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert first.arrivals[-1].message.resume_token
        assert not first.arrivals[-1].message.events

    last = max(each.created[-1].revision for each in load)
    started = time.monotonic()
    server.start()
    assert time.monotonic() - started < 10
    with server.client() as client:
        after = client.domains.create("after.example.com")
        listed = {domain.domain for domain in client.domains.list(page_size=1000)}
    assert {domain.domain for each in load for domain in each.created} <= listed
    assert after.revision > last
    for watcher in watchers:
        watcher.expect(StatusEvent.CREATED, "after.example.com")
        revisions = [event.revision for event in watcher.events]
        assert revisions == list(range(revisions[0], revisions[0] + len(revisions)))
        assert watcher.session.request.resume_token
        watcher.close()


def test_idle_server_stops_at_once(serve: Serve) -> None:
    """Without anything running, SIGTERM ends the process in a moment."""
    server = serve()
    asked = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - asked < 3
