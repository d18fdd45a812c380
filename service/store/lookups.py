"""Domains by name: the read that is made most, and so the one that is kept short.

Taking a connection from the pool and executing through SQLAlchemy costs many times
what the look-up itself does. Here SQLAlchemy writes the statement, once, and the
driver runs it, on a connection that is kept for it.
"""

import json
import threading
from collections.abc import Collection
from typing import Any

import structlog
from sqlalchemy import ARRAY, ColumnElement, Engine, Text, bindparam, func, select
from sqlalchemy.dialects import sqlite

from service.core.domain import Domain
from service.store import errors, rows
from service.store.engine import connector, is_postgresql
from service.store.tables import domains

_log = structlog.get_logger(__name__)


class LookUps:
    """Reads domains by name, one look-up after the other."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine; the connection is made when it is needed."""
        self._is_postgresql = is_postgresql(engine)
        self._statement = _statement(engine)
        self._connect = connector(engine)
        self._failure: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._connection: Any = None
        self._lock = threading.Lock()

    def domains(self, tenant: str, names: Collection[str]) -> dict[str, Domain]:
        """Return those domains that exist, by name.

        Raises:
            ServiceError: DATABASE_UNAVAILABLE.

        """
        wanted = list(names) if self._is_postgresql else json.dumps(list(names))
        found = self._rows({"tenant": tenant, "names": wanted})
        return {domain.name: domain for domain in map(rows.decode, found)}

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _rows(self, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._fetch(parameters)
            except self._failure:
                # The connection may have broken since it was used last: a new one tells.
                self._drop()
            try:
                return self._fetch(parameters)
            except self._failure as error:
                self._drop()
                _log.warning("database_failed", failure="unavailable", error=str(error))
                raise errors.unavailable() from error

    def _fetch(self, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = self._connect()
        fetched: list[tuple[Any, ...]] = self._connection.execute(self._statement, parameters).fetchall()
        return fetched

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


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
