"""The health of domains: when it is to be assessed, and what it was found to be.

Whoever changes a domain locks it before its assessment. Most assessments change none: those
are made without locking any domain, and only the others come back a second time.
"""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from service.core import health, lifecycle
from service.core.domain import Domain, Moved
from service.core.health import Counts, Health, HealthPolicy, HealthReport, Window
from service.store import changes, rows
from service.store.document import dump_report, load_policy, load_report
from service.store.part import Part
from service.store.statements import Upsert, is_listed, listed, run
from service.store.tables import assessments, deliveries, domains, tenants, to_microseconds

_log = structlog.get_logger(__name__)

Key = tuple[str, str]
"""Tenant and name of a domain."""

_HASTEN = Upsert(
    assessments,
    lambda new: {"due": new["due"]},
    only_where=lambda new: or_(assessments.c.due.is_(None), assessments.c.due > new["due"]),
)
_now = bindparam("now", type_=assessments.c.due.type)
_IS_ANY_DUE = select(exists().where(assessments.c.due <= _now))
_ASSESSMENTS = (
    select(
        assessments.c.tenant, assessments.c.name, assessments.c.document, domains.c.health, tenants.c.policy
    )
    .outerjoin_from(
        assessments,
        domains,
        (domains.c.tenant == assessments.c.tenant) & (domains.c.name == assessments.c.name),
    )
    .join(tenants, tenants.c.id == assessments.c.tenant)
)
_TAKE_DUE = (
    _ASSESSMENTS.where(assessments.c.due <= _now)
    .order_by(assessments.c.due)
    .limit(bindparam("limit"))
    .with_for_update(of=assessments, skip_locked=True)
)
_keys: BindParameter[Key] = bindparam("keys", expanding=True)
_LOCK = (
    _ASSESSMENTS.where(tuple_(assessments.c.tenant, assessments.c.name).in_(_keys))
    .order_by(assessments.c.tenant, assessments.c.name)
    .with_for_update(of=assessments)
)
_GENERATIONS = select(domains.c.generation).where(tuple_(domains.c.tenant, domains.c.name).in_(_keys))
_OF_KEY = (
    assessments.c.tenant == bindparam("of_tenant"),
    assessments.c.name == bindparam("of_name"),
)
_WRITE = update(assessments).where(*_OF_KEY)
_FORGET = delete(assessments).where(*_OF_KEY)
_FORGET_COUNTS = delete(deliveries).where(
    deliveries.c.tenant == bindparam("of_tenant"),
    deliveries.c.name == bindparam("of_name"),
    deliveries.c.hour < bindparam("start", type_=deliveries.c.hour.type),
)


class _Due(NamedTuple):
    """A row of `_ASSESSMENTS`."""

    tenant: str
    name: str
    document: str | None
    """The last assessment, if there was one."""
    health: str | None
    """None where the tenant has no such domain."""
    policy: str | None

    @property
    def key(self) -> Key:
        return self.tenant, self.name


class SqlAssessments(Part):
    """`HealthStore`."""

    def assess_due(self, now: datetime, limit: int, policy: HealthPolicy) -> int:
        """See `HealthStore.assess_due`."""
        terms = {"now": now, "limit": limit}
        # Mostly none is: that is known without the writer's turn.
        if not self._database.query(lambda connection: connection.execute(_IS_ANY_DUE, terms).scalar_one()):
            return 0
        count, changing = self._database.write(lambda connection: _assess(connection, terms, now, policy))
        if changing:
            self._change(changing, now, policy)
        return count

    def _change(self, keys: Collection[Key], now: datetime, policy: HealthPolicy) -> None:
        """Assess domains again, under their locks, and tell what changes."""

        def work(connection: Connection) -> list[Domain]:
            moves = _moves(connection, keys, now, policy)
            after = changes.apply(connection, now, moves)
            return [domain for domain, (_, moved) in zip(after, moves, strict=True) if moved.change]

        told = self._database.write(work)
        for domain in told:
            _log.info("domain_health_changed", tenant=domain.tenant, domain=domain.name, after=domain.health)
        self._hints.announce({domain.tenant for domain in told})


def hasten(connection: Connection, keys: Iterable[Key], due: datetime) -> None:
    """Have domains assessed at a time, unless they are earlier."""
    _HASTEN.run(connection, [(*key, to_microseconds(due), None) for key in sorted(keys)])


def forget(connection: Connection, key: Key, now: datetime) -> None:
    """Forget the health of a domain that is deleted. Its counts stay until they leave the window."""
    connection.execute(_WRITE, {**_key(key), "due": now, "document": None})


