"""What the service logs, caught before it is written."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import EventDict

from service import logs

# As the service does, or a traceback would be drawn with every local variable.
WRITER = logs.configure("json", "info")


@contextmanager
def captured_logs() -> Iterator[list[EventDict]]:
    """Give a list that holds, once left, every event that was logged within."""
    WRITER.write_out()
    with structlog.testing.capture_logs() as events:
        try:
            yield events
        finally:
            WRITER.write_out()
