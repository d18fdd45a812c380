"""The one place where tests wait: for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_LOOK_AGAIN = 0.01


def until(condition: Callable[[], _T | None], *, within: float = 10.0) -> _T:
    """Return the first true value that a condition has; fail the test after some seconds without."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"nothing came of it within {within:g} seconds"
        time.sleep(_LOOK_AGAIN)  # a poll: nothing tells of it
    return value
