"""Logs: what is noted is written, whole, in order and without secrets of ours."""

import io
import json
import subprocess
import sys
import threading
from typing import Any

import pytest

from service.logs import EventWriter
from tests.support.server import ROOT

_PATIENCE = 10.0


def written_by(code: str) -> list[dict[str, Any]]:
    """Run a program that logs in JSON, and return its events."""
    start = "import structlog\nfrom service import logs\nlogs.configure('json', 'info')\n"
    done = subprocess.run(
        [sys.executable, "-c", start + "log = structlog.get_logger()\n" + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stdout
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_process_that_ends_has_written_everything() -> None:
    """Each event is a line, in the order in which they came, with level and time."""
    events = written_by("for number in range(500): log.info('counted', number=number)")
    assert [event["number"] for event in events] == list(range(500))
    assert events[0].keys() == {"event", "level", "timestamp", "number"}
    assert events[0]["level"] == "info"
    assert events[0]["timestamp"].endswith("Z")


def test_what_is_not_important_enough_is_left_out() -> None:
    """Debug is below info, a warning above it."""
    events = written_by("log.debug('a')\nlog.info('b')\nlog.warning('c')\nlog.error('d')")
    assert [(event["event"], event["level"]) for event in events] == [
        ("b", "info"),
        ("c", "warning"),
        ("d", "error"),
    ]


def test_a_logger_tells_what_is_left_out() -> None:
    """So that nobody has to make an event that is not wanted."""
    (event,) = written_by("log.info('told', debug=log.is_enabled_for(10), info=log.is_enabled_for(20))")
    assert (event["debug"], event["info"]) == (False, True)


def test_what_a_request_is_bound_to_is_in_its_events() -> None:
    """It is read where the event happens, not where it is written."""
    (event, after) = written_by(
        "from structlog.contextvars import bind_contextvars, clear_contextvars\n"
        "bind_contextvars(request_id='r1')\nlog.info('a')\nclear_contextvars()\nlog.info('b')"
    )
    assert event["request_id"] == "r1"
    assert "request_id" not in after


def test_an_exception_is_written_without_the_values_of_variables() -> None:
    """Its traceback is there, also of one that is handled long before it is written."""
    (event,) = written_by(
        "def fail():\n    password = 'hunter' + str(2)\n    raise ValueError('no')\n"
        "try:\n    fail()\nexcept ValueError:\n    log.exception('failed')"
    )
    assert event["level"] == "error"
    (failure,) = event["exception"]
    assert (failure["exc_type"], failure["exc_value"]) == ("ValueError", "no")
    assert "hunter2" not in json.dumps(event)


def test_an_event_that_cannot_be_written_does_not_silence_the_next() -> None:
    """The log says that it was lost."""
    lost, next_one = written_by(
        "class Odd:\n    def __str__(self):\n        raise RuntimeError\n"
        "log.info('odd', value=Odd())\nlog.info('next')"
    )
    assert (lost["event"], lost["name"]) == ("log_event_lost", "odd")
    assert next_one["event"] == "next"


def test_libraries_are_written_in_the_same_form() -> None:
    """With the name of their logger, and never below INFO."""
    (event,) = written_by(
        "import logging\nlogging.getLogger('lib').debug('a')\nlogging.getLogger('lib').warning('b %s', 1)"
    )
    assert (event["event"], event["level"], event["logger"]) == ("b 1", "warning", "lib")


class Stuck(io.StringIO):
    """A stream whose reader has stalled, until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        """Wait, then write."""
        self.entered.set()
        assert self.released.wait(_PATIENCE)
        return super().write(text)


def test_a_stalled_reader_holds_up_nobody_for_a_while() -> None:
    """Events are taken while a write is stuck, and written once it is not."""
    stream = Stuck()
    writer = EventWriter(stream, "info")
    writer.take("info", {"event": "first", "time": 0.0})
    assert stream.entered.wait(_PATIENCE)
    for _ in range(1000):
        writer.take("info", {"event": "later", "time": 0.0})
    stream.released.set()
    writer.write_out()
    assert stream.getvalue().count("\n") == 1001


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_a_reader_that_has_gone_does_not_stop_the_service(error: Exception) -> None:
    """Events are lost then, and nothing else."""

    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise error

    writer = EventWriter(Closed(), "info")
    writer.take("info", {"event": "unheard", "time": 0.0})
    writer.write_out()
