"""What tenants have otherwise than the others."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from service.core.tenants import TenantPolicy


class PolicyStore(Protocol):
    """Policies of tenants."""

    def policy(self, tenant: str) -> TenantPolicy:
        """Return the policy of a tenant.

        Raises:
            ServiceError: INVALID_FIELD for `tenant` when it does not exist.

        """

    def policies(self, tenants: Collection[str]) -> Mapping[str, TenantPolicy]:
        """Return the policies of those tenants that exist."""

    def set_policy(self, tenant: str, policy: TenantPolicy, now: datetime) -> None:
        """Give a tenant another policy, and have its domains assessed anew.

        Raises:
            ServiceError: INVALID_FIELD for `tenant` when it does not exist.

        """
