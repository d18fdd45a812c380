"""What uses domains, and how many ACTIVE uses each domain has."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from service.core.errors import domain_not_found
from service.core.uses import DomainUse, UseKind, UseState, domain_in_use, use_not_found
from service.ports import UseFilter, UseKey
from service.store.part import Part
from service.store.tables import active_uses, checks, domains, uses

_SHOWN = 10
"""How many of the uses that stand against a deletion are named."""

# Spelt out: with a parameter, no database would use the indexes of ACTIVE uses.
_is_active = uses.c.state == literal_column(f"'{UseState.ACTIVE}'")
_GENERATION = select(domains.c.generation).where(
    domains.c.tenant == bindparam("tenant"), domains.c.name == bindparam("name")
)
# Not as whoever changes the domain does: uses may be put side by side, only no deletion between.
_KEEP = (
    select(checks.c.generation)
    .where(checks.c.generation == _GENERATION.scalar_subquery())
    .with_for_update(read=True, key_share=True)
)
_OF_KEY = (
    uses.c.generation == bindparam("of_generation"),
    uses.c.kind == bindparam("of_kind"),
    uses.c.use_id == bindparam("of_id"),
)
_FIND = select(uses).where(*_OF_KEY).with_for_update()
_INSERT = insert(uses)
_UPDATE = update(uses).where(*_OF_KEY)
_DELETE = delete(uses).where(*_OF_KEY)
_OF_COUNT = (
    active_uses.c.generation == bindparam("of_generation"),
    active_uses.c.kind == bindparam("of_kind"),
    active_uses.c.application == bindparam("of_application"),
)
_COUNT = update(active_uses).where(*_OF_COUNT).values(count=active_uses.c.count + bindparam("more"))
_INSERT_COUNT = insert(active_uses)
_COUNTS = (
    select(active_uses.c.kind, func.sum(active_uses.c.count))
    .where(active_uses.c.generation == bindparam("of_generation"))
    .group_by(active_uses.c.kind)
)
_now = bindparam("now", type_=uses.c.expire_time.type)
_has_expired = _is_active & uses.c.expire_time.is_not(None) & (uses.c.expire_time <= _now)
_still_counts = _is_active & or_(uses.c.expire_time.is_(None), uses.c.expire_time > _now)
_EXPIRED = select(
    # Grouped by kind, SQLite would go through all uses of the domain.
    *(func.count().filter(uses.c.kind == kind.value) for kind in UseKind)
).where(_has_expired, uses.c.generation == bindparam("of_generation"))
"""Those that have expired and are not yet ARCHIVED: few, by the index of times."""
_FIRST = (
    select(uses)
    .where(uses.c.generation == bindparam("of_generation"), _still_counts)
    .order_by(uses.c.kind, uses.c.use_id)
    .limit(_SHOWN)
)
_TAKE_EXPIRED = (
    select(uses.c.generation, uses.c.kind, uses.c.use_id, uses.c.application)
    .where(_has_expired)
    .order_by(uses.c.expire_time)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


class SqlUses(Part):
    """`UseStore`."""

    def put_use(self, tenant: str, use: DomainUse) -> DomainUse:
        """See `UseStore.put_use`."""

        def work(connection: Connection) -> DomainUse:
            generation = _kept(connection, tenant, use.domain)
            key = _key(generation, (use.kind, use.use_id))
            row = connection.execute(_FIND, key).first()
            if row is None:
                connection.execute(_INSERT, {"generation": generation, **_columns(use)})
                _count(connection, generation, None, use)
                return use
            before = _decode(use.domain, row)
            after = replace(use, create_time=before.create_time)
            if replace(after, update_time=before.update_time) == before:
                return before
            connection.execute(_UPDATE, {**key, **_columns(after)})
            _count(connection, generation, before, after)
            return after

        return self._database.write(work)

    def delete_use(self, tenant: str, name: str, key: UseKey) -> None:
        """See `UseStore.delete_use`."""

        def work(connection: Connection) -> None:
            generation = _kept(connection, tenant, name)
            row = connection.execute(_FIND, _key(generation, key)).first()
            if row is None:
                raise use_not_found(name, *key)
            connection.execute(_DELETE, _key(generation, key))
            _count(connection, generation, _decode(name, row), None)

        self._database.write(work)

    def page_of_uses(
        self, tenant: str, name: str, wanted: UseFilter, *, after: UseKey | None, limit: int
    ) -> Sequence[DomainUse]:
        """See `UseStore.page_of_uses`."""
        statement = select(uses).where(uses.c.generation == _GENERATION.scalar_subquery())
        if wanted.kinds:
            statement = statement.where(uses.c.kind.in_(sorted(wanted.kinds)))
        if wanted.states:
            statement = statement.where(or_(*(_in_effect(state, wanted) for state in sorted(wanted.states))))
        if after is not None:
            statement = statement.where(tuple_(uses.c.kind, uses.c.use_id) > tuple_(*after))
        statement = statement.order_by(uses.c.kind, uses.c.use_id).limit(limit)
        terms = {"tenant": tenant, "name": name, "now": wanted.now}
        found = self._database.query(lambda connection: connection.execute(statement, terms).all())
        return [_decode(name, row) for row in found]

    def archive_expired(self, now: datetime, limit: int) -> int:
        """See `UseStore.archive_expired`."""

        def work(connection: Connection) -> int:
            expired = connection.execute(_TAKE_EXPIRED, {"now": now, "limit": limit}).all()
            if expired:
                connection.execute(
                    _UPDATE,
                    [
                        {
                            **_key(row.generation, (UseKind(row.kind), row.use_id)),
                            "state": UseState.ARCHIVED.value,
                            "update_time": now,
                        }
                        for row in expired
                    ],
                )
            fewer = Counter((row.generation, row.kind, row.application) for row in expired)
            for key, count in sorted(fewer.items()):
                _add(connection, *key, -count)
            return len(expired)

        return self._database.write(work)


def require_none(connection: Connection, generation: str, name: str, now: datetime) -> None:
    """Check that nothing uses a domain, which the caller has locked.

    Raises:
        ServiceError: DOMAIN_IN_USE, with the first uses as violations.

    """
    counts = _counts(connection, generation, now)
    if not any(counts.values()):
        return
    terms = {"of_generation": generation, "now": now}
    first = [_decode(name, row) for row in connection.execute(_FIRST, terms)]
    raise domain_in_use(name, counts, first)


def scheduled(connection: Connection, generation: str, now: datetime) -> int:
    """Return how many ACTIVE scheduled sends a domain has."""
    return _counts(connection, generation, now)[UseKind.SCHEDULED_SEND]


def _counts(connection: Connection, generation: str, now: datetime) -> Counter[UseKind]:
    """Return how many ACTIVE uses a domain has; it takes no longer the more there are."""
    terms = {"of_generation": generation, "now": now}
    kept = Counter({UseKind(kind): int(count) for kind, count in connection.execute(_COUNTS, terms)})
    if any(kept.values()):
        kept.subtract(dict(zip(UseKind, connection.execute(_EXPIRED, terms).one(), strict=True)))
    return kept


def _kept(connection: Connection, tenant: str, name: str) -> str:
    """Keep a domain from being deleted until the transaction ends, and return its generation.

    Raises:
        ServiceError: DOMAIN_NOT_FOUND.

    """
    generation: str | None = connection.execute(_KEEP, {"tenant": tenant, "name": name}).scalar()
    if generation is None:
        raise domain_not_found(name)
    return generation


def _count(
    connection: Connection, generation: str, before: DomainUse | None, after: DomainUse | None
) -> None:
    """Count a use that changes, as it is kept: whether it has expired is another matter."""
    more: Counter[tuple[str, str]] = Counter()
    for use, by in ((before, -1), (after, 1)):
        if use is not None and use.state is UseState.ACTIVE:
            more[use.kind.value, use.application] += by
    for (kind, application), count in sorted(more.items()):
        if count:
            _add(connection, generation, kind, application, count)


def _add(connection: Connection, generation: str, kind: str, application: str, more: int) -> None:
    key = {"of_generation": generation, "of_kind": kind, "of_application": application}
    if connection.execute(_COUNT, {**key, "more": more}).rowcount == 0:
        first = {"generation": generation, "kind": kind, "application": application, "count": more}
        connection.execute(_INSERT_COUNT, first)


def _in_effect(state: UseState, wanted: UseFilter) -> ColumnElement[bool]:
    """Return that a use is in a state; see `DomainUse.in_effect`."""
    is_held = uses.c.kind == UseKind.SCHEDULED_SEND.value if wanted.on_hold else false()
    match state:
        case UseState.ACTIVE:
            return _still_counts & ~is_held
        case UseState.HELD:
            return _still_counts & is_held
        case UseState.PAUSED:
            return uses.c.state == state.value
        case UseState.ARCHIVED:
            return or_(uses.c.state == state.value, _has_expired)


def _key(generation: str, key: UseKey) -> dict[str, str]:
    kind, use_id = key
    return {"of_generation": generation, "of_kind": kind.value, "of_id": use_id}


def _columns(use: DomainUse) -> dict[str, Any]:
    return {
        "kind": use.kind.value,
        "use_id": use.use_id,
        "state": use.state.value,
        "application": use.application,
        "scheduled_time": use.scheduled_time,
        "expire_time": use.expire_time,
        "create_time": use.create_time,
        "update_time": use.update_time,
    }


def _decode(domain: str, row: Row[Any]) -> DomainUse:
    return DomainUse(
        domain=domain,
        kind=UseKind(row.kind),
        use_id=row.use_id,
        state=UseState(row.state),
        application=row.application,
        scheduled_time=row.scheduled_time,
        expire_time=row.expire_time,
        create_time=row.create_time,
        update_time=row.update_time,
    )
