"""Connections to SQLite and PostgreSQL, set up so that both keep what they promise."""

from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

_BUSY_TIMEOUT_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 5


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
            connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS},
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
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_SECONDS},
    )
    event.listen(engine, "connect", _set_up)
    return engine


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
