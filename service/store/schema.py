"""Bringing a database's tables up to date, and its identity."""

import secrets
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, bindparam, func, insert, select, update

from service.ports import DatabaseIdentity
from service.store.database import Database
from service.store.engine import make_engine
from service.store.tables import identity

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_KEY = 0x6B726169746572
"""Any number that nobody else locks: `kraiter` in ASCII."""

_LOCK = select(func.pg_advisory_xact_lock(bindparam("key")))
_IDENTITY = select(identity.c.epoch, identity.c.secret)


class NotMigratedError(Exception):
    """The tables are not those that this version of the program works with."""


def migrate(url: str) -> None:
    """Bring the tables up to date, and give a new database its identity.

    May be called by several processes at once; does nothing where nothing is to
    be done.

    Raises:
        ServiceError: DATABASE_UNAVAILABLE.

    """

    def work(connection: Connection) -> None:
        if database.is_postgresql:
            connection.execute(_LOCK, {"key": _LOCK_KEY})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if connection.execute(_IDENTITY).first() is None:
            first = {"id": 1, "epoch": _new_epoch(), "secret": secrets.token_bytes(32)}
            connection.execute(insert(identity), first)

    database = Database(make_engine(url))
    try:
        database.write(work)
    finally:
        database.close()


def check(database: Database) -> None:
    """Return when the tables are up to date.

    Raises:
        NotMigratedError: they are not.
        ServiceError: DATABASE_UNAVAILABLE.

    """
    current, head = _level(database)
    if current != head:
        raise NotMigratedError(
            f"the database is at migration {current or 'none'}, this program needs {head}: run `migrate`"
        )


def level(url: str) -> tuple[str | None, str]:
    """Return the migration that a database is at, if any, and the one that this program needs.

    Raises:
        ServiceError: DATABASE_UNAVAILABLE.

    """
    database = Database(make_engine(url))
    try:
        return _level(database)
    finally:
        database.close()


def _level(database: Database) -> tuple[str | None, str]:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    current = database.query(lambda connection: MigrationContext.configure(connection).get_current_revision())
    return current, head or ""


def new_epoch(url: str) -> None:
    """Give the database a new epoch, so that tokens from before are refused.

    To be called after a restore, when revisions begin again below ones given out.

    Raises:
        NotMigratedError: the tables are not up to date.
        ServiceError: DATABASE_UNAVAILABLE.

    """
    database = Database(make_engine(url))
    try:
        check(database)
        statement = update(identity).values(epoch=_new_epoch())
        database.write(lambda connection: connection.execute(statement))
    finally:
        database.close()


def load_identity(database: Database) -> DatabaseIdentity:
    """Return what tells the database from others."""
    epoch, secret = database.query(lambda connection: connection.execute(_IDENTITY).one())
    return DatabaseIdentity(epoch=epoch, secret=bytes(secret))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def _new_epoch() -> str:
    return secrets.token_hex(16)
