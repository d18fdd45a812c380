"""Two servers over one database: neither lets a domain send for longer than was promised.

A checker knows when each DisableDomain had returned, and when each CheckSending began and ended.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import kraiter
import pytest
from kraiter.domains.v1.domain_pb2 import Domain
from kraiter.domains.v1.sending_service_pb2 import SendDecision

from tests.e2e.conftest import HASTE, Serve
from tests.support import publishing
from tests.support.authority import LoopbackDns
from tests.support.server import ServerProcess
from tests.support.waiting import until

ELSEWHERE = 1.0
"""Seconds after which a change must be known to every process."""
TOGGLES = 12


@pytest.fixture
def servers(either_server: ServerProcess, serve: Serve) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Give two processes over one database."""
    other = serve(either_server.environment()["KRAITER_DATABASE_URL"], **HASTE)
    yield either_server, other
    other.stop()


@dataclass
class Asker:
    """Asks one server about a domain in a thread of its own, until it is ended."""

    server: ServerProcess
    name: str
    allowed: list[tuple[float, float]] = field(default_factory=list)
    """When each call that was answered with ALLOW began and ended (monotonic)."""
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        """Begin to ask."""
        thread = threading.Thread(target=self._ask, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Ask no more."""
        self.ended.set()

    def _ask(self) -> None:
        with self.server.client() as client:
            while not self.ended.is_set():
                begun = time.monotonic()
                (decision,) = client.sending.check(self.name)
                if decision.decision == SendDecision.ALLOW:
                    self.allowed.append((begun, time.monotonic()))


def test_a_disabled_domain_stops_everywhere(
    servers: tuple[ServerProcess, ServerProcess], dns: LoopbackDns
) -> None:
    """At once where it was disabled, within a second elsewhere, and exactly for whoever asks so."""
    here, elsewhere = servers
    name = "fresh.example.com"
    with here.client() as client, elsewhere.client() as other, ExitStack() as stack:
        publishing.publish(client.domains.create(name), dns)
        until(lambda: client.domains.get(name).status == Domain.VERIFIED, within=20)
        askers = {0.0: Asker(here, name), ELSEWHERE: Asker(elsewhere, name)}
        threads = [stack.enter_context(closing(asker)).start() for asker in askers.values()]
        disabled = [_toggle(client, other, name, askers[ELSEWHERE]) for _ in range(TOGGLES)]
        until(lambda: all(len(asker.allowed) > TOGGLES for asker in askers.values()))
        stack.close()
        for thread in threads:
            thread.join(10)
    for bound, asker in askers.items():
        for begun, ended in asker.allowed:
            # Whatever overlaps with the next EnableDomain may know of it already.
            assert not any(since + bound < begun and ended < enabled for since, enabled in disabled)


def _toggle(
    client: kraiter.Client, other: kraiter.Client, name: str, elsewhere: Asker
) -> tuple[float, float]:
    """Disable a domain, and enable it again once everybody knows; return when it was certainly disabled."""
    revision = client.domains.disable(name).revision
    since = time.monotonic()
    (exact,) = other.sending.check(name, min_revision=revision)
    assert (exact.decision, exact.reason) == (SendDecision.HOLD, SendDecision.DOMAIN_DISABLED)
    assert exact.revision >= revision
    until(lambda: time.monotonic() > since + ELSEWHERE + 0.2)
    seen = len(elsewhere.allowed)
    until_enabled = time.monotonic()
    client.domains.enable(name)
    until(lambda: len(elsewhere.allowed) > seen)
    return since, until_enabled
