"""Statements that SQLAlchemy writes once, and the driver is handed as text.

Executing through SQLAlchemy costs many times what a row by key costs the database: what is run
thousands of times a second comes this way, with parameters as the tables hold them.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
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
    LargeBinary,
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
        at_once = _insert_at_once(table)
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
            connection.exec_driver_sql(self._at_once, _arrays(self._names, rows))
        else:
            connection.exec_driver_sql(self._singly, list(rows))


class InsertNew:
    """Inserts those of many rows that are not there."""

    _MOST_AT_ONCE = 500
    """SQLite takes only so many parameters."""

    def __init__(self, table: Table) -> None:
        """Take the table."""
        self._names = [column.name for column in table.columns]
        key = list(table.primary_key.columns)
        at_once = _insert_at_once(table).on_conflict_do_nothing().returning(*key)
        self._at_once = written(at_once, "postgresql")
        columns = ", ".join(self._names)
        self._insert = f"INSERT INTO {table.name} ({columns}) VALUES "  # noqa: S608 - names of our own
        self._ending = f" ON CONFLICT DO NOTHING RETURNING {', '.join(column.name for column in key)}"
        self._row = f"({', '.join('?' for _ in self._names)})"

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Insert rows, as `Upsert.run` does, and return the keys of those that were not there.

        Of several transactions that insert the same row, one is told of it.
        """
        if connection.dialect.name == "postgresql":
            return [*map(tuple, connection.exec_driver_sql(self._at_once, _arrays(self._names, rows)))]
        added: list[tuple[Any, ...]] = []
        for start in range(0, len(rows), self._MOST_AT_ONCE):
            piece = rows[start : start + self._MOST_AT_ONCE]
            statement = self._insert + ", ".join([self._row] * len(piece)) + self._ending
            added += map(tuple, connection.exec_driver_sql(statement, tuple(chain.from_iterable(piece))))
        return added


def _insert_at_once(table: Table) -> postgresql.Insert:
    """Return an insertion of rows that come as an array of each column."""
    arrays = [func.unnest(cast(bindparam(column.name), _array_of(column))) for column in table.columns]
    return postgresql.insert(table).from_select([column.name for column in table.columns], select(*arrays))


def _array_of(column: Column[Any]) -> ARRAY[Any]:
    if isinstance(column.type, LargeBinary):
        return ARRAY(LargeBinary)
    return ARRAY(BigInteger if isinstance(column.type, BigInteger | Moment) else Text)


def _arrays(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    """Return the parameters of an insertion at once."""
    return dict(zip(names, map(_array, zip(*rows, strict=True)), strict=True))


def _array(values: Sequence[object]) -> str:
    """Return values as the text of an array: elements are quoted as in JSON (PostgreSQL, "Arrays").

    The driver's own way takes eight times as long.
    """
    return f"{{{json.dumps(values, ensure_ascii=False, default=_octets)[1:-1]}}}"


def _octets(value: bytes) -> str:
    return f"\\x{value.hex()}"
