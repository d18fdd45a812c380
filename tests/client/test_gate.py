"""The send gate, for threads and for asyncio, at a service that does as the test says."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kraiter
import pytest
from google.rpc import code_pb2
from kraiter import Decision, admission
from kraiter.decisions import NOT_FOUND, UNDECIDED
from kraiter.domains.v1.domain_pb2 import Domain, StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusRequest
from kraiter.domains.v1.sending_service_pb2 import SendDecision
from kraiter.watch import Watch

from tests.client.conftest import KEY
from tests.client.scripted import UNAVAILABLE, Fault, Script
from tests.support.waiting import until

A, B, C = "a.example.com", "b.example.com", "c.example.com"
ALLOWED = Decision(SendDecision.ALLOW)
DISABLED = Decision(SendDecision.HOLD, SendDecision.DOMAIN_DISABLED)
SUSPENDED = SendDecision(decision=SendDecision.HOLD)
SHORT = 0.3
"""Seconds of silence, where that is what a test is about."""


def _throttled(per_hour: int) -> SendDecision:
    return SendDecision(decision=SendDecision.THROTTLE, messages_per_hour=per_hour)


def _from_memory(gate: Any, script: Script, domain: str) -> Decision | None:
    """Return the decision on a domain, or None where the service was asked."""
    before = script.asked("CheckSending")
    decision = gate.decision(domain)
    return decision if script.asked("CheckSending") == before else None


def _until_known(gate: Any, script: Script, domain: str, decision: Decision = ALLOWED) -> None:
    """Wait until the gate has a decision by its stream, and none that it was given when it asked."""
    until(lambda: script.bookmarks > 1)
    until(lambda: not script.checked[domain] or time.monotonic() > script.answered[domain] + 1.1)
    until(lambda: _from_memory(gate, script, domain) == decision)


def _background(call: Callable[[], Any]) -> Any:
    """Call in a thread, and return its future."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    return future


def test_it_answers_from_memory(script: Script, client: Any) -> None:
    """What the stream told is not asked for."""
    script.put(A)
    script.put(B, status=Domain.PENDING, health=Domain.HEALTH_UNSPECIFIED)
    script.put(C, sending_enabled=False)
    with client.gate() as gate:
        _until_known(gate, script, A)
        before = script.asked("CheckSending")
        assert gate.allowed(A)
        assert not gate.allowed(B)
        assert not gate.allowed(C)
        assert gate.decision(A) == ALLOWED
        assert gate.decision(B) == Decision(SendDecision.REJECT, SendDecision.NOT_VERIFIED)
        assert gate.decision(C) == DISABLED
        assert script.asked("CheckSending") == before
    (request,) = script.requests["WatchStatus"]
    assert request.start == WatchStatusRequest.CURRENT_STATE
    assert request.heartbeat_interval.ToTimedelta().total_seconds() == 1


def test_changes_arrive_by_the_stream(script: Script, client: Any) -> None:
    """Paused, resumed, deleted, created again."""
    script.put(A)
    with client.gate() as gate:
        _until_known(gate, script, A)
        before = script.asked("CheckSending")
        script.disable(A)
        until(lambda: gate.decision(A) == DISABLED)
        script.put(A, StatusEvent.SENDING_ENABLED)
        until(lambda: gate.allowed(A))
        script.delete(A)
        until(lambda: gate.decision(A) == NOT_FOUND)
        script.put(A)
        until(lambda: gate.allowed(A))
        assert script.asked("CheckSending") == before


def test_what_is_not_in_memory_is_asked_for_once_a_second(script: Script, client: Any) -> None:
    """A domain that the tenant does not have, or that the gate was not opened for."""
    for name in (A, B):
        script.put(name)
    with client.gate([A]) as gate:
        _until_known(gate, script, A)
        script.checked.clear()
        for _ in range(100):
            assert gate.allowed(B)
            assert gate.decision(C) == NOT_FOUND
            assert gate.allowed(A)
        assert 1 <= script.checked[B] <= 2
        assert 1 <= script.checked[C] <= 2
        assert script.checked[A] == 0
    assert list(script.requests["WatchStatus"][0].domains) == [A]


def test_it_asks_for_at_least_what_it_was_told(script: Script, client: Any) -> None:
    """An answer may not be older than the stream."""
    script.put(A)
    with client.gate() as gate:
        _until_known(gate, script, A)
        revision = script.put(B)
        until(lambda: gate.decision(B) == ALLOWED)
        assert gate.decision(C) == NOT_FOUND
        assert script.requests["CheckSending"][-1].min_revision == revision


def test_it_asks_until_the_initial_state_is_complete(script: Script, client: Any) -> None:
    """What has come of it may be out of date."""
    script.put(A)
    script.shows_snapshots = False
    with client.gate() as gate:
        until(lambda: script.streams)
        assert gate.allowed(A)
        assert script.checked[A] == 1
        script.shows_snapshots = True
        _until_known(gate, script, A)


