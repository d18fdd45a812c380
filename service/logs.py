"""Logs: set up once, one format for the service and for the libraries under it."""

import logging
import sys
from typing import Literal

import structlog
from structlog.types import Processor

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]


def configure(form: Format | None, level: Level) -> None:
    """Send all logs to standard error, in `form`; None means console in a terminal, json elsewhere.

    Events below `level` are dropped. Libraries are never heard below INFO: at DEBUG
    some of them write out whole requests, with the credentials in them.
    """
    if form is None:
        form = "console" if sys.stderr.isatty() else "json"
    least = logging.getLevelNamesMapping()[level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Ours do not go by way of the standard library's loggers: with a line for
    # each call, that would be a good part of the call's time.
    structlog.configure(
        processors=[*before, *_rendering(form)],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(least, logging.INFO))
    # At every start it would tell that there was nothing to migrate.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


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
                structlog.processors.JSONRenderer(default=str),
            ]
