"""WatchStatus: check what a subscriber asks for, and where its stream starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from service import ports
from service.core import names, schedule
from service.core.domain import EventType
from service.core.errors import Reason, ServiceError, Violation, invalid_fields
from service.core.keys import Scope
from service.core.tokens import TokenSealer
from service.usecases import limits
from service.usecases.caller import Caller


class Start(Enum):
    """Where a stream starts that resumes nothing."""

    NOW = "NOW"
    EARLIEST = "EARLIEST"
    CURRENT_STATE = "CURRENT_STATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchQuery:
    """A request to watch, as it came."""

    domains: Sequence[str] = ()
    types: frozenset[EventType] = frozenset()
    start: Start | None = None
    resume_token: str = ""
    heartbeat: timedelta | None = None
    full: bool = False
    """Whether `state` has the records."""
    violations: Sequence[Violation] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a stream is to deliver."""

    tenant: str
    names: frozenset[str] | None
    """Only these domains; None for all."""
    awaited: frozenset[str]
    """Those of them that the subscriber named itself: it waits for their checks."""
    types: frozenset[EventType]
    """Only these changes; empty for all."""
    full: bool
    heartbeat: timedelta
    after: int
    """The stream continues strictly after this revision, or after its snapshot."""
    snapshot_first: bool


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """Turns a request into a subscription. The hub delivers it."""

    log: ports.EventLog
    queue: ports.CheckQueue
    clock: ports.Clock
    tokens: TokenSealer
    intervals: schedule.Intervals
    heartbeat: timedelta

    def __call__(self, caller: Caller, query: WatchQuery) -> Subscription:
        """Return the subscription.

        Pending domains that the subscriber names are checked sooner: somebody
        is waiting for them. The hub sees to it that this lasts.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, INVALID_RESUME_TOKEN,
                RESUME_TOKEN_EXPIRED, RESUME_TOKEN_AHEAD, MISSING_SCOPE.

        """
        wanted = self._names(caller, query)
        after = self._start(caller.tenant, query)
        awaited = wanted if query.domains and wanted else frozenset()
        if awaited:
            now = self.clock.now()
            self.queue.hasten(caller.tenant, awaited, now=now, due=now + self.intervals.pending)
        return Subscription(
            tenant=caller.tenant,
            names=wanted,
            awaited=awaited,
            types=query.types,
            full=query.full,
            heartbeat=query.heartbeat or self.heartbeat,
            after=after,
            snapshot_first=query.start is Start.CURRENT_STATE,
        )

    def _names(self, caller: Caller, query: WatchQuery) -> frozenset[str] | None:
        wrong = list(query.violations)
        if len(query.domains) > limits.MOST_FILTERED:
            raise invalid_fields([*wrong, Violation("domains", f"must be at most {limits.MOST_FILTERED}")])
        shortest, longest = limits.HEARTBEAT
        if query.heartbeat is not None and not shortest <= query.heartbeat <= longest:
            wrong.append(Violation("heartbeat_interval", "must be from 1 s to 60 s"))
        if query.resume_token and query.start is not None:
            wrong.append(Violation("start", "must not be set together with resume_token"))
        if wrong:
            raise invalid_fields(wrong)
        asked = [names.parse(text, f"domains[{i}]") for i, text in enumerate(query.domains)]
        for name in asked:
            caller.require_domain(name, Scope.DOMAINS_READ)
        return caller.visible(frozenset(asked) if asked else None)

    def _start(self, tenant: str, query: WatchQuery) -> int:
        bounds = self.log.bounds([tenant])[tenant]
        if query.resume_token:
            after = self.tokens.open_resume(query.resume_token, tenant)
            require_kept(after, bounds)
            return after
        return bounds.trimmed if query.start is Start.EARLIEST else bounds.head


def require_kept(after: int, bounds: ports.LogBounds) -> None:
    """Check that a stream can continue strictly after a revision.

    Raises:
        ServiceError: RESUME_TOKEN_EXPIRED where events after it were trimmed,
            RESUME_TOKEN_AHEAD where it has not been reached.

    """
    metadata = {
        "revision": str(after),
        "oldest_revision": str(bounds.trimmed + 1),
        "current_revision": str(bounds.head),
    }
    if after < bounds.trimmed:
        raise ServiceError(
            Reason.RESUME_TOKEN_EXPIRED,
            f"changes after revision {after} are no longer kept, the oldest is "
            f"{bounds.trimmed + 1} of {bounds.head}: start again with CURRENT_STATE",
            metadata=metadata,
        )
    if after > bounds.head:
        raise ServiceError(
            Reason.RESUME_TOKEN_AHEAD,
            f"revision {after} is beyond the current revision {bounds.head}",
            metadata=metadata,
        )
