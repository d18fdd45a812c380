"""The example sender, as a process of its own: killed, held, without a service."""

import importlib.util
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2
from kraiter.domains.v1.domain_pb2 import Domain, StatusEvent
from kraiter.domains.v1.sending_service_pb2 import DomainUse

from tests.client.conftest import KEY
from tests.client.scripted import Fault, Script
from tests.support.sender import EXAMPLE, SenderProcess
from tests.support.waiting import until

A, B = "a.example.com", "b.example.com"


def _calls(script: Script) -> int:
    return script.asked("PutDomainUse") + script.asked("DeleteDomainUse")


@pytest.fixture
def sender(tmp_path: Path, script: Script) -> Iterator[SenderProcess]:
    """Give a sender at the scripted service."""
    sender = SenderProcess(tmp_path / "ledger.db", script.address, KEY)
    yield sender
    sender.kill()


def test_messages_are_registered_sent_when_due_and_removed(script: Script, sender: SenderProcess) -> None:
    """Each in its time, from each domain."""
    script.put(A)
    script.put(B)
    sender.schedule("--domain", A, "--domain", B, "--count", "5", "--spread", "2")
    sender.finish()
    sender.require_all_sent(10)
    late = "SELECT max(time - due), min(time - due) FROM deliveries JOIN messages ON id = message"
    [(latest, earliest)] = sender.rows(late)
    assert 0 <= float(earliest) <= float(latest) < 10
    put = script.requests["PutDomainUse"]
    assert {(use.kind, use.use_id) for use in put} == {
        (DomainUse.SCHEDULED_SEND, message) for message in sender.sent()
    }
    due = dict(sender.rows("SELECT id, due FROM messages"))
    assert all(abs(use.scheduled_time.ToNanoseconds() / 1e9 - float(due[use.use_id])) < 0.001 for use in put)
    assert script.uses == {}


def test_a_held_domain_keeps_its_messages(script: Script, sender: SenderProcess) -> None:
    """They are sent once it is enabled; another domain's go meanwhile."""
    script.put(A, sending_enabled=False)
    script.put(B)
    sender.schedule("--domain", A, "--domain", B, "--count", "100")
    process = sender.start("--until-empty")
    until(lambda: len(sender.sent(B)) == 100, within=30)
    assert sender.sent(A) == []
    script.put(A, StatusEvent.SENDING_ENABLED)
    assert process.wait(60) == 0
    sender.require_all_sent(200)


def test_a_domain_that_is_disabled_stops_at_once(script: Script, sender: SenderProcess) -> None:
    """In the midst of its messages, without a call; and goes on."""
    script.put(A)
    sender.schedule("--domain", A, "--count", "500", "--spread", "2")
    process = sender.start("--until-empty")
    until(lambda: len(sender.sent()) > 100, within=30)
    script.disable(A)
    told = time.time() + 1.0
    until(lambda: sender.rows("SELECT count(*) FROM messages WHERE state = 'NEW'") == [(0,)], within=60)
    assert [found for found in sender.rows("SELECT time FROM deliveries") if float(found[0]) > told] == []
    script.put(A, StatusEvent.SENDING_ENABLED)
    assert process.wait(60) == 0
    sender.require_all_sent(500)


def test_a_kill_at_any_point_loses_nothing(script: Script, sender: SenderProcess) -> None:
    """And nothing is sent twice, wherever it was."""
    chance = random.Random()
    script.put(A)
    script.put(B)
    sender.schedule("--domain", A, "--domain", B, "--count", "150", "--spread", "3")
    for _ in range(6):
        process = sender.start()
        enough = _calls(script) + chance.randint(1, 80)
        until(lambda enough=enough: _calls(script) >= enough, within=30)
        process.kill()
        process.wait()
    sender.finish()
    sender.require_all_sent(300)
    assert script.uses == {}


def test_the_service_may_be_away(script: Script, sender: SenderProcess) -> None:
    """From the start, and later: what is due waits."""
    script.put(A)
    script.fail_always("PutDomainUse")
    script.fail_always("CheckSending")
    script.fail_always("WatchStatus")
    sender.schedule("--domain", A, "--count", "200", "--spread", "2")
    process = sender.start("--until-empty")
    until(lambda: script.asked("PutDomainUse") and script.asked("WatchStatus"), within=30)
    assert sender.sent() == []
    script.recover()
    until(sender.sent, within=30)
    for method in ("PutDomainUse", "DeleteDomainUse", "CheckSending", "WatchStatus"):
        script.fail_always(method)
    script.break_streams()
    before = _calls(script)
    until(lambda: _calls(script) > before + 3, within=30)
    script.recover()
    assert process.wait(60) == 0
    sender.require_all_sent(200)


