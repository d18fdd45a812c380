"""Tenants and their policies: what operators do on the command line."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from service import ports
from service.core.errors import Violation, invalid_field, invalid_fields
from service.core.health import Threshold, Thresholds
from service.core.tenants import OnCritical, TenantPolicy
from service.setting_kinds import format_rate

DEFAULT_TENANT = "default"
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_MOST_PER_HOUR = 1_000_000


class PolicyChanges(TypedDict, total=False):
    """What a tenant is to have otherwise than now: fields of its policy. Those left out stay."""

    bounce_warning: float | None
    bounce_critical: float | None
    complaint_warning: float | None
    complaint_critical: float | None
    on_critical: OnCritical
    messages_per_hour: int


@dataclass(frozen=True, slots=True)
class ManageTenants:
    """Creates and lists tenants, and says how their domains are judged and held."""

    store: ports.KeyStore
    policies: ports.PolicyStore
    clock: ports.Clock
    defaults: Thresholds
    """Those of tenants without their own."""

    def create(self, tenant: str) -> bool:
        """Add a tenant; False when there is one of this id.

        Raises:
            ServiceError: INVALID_FIELD.

        """
        if not _TENANT.fullmatch(tenant):
            raise invalid_field(
                "tenant", "must be 1 to 63 lower-case letters, digits and hyphens, no hyphen first"
            )
        return self.store.create_tenant(tenant)

    def list(self) -> Sequence[str]:
        """Return the ids of all tenants."""
        return self.store.tenants()

    def policy(self, tenant: str) -> TenantPolicy:
        """Return the policy of a tenant.

        Raises:
            ServiceError: INVALID_FIELD when there is no such tenant.

        """
        return self.policies.policy(tenant)

    def set(self, tenant: str, changes: PolicyChanges) -> TenantPolicy:
        """Change a tenant's policy, and return what it is then.

        Nothing changes where anything would be wrong with it as a whole. Of
        two that change it at the same time, the later may undo the other's.

        Raises:
            ServiceError: INVALID_FIELD with every field that is wrong, by the
                name of its option.

        """
        policy = replace(self.policies.policy(tenant), **changes)
        if wrong := [*_problems(policy, self.defaults)]:
            raise invalid_fields(wrong)
        self.policies.set_policy(tenant, policy, self.clock.now())
        return policy


def _problems(policy: TenantPolicy, defaults: Thresholds) -> Iterator[Violation]:
    for rate, threshold in policy.thresholds(defaults)._asdict().items():
        yield from _threshold_problems(rate, threshold)
    if not 1 <= policy.messages_per_hour <= _MOST_PER_HOUR:
        yield Violation(
            "messages-per-hour", f"must be from 1 to {_MOST_PER_HOUR}, and is {policy.messages_per_hour}"
        )


def _threshold_problems(rate: str, threshold: Threshold) -> list[Violation]:
    wrong = [
        Violation(f"{rate}-{level}", f"must be above 0% and at most 100%, and is {format_rate(begins)}")
        for level, begins in threshold._asdict().items()
        if not 0 < begins <= 1
    ]
    if not wrong and threshold.warning > threshold.critical:
        warning, critical = map(format_rate, threshold)
        wrong.append(
            Violation(f"{rate}-warning", f"must not be above {rate}-critical={critical}, and is {warning}")
        )
    return wrong
