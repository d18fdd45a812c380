"""What tenants have otherwise than by default."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from service.core.errors import invalid_field
from service.core.tenants import TenantPolicy
from service.store.document import dump_policy, load_policy
from service.store.part import Part
from service.store.tables import assessments, tenants

_FIND = select(tenants.c.policy).where(tenants.c.id == bindparam("tenant"))
_SET = update(tenants).where(tenants.c.id == bindparam("of_tenant")).values(policy=bindparam("document"))
_ASSESS = (
    update(assessments)
    .where(assessments.c.tenant == bindparam("of_tenant"))
    .values(due=bindparam("now", type_=assessments.c.due.type))
)


class SqlPolicies(Part):
    """`PolicyStore`."""

    def policy(self, tenant: str) -> TenantPolicy:
        """See `PolicyStore.policy`."""
        found = self._database.query(lambda connection: connection.execute(_FIND, {"tenant": tenant}).first())
        if found is None:
            raise _no_tenant(tenant)
        return load_policy(found.policy)

    def policies(self, tenants: Collection[str]) -> Mapping[str, TenantPolicy]:
        """See `PolicyStore.policies`."""
        return self._look_ups.policies(tenants)

    def set_policy(self, tenant: str, policy: TenantPolicy, now: datetime) -> None:
        """See `PolicyStore.set_policy`."""

        def work(connection: Connection) -> None:
            connection.execute(_ASSESS, {"of_tenant": tenant, "now": now})
            written = connection.execute(_SET, {"of_tenant": tenant, "document": dump_policy(policy)})
            if written.rowcount == 0:
                raise _no_tenant(tenant)

        self._database.write(work)


def _no_tenant(tenant: str) -> Exception:
    return invalid_field("tenant", f"there is no tenant {tenant!r}")
