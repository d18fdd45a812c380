"""Statements that SQLAlchemy writes once, and the driver is handed as text.

Executing through SQLAlchemy costs many times what a row by key costs the database: what is run
thousands of times a second comes this way, with parameters as the tables hold them.
"""

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ClauseElement,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg

from service.store.tables import comparable

_DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="named"),
    "postgresql": psycopg.dialect(),  # type: ignore[no-untyped-call]
}


@functools.cache
def written(statement: ClauseElement, database: str) -> str:
    """Return a statement as the driver of a database (`Dialect.name`) takes it.

    Its parameters have the names that they have in the statement; a constant in it has to be a
    literal column, or it would be a parameter, too.
    """
    return str(statement.compile(dialect=_DIALECTS[database]))


def run(
    connection: Connection,
    statement: ClauseElement,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> CursorResult[Any]:
    """Run a statement, or run it for each of several rows, in the connection's transaction."""
    return connection.exec_driver_sql(written(statement, connection.dialect.name), parameters)


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
