"""Look-ups by key: the reads that are made most, and so the ones that are kept short."""

import functools
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import ARRAY, Column, ColumnElement, Engine, Select, Text, bindparam, func, select
from sqlalchemy.dialects import sqlite

from service.core.domain import Domain
from service.ports import LogBounds
from service.store import errors, rows
from service.store.direct import DirectConnection
from service.store.engine import is_postgresql
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
        self._is_postgresql = is_postgresql(engine)
        of_tenant = rows.DOMAINS.where(domains.c.tenant == bindparam("tenant"))
        self._domains = self._written(of_tenant.where(self._is_listed(domains.c.name)), engine)
        bounds = select(tenants.c.id, tenants.c.trimmed, tenants.c.revision)
        self._bounds = self._written(bounds.where(self._is_listed(tenants.c.id)), engine)

    def domains(self, tenant: str, names: Collection[str]) -> dict[str, Domain]:
        """Return those domains of a tenant that exist, by name."""
        found = self._fetch(self._domains, names, tenant=comparable(tenant))
        return {domain.name: domain for domain in map(_decode, found)}

    def bounds(self, ids: Collection[str]) -> Mapping[str, LogBounds]:
        """Return the bounds of the logs of those tenants that exist, by id."""
        return {tenant: LogBounds(trimmed, head) for tenant, trimmed, head in self._fetch(self._bounds, ids)}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _is_listed(self, column: Column[Any]) -> ColumnElement[bool]:
        """Return that a column is one of the parameter `listed`.

        The statement's text is then the same for any number of them, so that a
        driver prepares it once.
        """
        if self._is_postgresql:
            return column == func.any(bindparam("listed", type_=ARRAY(Text)))
        return column.in_(select(func.json_each(bindparam("listed")).table_valued("value").c.value))

    def _written(self, statement: Select[*tuple[Any, ...]], engine: Engine) -> str:
        dialect = engine.dialect if self._is_postgresql else sqlite.dialect(paramstyle="named")
        return str(statement.compile(dialect=dialect))

    def _fetch(self, statement: str, listed: Collection[str], **others: str) -> list[tuple[Any, ...]]:
        wanted = list(map(comparable, listed))
        parameters = {"listed": wanted if self._is_postgresql else json.dumps(wanted), **others}
        failure = self._connection.failure
        with suppress(failure):
            return self._connection.fetch(statement, parameters)
        # The connection may have broken since it was used last: a new one tells.
        try:
            return self._connection.fetch(statement, parameters)
        except failure as error:
            _log.warning("database_failed", failure="unavailable", error=str(error))
            raise errors.unavailable() from error
