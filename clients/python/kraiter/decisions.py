"""What a sender has to do, and the rules by which the state of a domain says so."""

from collections.abc import Mapping
from dataclasses import dataclass

from kraiter.domains.v1.domain_pb2 import Domain
from kraiter.domains.v1.sending_service_pb2 import SendDecision


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a domain may send, and why, in the values of the contract's `SendDecision`."""

    decision: SendDecision.Decision.ValueType
    reason: SendDecision.Reason.ValueType = SendDecision.REASON_UNSPECIFIED
    messages_per_hour: int = 0
    """With THROTTLE: the most messages to send in an hour."""

    @classmethod
    def of(cls, answer: SendDecision) -> "Decision":
        """Return the decision that the service gave."""
        return cls(answer.decision, answer.reason, answer.messages_per_hour)


UNDECIDED = Decision(SendDecision.HOLD)
"""HOLD without a reason: nobody could tell."""
NOT_FOUND = Decision(SendDecision.REJECT, SendDecision.DOMAIN_NOT_FOUND)

_DISABLED = Decision(SendDecision.HOLD, SendDecision.DOMAIN_DISABLED)
_OF_STATUS: Mapping[int, Decision] = {
    Domain.VERIFIED: Decision(SendDecision.ALLOW),
    Domain.PENDING: Decision(SendDecision.REJECT, SendDecision.NOT_VERIFIED),
    Domain.FAILED: Decision(SendDecision.REJECT, SendDecision.VERIFICATION_FAILED),
}


def decide(domain: Domain) -> Decision | None:
    """Return whether a domain may send; None where its state alone does not tell.

    For a verified domain whose health is critical that depends on its tenant.
    """
    if not domain.sending_enabled:
        return _DISABLED
    if domain.status == Domain.VERIFIED and domain.health == Domain.CRITICAL:
        return None
    return _OF_STATUS.get(domain.status)
