"""Statements that the driver runs by itself, where SQLAlchemy takes longer than the database.

Taking a connection from the pool and executing through SQLAlchemy costs many times what a
look-up by key does. Only what is run thousands of times a second comes this way.
"""

import functools
import json
import threading
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    ClauseElement,
    Column,
    ColumnElement,
    Dialect,
    Engine,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg

from service.store.engine import connector
from service.store.tables import comparable

_DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="named"),
    "postgresql": psycopg.dialect(),  # type: ignore[no-untyped-call]
}


@functools.cache
def written(statement: ClauseElement, database: str) -> str:
    """Return a statement as the driver of a database (`Dialect.name`) takes it.

    Its parameters have the names that they have in the statement.
    """
    return str(statement.compile(dialect=_DIALECTS[database]))


def is_listed(column: Column[Any], database: str) -> ColumnElement[bool]:
    """Return that a column is one of the parameter `listed`, which `listed` makes.

    The statement's text is then the same for any number of them, so that a
    driver prepares it once.
    """
    if database == "postgresql":
        return column == func.any(bindparam("listed", type_=ARRAY(Text)))
    return column.in_(select(func.json_each(bindparam("listed")).table_valued("value").c.value))


def listed(values: Collection[str], database: str) -> object:
    """Return the parameter of a statement with `is_listed`."""
    wanted = list(map(comparable, values))
    return wanted if database == "postgresql" else json.dumps(wanted)


class DirectConnection:
    """A connection of the driver, outside the pool, kept open. One statement runs after the other."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine of the database; nothing is opened yet."""
        self._connect = connector(engine)
        self.failure: type[Exception] = engine.dialect.loaded_dbapi.Error
        """What every error of the driver is."""
        self._connection: Any = None
        self._lock = threading.Lock()

    def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a statement, in a transaction of its own.

        Raises:
            Exception: a `failure`; the next call opens a connection anew.

        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                rows: list[tuple[Any, ...]] = self._connection.execute(statement, parameters or {}).fetchall()
            except self.failure:
                self._drop()
                raise
            return rows

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
