"""What uses a domain: sequences and scheduled sends, which other services register."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.core.errors import Reason, ServiceError, Violation


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


def use_not_found(name: str, kind: UseKind, use_id: str) -> ServiceError:
    """Return the error of a use that a domain does not have."""
    return ServiceError(
        Reason.USE_NOT_FOUND,
        f"no use {kind} {use_id} of {name}",
        metadata={"domain": name, "kind": kind, "use_id": use_id},
    )


def domain_in_use(name: str, counts: Mapping[UseKind, int], first: Sequence[DomainUse]) -> ServiceError:
    """Return the error of a domain that cannot be deleted for its ACTIVE uses, some of which are named."""
    listed = " and ".join(
        f"{count:,} {_NOUNS[kind]}{'' if count == 1 else 's'}" for kind in UseKind if (count := counts[kind])
    )
    return ServiceError(
        Reason.DOMAIN_IN_USE,
        f"{name} is used by {listed}: pause, archive or remove them first",
        metadata={"domain": name, **{f"active_{kind.lower()}s": str(counts[kind]) for kind in UseKind}},
        violations=[
            Violation(f"domains/{name}/uses/{use.kind}/{use.use_id}", _described(use)) for use in first
        ],
    )


_NOUNS = {UseKind.SEQUENCE: "sequence", UseKind.SCHEDULED_SEND: "scheduled send"}


def _described(use: DomainUse) -> str:
    owner = f" of {use.application}" if use.application else ""
    return f"ACTIVE {_NOUNS[use.kind]}{owner}"
