"""The event log: reading it, in both directions, and trimming it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, select, update

from service.core.domain import Domain, Event
from service.ports import Clock, LogBounds, Snapshot
from service.store import rows
from service.store.database import Database
from service.store.direct import DirectConnection
from service.store.document import load_event
from service.store.domains import REQUEST_MEMORY, head_of, page_of_names
from service.store.hints import Hints
from service.store.part import Part
from service.store.tables import create_requests, events, tenants

_PAGE = 500

_READ = (
    select(events.c.document)
    .where(events.c.tenant == bindparam("tenant"), events.c.revision > bindparam("after"))
    .order_by(events.c.revision)
    .limit(bindparam("limit"))
)
_CHANGED = _READ.with_only_columns(events.c.domain)
# Times never fall within a tenant, so that the oldest are the lowest revisions.
_oldest = (
    select(events.c.tenant, events.c.revision)
    .where(events.c.time < bindparam("before"))
    .order_by(events.c.time, events.c.tenant, events.c.revision)
    .limit(bindparam("limit"))
    .subquery()
)
_TRIMMABLE = (
    select(_oldest.c.tenant, func.max(_oldest.c.revision), func.count())
    .group_by(_oldest.c.tenant)
    .order_by(_oldest.c.tenant)
)
_TRIM = delete(events).where(
    events.c.tenant == bindparam("tenant"), events.c.revision <= bindparam("through")
)
_MARK = (
    update(tenants)
    .where(tenants.c.id == bindparam("tenant"), tenants.c.trimmed < bindparam("through"))
    .values(trimmed=bindparam("through"))
)
_FORGET = delete(create_requests).where(create_requests.c.create_time <= bindparam("since"))


class SqlEventLog(Part):
    """`EventLog`."""

    def __init__(self, database: Database, clock: Clock, hints: Hints) -> None:
        super().__init__(database, clock, hints)
        self._poll = None if database.is_postgresql else _DataVersion(database)

    def bounds(self, tenants: Collection[str]) -> Mapping[str, LogBounds]:
        """See `EventLog.bounds`."""
        known = self._look_ups.bounds(tenants)
        return {tenant: known.get(tenant, LogBounds(0, 0)) for tenant in tenants}

    def read(self, tenant: str, after: int, limit: int) -> Sequence[Event]:
        """See `EventLog.read`."""
        wanted = {"tenant": tenant, "after": after, "limit": limit}
        found = self._database.query(lambda connection: connection.execute(_READ, wanted).scalars().all())
        return [load_event(document) for document in found]

    def changed(self, tenant: str, after: int, *, limit: int) -> Collection[str]:
        """See `EventLog.changed`."""
        wanted = {"tenant": tenant, "after": after, "limit": limit}
        return self._database.query(lambda connection: connection.execute(_CHANGED, wanted).scalars().all())

    def newest(
        self, tenant: str, names: frozenset[str] | None, *, before: int | None, limit: int
    ) -> Sequence[Event]:
        """See `EventLog.newest`."""
        statement = select(events.c.document).where(events.c.tenant == tenant)
        if names is not None:
            statement = statement.where(events.c.domain.in_(sorted(names)))
        if before is not None:
            statement = statement.where(events.c.revision < before)
        statement = statement.order_by(events.c.revision.desc()).limit(limit)
        found = self._database.query(lambda connection: connection.execute(statement).scalars().all())
        return [load_event(document) for document in found]

    @contextmanager
    def snapshot(self, tenant: str, names: frozenset[str] | None) -> Iterator[Snapshot]:
        """See `EventLog.snapshot`."""
        with self._database.snapshot() as connection:
            # The first statement decides which state the transaction reads.
            revision = head_of(connection, tenant)
            yield Snapshot(revision, _pages(connection, tenant, names))

    def trim(self, before: datetime, limit: int) -> int:
        """See `EventLog.trim`. Forgets creations that cannot be repeated any more, too."""
        since = self._clock.now() - REQUEST_MEMORY

        def work(connection: Connection) -> int:
            connection.execute(_FORGET, {"since": since})
            old = connection.execute(_TRIMMABLE, {"before": before, "limit": limit}).all()
            if old:
                ranges = [{"tenant": tenant, "through": through} for tenant, through, _ in old]
                connection.execute(_TRIM, ranges)
                # Last, for it locks the tenants.
                connection.execute(_MARK, ranges)
            return sum(count for _, _, count in old)

        return self._database.write(work)

    def has_changed(self) -> bool:
        """See `EventLog.has_changed`."""
        return True if self._poll is None else self._poll.has_changed()

    def close(self) -> None:
        """Close the connection that polls."""
        if self._poll is not None:
            self._poll.close()
        super().close()


class _DataVersion:
    """Polls SQLite for commits of any connection but its own, of any process."""

    def __init__(self, database: Database) -> None:
        self._connection = DirectConnection(database.engine)
        self._seen: int | None = None

    def has_changed(self) -> bool:
        try:
            ((version,),) = self._connection.fetch("PRAGMA data_version")
        except self._connection.failure:
            # Versions of two connections cannot be compared. Reading tells what is wrong.
            self._seen = None
            return True
        before, self._seen = self._seen, version
        return before != self._seen

    def close(self) -> None:
        self._connection.close()


def _pages(connection: Connection, tenant: str, names: frozenset[str] | None) -> Iterator[Sequence[Domain]]:
    after = ""
    while True:
        found = connection.execute(page_of_names(tenant, names, after=after, limit=_PAGE))
        page = [rows.decode(row) for row in found]
        if page:
            yield page
        if len(page) < _PAGE:
            return
        after = page[-1].name
