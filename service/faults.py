"""Fault points: where a process kills itself, so that tests can see what a crash there leaves behind."""

import functools
import os
import re
import signal
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

T = TypeVar("T")

_WRITTEN = re.compile(r"(before|after) ([a-z]+\.[a-z_]+)", re.ASCII)


class FaultPoint(NamedTuple):
    """A moment: right before or right after a call of an effect."""

    moment: str
    call: str
    """Of what and which method, such as `ses.create_email_identity`."""

    def __str__(self) -> str:
        return f"{self.moment} {self.call}"


def parse_fault_point(text: str) -> FaultPoint:
    """Return the fault point written as `before NAME.METHOD` or `after NAME.METHOD`.

    Raises:
        ValueError: it is not written like that.

    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return FaultPoint(match[1], match[2])


def guarded(target: T, name: str, point: FaultPoint | None) -> T:
    """Return the target, which kills the process at the fault point, where that is one of its methods."""
    if point is None or not point.call.startswith(f"{name}."):
        return target
    return cast("T", _Guarded(target, point))


class _Guarded:
    def __init__(self, target: Any, point: FaultPoint) -> None:
        self._target = target
        self._method = point.call.partition(".")[2]
        self._is_before = point.moment == "before"

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return self._fatal(found) if name == self._method else found

    def _fatal(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            if self._is_before:
                _die()
            result = method(*arguments, **named)
            _die()
            return result

        return call


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
