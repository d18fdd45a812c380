"""Checks on request in several processes over one database, on every database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from service.core import lifecycle
from service.store.sql import SqlStore
from service.verifier import Verifier, VerifierConfig
from tests.support.clock import HandClock
from tests.support.samples import sample_domain
from tests.verifier.conftest import HandDns, HandProvider

ROUNDS = 15
CALLERS = 6


def test_processes_share_one_check(
    store: SqlStore, open_one: Callable[[], SqlStore], clock: HandClock
) -> None:
    """At most one in five seconds, whichever replica is asked; all get its result."""
    store.create(sample_domain(), actor="key:1", request=None)
    dns = HandDns()
    dns.gate.set()
    verifiers = [
        Verifier(
            store=each,
            queue=each,
            resolver=dns,
            provider=HandProvider(),
            clock=clock,
            policy=lifecycle.Policy(),
            config=VerifierConfig(threads=0),
        )
        for each in (store, open_one())
    ]
    with ThreadPoolExecutor(CALLERS) as pool:
        for _ in range(ROUNDS):
            dns.asked.clear()
            clock.advance(seconds=5)
            calls = [
                pool.submit(
                    verifiers[number % 2].check_now, "acme", "example.com", wait=timedelta(seconds=10)
                )
                for number in range(CALLERS)
            ]
            assert {call.result().checks.last_check_time for call in calls} == {clock.time}
            assert len([every for _, every in dns.asked if every]) == 1
