"""The databases that benchmarks run on, each new and empty."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from service.store.sql import migrate
from tests.support.postgres import PostgresServer, running_server

SQLITE, POSTGRESQL = "sqlite", "postgresql"


class Databases:
    """Makes databases. PostgreSQL is started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        """Take what ends everything that is started."""
        self._stack = stack
        self._postgres: PostgresServer | None = None

    @contextmanager
    def new(self, engine: str) -> Iterator[str]:
        """Give the URL of a database, migrated and without data."""
        if engine == SQLITE:
            with tempfile.TemporaryDirectory(prefix="kraiter-bench-") as folder:
                url = f"sqlite:///{folder}/bench.db"
                migrate(url)
                yield url
            return
        url = self._server().fresh_database()
        yield url
        self._server().drop(url)

    def _server(self) -> PostgresServer:
        if self._postgres is None:
            self._postgres = PostgresServer(self._stack.enter_context(running_server()))
            self._stack.callback(self._postgres.close)
        return self._postgres
