"""Logs: set up once, one format for the service and for the libraries under it.

Events are noted where they happen, and made into lines by a thread of their own, a few
times a second. With an event for every call, doing that on the spot would be a quarter
of what a call costs. A process that ends writes everything; one that is killed loses the
events of its last moment.
"""

import atexit
import json
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]

_encode = json.JSONEncoder(default=str).encode
_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_GATHER_SECONDS = 0.02
_MOST_WAITING = 10_000


class EventWriter:
    """Takes events, and writes those that come together at once."""

    def __init__(self, stream: TextIO, level: Level) -> None:
        """Take what lines are written to and the least important level; start the thread that writes."""
        self._stream = stream
        self._least = _LEVELS[level]
        self._waiting: deque[tuple[str, EventDict]] = deque()
        self._has_some = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()
        atexit.register(self.write_out)

    def take(self, level: str, event: EventDict) -> None:
        """Take an event of values that do not change. Blocks only where the stream does not keep up."""
        if not self.takes(_LEVELS[level]):
            return
        self._waiting.append((level, event))
        if not self._has_some.is_set():
            self._has_some.set()
        if len(self._waiting) > _MOST_WAITING:
            self.write_out()

    def takes(self, level: int) -> bool:
        """Whether events of a level are written, numbered as in `logging`."""
        return level >= self._least

    def write_out(self) -> None:
        """Write all that was taken, and return when that is done."""
        with self._writing:
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            processors = structlog.get_config()["processors"]
            lines = [line for each in taken if (line := _processed(*each, processors)) is not None]
            # Whoever read the logs may have gone: that is no reason to stop serving.
            with suppress(OSError, ValueError):
                self._stream.write("".join(f"{line}\n" for line in lines))
                self._stream.flush()

    def _run(self) -> None:
        while True:
            self._has_some.wait()
            time.sleep(_GATHER_SECONDS)  # what comes meanwhile is written with it
            self._has_some.clear()
            self.write_out()


def _processed(level: str, event: EventDict, processors: Sequence[Processor]) -> str | None:
    name = event["event"]
    result: Any = event
    try:
        for processor in processors:
            result = processor(None, level, result)
    except structlog.DropEvent:
        return None
    except Exception as error:  # noqa: BLE001 - an event that cannot be written must not silence the others
        return _encode({"event": "log_event_lost", "level": "error", "name": name, "error": repr(error)})
    return str(result)


class _Logger(structlog.BoundLoggerBase):
    """What `structlog.get_logger` returns: it notes events for an `EventWriter`."""

    def debug(self, event: str, **fields: Any) -> None:
        self._note("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._note("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._note("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._note("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        self._note("error", event, {"exc_info": sys.exc_info(), **fields})

    def is_enabled_for(self, level: int) -> bool:
        """Whether events of a level are written, numbered as in `logging`."""
        writer: EventWriter = self._logger
        return writer.takes(level)

    def _note(self, level: str, event: str, fields: EventDict) -> None:
        bound = structlog.contextvars.get_contextvars()
        writer: EventWriter = self._logger
        writer.take(level, {"event": event, "time": time.time(), **bound, **self._context, **fields})


def configure(form: Format | None, level: Level) -> EventWriter:
    """Send all logs to standard error, in `form`; None means console in a terminal, json elsewhere.

    Events below `level` are dropped. Libraries are never heard below INFO: at DEBUG
    some of them write out whole requests, with the credentials in them. Returns what
    writes the service's own events.
    """
    if form is None:
        form = "console" if sys.stderr.isatty() else "json"
    writer = EventWriter(sys.stderr, level)
    structlog.configure(
        processors=[structlog.processors.add_log_level, _stamped, *_rendering(form)],
        wrapper_class=_Logger,
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(_LEVELS[level], logging.INFO))
    # At every start they would tell that there was nothing to migrate, and where credentials were.
    for library in ("alembic", "botocore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    return writer


def _stamped(_logger: WrappedLogger, _level: str, event: EventDict) -> EventDict:
    moment = datetime.fromtimestamp(event.pop("time"), UTC)
    event["timestamp"] = moment.isoformat().replace("+00:00", "Z")
    return event


def _rendering(form: Format) -> list[Processor]:
    # Tracebacks without the values of variables: keys and URLs with passwords are among them.
    match form:
        case "console":
            plain = structlog.dev.plain_traceback
            return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
        case "json":
            frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            return [
                structlog.processors.ExceptionRenderer(frames),
                lambda _logger, _level, event: _encode(event),
            ]
