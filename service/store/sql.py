"""The store as one object, and how to open it."""

from service.ports import Clock, CommitHints, DatabaseIdentity
from service.store import schema
from service.store.assessments import SqlAssessments
from service.store.checks import SqlChecks
from service.store.database import Database
from service.store.deliveries import SqlDeliveries
from service.store.domains import SqlDomains
from service.store.engine import connector, make_engine
from service.store.feedback import SqlFeedback
from service.store.hints import LocalHints, PostgresHints
from service.store.identities import SqlIdentities
from service.store.keys import SqlKeys
from service.store.log import SqlEventLog
from service.store.policies import SqlPolicies
from service.store.provider_states import SqlProviderStates
from service.store.schema import NotMigratedError, level, migrate, new_epoch
from service.store.uses import SqlUses

__all__ = ["NotMigratedError", "SqlStore", "level", "migrate", "new_epoch", "open_store"]


class SqlStore(
    SqlDomains,
    SqlChecks,
    SqlIdentities,
    SqlProviderStates,
    SqlUses,
    SqlDeliveries,
    SqlFeedback,
    SqlAssessments,
    SqlEventLog,
    SqlKeys,
    SqlPolicies,
):
    """Every port that a database can serve, in one."""

    hints: CommitHints
    identity: DatabaseIdentity

    def __init__(
        self, database: Database, clock: Clock, hints: LocalHints | PostgresHints, identity: DatabaseIdentity
    ) -> None:
        super().__init__(database, clock, hints)
        self.hints = hints
        self.identity = identity

    def ping(self) -> None:
        """Return when the database answers.

        Raises:
            ServiceError: DATABASE_UNAVAILABLE.

        """
        self._database.ping()

    def close(self) -> None:
        """Close every connection. Nothing may be called afterwards."""
        self._hints.close()
        super().close()
        self._database.close()


def open_store(url: str, *, clock: Clock, pool_size: int = 5) -> SqlStore:
    """Return the store at `sqlite:///PATH` or `postgresql://...`, to be closed.

    It has at most `pool_size` connections for its work and one for look-ups; on
    PostgreSQL two more for hints, on SQLite one that polls.

    Raises:
        ValueError: another kind of URL.
        NotMigratedError: the tables are not up to date.
        ServiceError: DATABASE_UNAVAILABLE.

    """
    engine = make_engine(url, pool_size=pool_size)
    database = Database(engine)
    try:
        schema.check(database)
        identity = schema.load_identity(database)
    except BaseException:
        database.close()
        raise
    hints = PostgresHints(connector(engine)) if database.is_postgresql else LocalHints()
    return SqlStore(database, clock, hints, identity)
