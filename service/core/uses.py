"""What uses a domain: sequences and scheduled sends, which other services register."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class UseKind(StrEnum):
    """What kind of thing uses a domain."""

    SEQUENCE = "SEQUENCE"
    SCHEDULED_SEND = "SCHEDULED_SEND"


class UseState(StrEnum):
    """Whether it uses the domain now."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ARCHIVED = "ARCHIVED"
    HELD = "HELD"
    """In effect only: an ACTIVE scheduled send whose domain is on hold. Never kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainUse:
    """One thing that uses a domain. It is told from others by domain, kind and `use_id`."""

    domain: str
    kind: UseKind
    use_id: str
    state: UseState
    application: str = ""
    scheduled_time: datetime | None = None
    """Of a SCHEDULED_SEND alone."""
    expire_time: datetime | None = None
    """When it stops counting; None for never."""
    create_time: datetime
    update_time: datetime

    def counts(self, now: datetime) -> bool:
        """Whether it keeps its domain from being deleted."""
        return self.state is UseState.ACTIVE and not (self.expire_time and self.expire_time <= now)

    def in_effect(self, now: datetime, *, on_hold: bool) -> UseState:
        """Return the state that it has now, given whether its domain is on hold.

        An ACTIVE use that has expired is as good as ARCHIVED, and will be.
        """
        if self.state is not UseState.ACTIVE:
            return self.state
        if not self.counts(now):
            return UseState.ARCHIVED
        return UseState.HELD if on_hold and self.kind is UseKind.SCHEDULED_SEND else UseState.ACTIVE
