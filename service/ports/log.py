"""The log of changes, and the hints that it has grown."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.core.domain import Domain, Event


@dataclass(frozen=True, slots=True)
class LogBounds:
    """How far the log of a tenant reaches."""

    trimmed: int
    """Events at or below this revision are gone; 0 while none is."""
    head: int
    """Revision of the last change; 0 before the first."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The domains of a tenant as they stood at one revision."""

    revision: int
    pages: Iterator[Sequence[Domain]]


class EventLog(Protocol):
    """Every change of every tenant, in order, for as long as it is kept."""

    def bounds(self, tenants: Collection[str]) -> Mapping[str, LogBounds]:
        """Return the bounds of each tenant's log, read at one moment.

        A tenant that does not exist has the bounds 0 and 0.
        """

    def read(self, tenant: str, after: int, limit: int) -> Sequence[Event]:
        """Return at most `limit` events above `after`, in order.

        It must be gapless: an event above one that was returned by this or an
        earlier call can never appear later below it. The caller compares
        `bounds` afterwards to know that nothing was trimmed.
        """

    def changed(self, tenant: str, after: int, *, limit: int) -> Collection[str]:
        """Return the domains of at most `limit` events above `after`, in order; gapless as `read` is."""

    def newest(
        self, tenant: str, names: frozenset[str] | None, *, before: int | None, limit: int
    ) -> Sequence[Event]:
        """Return at most `limit` events below `before`, newest first."""

    def snapshot(self, tenant: str, names: frozenset[str] | None) -> AbstractContextManager[Snapshot]:
        """Open a snapshot, read in one transaction for as long as it is open.

        May be entered, iterated and left by different threads, one at a time.
        """

    def trim(self, before: datetime, limit: int) -> int:
        """Forget at most `limit` events older than `before`; return how many."""

    def has_changed(self) -> bool:
        """Whether anything may have been committed since the last call.

        A cheap poll for one reader per process; it may answer True for
        nothing, and must never answer False after a commit.
        """


class CommitHints(Protocol):
    """Tells at once which tenants' logs have grown: a hint, never relied on."""

    def wait(self, timeout: float) -> frozenset[str] | None:
        """Wait for commits of any process, for at most `timeout` seconds.

        Returns the tenants hinted at; an empty set for a timeout; None where
        anything may have changed (after a lost connection).
        """

    def wake(self) -> None:
        """End a running wait at once, for an orderly stop."""
