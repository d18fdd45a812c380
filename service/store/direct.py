"""Statements that the driver runs by itself, where SQLAlchemy takes longer than the database.

Taking a connection from the pool and executing through SQLAlchemy costs many times what a
look-up by key does. Only what is run thousands of times a second comes this way.
"""

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from service.store.engine import connector


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
