"""Whether a domain may send now."""

from enum import StrEnum
from typing import NamedTuple

from service.core.domain import Domain, Status
from service.core.health import Health
from service.core.tenants import OnCritical, TenantPolicy


class Decision(StrEnum):
    """What a sender has to do."""

    ALLOW = "ALLOW"
    THROTTLE = "THROTTLE"
    HOLD = "HOLD"
    REJECT = "REJECT"


class DecisionReason(StrEnum):
    """Why."""

    DOMAIN_DISABLED = "DOMAIN_DISABLED"
    HEALTH_CRITICAL = "HEALTH_CRITICAL"
    NOT_VERIFIED = "NOT_VERIFIED"
    VERIFICATION_FAILED = "VERIFICATION_FAILED"
    DOMAIN_NOT_FOUND = "DOMAIN_NOT_FOUND"


class Ruling(NamedTuple):
    """A decision with its reason."""

    decision: Decision
    reason: DecisionReason | None = None
    """None where nothing stands against sending."""
    messages_per_hour: int = 0
    """With THROTTLE: the most messages to send in an hour."""


_DISABLED = Ruling(Decision.HOLD, DecisionReason.DOMAIN_DISABLED)
_SUSPENDED = Ruling(Decision.HOLD, DecisionReason.HEALTH_CRITICAL)
_NOT_FOUND = Ruling(Decision.REJECT, DecisionReason.DOMAIN_NOT_FOUND)
_OF_STATUS = {
    Status.VERIFIED: Ruling(Decision.ALLOW),
    Status.PENDING: Ruling(Decision.REJECT, DecisionReason.NOT_VERIFIED),
    Status.FAILED: Ruling(Decision.REJECT, DecisionReason.VERIFICATION_FAILED),
}


class Standing(NamedTuple):
    """As much of a domain as decides whether it may send."""

    status: Status
    health: Health
    sending_enabled: bool
    revision: int

    @classmethod
    def of(cls, domain: Domain) -> "Standing":
        """Return the standing of a domain."""
        return cls(domain.status, domain.health, domain.sending_enabled, domain.revision)


class SendDecision(NamedTuple):
    """Whether a domain may send, and as of when."""

    domain: str
    ruling: Ruling
    revision: int
    """The tenant's, that it is based on."""


def decide(domain: Domain | Standing | None, policy: TenantPolicy) -> Ruling:
    """Return whether a domain may send; None is one that the tenant does not have.

    A disabled domain is on hold whatever its status: what its owner has paused is not lost.
    """
    if domain is None:
        return _NOT_FOUND
    if not domain.sending_enabled:
        return _DISABLED
    if domain.status is not Status.VERIFIED or domain.health is not Health.CRITICAL:
        return _OF_STATUS[domain.status]
    if policy.on_critical is OnCritical.SUSPEND:
        return _SUSPENDED
    return Ruling(Decision.THROTTLE, DecisionReason.HEALTH_CRITICAL, policy.messages_per_hour)


def is_on_hold(domain: Domain, policy: TenantPolicy) -> bool:
    """Whether what a domain was to send is kept until later."""
    return decide(domain, policy).decision is Decision.HOLD
