"""Transactions: how every part of the store reads and writes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from sqlalchemy import Connection, Engine, exc, text

from service.store import errors
from service.store.engine import is_postgresql

_ATTEMPTS = 5

T = TypeVar("T")


class Database:
    """Runs work in transactions, and repeats what was undone by no fault of its own.

    Work is a function of a connection. It may run more than once, so it must
    have no effect but through that connection. All methods raise `ServiceError`
    as `errors.translated` says; all may be called by several threads at once.
    """

    def __init__(self, engine: Engine) -> None:
        """Take the engine, which is closed with the database."""
        self.engine = engine
        self.is_postgresql = is_postgresql(engine)
        if self.is_postgresql:
            self._queries: Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
            self._writes: Engine = engine.execution_options(isolation_level="READ COMMITTED")
            self._snapshots: Engine = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._turn: threading.Lock | nullcontext[None] = nullcontext()
        else:
            self._queries = self._writes = self._snapshots = engine
            # SQLite waits for another writer by sleeping, without a queue. The
            # threads of one process need not: they take turns.
            self._turn = threading.Lock()

    def query(self, work: Callable[[Connection], T]) -> T:
        """Return what work of one statement reads."""

        def attempt() -> T:
            with self._queries.connect() as connection:
                return work(connection)

        return _persist(attempt, may_repeat=lambda: True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what work reads of one state, however many statements it takes."""

        def attempt() -> T:
            with self._snapshots.connect() as connection, connection.begin():
                return work(connection)

        return _persist(attempt, may_repeat=lambda: True)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return what work does in one transaction, once that is durable."""
        committing = False

        def attempt() -> T:
            nonlocal committing
            committing = False
            with self._turn, self._writes.connect() as connection, connection.begin():
                if not self.is_postgresql:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                result = work(connection)
                committing = True
                return result

        # A connection that breaks during COMMIT leaves open whether it was done.
        return _persist(attempt, may_repeat=lambda: not committing)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a transaction that reads one state for as long as it is open."""
        with errors.translated(), self._snapshots.connect() as connection, connection.begin():
            if not self.is_postgresql:
                connection.exec_driver_sql("BEGIN")
            yield connection

    def ping(self) -> None:
        """Return when the database answers."""
        self.query(lambda connection: connection.execute(text("SELECT 1")).scalar_one())

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()


def _persist(attempt: Callable[[], T], *, may_repeat: Callable[[], bool]) -> T:
    with errors.translated():
        for _ in range(_ATTEMPTS - 1):
            try:
                return attempt()
            except exc.SQLAlchemyError as error:
                transient = errors.classify(error) in {
                    errors.Failure.LOST_RACE,
                    errors.Failure.DISCONNECTED,
                }
                if not (transient and may_repeat()):
                    raise
        return attempt()
