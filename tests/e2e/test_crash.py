"""SIGKILL under load, again and again: nothing acknowledged is lost, nobody sees a gap or a duplicate.

KRAITER_TEST_KILLS says how often (default 4), KRAITER_TEST_SEED with which random numbers.
"""

import os
import random
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from kraiter.domains.v1.domain_pb2 import StatusEvent
from kraiter.domains.v1.domain_service_pb2 import ListDomainsRequest, WatchStatusRequest
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub

from tests.e2e import model, wire
from tests.e2e.watcher import Watcher
from tests.e2e.writer import Writer
from tests.support.server import KEY, ServerProcess
from tests.support.waiting import until

KILLS = int(os.environ.get("KRAITER_TEST_KILLS", "4"))
TENANTS = ("default", "acme")
WRITERS = 3  # for each tenant
DOMAINS = 3  # for each writer
FILTERED_TYPES = (StatusEvent.CREATED, StatusEvent.SENDING_DISABLED)
MOST_BETWEEN_KILLS = 150  # acknowledged changes


@dataclass(frozen=True)
class Crowd:
    """All who use one tenant."""

    key: str
    writers: list[Writer]
    history: Watcher
    filtered: Watcher
    current: Watcher
    chosen: frozenset[str]
    """The domains that `filtered` asked for."""

    def require_model(self, server: ServerProcess) -> None:
        """Check what everybody saw against each other, and against what the server has."""
        with wire.connect(server.address) as channel:
            request = ListDomainsRequest(page_size=1000)
            page = DomainServiceStub(channel).ListDomains(request, metadata=wire.metadata(self.key))
        listed = {domain.domain: model.stable(domain) for domain in page.domains}
        head = page.revision
        until(lambda: _has_reached(self.history, head) and _has_reached(self.current, head), within=20)
        history = [event for event in self.history.events if event.revision <= head]
        assert history[0].revision == 1
        model.require_contiguous([event.revision for event in history])
        assert model.replayed(history) == listed
        for writer in self.writers:
            assert writer.surprises == []
            model.require_acknowledged(history, writer.acknowledged)

        wanted = [event for event in history if self._is_wanted(event)]
        until(lambda: len(self.filtered.events) >= len(wanted), within=20)
        assert self.filtered.events == wanted

        later = [event for event in self.current.events if event.revision <= head]
        start = later[0].revision - 1 if later else head
        snapshot = {event.domain: model.stable(event.state) for event in self.current.snapshot}
        assert snapshot == model.replayed(history[:start])
        assert later == history[start:]

    def _is_wanted(self, event: StatusEvent) -> bool:
        return event.domain in self.chosen and event.type in FILTERED_TYPES


def _has_reached(watcher: Watcher, revision: int) -> bool:
    events = watcher.events
    return bool(events) and events[-1].revision >= revision


def gather(server: ServerProcess, tenant: str, key: str, stack: ExitStack, seeds: random.Random) -> Crowd:
    """Set writers and watchers of a tenant to work."""
    names = [f"d{number}.{tenant}.example" for number in range(WRITERS * DOMAINS)]
    writers = []
    for number in range(WRITERS):
        own = names[number * DOMAINS : (number + 1) * DOMAINS]
        writers.append(Writer(server.address, key, own, seeds.getrandbits(32)))
        stack.callback(writers[-1].stop)
    # So that the initial state has something to tell.
    wait_for_changes(writers, 10 * WRITERS)
    chosen = names[::2]
    requests = (
        WatchStatusRequest(start=WatchStatusRequest.EARLIEST),
        WatchStatusRequest(start=WatchStatusRequest.EARLIEST, domains=chosen, types=FILTERED_TYPES),
        WatchStatusRequest(start=WatchStatusRequest.CURRENT_STATE),
    )
    watchers = [stack.enter_context(Watcher(server.address, request, key)) for request in requests]
    until(lambda: all(watcher.session.is_open for watcher in watchers))
    history, filtered, current = watchers
    return Crowd(key, writers, history, filtered, current, frozenset(chosen))


def wait_for_changes(writers: list[Writer], count: int) -> None:
    """Wait until so many more changes were acknowledged."""

    def acknowledged() -> int:
        return sum(len(writer.acknowledged) for writer in writers)

    enough = acknowledged() + count
    until(lambda: acknowledged() >= enough, within=30)


@pytest.mark.timeout(90 + 15 * KILLS)
def test_crashes_lose_nothing(either_server: ServerProcess) -> None:
    """After any number of kills what watchers saw, what writers were told and what there is agree."""
    seed = int(os.environ.get("KRAITER_TEST_SEED", random.randrange(2**32)))
    print(f"KRAITER_TEST_SEED={seed}")  # noqa: T201 - shown when the test fails, to run it again
    chance, server = random.Random(seed), either_server
    server.command("tenants", "create", "acme").check_returncode()
    made = server.command(
        *("keys", "create", "--tenant", "acme", "--scope", "domains.read", "--scope", "domains.write")
    )
    keys = (KEY, made.stdout.strip())
    with ExitStack() as stack:
        crowds = [
            gather(server, tenant, key, stack, chance) for tenant, key in zip(TENANTS, keys, strict=True)
        ]
        writers = [writer for crowd in crowds for writer in crowd.writers]
        for _ in range(KILLS):
            wait_for_changes(writers, chance.randint(1, MOST_BETWEEN_KILLS))
            server.kill()
            server.start()
        wait_for_changes(writers, 1)
        for writer in writers:
            writer.stop()
        for crowd in crowds:
            crowd.require_model(server)