def test_silence_closes_it(script: Script, client: Any) -> None:
    """The service is asked, once a second, and its word counts, until the stream is back."""
    script.put(A)
    with client.gate(max_silence=SHORT) as gate:
        _until_known(gate, script, A)
        script.is_silent = True
        script.disable(A)
        until(lambda: not gate.allowed(A), within=SHORT + 1)
        assert gate.decision(A) == DISABLED
        before = script.checked[A]
        for _ in range(100):
            assert not gate.allowed(A)
        assert script.checked[A] <= before + 1
        script.put(A, StatusEvent.SENDING_ENABLED)
        script.is_silent = False
        _until_known(gate, script, A)


def test_it_is_closed_where_nobody_can_tell(
    script: Script, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream is silent and the call fails: HOLD with a warning, and no other call for a second."""
    script.put(A)
    with client.gate(max_silence=SHORT) as gate:
        _until_known(gate, script, A)
        script.fail_always("CheckSending", Fault(code_pb2.INTERNAL))
        script.is_silent = True
        until(lambda: not gate.allowed(A), within=SHORT + 1)
        assert gate.decision(A) == UNDECIDED
        before = script.checked[A]
        for _ in range(100):
            assert not gate.allowed(A)
        assert script.checked[A] <= before + 1
        assert caplog.text.count("messages are held") == 1
        script.is_silent = False
        until(lambda: gate.allowed(A))


def test_a_call_that_hangs_is_given_up(script: Script, client: Any) -> None:
    """Within a second: a sender is not kept for longer."""
    script.put(A)
    script.shows_snapshots = False
    script.hangs = True
    with client.gate() as gate:
        until(lambda: script.streams)
        started = time.monotonic()
        assert gate.decision(A) == UNDECIDED
        assert 0.9 < time.monotonic() - started < 5
        script.hangs = False


def test_it_goes_on_after_a_break_and_misses_nothing(script: Script, client: Any) -> None:
    """It resumes where the stream broke, however often that takes."""
    script.put(A)
    script.put(B)
    with client.gate() as gate:
        _until_known(gate, script, A)
        script.fail("WatchStatus", UNAVAILABLE, UNAVAILABLE)
        script.fail_always("CheckSending")
        script.break_streams()
        until(lambda: script.asked("WatchStatus") > 1)
        script.disable(A)
        until(lambda: gate.decision(A) == DISABLED)
        until(lambda: gate.decision(B) == ALLOWED)
    _, *later = script.requests["WatchStatus"]
    assert len(later) == 3
    assert all(request.resume_token == "2" for request in later)
    assert all(request.start == WatchStatusRequest.START_UNSPECIFIED for request in later)


@pytest.mark.parametrize("bookmarked", [False, True])
def test_it_is_closed_until_it_has_caught_up(script: Script, client: Any, bookmarked: bool) -> None:
    """A stream that is open again has yet to tell what was missed."""
    script.put(A)
    with client.gate(max_silence=SHORT) as gate:
        _until_known(gate, script, A)
        script.fail_always("CheckSending", Fault(code_pb2.INTERNAL))
        script.is_silent = script.resumes_late = True
        until(lambda: gate.decision(A) == UNDECIDED)
        script.disable(A)
        script.break_streams(bookmarked=bookmarked)
        until(lambda: script.opened == 2)
        seen = {gate.allowed(A) for _ in range(200)}
        assert seen == {False}
        script.is_silent = script.resumes_late = False
        until(lambda: gate.decision(A) == DISABLED)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(code_pb2.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED"),
        Fault(code_pb2.INVALID_ARGUMENT, "INVALID_RESUME_TOKEN"),
        Fault(code_pb2.PERMISSION_DENIED, "MISSING_SCOPE"),
    ],
)
def test_it_begins_anew_where_it_cannot_go_on(
    script: Script, client: Any, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    """With the current state, and without what it knew before."""
    script.put(A)
    script.put(B)
    with client.gate() as gate:
        _until_known(gate, script, A)
        script.fail("WatchStatus", fault)
        script.break_streams()
        script.delete(A)
        script.disable(B)
        until(lambda: script.asked("WatchStatus") == 3)
        until(lambda: _from_memory(gate, script, B) == DISABLED)
        assert gate.decision(A) == NOT_FOUND
    first, refused, anew = script.requests["WatchStatus"]
    assert refused.resume_token == "2"
    assert anew == first
    assert fault.reason in caplog.text


def test_it_knows_nothing_while_it_begins_anew(script: Script, client: Any) -> None:
    """What it knew may be of another database, whose revisions say nothing of this one's."""
    script.put(A)
    script.put(B)
    with client.gate() as gate:
        _until_known(gate, script, A)
        script.shows_snapshots = False
        script.fail("WatchStatus", Fault(code_pb2.INVALID_ARGUMENT, "INVALID_RESUME_TOKEN"))
        script.delete(B)
        script.break_streams()
        until(lambda: _from_memory(gate, script, A) is None)
        assert script.requests["CheckSending"][-1].min_revision <= 1
        script.shows_snapshots = True
        _until_known(gate, script, A)


def test_an_answer_that_is_older_than_the_stream_is_none(script: Script, client: Any) -> None:
    """A service that does not keep to its word is not believed."""
    script.put(A)
    with client.gate() as gate:
        _until_known(gate, script, A)
        script.answers_from = 1
        script.put(A, StatusEvent.HEALTH_CHANGED, health=Domain.CRITICAL)
        until(lambda: gate.decision(A) == UNDECIDED)


def test_a_throttled_domain_gets_its_share(script: Script, client: Any) -> None:
    """A few messages at once, each True one of them; what it may have is asked for once."""
    script.put(A, health=Domain.CRITICAL)
    script.put(B, health=Domain.CRITICAL)
    script.on_critical = _throttled(20)
    with client.gate() as gate:
        until(lambda: script.streams)
        decision = Decision(SendDecision.THROTTLE, SendDecision.HEALTH_CRITICAL, 20)
        until(lambda: _from_memory(gate, script, A) == decision)
        assert [gate.allowed(A) for _ in range(4)] == [True, True, False, False]
        assert [gate.allowed(B) for _ in range(4)] == [True, True, False, False]
        script.put(A, StatusEvent.HEALTH_CHANGED, health=Domain.WARNING)
        until(lambda: gate.allowed(A))
        assert all(gate.allowed(A) for _ in range(10))
        script.put(A, StatusEvent.HEALTH_CHANGED, health=Domain.CRITICAL)
        until(lambda: not gate.allowed(A))
        assert gate.decision(A) == decision


def test_a_suspended_domain_is_held(script: Script, client: Any) -> None:
    """Until its health is better."""
    script.put(A)
    script.on_critical = SUSPENDED
    with client.gate() as gate:
        _until_known(gate, script, A)
        script.put(A, StatusEvent.HEALTH_CHANGED, health=Domain.CRITICAL)
        until(lambda: gate.decision(A) == Decision(SendDecision.HOLD, SendDecision.HEALTH_CRITICAL))
        assert not gate.allowed(A)
        script.put(A, StatusEvent.HEALTH_CHANGED)
        until(lambda: gate.allowed(A))


def test_waiting_ends_with_the_hold(script: Script, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change itself wakes whoever waits."""
    monkeypatch.setattr(admission, "LOOK_AGAIN", 1000)
    script.put(A, sending_enabled=False)
    with client.gate() as gate:
        _until_known(gate, script, A, DISABLED)
        waiting = [_background(lambda: gate.wait_until_allowed(A)) for _ in range(3)]
        script.put(B)
        until(lambda: gate.decision(B) == ALLOWED)
        assert not any(each.done() for each in waiting)
        script.put(A, StatusEvent.SENDING_ENABLED)
        for each in waiting:
            assert each.result(10) is None


def test_waiting_ends_also_where_only_the_service_can_tell(script: Script, client: Any) -> None:
    """The stream is silent: whoever waits asks again every second."""
    script.put(A, sending_enabled=False)
    with client.gate(max_silence=SHORT) as gate:
        _until_known(gate, script, A, DISABLED)
        script.is_silent = True
        waiting = _background(lambda: gate.wait_until_allowed(A))
        script.put(A, StatusEvent.SENDING_ENABLED)
        assert waiting.result(10) is None


def test_waiting_ends_when_the_share_has_grown(script: Script, client: Any) -> None:
    """Each wait that returns is a message."""
    script.put(A, health=Domain.CRITICAL)
    script.on_critical = _throttled(36_000)
    with client.gate() as gate:
        started = time.monotonic()
        for _ in range(15):
            gate.wait_until_allowed(A, timeout=10)
        passed = time.monotonic() - started
    # Ten go at once, the others a tenth of a second apart.
    assert 0.45 < passed < 5


def test_waiting_for_what_must_not_be_sent_fails(script: Script, client: Any) -> None:
    """With the reason, also while it waits."""
    script.put(A, sending_enabled=False)
    script.put(B, status=Domain.FAILED)
    with client.gate() as gate:
        _until_known(gate, script, A, DISABLED)
        with pytest.raises(kraiter.SendRejected, match="VERIFICATION_FAILED") as caught:
            gate.wait_until_allowed(B)
        assert caught.value.reason == "VERIFICATION_FAILED"
        with pytest.raises(kraiter.SendRejected, match="DOMAIN_NOT_FOUND"):
            gate.wait_until_allowed(C)
        waiting = _background(lambda: gate.wait_until_allowed(A))
        script.delete(A)
        with pytest.raises(kraiter.SendRejected, match="DOMAIN_NOT_FOUND"):
            waiting.result(10)


def test_waiting_for_what_is_no_name_fails(script: Script, client: Any) -> None:
    """Rather than to last for ever."""
    with client.gate() as gate:
        until(lambda: script.streams)
        script.fail_always("CheckSending", Fault(code_pb2.INVALID_ARGUMENT, "INVALID_DOMAIN"))
        with pytest.raises(kraiter.SendRejected, match="DOMAIN_NOT_FOUND"):
            gate.wait_until_allowed("no name")


@pytest.mark.parametrize("timeout", [0, 0.2])
def test_waiting_takes_no_longer_than_its_timeout(script: Script, client: Any, timeout: float) -> None:
    """And returns at once where there is nothing to wait for."""
    script.put(A, sending_enabled=False)
    script.put(B)
    with client.gate() as gate:
        _until_known(gate, script, A, DISABLED)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            gate.wait_until_allowed(A, timeout=timeout)
        assert timeout <= time.monotonic() - started < timeout + 0.7
        gate.wait_until_allowed(B, timeout=timeout)


def test_a_closed_gate_says_so(script: Script, client: Any) -> None:
    """At once: to whoever asks from then on, and to whoever waits."""
    script.put(A)
    script.put(B, sending_enabled=False)
    gate = client.gate()
    _until_known(gate, script, A)
    waiting = _background(lambda: gate.wait_until_allowed(B))
    gate.close()
    closed = time.monotonic()
    for ask in (gate.allowed, gate.decision, gate.wait_until_allowed):
        with pytest.raises(kraiter.GateClosed, match="GATE_CLOSED"):
            ask(A)
    with pytest.raises(kraiter.GateClosed):
        waiting.result(10)
    assert time.monotonic() - closed < 0.7
    until(lambda: not script.streams)
    gate.close()


def test_a_gate_can_be_closed_just_as_it_opens_a_watch(script: Script) -> None:
    """The watch ends as well: nobody else could end it."""
    opening = threading.Event()
    with kraiter.Client(script.address, KEY) as client:

        def open_watch() -> Watch:
            opening.wait()
            return client.domains.watch()

        gate = kraiter.SendGate(open_watch, client.sending, 2.0)
        closing = _background(gate.close)
        until(gate._closed.is_set)
        opening.set()
        assert closing.result(10) is None


def test_a_watch_can_be_closed_just_as_it_opens_a_stream(script: Script) -> None:
    """The stream has ended before it tells anything."""
    with kraiter.Client(script.address, KEY) as client:
        watch = client.domains.watch()
        stream = next(watch.streams())
        watch.close()
        assert list(stream) == []


def test_a_client_closes_its_gates(script: Script, client: Any) -> None:
    """Nothing of them stays behind."""
    gate = client.gate()
    until(lambda: script.streams)
    client.close()
    with pytest.raises(kraiter.GateClosed):
        gate.allowed(A)
    until(lambda: not script.streams)
    assert "send-gate" not in {thread.name for thread in threading.enumerate()}


def test_one_call_is_enough_for_many_who_ask(script: Script, client: Any) -> None:
    """They come at the same time, about the same domain."""
    script.put(A)
    script.shows_snapshots = False
    with client.gate() as gate, ThreadPoolExecutor(16) as pool:
        until(lambda: script.streams)
        together = threading.Barrier(16)

        def ask() -> bool:
            together.wait()
            return bool(gate.allowed(A))

        assert all(future.result() for future in [pool.submit(ask) for _ in range(16)])
        assert script.checked[A] == 1
        script.shows_snapshots = True


def test_many_threads_ask_while_domains_change(script: Script, client: Any) -> None:
    """Each sees the last change soon, whatever came before; a domain that stays as it is does so for all."""
    script.put(A)
    script.put(B)
    stopping = threading.Event()
    with client.gate() as gate, ThreadPoolExecutor(8) as pool:
        _until_known(gate, script, A)
        _until_known(gate, script, B)
        last: dict[int, bool] = {}

        def ask(number: int) -> int:
            count = 0
            # Between two messages a sender does other things.
            while not stopping.wait(0.0005):
                last[number] = gate.allowed(A)
                assert gate.allowed(B)
                count += 1
            return count

        asking = [pool.submit(ask, number) for number in range(8)]
        for _ in range(20):
            script.disable(A)
            until(lambda: set(last.values()) == {False})
            script.put(A, StatusEvent.SENDING_ENABLED)
            until(lambda: set(last.values()) == {True})
        stopping.set()
        assert all(future.result(10) > 20 for future in asking)
