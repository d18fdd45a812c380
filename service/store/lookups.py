"""Look-ups by key: the reads that are made most, and so the ones that are kept short."""

import functools
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import Engine, bindparam, select

from service.core.domain import Domain
from service.core.tenants import TenantPolicy
from service.ports import LogBounds
from service.store import errors, rows
from service.store.direct import DirectConnection
from service.store.document import load_policy
from service.store.statements import is_listed, listed, written
from service.store.tables import comparable, domains, tenants

_log = structlog.get_logger(__name__)

# A domain is read far more often than it changes. Frozen as domains are, they can be shared.
_decode = functools.lru_cache(maxsize=2048)(rows.decode)


class LookUps:
    """Reads what is known by its key, with statements that SQLAlchemy writes once.

    All methods raise `ServiceError` DATABASE_UNAVAILABLE, and may be called by several
    threads: they take turns.
    """

    def __init__(self, engine: Engine) -> None:
        """Take the engine of the database."""
        self._connection = DirectConnection(engine)
        self._database = database = engine.dialect.name
        of_tenant = rows.DOMAINS.where(domains.c.tenant == bindparam("tenant"))
        self._domains = written(of_tenant.where(is_listed(domains.c.name, database)), database)
        known = select(domains.c.name).where(domains.c.tenant == bindparam("tenant"))
        self._known = written(known.where(is_listed(domains.c.name, database)), database)
        bounds = select(tenants.c.id, tenants.c.trimmed, tenants.c.revision)
        self._bounds = written(bounds.where(is_listed(tenants.c.id, database)), database)
        policies = select(tenants.c.id, tenants.c.policy)
        self._policies = written(policies.where(is_listed(tenants.c.id, database)), database)

    def domains(self, tenant: str, names: Collection[str]) -> dict[str, Domain]:
        """Return those domains of a tenant that exist, by name."""
        found = self._fetch(self._domains, names, tenant=comparable(tenant))
        return {domain.name: domain for domain in map(_decode, found)}

    def known(self, tenant: str, names: Collection[str]) -> set[str]:
        """Return those names that are domains of a tenant."""
        return {name for (name,) in self._fetch(self._known, names, tenant=comparable(tenant))}

    def bounds(self, ids: Collection[str]) -> Mapping[str, LogBounds]:
        """Return the bounds of the logs of those tenants that exist, by id."""
        return {tenant: LogBounds(trimmed, head) for tenant, trimmed, head in self._fetch(self._bounds, ids)}

    def policies(self, ids: Collection[str]) -> dict[str, TenantPolicy]:
        """Return the policies of those tenants that exist, by id."""
        return {tenant: load_policy(text) for tenant, text in self._fetch(self._policies, ids)}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _fetch(self, statement: str, wanted: Collection[str], **others: str) -> list[tuple[Any, ...]]:
        parameters = {"listed": listed(wanted, self._database), **others}
        failure = self._connection.failure
        with suppress(failure):
            return self._connection.fetch(statement, parameters)
        # The connection may have broken since it was used last: a new one tells.
        try:
            return self._connection.fetch(statement, parameters)
        except failure as error:
            _log.warning("database_failed", failure="unavailable", error=str(error))
            raise errors.unavailable() from error
