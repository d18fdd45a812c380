"""Tenants and their API keys."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, insert, select, update

from service.core.errors import invalid_field
from service.core.keys import Key
from service.store.document import dump_key, load_key
from service.store.part import Part
from service.store.tables import keys, tenants

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_TENANT_EXISTS = select(exists().where(tenants.c.id == bindparam("tenant")))
_KEY_EXISTS = select(exists().where(keys.c.id == bindparam("id")))
_TENANTS = select(tenants.c.id).order_by(tenants.c.id)
_BY_ID = select(keys).where(keys.c.id.in_(bindparam("ids", expanding=True)))
_LISTED = select(keys).order_by(keys.c.create_time, keys.c.id)
_REVOKE = (
    update(keys)
    .where(keys.c.id == bindparam("key"))
    .values(revoke_time=func.coalesce(keys.c.revoke_time, bindparam("now", type_=keys.c.revoke_time.type)))
    .returning(keys.c.id)
)


class SqlKeys(Part):
    """`KeyStore`."""

    def create_tenant(self, tenant: str) -> bool:
        """See `KeyStore.create_tenant`."""

        def work(connection: Connection) -> bool:
            if connection.execute(_TENANT_EXISTS, {"tenant": tenant}).scalar_one():
                return False
            connection.execute(
                insert(tenants), {"id": tenant, "revision": 0, "change_time": _LONG_AGO, "trimmed": 0}
            )
            return True

        return self._database.write(work)

    def tenants(self) -> Sequence[str]:
        """See `KeyStore.tenants`."""
        return self._database.query(lambda connection: connection.execute(_TENANTS).scalars().all())

    def create_key(self, key: Key) -> None:
        """See `KeyStore.create_key`."""

        def work(connection: Connection) -> None:
            if not connection.execute(_TENANT_EXISTS, {"tenant": key.tenant}).scalar_one():
                raise invalid_field("tenant", f"there is no tenant {key.tenant!r}")
            if connection.execute(_KEY_EXISTS, {"id": key.id}).scalar_one():
                raise invalid_field("id", f"there is a key {key.id!r} already")
            connection.execute(
                insert(keys),
                {
                    "id": key.id,
                    "tenant": key.tenant,
                    "create_time": key.create_time,
                    "revoke_time": key.revoke_time,
                    "document": dump_key(key),
                },
            )

        self._database.write(work)

    def find_keys(self, ids: Collection[str]) -> Mapping[str, Key]:
        """See `KeyStore.find_keys`."""
        wanted = {"ids": list(ids)}
        found = self._database.query(lambda connection: connection.execute(_BY_ID, wanted).all())
        return {key.id: key for key in map(_key, found)}

    def list_keys(self, tenant: str | None) -> Sequence[Key]:
        """See `KeyStore.list_keys`."""
        statement = _LISTED if tenant is None else _LISTED.where(keys.c.tenant == tenant)
        found = self._database.query(lambda connection: connection.execute(statement).all())
        return [_key(row) for row in found]

    def revoke_key(self, key_id: str, now: datetime) -> bool:
        """See `KeyStore.revoke_key`."""
        revoked = self._database.write(
            lambda connection: connection.execute(_REVOKE, {"key": key_id, "now": now}).first()
        )
        return revoked is not None


def _key(row: Row[Any]) -> Key:
    return load_key(row.document, revoke_time=row.revoke_time)
