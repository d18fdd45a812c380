"""What a tenant may have otherwise than the others."""

from dataclasses import dataclass
from enum import StrEnum

from service.core.health import Threshold, Thresholds


class OnCritical(StrEnum):
    """What becomes of a domain's sending when its health is CRITICAL."""

    THROTTLE = "throttle"
    SUSPEND = "suspend"


MESSAGES_PER_HOUR = 100
"""What a throttled domain may send, unless its tenant has it otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPolicy:
    """How a tenant's domains are judged and held. None stands for the service's setting."""

    bounce_warning: float | None = None
    bounce_critical: float | None = None
    complaint_warning: float | None = None
    complaint_critical: float | None = None
    on_critical: OnCritical = OnCritical.THROTTLE
    messages_per_hour: int = MESSAGES_PER_HOUR

    def thresholds(self, defaults: Thresholds) -> Thresholds:
        """Return the thresholds of the tenant."""
        return Thresholds(
            Threshold(
                _or(self.bounce_warning, defaults.bounce.warning),
                _or(self.bounce_critical, defaults.bounce.critical),
            ),
            Threshold(
                _or(self.complaint_warning, defaults.complaint.warning),
                _or(self.complaint_critical, defaults.complaint.critical),
            ),
        )


def _or(own: float | None, default: float) -> float:
    return default if own is None else own
