"""What CheckSending remembers is never older than it promises."""

import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service import sending_memory
from service.core.domain import Moved
from service.core.errors import Reason, ServiceError
from service.core.health import Health
from service.core.keys import Scope
from service.core.sending import Decision, SendDecision, Standing
from service.core.tenants import OnCritical, TenantPolicy
from service.sending_memory import FRESH, SendingMemory
from service.store.sql import SqlStore
from service.usecases import CheckSending, DeleteDomain, DisableDomain, EnableDomain
from service.usecases.caller import Caller
from service.usecases.check_sending import WantedDecisions
from tests.store.moves import toggled, verified
from tests.support.samples import NOON, sample_domain
from tests.support.waiting import until

NAME = "example.com"
ACME = Caller("acme", "1", frozenset(Scope))


class HandTime:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the time it was set to."""
        return self.now


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> HandTime:
    """Give the memory's clock into the test's hand."""
    made = HandTime()
    monkeypatch.setattr(sending_memory, "time", made)
    return made


def remembering(store: SqlStore) -> SendingMemory:
    """Return a memory that nobody has asked yet; it follows only when the test says so."""
    return SendingMemory(store=store, log=store, policies=store)


class Pickled:
    """How the tests serialise questions and answers."""

    def understood(self, question: bytes) -> tuple[list[str], int]:
        """Return what was asked."""
        names, min_revision = json.loads(question)
        return names, min_revision

    def said(self, decisions: Any) -> bytes:
        """Return decisions as they are."""
        return pickle.dumps(decisions)


def check(memory: SendingMemory, *names: str, min_revision: int = 0) -> list[SendDecision]:
    """Ask as a caller does: memory first, then the database."""
    asking = CheckSending(memory)
    question = json.dumps([names, min_revision]).encode()
    if (known := asking.from_memory(Pickled(), question, ACME)) is not None:
        return list(pickle.loads(known))  # noqa: S301 - pickled right here
    (answer,) = asking([WantedDecisions(ACME, names, min_revision)])
    if isinstance(answer, ServiceError):
        raise answer
    return list(answer)


@pytest.fixture
def memory(store: SqlStore) -> SendingMemory:
    """Return a memory over a store with one VERIFIED domain."""
    store.create(sample_domain(), actor="key:1", request=None)
    store.change("acme", NAME, verified)
    return remembering(store)


def test_what_was_read_is_remembered(memory: SendingMemory, store: SqlStore, hand: HandTime) -> None:
    """The second answer comes without the database, and says the revision it is based on."""
    assert memory.recall("acme", [NAME], 0) is None
    first = memory.read("acme", {NAME, "none.com"})
    assert first.standings[NAME] == Standing.of(store.get("acme", NAME))
    assert first.standings["none.com"] is None
    assert memory.recall("acme", [NAME, "none.com"], 0) == first
    assert first.revision == store.head("acme") == 2
    assert memory.recall("acme", [NAME, "other.com"], 0) is None
    assert memory.recall("rival", [NAME], 0) is None


def test_memory_does_not_answer_when_it_was_not_looked_after(memory: SendingMemory, hand: HandTime) -> None:
    """Once the last look at the log is too long ago, only the database can tell."""
    memory.read("acme", {NAME})
    hand.now += FRESH
    assert memory.recall("acme", [NAME], 0) is not None
    hand.now += 0.001
    assert memory.recall("acme", [NAME], 0) is None
    memory.follow()
    assert memory.recall("acme", [NAME], 0) is not None


def test_the_promise_leaves_room_for_a_look(hand: HandTime) -> None:
    """What a look may miss, and how long it counts, come to less than the promised second."""
    assert FRESH < 1
    assert 2 * sending_memory.POLL < FRESH


def test_another_processs_change_is_seen_by_the_next_look(
    memory: SendingMemory, open_one: Callable[[], SqlStore], hand: HandTime
) -> None:
    """A change of one domain is forgotten, and of no other."""
    other = open_one()
    other.create(sample_domain(name="b.com"), actor="key:1", request=None)
    memory.read("acme", {NAME, "b.com"})
    changed = other.change("acme", NAME, toggled)
    assert memory.recall("acme", [NAME], 0) is not None
    memory.follow()
    assert memory.recall("acme", [NAME], 0) is None
    known = memory.recall("acme", ["b.com"], changed.revision)
    assert known is not None
    assert known.revision == changed.revision


def test_a_newer_revision_is_asked_of_the_database(
    memory: SendingMemory, open_one: Callable[[], SqlStore], hand: HandTime
) -> None:
    """With `min_revision` an answer is at least as fresh, however fresh memory is otherwise."""
    memory.read("acme", {NAME})
    changed = open_one().change("acme", NAME, toggled)
    (stale,) = check(memory, NAME)
    assert stale.ruling.decision is Decision.ALLOW
    (exact,) = check(memory, NAME, min_revision=changed.revision)
    assert (exact.ruling.decision, exact.revision) == (Decision.HOLD, changed.revision)
    with pytest.raises(ServiceError) as caught:
        check(memory, NAME, min_revision=changed.revision + 1)
    assert caught.value.reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        (lambda store, memory: DisableDomain(store, memory)(ACME, NAME), Decision.HOLD),
        (lambda store, memory: DeleteDomain(store, memory)(ACME, NAME), Decision.REJECT),
    ],
)
def test_a_change_in_this_process_shows_at_once(
    memory: SendingMemory,
    store: SqlStore,
    hand: HandTime,
    change: Callable[[SqlStore, SendingMemory], object],
    decision: Decision,
) -> None:
    """Without a look at the log, as soon as the call has returned."""
    check(memory, NAME)
    change(store, memory)
    (answer,) = check(memory, NAME)
    assert answer.ruling.decision is decision


def test_enabling_shows_at_once(memory: SendingMemory, store: SqlStore, hand: HandTime) -> None:
    """Nobody waits longer than needed."""
    DisableDomain(store, memory)(ACME, NAME)
    check(memory, NAME)
    EnableDomain(store, memory)(ACME, NAME)
    (answer,) = check(memory, NAME)
    assert answer.ruling.decision is Decision.ALLOW


def test_what_was_read_before_a_change_is_not_put_in_after_it(
    memory: SendingMemory, store: SqlStore, hand: HandTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow reader must not bring back what was forgotten meanwhile."""
    check(memory, "other.com")  # so that there is a memory of the tenant
    find = store.find

    def slow(tenant: str, names: Any) -> Any:
        found = find(tenant, names)
        DisableDomain(store, memory)(ACME, NAME)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(store, "find", slow)
        memory.read("acme", {NAME})
    (answer,) = check(memory, NAME)
    assert answer.ruling.decision is Decision.HOLD


