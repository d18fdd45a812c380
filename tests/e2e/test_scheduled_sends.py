"""A sender with its ledger, while domains are paused and resumed and everything is killed.

KRAITER_TEST_SENDS says how many sends (default 1000), KRAITER_TEST_SEED with which random numbers.
"""

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import kraiter
import pytest
from kraiter.domains.v1.domain_pb2 import Domain

from tests.support import publishing
from tests.support.authority import LoopbackDns
from tests.support.sender import SenderProcess
from tests.support.server import ServerProcess
from tests.support.waiting import until

SENDS = int(os.environ.get("KRAITER_TEST_SENDS", "1000"))
DOMAINS = tuple(f"sender{number}.example.com" for number in range(5))
SPREAD = 25
"""Seconds within which all sends are due."""
ROUNDS = 24
BOUND = 5.0
"""What the gate promises at worst: 2 s of silence, and 3 s that a bookmark may lag."""
USUALLY = 1.0
"""How soon it is with nothing in the way."""


@dataclass
class Pauses:
    """Pauses and resumes domains, and knows when each was certainly paused."""

    server: ServerProcess
    since: dict[str, float] = field(default_factory=dict)
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    """Domain, when DisableDomain had returned, when EnableDomain was called."""

    def toggle(self, name: str) -> None:
        """Pause a domain, or resume it."""
        with self.server.client() as client:
            if name in self.since:
                self.spans.append((name, self.since.pop(name), time.time()))
                client.domains.enable(name)
            else:
                client.domains.disable(name)
                self.since[name] = time.time()

    def resume_all(self) -> None:
        """Resume every domain that is paused."""
        for name in list(self.since):
            self.toggle(name)


@pytest.fixture
def sender(either_server: ServerProcess, dns: LoopbackDns, tmp_path: Path) -> Iterator[SenderProcess]:
    """Give a sender, with five VERIFIED domains."""
    with either_server.client() as client:
        for name in DOMAINS:
            publishing.publish(client.domains.create(name), dns)
        until(lambda: all(_is_verified(client, name) for name in DOMAINS), within=20)
    sender = SenderProcess(tmp_path / "ledger.db", either_server.address)
    yield sender
    sender.kill()


def _is_verified(client: kraiter.Client, name: str) -> bool:
    return client.domains.get(name).status == Domain.VERIFIED


@pytest.mark.timeout(300)
def test_every_send_goes_out_exactly_once(either_server: ServerProcess, sender: SenderProcess) -> None:
    """None is lost, none goes out twice, none while its domain is paused, whoever is killed and when.

    Beyond the gate's promise at worst, that is; and within a second while nothing is in the way.
    """
    seed = int(os.environ.get("KRAITER_TEST_SEED", random.randrange(2**32)))
    print(f"KRAITER_TEST_SEED={seed}")  # noqa: T201 - shown when the test fails, to run it again
    chance, server = random.Random(seed), either_server
    pauses = Pauses(server)
    domains = [argument for name in DOMAINS for argument in ("--domain", name)]
    sender.schedule(*domains, "--count", str(SENDS // len(DOMAINS)), "--spread", str(SPREAD))
    sender.start("--until-empty")
    until(sender.sent, within=30)
    for _ in range(ROUNDS):
        match chance.choice(["pause", "pause", "pause", "sender", "server"]):
            case "pause":
                pauses.toggle(chance.choice(DOMAINS))
            case "sender":
                sender.kill()
                sender.start("--until-empty")
            case "server":
                server.kill()
                server.start()
                until(server.is_reached, within=15)
        _let_pass(chance.uniform(0.0, 2.0))
    _require_quick_stop(pauses, sender)
    _let_pass(BOUND)
    pauses.resume_all()
    assert sender.processes[-1].wait(120) == 0

    sender.require_all_sent(SENDS)
    sent = sender.rows("SELECT domain, time FROM deliveries")
    late = [
        (name, at - since, until_ - at)
        for name, since, until_ in pauses.spans
        for domain, at in sent
        if domain == name and since + BOUND < at < until_
    ]
    assert late == []
    with server.client() as client:
        for name in DOMAINS:
            assert list(client.sending.uses(name)) == []


def _require_quick_stop(pauses: Pauses, sender: SenderProcess) -> None:
    """Pause every domain, with nobody killed: a second later nothing goes out any more."""
    pauses.resume_all()
    before = len(sender.sent())
    until(lambda: len(sender.sent()) > before or not _is_any_left(sender), within=30)
    for name in DOMAINS:
        pauses.toggle(name)
    _let_pass(USUALLY)
    stopped = len(sender.sent())
    _let_pass(2 * USUALLY)
    assert len(sender.sent()) == stopped


def _is_any_left(sender: SenderProcess) -> bool:
    return bool(sender.rows("SELECT 1 FROM messages WHERE state IN ('NEW', 'SCHEDULED') LIMIT 1"))


def _let_pass(seconds: float) -> None:
    """Let the world go on: what is tested is when things happen."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, within=seconds + 1)
