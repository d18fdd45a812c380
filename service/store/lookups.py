"""Domains by name: the read that is made most, and so the one that is kept short."""

import functools
import json
from collections.abc import Collection
from typing import Any

import structlog
from sqlalchemy import ARRAY, ColumnElement, Engine, Text, bindparam, func, select
from sqlalchemy.dialects import sqlite

from service.core.domain import Domain
from service.store import errors, rows
from service.store.direct import DirectConnection
from service.store.engine import is_postgresql
from service.store.tables import domains

_log = structlog.get_logger(__name__)

# A domain is read far more often than it changes. Frozen as domains are, they can be shared.
_decode = functools.lru_cache(maxsize=2048)(rows.decode)


class LookUps:
    """Reads domains by name, with a statement that SQLAlchemy writes once."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine of the database."""
        self._is_postgresql = is_postgresql(engine)
        self._statement = _statement(engine)
        self._connection = DirectConnection(engine)

    def domains(self, tenant: str, names: Collection[str]) -> dict[str, Domain]:
        """Return those domains that exist, by name.

        Raises:
            ServiceError: DATABASE_UNAVAILABLE.

        """
        wanted = list(names) if self._is_postgresql else json.dumps(list(names))
        found = self._fetch({"tenant": tenant, "names": wanted})
        return {domain.name: domain for domain in map(_decode, found)}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _fetch(self, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        connection = self._connection
        try:
            return connection.fetch(self._statement, parameters)
        except connection.failure:
            # It may have broken since it was used last: a new one tells.
            try:
                return connection.fetch(self._statement, parameters)
            except connection.failure as error:
                _log.warning("database_failed", failure="unavailable", error=str(error))
                raise errors.unavailable() from error


def _statement(engine: Engine) -> str:
    """Return the SQL that reads the domains of a tenant with given names, with parameters by name.

    Its text is the same for any number of names, so that a driver prepares it once.
    """
    names: ColumnElement[Any]
    if is_postgresql(engine):
        dialect = engine.dialect
        names = func.any(bindparam("names", type_=ARRAY(Text)))
        wanted = domains.c.name == names
    else:
        dialect = sqlite.dialect(paramstyle="named")
        listed = func.json_each(bindparam("names")).table_valued("value")
        wanted = domains.c.name.in_(select(listed.c.value))
    return str(rows.DOMAINS.where(domains.c.tenant == bindparam("tenant"), wanted).compile(dialect=dialect))
