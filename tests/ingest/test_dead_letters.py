"""Messages that cannot be read: kept with their problem, and counted once they can be."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from service.core.feedback import Reading, Tally, Unreadable
from service.mail.ses.events import parse
from service.ports import QueuedMessage
from service.store.sql import SqlStore
from service.usecases.count_events import CountEvents
from service.usecases.manage_dead_letters import ManageDeadLetters
from tests.ingest.conftest import WINDOW
from tests.support.clock import HandClock
from tests.support.samples import NOON
from tests.support.ses_events import send

Managing = Callable[[Callable[[str], Reading]], ManageDeadLetters]


@pytest.fixture
def managing(opened: SqlStore, clock: HandClock) -> Managing:
    """Return what manages the dead letters of the store, with a parser."""
    return lambda parser: ManageDeadLetters(opened, parser, clock, WINDOW)


def arrive(count: CountEvents, *bodies: str) -> Tally:
    """Have messages arrive."""
    return count("queue", [QueuedMessage("", body, parse(body), NOON) for body in bodies])


def test_a_message_that_cannot_be_read_is_kept(count: CountEvents, managing: Managing) -> None:
    """With its problem, beside what is counted; the same one once."""
    assert arrive(count, "hello", json.dumps(send()), "hello") == Tally(counted=1, dead=1)
    (head,) = managing(parse).list()
    assert (head.queue, head.time, head.problem) == ("queue", NOON, "body: must be JSON")
    letter = managing(parse).get(head.id)
    assert letter is not None
    assert letter.body == "hello"


def test_an_event_of_the_future_is_kept(count: CountEvents, managing: Managing, clock: HandClock) -> None:
    """Clocks differ by some minutes at most; once it is time, it can be counted."""
    ahead = timedelta(minutes=10)
    assert arrive(count, json.dumps(send("a", time=NOON + ahead))) == Tally(counted=1)
    assert arrive(count, json.dumps(send("b", time=NOON + 2 * ahead))) == Tally(dead=1)
    (head,) = managing(parse).list()
    problem = "timestamp: must be at most 10 minutes in the future"
    assert head.problem == problem
    assert managing(parse).retry(head.id) == Unreadable(problem)
    clock.advance(minutes=10)
    assert managing(parse).retry(head.id) == Tally(counted=1)
    assert not list(managing(parse).list())


def test_a_retry_reads_again(count: CountEvents, managing: Managing) -> None:
    """What is still wrong stays; what is understood now is counted, once, and gone."""
    arrive(count, "hello")
    (head,) = managing(parse).list()
    assert managing(parse).retry(head.id) == Unreadable("body: must be JSON")
    assert list(managing(parse).list()) == [head]

    def understood(_body: str) -> Reading:
        return parse(json.dumps(send()))

    assert managing(understood).retry(head.id) == Tally(counted=1)
    assert managing(understood).retry(head.id) is None
    assert not list(managing(parse).list())
    assert arrive(count, json.dumps(send())) == Tally(duplicates=1)


def test_letters_are_deleted(count: CountEvents, managing: Managing) -> None:
    """Those that are named."""
    arrive(count, "hello", "world", "{}")
    first, *others = managing(parse).list()
    assert managing(parse).delete([first.id, "none"]) == 1
    assert list(managing(parse).list()) == others


def test_all_letters_are_listed_and_deleted_however_many_there_are(
    count: CountEvents, managing: Managing
) -> None:
    """Some of them of the same moment."""
    arrive(count, *(f"letter {number}" for number in range(2500)))
    heads = list(managing(parse).list())
    assert len({head.id for head in heads}) == len(heads) == 2500
    assert managing(parse).delete(head.id for head in managing(parse).list()) == 2500
    assert not list(managing(parse).list())