def test_what_must_not_be_sent_is_not(script: Script, sender: SenderProcess) -> None:
    """From a domain that is not there, or not verified; neither stands in the way of others."""
    pending = "pending.example.com"
    script.put(A)
    script.put(pending, status=Domain.PENDING)
    sender.schedule("--domain", A, "--domain", B, "--domain", pending, "--count", "2")
    sender.finish()
    assert len(sender.sent(A)) == len(sender.sent()) == 2
    states = "SELECT domain, state, is_registered, count(*) FROM messages GROUP BY 1, 2, 3 ORDER BY 1"
    assert sender.rows(states) == [
        (A, "SENT", 0, 2),
        (B, "REJECTED", 0, 2),
        (pending, "REJECTED", 0, 2),
    ]
    assert script.uses == {}


def test_a_use_that_is_gone_is_not_missed(script: Script, sender: SenderProcess) -> None:
    """It was removed, but that could not be noted."""
    script.put(A, sending_enabled=False)
    sender.schedule("--domain", A, "--count", "3")
    process = sender.start("--until-empty")
    until(lambda: sender.rows("SELECT DISTINCT state FROM messages") == [("SCHEDULED",)], within=30)
    script.uses.clear()
    script.put(A, StatusEvent.SENDING_ENABLED)
    assert process.wait(30) == 0
    sender.require_all_sent(3)


def test_a_service_that_refuses_is_left_alone_for_a_while(script: Script, sender: SenderProcess) -> None:
    """There is no more than a call a second until it is well again."""
    script.put(A)
    script.fail_always("PutDomainUse", Fault(code_pb2.INTERNAL))
    sender.schedule("--domain", A)
    process = sender.start("--until-empty")
    until(lambda: script.asked("PutDomainUse"), within=30)
    started = time.monotonic()
    until(lambda: script.asked("PutDomainUse") > 3, within=30)
    assert time.monotonic() - started > 2.5
    script.recover()
    assert process.wait(30) == 0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Any]:
    """Give a ledger with a message that is due."""
    spec = importlib.util.spec_from_file_location("scheduled_sender", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with closing(module.Ledger(str(tmp_path / "ledger.db"))) as ledger:
        ledger.add([module.Message("m1", A, time.time())])
        yield ledger


def test_a_ledger_sends_what_is_scheduled_once(ledger: Any) -> None:
    """Whoever else has looked at it before."""
    (message,) = ledger.new()
    ledger.send(message)
    assert ledger.due(A) == []
    ledger.note_registered(message)
    (due,) = ledger.due(A)
    for _ in range(2):
        ledger.send(due)
    assert len(ledger._connection.execute("SELECT * FROM deliveries").fetchall()) == 1


def test_what_was_sent_stays_so(ledger: Any) -> None:
    """Another sender may register it again, or reject it: the use is removed, and no more."""
    (message,) = ledger.new()
    ledger.note_registered(message)
    ledger.send(message)
    ledger.note_removed(message)
    assert ledger.is_empty()
    ledger.note_registered(message)
    ledger.note_rejected(message)
    assert ledger.due(A) == []
    assert ledger.done() == [message]
    assert ledger._connection.execute("SELECT state FROM messages").fetchall() == [("SENT",)]


def test_a_ledger_gives_the_earliest_first(ledger: Any) -> None:
    """In whatever order they were added."""
    (message,) = ledger.new()
    earlier = message._replace(id="m0", due=message.due - 1)
    ledger.add([earlier])
    assert ledger.new() == [earlier, message]
    for each in (message, earlier):
        ledger.note_registered(each)
    assert ledger.due(A) == [earlier, message]


def test_two_may_work_at_one_ledger(script: Script, sender: SenderProcess) -> None:
    """A message is sent once all the same."""
    script.put(A)
    sender.schedule("--domain", A, "--count", "300", "--spread", "2")
    for process in [sender.start("--until-empty") for _ in range(2)]:
        assert process.wait(60) == 0
    sender.require_all_sent(300)
    assert script.uses == {}
