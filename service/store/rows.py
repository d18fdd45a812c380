"""How a domain stands in its tables: read, lock, write."""

from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    select,
    type_coerce,
    update,
)

from service.core.domain import CheckState, Domain
from service.core.errors import domain_not_found
from service.ports import Claim
from service.store.document import dump_domain, load_domain, load_report
from service.store.statements import run
from service.store.tables import (
    Moment,
    active_uses,
    assessments,
    checks,
    domains,
    from_microseconds,
    names_held,
    optional_time,
    to_microseconds,
)

_CHECK_COLUMNS = (
    checks.c.next_check_time,
    checks.c.last_check_time,
    checks.c.fast_since,
    checks.c.gap,
    checks.c.unknown_checks,
    checks.c.failing_since,
    checks.c.failed_checks,
)

# Times as the numbers that the tables hold: `decode` knows them, also where a driver
# was asked without SQLAlchemy's types between.
_NUMBERS = [
    type_coerce(column, BigInteger) if isinstance(column.type, Moment) else column
    for column in _CHECK_COLUMNS
]
_applications_differ = (
    select(func.min(active_uses.c.application) != func.max(active_uses.c.application))
    .where(
        active_uses.c.generation == domains.c.generation,
        active_uses.c.application != literal_column("''"),
        active_uses.c.count > literal_column("0"),
    )
    .scalar_subquery()
)
DOMAINS: Select[*tuple[Any, ...]] = (
    select(domains.c.document, *_NUMBERS, assessments.c.document, _applications_differ)
    .join_from(domains, checks)
    .outerjoin(
        assessments, (assessments.c.tenant == domains.c.tenant) & (assessments.c.name == domains.c.name)
    )
)
"""Selects domains: `decode` turns each of its rows into one."""

_ONE = DOMAINS.where(domains.c.tenant == bindparam("tenant"), domains.c.name == bindparam("name"))
_BY_GENERATION = DOMAINS.where(domains.c.generation.in_(bindparam("generations", expanding=True)))
# By way of `names_held`, which has an index that begins with the name.
_OF_NAME = DOMAINS.join(
    names_held, (names_held.c.tenant == domains.c.tenant) & (names_held.c.name == domains.c.name)
).where(names_held.c.name == bindparam("name"))
# Always in the same order, so that no two transactions wait for each other.
_LOCK = (
    select(checks.c.generation, checks.c.lease, checks.c.version)
    .where(checks.c.generation.in_(bindparam("generations", expanding=True)))
    .order_by(checks.c.generation)
    .with_for_update()
)
_LOCK_ONE = (
    select(checks.c.generation)
    .where(
        checks.c.generation
        == select(domains.c.generation)
        .where(domains.c.tenant == bindparam("tenant"), domains.c.name == bindparam("name"))
        .scalar_subquery()
    )
    .with_for_update()
)
_INSERT_DOMAIN = insert(domains)
_INSERT_CHECKS = insert(checks)
_UPDATE_DOMAIN = update(domains).where(domains.c.generation == bindparam("key"))
_COUNT_WRITE = (
    update(checks).where(checks.c.generation == bindparam("key")).values(version=checks.c.version + 1)
)

_SCHEDULE: dict[str, Any] = {column.name: bindparam(f"new_{column.name}") for column in _CHECK_COLUMNS}
_OF_DOMAIN = update(checks).where(checks.c.generation == bindparam("key"))
_RESCHEDULE = _OF_DOMAIN.values(
    **_SCHEDULE,
    version=checks.c.version + literal_column("1"),
    claim_time=case((checks.c.lease.is_(None), bindparam("new_next_check_time")), else_=checks.c.claim_time),
)
_END_LEASE = _OF_DOMAIN.values(**_SCHEDULE, claim_time=bindparam("new_next_check_time"), lease=null())
_END_UNCHANGED = _END_LEASE.where(
    checks.c.lease == bindparam("of_lease"), checks.c.version == bindparam("of_version")
)


class Locked(NamedTuple):
    """The row that is a domain's lock, as it is from then on."""

    lease: str | None
    version: int


def decode(row: Sequence[Any]) -> Domain:
    """Return the domain of a row of `DOMAINS`, which may have further columns."""
    schedule = CheckState(
        next_check_time=from_microseconds(row[1]),
        last_check_time=optional_time(row[2]),
        fast_since=from_microseconds(row[3]),
        gap=row[4],
        unknown_checks=row[5],
        failing_since=optional_time(row[6]),
        failed_checks=row[7],
    )
    return load_domain(
        row[0],
        checks=schedule,
        health_report=None if row[8] is None else load_report(row[8]),
        is_shared=bool(row[9]),
    )


