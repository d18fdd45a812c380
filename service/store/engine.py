"""Connections to SQLite and PostgreSQL, set up so that both keep what they promise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

# `timeout`: how long a statement waits for another writer, in seconds.
_SQLITE_OPTIONS = {"check_same_thread": False, "timeout": 10}
_POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,
    # A host that is gone without a word is noticed within seconds (libpq's "Connection Parameters").
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""What the URL does not say, in seconds; the last in milliseconds."""


def make_engine(url: str, *, pool_size: int = 5) -> Engine:
    """Return an engine for `sqlite:///PATH` or `postgresql://...` (psycopg 3).

    At most `pool_size` connections are open at once; further callers wait. The
    folder of an SQLite file is made.

    Raises:
        ValueError: another kind of URL, or SQLite without a file.

    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            connect_args={
                key: value for key, value in _POSTGRESQL_OPTIONS.items() if key not in parsed.query
            },
        )
    path = Path(parsed.database or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        # The driver shall open no transactions of its own: `Database` does.
        isolation_level="AUTOCOMMIT",
        connect_args=_SQLITE_OPTIONS,
    )
    event.listen(engine, "connect", _set_up)
    return engine


def connector(engine: Engine) -> Callable[[], Any]:
    """Return what opens a connection of the driver itself, outside the pool, in autocommit mode."""
    arguments, options = engine.dialect.create_connect_args(engine.url)
    if is_postgresql(engine):
        options = {**_POSTGRESQL_OPTIONS, **options, "autocommit": True}
    else:
        options = {**options, **_SQLITE_OPTIONS, "isolation_level": None}
    return lambda: engine.dialect.connect(*arguments, **options)


def is_postgresql(engine: Engine) -> bool:
    """Whether the engine speaks to PostgreSQL; otherwise it is SQLite."""
    return engine.dialect.name == "postgresql"


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        message = "the database URL does not parse"
        raise ValueError(message) from error
    match parsed.get_backend_name():
        case "postgresql":
            return parsed
        case "sqlite" if parsed.database not in {None, "", ":memory:"}:
            return parsed
        case _:
            message = "the database URL must be sqlite:///PATH or postgresql://..."
            raise ValueError(message)


def _set_up(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
