"""A sending domain: its state, and the changes that are told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.core.health import Health, HealthReport
from service.core.records import DmarcPolicy, Record


class Status(StrEnum):
    """Whether the owner has proved the domain."""

    PENDING = "PENDING"
    VERIFIED = "VERIFIED"
    FAILED = "FAILED"


class StatusReason(StrEnum):
    """Why a domain has its status."""

    AWAITING_RECORDS = "AWAITING_RECORDS"
    RECORDS_FOUND = "RECORDS_FOUND"
    VERIFICATION_TIMED_OUT = "VERIFICATION_TIMED_OUT"
    RECORDS_BROKEN = "RECORDS_BROKEN"
    PROVIDER_REVOKED = "PROVIDER_REVOKED"
    VERIFICATION_RESTARTED = "VERIFICATION_RESTARTED"
    OWNERSHIP_LOST = "OWNERSHIP_LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckState:
    """Where a domain stands in its schedule of DNS checks.

    It changes with every check and is no part of what events tell.
    """

    next_check_time: datetime
    last_check_time: datetime | None = None
    fast_since: datetime
    """When the fast phase of a PENDING domain last began."""
    gap: float = 0.0
    """The last gap between two checks, in seconds, without jitter."""
    unknown_checks: int = 0
    """Checks in a row that could not tell."""
    failing_since: datetime | None = None
    """First definite failure of a VERIFIED domain's present run of failures."""
    failed_checks: int = 0
    """Definite failures in that run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A claim to the name of a VERIFIED domain that another tenant has proved."""

    claim: str
    """Generation of the domain that claims the name. Never shown to anybody."""
    deadline: datetime
    """Until when the holder can keep the name, by proving that it controls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A sending domain of one tenant. `name` is canonical (see core.names)."""

    tenant: str
    name: str
    generation: str
    """Random id of this creation: a name deleted and created again has another."""
    region: str
    mail_from: str
    """Host of the envelope sender, which carries the MX and SPF records."""
    dmarc_policy: DmarcPolicy
    dmarc_report_address: str
    status: Status
    status_reason: StatusReason
    status_time: datetime
    """When `status` last changed."""
    health: Health = Health.UNSPECIFIED
    """UNSPECIFIED until it was first VERIFIED."""
    health_report: HealthReport | None = None
    """The figures behind it. None until they were first assessed."""
    sending_enabled: bool = True
    disable_reason: str = ""
    is_shared: bool = False
    """Whether ACTIVE uses of more than one application use it."""
    records: tuple[Record, ...]
    contested: bool = False
    """Whether the name has to be proved by an OWNERSHIP record besides the others."""
    transfer: Transfer | None = None
    """The transfer that runs against it. Only while it is VERIFIED."""
    dns_provider: str = ""
    """Who runs the zone's name servers, as it calls itself. Empty where not known."""
    create_time: datetime
    update_time: datetime
    verify_time: datetime | None = None
    verification_deadline: datetime | None = None
    checks: CheckState
    revision: int = 0

    def __hash__(self) -> int:
        """Return what tells most states of most domains apart: all of one would take too long."""
        counts = None if self.health_report is None else self.health_report.counts
        return hash((self.tenant, self.name, self.revision, self.checks.next_check_time, counts))

    def scheduled(self, checks: CheckState) -> "Domain":
        """Return the domain with another schedule.

        Nothing else becomes of nearly all that are checked, and `replace` takes twice as long.
        """
        copy = object.__new__(Domain)
        for name in Domain.__slots__:
            object.__setattr__(copy, name, getattr(self, name))
        object.__setattr__(copy, "checks", checks)
        return copy


class EventType(StrEnum):
    """What kind of change an event tells of."""

    SNAPSHOT = "SNAPSHOT"
    CREATED = "CREATED"
    STATUS_CHANGED = "STATUS_CHANGED"
    HEALTH_CHANGED = "HEALTH_CHANGED"
    SENDING_DISABLED = "SENDING_DISABLED"
    SENDING_ENABLED = "SENDING_ENABLED"
    RECORDS_BROKEN = "RECORDS_BROKEN"
    RECORDS_RESTORED = "RECORDS_RESTORED"
    RECORDS_CHANGED = "RECORDS_CHANGED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """The part of an event that a rule decides; the store adds the rest."""

    type: EventType
    reason: str = ""
    actor: str = ""
    """`verifier`, `provider`, `health`, or `key:` and the id of an API key."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move makes of a domain: its next state, and the event to tell.

    Without a change nothing is told and no revision is taken: such a move may
    alter `checks`, the findings of `records`, `dns_provider` and `health_report` only.
    """

    domain: Domain
    change: Change | None = None


Move = Callable[[Domain], Moved]
"""A pure rule that the store applies to a domain under its row lock."""

Contest = Callable[[Domain, Domain], tuple[Moved, Moved | None]]
"""A pure rule that the store applies in place of a `Move` where another tenant has the name VERIFIED.

It takes the domain that claims the name and the one that holds it, and returns
what becomes of each; None where nothing becomes of the holder.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of one domain, as kept in the log and streamed."""

    tenant: str
    revision: int
    time: datetime
    type: EventType
    domain: str
    previous_status: Status | None
    previous_health: Health | None
    reason: str
    actor: str
    state: Domain
    """The domain after the change; of DELETED the last state it had."""
    held_sends: int = 0