def find(connection: Connection, tenant: str, name: str) -> Domain:
    """Return a domain.

    Raises:
        ServiceError: DOMAIN_NOT_FOUND.

    """
    row = connection.execute(_ONE, {"tenant": tenant, "name": name}).first()
    if row is None:
        raise domain_not_found(name)
    return decode(row)


def lock_one(connection: Connection, tenant: str, name: str) -> Domain:
    """Lock a domain until the transaction ends, and return it.

    Raises:
        ServiceError: DOMAIN_NOT_FOUND.

    """
    # Two statements: after a wait, PostgreSQL would show the locked row as it is
    # now, and what is joined to it as it was when the statement began.
    locked = connection.execute(_LOCK_ONE, {"tenant": tenant, "name": name}).first()
    if locked is None:
        raise domain_not_found(name)
    return find(connection, tenant, name)


def lock(connection: Connection, generations: Collection[str]) -> dict[str, Locked]:
    """Lock the domains of these generations until the transaction ends.

    Returns the locks of those that exist, by generation.
    """
    locked = connection.execute(_LOCK, {"generations": list(generations)}).all()
    return {generation: Locked(lease, version) for generation, lease, version in locked}


def of_generations(connection: Connection, generations: Collection[str]) -> dict[str, Domain]:
    """Return those domains that exist, by generation."""
    found = connection.execute(_BY_GENERATION, {"generations": list(generations)}).all()
    return {domain.generation: domain for domain in map(decode, found)}


def of_name(connection: Connection, name: str) -> list[Domain]:
    """Return the domains of this name, of all tenants."""
    return list(map(decode, connection.execute(_OF_NAME, {"name": name})))


def of_name_in(connection: Connection, name: str, region: str) -> list[Domain]:
    """Return the domains of this name in a region, of all tenants: those that share one identity."""
    return [domain for domain in of_name(connection, name) if domain.region == region]


def add(connection: Connection, domain: Domain) -> None:
    """Insert a domain, due at its next check."""
    connection.execute(_INSERT_DOMAIN, {"generation": domain.generation, **_columns(domain)})
    schedule = {column.name: getattr(domain.checks, column.name) for column in _CHECK_COLUMNS}
    connection.execute(
        _INSERT_CHECKS,
        {"generation": domain.generation, "claim_time": domain.checks.next_check_time, **schedule},
    )


def write(connection: Connection, changed: Sequence[Domain]) -> None:
    """Write domains, all but their schedules."""
    if changed:
        rows = [{"key": domain.generation, **_columns(domain)} for domain in changed]
        connection.execute(_UPDATE_DOMAIN, rows)
        connection.execute(_COUNT_WRITE, [{"key": domain.generation} for domain in changed])


def reschedule(connection: Connection, domain: Domain) -> None:
    """Write the schedule of a domain; a lease that it is under goes on."""
    run(connection, _RESCHEDULE, _schedule(domain.generation, domain.checks))


def end_leases(connection: Connection, checked: Sequence[Domain]) -> None:
    """Write the schedules of domains and end their leases."""
    if checked:
        run(connection, _END_LEASE, [_schedule(domain.generation, domain.checks) for domain in checked])


def end_leases_of_unchanged(connection: Connection, ended: Collection[tuple[Claim, CheckState]]) -> bool:
    """Write schedules and end the leases of claims, where all the domains are as they were claimed.

    Returns whether they are; where not, the transaction is to be undone.
    """
    rows = [
        {"of_lease": claim.lease, "of_version": claim.version, **_schedule(claim.domain.generation, schedule)}
        for claim, schedule in ended
    ]
    # In the order in which everybody locks.
    rows.sort(key=itemgetter("key"))
    return run(connection, _END_UNCHANGED, rows).rowcount == len(rows)


def _columns(domain: Domain) -> dict[str, Any]:
    return {
        "tenant": domain.tenant,
        "name": domain.name,
        "status": domain.status.value,
        "health": domain.health.value,
        "sending_enabled": domain.sending_enabled,
        "document": dump_domain(domain),
    }


def _schedule(generation: str, schedule: CheckState) -> dict[str, Any]:
    return {
        "key": generation,
        "new_next_check_time": to_microseconds(schedule.next_check_time),
        "new_last_check_time": schedule.last_check_time and to_microseconds(schedule.last_check_time),
        "new_fast_since": to_microseconds(schedule.fast_since),
        "new_gap": schedule.gap,
        "new_unknown_checks": schedule.unknown_checks,
        "new_failing_since": schedule.failing_since and to_microseconds(schedule.failing_since),
        "new_failed_checks": schedule.failed_checks,
    }
