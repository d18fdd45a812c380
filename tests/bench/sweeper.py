"""A process that checks the due domains of a database, and says how many.

`python -m tests.bench.sweeper verifier|resolver DATABASE HOST PORT`: says `ready` once it has
warmed up, checks for as many seconds as a line on its input says, and prints what came of it.
`verifier` is the service's own; `resolver` checks one domain after the other with dnspython's.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import dns.resolver

from service import ports
from service.clock import SystemClock
from service.core import lifecycle, schedule, verdict
from service.core.answers import Answer, Answers, Outcome, Question, RecordType
from service.core.domain import Domain, Moved
from service.dns import DnsConfig, DnsResolver, Endpoint
from service.mail.local import LocalMailProvider
from service.store.sql import SqlStore, open_store
from service.verifier import Verifier, VerifierConfig

_LEASE = timedelta(minutes=1)
_POLICY = lifecycle.Policy(intervals=schedule.Intervals(verified=timedelta()))
"""Domains are due again as soon as all others were looked at."""


class CountingQueue:
    """The queue of a store, which knows how many domains were saved as they were."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.saved = 0
        self.claim = store.claim
        self.claim_due = store.claim_due
        self.release = store.release
        self.next_due = store.next_due
        self.hasten = store.hasten

    def save(self, checked: list[ports.CheckedMove]) -> list[Domain | None]:
        """Save, and count."""
        saved = list(self._store.save(checked))
        for move, after in zip(checked, saved, strict=True):
            assert after is not None
            assert after.records == move.claim.domain.records
        self.saved += len(saved)
        return saved


@contextmanager
def by_verifier(queue: CountingQueue, store: SqlStore, server: Endpoint) -> Iterator[Callable[[float], None]]:
    """Check as the service does."""
    config = DnsConfig(nameservers=(server,), allow_private=True, authority_port=server.port)
    resolver = DnsResolver(config)

    def check(seconds: float) -> None:
        verifier = Verifier(
            store=store,
            queue=queue,  # type: ignore[arg-type]
            resolver=resolver,
            provider=LocalMailProvider(b"bench"),
            clock=SystemClock(),
            policy=_POLICY,
            config=VerifierConfig(),
        )
        verifier.start()
        time.sleep(seconds)  # how long it is measured
        verifier.stop()

    yield check
    resolver.close()


@contextmanager
def by_resolver(
    queue: CountingQueue, _store: SqlStore, server: Endpoint
) -> Iterator[Callable[[float], None]]:
    """Check one domain after the other, as a plain script would."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [server.address], server.port

    def check(seconds: float) -> None:
        clock = SystemClock()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for claim in queue.claim_due(clock.now(), 1, _LEASE):
                answers = {
                    question: Answers(question, (_resolved(resolver, question),))
                    for question in verdict.questions(claim.domain)
                }
                queue.save([ports.CheckedMove(claim, _move(answers))])

    yield check


def _resolved(resolver: dns.resolver.Resolver, question: Question) -> Answer:
    found = resolver.resolve(question.name, question.type)
    values = [_value(question.type, rdata) for rdata in found]
    return Answer(question, Outcome.FOUND, tuple(values), "", "", authoritative=True)


def _value(kind: RecordType, rdata: dns.rdata.Rdata) -> str:
    match kind:
        case RecordType.TXT:
            return b"".join(rdata.strings).decode()  # type: ignore[attr-defined]
        case _:
            return rdata.to_text().removesuffix(".")


def _move(answers: dict[Question, Answers]) -> Callable[[Domain], Moved]:
    def move(domain: Domain) -> Moved:
        check = lifecycle.Check(
            verdict=verdict.judge(domain, answers),
            time=SystemClock().now(),
            provider_ready=True,
            provider_revoked=False,
            held_elsewhere=False,
        )
        return lifecycle.after_check(domain, check, _POLICY)

    return move


_KINDS = {"verifier": by_verifier, "resolver": by_resolver}


def main() -> None:
    """Check whenever a line says for how long, until the input ends."""
    kind, url, host, port = sys.argv[1:]
    store = open_store(url, clock=SystemClock())
    queue = CountingQueue(store)
    with _KINDS[kind](queue, store, Endpoint(host, int(port))) as check:
        check(0.3)
        # As the service does once it has started.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 20, 50)
        print("ready", flush=True)
        for line in sys.stdin:
            queue.saved = 0
            used, started = time.process_time(), time.monotonic()
            check(float(line))
            told = {
                "checked": queue.saved,
                "seconds": time.monotonic() - started,
                "cpu": time.process_time() - used,
            }
            print(json.dumps(told), flush=True)
    store.close()


if __name__ == "__main__":
    main()
