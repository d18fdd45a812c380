"""The send gate at a real server, which stands still, is killed, and comes back."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from kraiter import Client, Decision, SendGate, SendRejected
from kraiter.decision_cache import POLICY_LIFETIME
from kraiter.domains.v1.domain_pb2 import Domain
from kraiter.domains.v1.sending_service_pb2 import DeliveryReport, SendDecision

from tests.e2e.conftest import HASTE, Serve
from tests.support import publishing
from tests.support.authority import LoopbackDns
from tests.support.server import ServerProcess
from tests.support.waiting import until

MAX_SILENCE = 2.0
CALL = 1.0
"""Seconds until a call without an answer is given up."""
_zones = (f"gate{number}.example" for number in count(1))


@pytest.fixture(scope="module")
def server(serve: Serve) -> ServerProcess:
    """Give a server."""
    return serve(**HASTE)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    """Give a client."""
    with server.client() as client:
        yield client


@pytest.fixture
def domain(client: Client, dns: LoopbackDns) -> str:
    """Give a domain that is verified."""
    zone = next(_zones)
    dns.add_zone(zone)
    created = client.domains.create(f"mail.{zone}")
    publishing.publish(created, dns)
    until(lambda: client.domains.verify(created.domain).status == Domain.VERIFIED)
    return created.domain


@pytest.fixture
def gate(client: Client, domain: str) -> Iterator[SendGate]:
    """Give a gate that is open for the domain."""
    with client.gate() as gate:
        until(lambda: gate.allowed(domain))
        yield gate


@contextmanager
def standing_still(server: ServerProcess) -> Iterator[None]:
    """Have the server do nothing, with its connections open."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def _set_policy(server: ServerProcess, *options: str) -> None:
    server.command("tenants", "set", "default", *options).check_returncode()


def test_a_disabled_domain_stops_and_goes_on(client: Client, gate: SendGate, domain: str) -> None:
    """As soon as the caller of DisableDomain knows."""
    client.domains.disable(domain)
    until(lambda: not gate.allowed(domain), within=1)
    client.domains.enable(domain)
    gate.wait_until_allowed(domain, timeout=1)


def test_a_critical_domain_is_held_as_its_tenant_wants(
    client: Client, server: ServerProcess, gate: SendGate, domain: str
) -> None:
    """Throttled, and suspended soon after the tenant's policy was changed."""
    _set_policy(server, "--messages-per-hour", "20")
    report = DeliveryReport(domain=domain, sent=1000, delivered=700, hard_bounces=300)
    report.time.GetCurrentTime()
    client.sending.report([report])
    throttled = Decision(SendDecision.THROTTLE, SendDecision.HEALTH_CRITICAL, 20)
    until(lambda: gate.decision(domain) == throttled)
    assert [gate.allowed(domain) for _ in range(4)] == [True, True, False, False]
    _set_policy(server, "--on-critical", "suspend")
    suspended = Decision(SendDecision.HOLD, SendDecision.HEALTH_CRITICAL)
    until(lambda: gate.decision(domain) == suspended, within=POLICY_LIFETIME + 5)


def test_what_it_was_not_opened_for_is_asked_for(client: Client, domain: str) -> None:
    """Of the service: a domain of the tenant, one that it does not have, and what is none."""
    with client.gate(["other.example"]) as gate:
        assert gate.allowed(domain)
        assert gate.allowed(domain.upper())
        assert gate.decision("nowhere.example").reason == SendDecision.DOMAIN_NOT_FOUND
        with pytest.raises(SendRejected, match="DOMAIN_NOT_FOUND"):
            gate.wait_until_allowed("no name")
        client.domains.disable(domain)
        until(lambda: not gate.allowed(domain), within=2)


def test_it_closes_while_the_server_stands_still(server: ServerProcess, gate: SendGate, domain: str) -> None:
    """Within the bound, and for as long as that lasts."""
    with standing_still(server):
        until(lambda: not gate.allowed(domain), within=MAX_SILENCE + CALL + 1)
        closed = time.monotonic()
        while time.monotonic() < closed + 2 * CALL:
            assert gate.decision(domain).decision == SendDecision.HOLD
    gate.wait_until_allowed(domain, timeout=10)


def test_it_goes_on_with_a_server_that_was_killed(
    client: Client, server: ServerProcess, gate: SendGate, domain: str
) -> None:
    """And misses nothing that happened before it was back."""
    server.kill()
    until(lambda: not gate.allowed(domain), within=MAX_SILENCE + CALL + 1)
    server.start()
    until(server.is_reached, within=15)
    client.domains.disable(domain)
    until(lambda: gate.decision(domain).reason == SendDecision.DOMAIN_DISABLED)
    client.domains.enable(domain)
    gate.wait_until_allowed(domain, timeout=10)