def test_the_same_question_is_answered_from_what_was_answered(
    memory: SendingMemory, store: SqlStore, hand: HandTime
) -> None:
    """With the same octets, until anything that it follows from is forgotten; long ones are not kept."""
    memory.read("acme", {NAME})
    known = memory.recall("acme", [NAME], 0)
    assert known is not None
    for question, answer in ((("", b"q" * 512), b"kept"), (("", b"q" * 513), None)):
        memory.keep("acme", question, b"kept", known)
        assert memory.answer("acme", question) == answer
    assert memory.answer("acme", ("limited key", b"q" * 512)) is None
    assert memory.answer("rival", ("", b"q" * 512)) is None
    DisableDomain(store, memory)(ACME, NAME)
    assert memory.answer("acme", ("", b"q" * 512)) is None
    memory.keep("acme", ("", b"q"), b"of before", known)
    assert memory.answer("acme", ("", b"q")) is None


def test_a_policy_of_the_tenant_is_followed(memory: SendingMemory, store: SqlStore, hand: HandTime) -> None:
    """It decides about CRITICAL domains, and changes with the next look."""
    store.change("acme", NAME, lambda one: Moved(replace(one, health=Health.CRITICAL)))
    store.set_policy("acme", TenantPolicy(messages_per_hour=7), NOON)
    (answer,) = check(memory, NAME)
    assert answer.ruling == (Decision.THROTTLE, "HEALTH_CRITICAL", 7)
    store.set_policy("acme", TenantPolicy(on_critical=OnCritical.SUSPEND), NOON)
    memory.follow()
    (answer,) = check(memory, NAME)
    assert answer.ruling.decision is Decision.HOLD


def test_after_a_long_absence_memory_begins_anew(
    memory: SendingMemory, open_one: Callable[[], SqlStore], hand: HandTime
) -> None:
    """What changed first may be kept no longer: nothing of before counts."""
    other = open_one()
    memory.read("acme", {NAME})
    other.change("acme", NAME, toggled)
    other.trim(NOON + timedelta(days=1), 100)
    hand.now += 45
    memory.follow()
    assert memory.recall("acme", [NAME], 0) is None


def test_a_tenant_that_nobody_asks_about_is_forgotten(memory: SendingMemory, hand: HandTime) -> None:
    """After a minute it is followed no longer."""
    memory.read("acme", {NAME})
    hand.now += 61
    memory.follow()
    assert memory.recall("acme", [NAME], 0) is None
    assert memory.read("acme", {NAME}).standings[NAME] is not None


