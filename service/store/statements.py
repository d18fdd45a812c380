"""Statements that SQLAlchemy writes once, and the driver is handed as text.

Executing through SQLAlchemy costs many times what a row by key costs the database: what is run
thousands of times a second comes this way, with parameters as the tables hold them.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ClauseElement,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    Table,
    Text,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from service.store.tables import Moment, comparable

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


Row = ReadOnlyColumnCollection[str, Any]
"""The columns of a row that would be inserted, by name."""


class Upsert:
    """Inserts many rows, and changes those that are there."""

    def __init__(
        self,
        table: Table,
        change: Callable[[Row], Mapping[str, ColumnElement[Any]]],
        *,
        only_where: Callable[[Row], ColumnElement[bool]] | None = None,
    ) -> None:
        """Take the table, and what becomes of a row that is there, given the new one."""
        key = list(table.primary_key.columns)
        names = [column.name for column in table.columns]
        singly = sqlite.insert(table).values({name: bindparam(name) for name in names})
        singly = singly.on_conflict_do_update(
            index_elements=key,
            set_=change(singly.excluded),
            where=only_where and only_where(singly.excluded),
        )
        arrays = [func.unnest(cast(bindparam(column.name), _array_of(column))) for column in table.columns]
        at_once = postgresql.insert(table).from_select(names, select(*arrays))
        at_once = at_once.on_conflict_do_update(
            index_elements=key,
            set_=change(at_once.excluded),
            where=only_where and only_where(at_once.excluded),
        )
        self._names = names
        self._singly = str(singly.compile(dialect=sqlite.dialect(paramstyle="qmark")))
        self._at_once = written(at_once, "postgresql")

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, whose columns are in the table's order, as the tables hold them.

        They are locked in the order given, which has to be everybody's.
        """
        if connection.dialect.name == "postgresql":
            # One statement for all: its driver takes as long for each as the database does.
            arrays = dict(zip(self._names, map(_array, zip(*rows, strict=True)), strict=True))
            connection.exec_driver_sql(self._at_once, arrays)
        else:
            connection.exec_driver_sql(self._singly, list(rows))


def _array_of(column: Column[Any]) -> ARRAY[Any]:
    return ARRAY(BigInteger if isinstance(column.type, BigInteger | Moment) else Text)


def _array(values: Sequence[object]) -> str:
    """Return values as the text of an array: elements are quoted as in JSON (PostgreSQL, "Arrays").

    The driver's own way takes eight times as long.
    """
    return f"{{{json.dumps(values, ensure_ascii=False)[1:-1]}}}"
