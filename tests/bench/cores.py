"""Processors of their own for what is measured and for what serves it, so that neither takes from the other.

Left to itself the system moves both about, and each finds its caches cold: that is a
fifth of the time of a sweep, in one run more and in the next one less.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def server() -> Iterator[None]:
    """Run what is started here, and its threads, on the first processor."""
    with _on(0):
        yield


@contextmanager
def measured() -> Iterator[None]:
    """Run what is started here, and its threads, on the second processor, where there is one."""
    with _on(1):
        yield


@contextmanager
def _on(number: int) -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):  # not on every system
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[number % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