class AwayStore:
    """A store whose log cannot be read for now."""

    def __init__(self, store: SqlStore) -> None:
        """Take the store behind it."""
        self._store = store
        self.is_away = threading.Event()

    def bounds(self, tenants: Any) -> Any:
        """Return what the store does, or fail."""
        if self.is_away.is_set():
            raise ServiceError(Reason.DATABASE_UNAVAILABLE, "the database cannot be reached now")
        return self._store.bounds(tenants)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_without_the_database_memory_answers_no_longer_than_it_may(store: SqlStore) -> None:
    """It goes silent within the promised second, and comes back by itself."""
    store.create(sample_domain(), actor="key:1", request=None)
    away: Any = AwayStore(store)
    memory = SendingMemory(store=store, log=away, policies=store)
    memory.start()
    try:
        memory.read("acme", {NAME})
        away.is_away.set()
        left = time.monotonic()
        until(lambda: memory.recall("acme", [NAME], 0) is None)
        assert time.monotonic() - left < 1
        away.is_away.clear()
        until(lambda: memory.recall("acme", [NAME], 0))
    finally:
        memory.end()


class Toggler(threading.Thread):
    """Disables and enables a domain, and knows since when it is certainly disabled, and until when."""

    def __init__(self, store: SqlStore, memory: SendingMemory, name: str, times: int) -> None:
        """Take how often."""
        super().__init__(daemon=True)
        self._disable, self._enable = DisableDomain(store, memory), EnableDomain(store, memory)
        self._domain, self._times = name, times
        self.disabled: list[tuple[float, float]] = []
        """From the return of a DisableDomain to the call of the next EnableDomain."""

    def run(self) -> None:
        """Toggle."""
        for _ in range(self._times):
            self._disable(ACME, self._domain)
            since = time.monotonic()
            threading.Event().wait(0.05)
            self.disabled.append((since, time.monotonic()))
            self._enable(ACME, self._domain)


class Asker(threading.Thread):
    """Asks about domains for as long as it is left to, and notes when an ALLOW was asked for."""

    def __init__(self, memory: SendingMemory, names: list[str]) -> None:
        """Take whom to ask."""
        super().__init__(daemon=True)
        self._memory, self._names = memory, names
        self.ended = threading.Event()
        self.allowed: list[tuple[float, float, str]] = []
        """When each call that was answered with ALLOW began and ended, and for what."""
        self.failure: Exception | None = None

    def run(self) -> None:
        """Ask."""
        try:
            while not self.ended.is_set():
                begun = time.monotonic()
                answers = check(self._memory, *self._names)
                ended = time.monotonic()
                for answer in answers:
                    if answer.ruling.decision is Decision.ALLOW:
                        self.allowed.append((begun, ended, answer.domain))
        except Exception as error:  # noqa: BLE001 - told by the test
            self.failure = error


@pytest.fixture
def processes(store: SqlStore, open_one: Callable[[], SqlStore]) -> Iterator[list[SendingMemory]]:
    """Give the memories of two processes over one database; `store` is the first one's."""
    memories = [remembering(store), remembering(open_one())]
    for memory in memories:
        memory.start()
    yield memories
    for memory in memories:
        memory.end()


def test_no_call_is_answered_from_before_what_was_promised(
    store: SqlStore, processes: list[SendingMemory]
) -> None:
    """Nothing is allowed that was asked after DisableDomain returned here, or a second after elsewhere.

    Two domains are toggled under the eyes of both processes; the last disabling stays for good.
    """
    names = ["a.com", "b.com"]
    for name in names:
        store.create(sample_domain(name=name), actor="key:1", request=None)
        store.change("acme", name, verified)
    here, elsewhere = processes
    togglers = {name: Toggler(store, here, name, 12) for name in names}
    askers = [(Asker(here, names), 0.0), (Asker(elsewhere, names), 1.0)]
    for thread in (*togglers.values(), *(asker for asker, _ in askers)):
        thread.start()
    for toggler in togglers.values():
        toggler.join()
    for name, toggler in togglers.items():
        DisableDomain(store, here)(ACME, name)
        toggler.disabled.append((time.monotonic(), float("inf")))
    until(lambda: all(asker.failure or _has_stopped(asker) for asker, _ in askers), within=15)
    for asker, bound in askers:
        asker.ended.set()
        asker.join()
        assert asker.failure is None
        assert asker.allowed
        for begun, ended, name in asker.allowed:
            # Whatever overlaps with the next EnableDomain may know of it already.
            assert not any(since + bound < begun and ended < end for since, end in togglers[name].disabled)


def _has_stopped(asker: Asker) -> bool:
    """Whether nothing was allowed for longer than any promise."""
    return bool(asker.allowed) and time.monotonic() - asker.allowed[-1][0] > 1.5
