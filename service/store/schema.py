"""Bringing a database's tables up to date, and its identity."""

import secrets
from pathlib import Path
from typing import NamedTuple

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


class SchemaLevel(NamedTuple):
    """Which migrations a database has had, and which this program needs."""

    current: str | None
    """The last that it has had, if any."""
    needed: str
    is_newer: bool
    """Whether that is one of a newer program."""

    def __str__(self) -> str:
        """Say both."""
        return f"at migration {self.current or 'none'}, and this program needs {self.needed}"


def migrate(url: str) -> None:
    """Bring the tables up to date, and give a new database its identity.

    May be called by several processes at once; does nothing where nothing is to
    be done.

    Raises:
        NotMigratedError: they are those of a newer program.
        ServiceError: DATABASE_UNAVAILABLE.

    """

    def work(connection: Connection) -> None:
        if database.is_postgresql:
            connection.execute(_LOCK, {"key": _LOCK_KEY})
        _refuse_newer(_level(connection))
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
    found = database.query(_level)
    _refuse_newer(found)
    if found.current != found.needed:
        raise NotMigratedError(f"the database is {found}: run `migrate`")


def level(url: str) -> SchemaLevel:
    """Return which migrations a database has had.

    Raises:
        ServiceError: DATABASE_UNAVAILABLE.

    """
    database = Database(make_engine(url))
    try:
        return database.query(_level)
    finally:
        database.close()


def _level(connection: Connection) -> SchemaLevel:
    script = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision()
    known = {None, *(each.revision for each in script.walk_revisions())}
    return SchemaLevel(current, script.get_current_head() or "", current not in known)


def _refuse_newer(found: SchemaLevel) -> None:
    if found.is_newer:
        raise NotMigratedError(
            f"this program is older than its database, at migration {found.current}: "
            "run the newer version, or restore the backup from before its migration"
        )


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