def _assess(
    connection: Connection, terms: Mapping[str, object], now: datetime, policy: HealthPolicy
) -> tuple[int, list[Key]]:
    """Assess what is due; return how many, and those whose health would change: they stay due."""
    due = [_Due(*row) for row in connection.execute(_TAKE_DUE, terms)]
    window = health.window_at(now, policy.window)
    counts = _counts(connection, due, window)
    settled: list[dict[str, Any]] = []
    vanished, changing = [], []
    for row in due:
        key = row.key
        if row.health in _ASSESSED:
            report = _report(row, counts.get(key), window, policy, now)
            if report.health != row.health:
                changing.append(key)
                continue
            settled.append(_settled(key, report, has_counts=key in counts))
        elif key in counts:
            # Of a domain that was deleted, or not yet verified: to be forgotten in time.
            settled.append(_key(key) | {"due": health.next_look(window, row.name), "document": None})
        else:
            vanished.append(_key(key))
    if settled:
        connection.execute(_WRITE, settled)
    if vanished:
        connection.execute(_FORGET, vanished)
    if due:
        connection.execute(_FORGET_COUNTS, [{**_key(row.key), "start": window.start} for row in due])
    return len(due), changing


def _moves(
    connection: Connection, keys: Collection[Key], now: datetime, policy: HealthPolicy
) -> list[tuple[Domain, Moved]]:
    """Lock domains, write their assessments, and return what those make of them."""
    wanted = {"keys": list(keys)}
    locked = rows.lock(connection, connection.execute(_GENERATIONS, wanted).scalars().all())
    present = {
        (domain.tenant, domain.name): domain for domain in rows.of_generations(connection, locked).values()
    }
    rated = [row for row in (_Due(*row) for row in connection.execute(_LOCK, wanted)) if row.key in present]
    window = health.window_at(now, policy.window)
    counts = _counts(connection, rated, window)
    moves, written = [], []
    for row in rated:
        domain = present[row.key]
        if domain.health not in _ASSESSED:
            continue  # it was deleted and created anew meanwhile
        report = _report(row, counts.get(row.key), window, policy, now)
        written.append(_settled(row.key, report, has_counts=row.key in counts))
        moves.append((domain, lifecycle.assessed(domain, report)))
    if written:
        connection.execute(_WRITE, written)
    return moves


_ASSESSED = frozenset(Health) - {Health.UNSPECIFIED}


def _report(
    row: _Due, counts: Counts | None, window: Window, policy: HealthPolicy, now: datetime
) -> HealthReport:
    return health.assess(
        None if row.document is None else load_report(row.document),
        counts or Counts(),
        thresholds=load_policy(row.policy).thresholds(policy.thresholds),
        window=window,
        since=now,
    )


def _settled(key: Key, report: HealthReport, *, has_counts: bool) -> dict[str, Any]:
    # Without any, only new ones can change it.
    due = health.next_look(report.window, key[1]) if has_counts else None
    return {**_key(key), "due": due, "document": dump_report(report)}


def _counts(connection: Connection, due: Sequence[_Due], window: Window) -> dict[Key, Counts]:
    """Return the counts of a window of those domains that have any."""
    by_tenant: dict[str, list[str]] = {}
    for row in due:
        by_tenant.setdefault(row.tenant, []).append(row.name)
    database = connection.dialect.name
    found: dict[Key, Counts] = {}
    for tenant, names in by_tenant.items():
        terms = {
            "of_tenant": tenant,
            "start": to_microseconds(window.start),
            "end": to_microseconds(window.end),
            "listed": listed(names, database),
        }
        for name, *sums in map(tuple, run(connection, _sums(database), terms)):
            # PostgreSQL's sums are decimals.
            found[tenant, name] = Counts(*map(int, sums))
    return found


@functools.cache
def _sums(database: str) -> Select[*tuple[Any, ...]]:
    counts = [func.sum(deliveries.c[count]) for count in Counts._fields]
    return (
        select(deliveries.c.name, *counts)
        .where(
            deliveries.c.tenant == bindparam("of_tenant"),
            is_listed(deliveries.c.name, database),
            deliveries.c.hour >= bindparam("start"),
            deliveries.c.hour < bindparam("end"),
        )
        .group_by(deliveries.c.name)
    )


def _key(key: Key) -> dict[str, Any]:
    tenant, name = key
    return {"of_tenant": tenant, "of_name": name}
