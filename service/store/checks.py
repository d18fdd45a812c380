"""The queue of checks: whose DNS is due, who looks at it, what came of it."""

import functools
import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)

from service.core.domain import Domain, Status
from service.core.errors import domain_not_found
from service.ports import CheckedMove, Claim
from service.store import changes, contests, rows
from service.store.contests import Key, Settled
from service.store.part import Part
from service.store.statements import is_listed, listed, run
from service.store.tables import checks, domains, to_microseconds

_log = structlog.get_logger(__name__)

_RETRY_AFTER = timedelta(minutes=1)
"""When a domain is looked at again whose name another tenant verified first."""

_now = bindparam("now", type_=checks.c.claim_time.type)
_until = bindparam("until", type_=checks.c.claim_time.type)
_at_latest = bindparam("due", type_=checks.c.claim_time.type)
_DUE = (
    select(checks.c.generation)
    .where(checks.c.claim_time <= _now)
    .order_by(checks.c.claim_time)
    .limit(bindparam("limit"))
    .offset(literal_column("0"))  # SQLite has one in any case: see `written`
    .with_for_update(skip_locked=True)
    .cte("due")
)
_TAKE = update(checks).values(lease=bindparam("taken_by"), claim_time=_until)
_CLAIM_DUE = _TAKE.where(checks.c.generation.in_(select(_DUE.c.generation))).returning(checks.c.generation)
_GENERATION = (
    select(domains.c.generation)
    .where(domains.c.tenant == bindparam("tenant"), domains.c.name == bindparam("name"))
    .scalar_subquery()
)
_CLAIM_ONE = _TAKE.where(
    checks.c.generation == _GENERATION, or_(checks.c.lease.is_(None), checks.c.claim_time <= _now)
).returning(checks.c.generation)
_EXISTS = select(exists().where(domains.c.tenant == bindparam("tenant"), domains.c.name == bindparam("name")))
_generations: BindParameter[str] = bindparam("generations", expanding=True)
_CLAIMED = rows.DOMAINS.add_columns(contests.HELD_ELSEWHERE, contests.PROVED_ELSEWHERE, checks.c.version)
_RELEASE = (
    update(checks)
    .where(checks.c.generation == bindparam("key"), checks.c.lease == bindparam("taken_by"))
    .values(lease=null(), claim_time=checks.c.next_check_time)
)
_NEXT_DUE = select(func.min(checks.c.claim_time))
_PENDING_NAMES = select(domains.c.generation).where(
    domains.c.tenant == bindparam("tenant"),
    domains.c.name.in_(bindparam("names", expanding=True)),
    domains.c.status == Status.PENDING.value,
)
_HASTEN = (
    update(checks)
    .where(checks.c.generation.in_(_generations), checks.c.generation.in_(_PENDING_NAMES))
    .values(
        fast_since=_now,
        gap=0.0,
        version=checks.c.version + 1,
        next_check_time=case(
            (checks.c.next_check_time > _at_latest, _at_latest), else_=checks.c.next_check_time
        ),
        claim_time=case(
            (checks.c.lease.is_(None) & (checks.c.claim_time > _at_latest), _at_latest),
            else_=checks.c.claim_time,
        ),
    )
)


class _ChangedMeanwhileError(Exception):
    """Undoes a transaction: a domain is not as it was claimed, or its lease was lost."""


class SqlChecks(Part):
    """`CheckQueue`."""

    def claim_due(self, now: datetime, limit: int, lease: timedelta) -> Sequence[Claim]:
        """See `CheckQueue.claim_due`."""
        holder = secrets.token_hex(16)
        terms = {
            "now": to_microseconds(now),
            "until": to_microseconds(now + lease),
            "taken_by": holder,
            "limit": limit,
        }

        def work(connection: Connection) -> list[Claim]:
            taken = run(connection, _CLAIM_DUE, terms).scalars().all()
            return _claims(connection, taken, holder)

        return self._database.write(work)

    def claim(self, tenant: str, name: str, now: datetime, lease: timedelta) -> Claim | None:
        """See `CheckQueue.claim`."""
        holder = secrets.token_hex(16)
        owner = {"tenant": tenant, "name": name}
        terms = {**owner, "now": now, "until": now + lease, "taken_by": holder}

        def work(connection: Connection) -> Claim | None:
            taken = connection.execute(_CLAIM_ONE, terms).scalars().all()
            if taken:
                return next(iter(_claims(connection, taken, holder)), None)
            if not connection.execute(_EXISTS, owner).scalar_one():
                raise domain_not_found(name)
            return None

        return self._database.write(work)

    def save(self, checked: Sequence[CheckedMove]) -> Sequence[Domain | None]:
        """See `CheckQueue.save`."""
        saved = self._end_unchanged(checked)
        if others := [each for each in checked if contests.key_of(each.claim) not in saved]:
            saved |= self._settle(others)
        return [saved.get(contests.key_of(each.claim)) for each in checked]

    def _end_unchanged(self, checked: Sequence[CheckedMove]) -> dict[Key, Domain]:
        """End the leases of domains of which a check changes the schedule alone: nearly all.

        No rule has to be applied to them under a lock, and nothing read. Returns
        them after their checks; none of them where any is not as it was claimed.
        """
        unchanged = {
            contests.key_of(each.claim): (each.claim, moved.domain)
            for each in checked
            if not each.claim.held_elsewhere
            and changes.leaves_unchanged(each.claim.domain, moved := each.move(each.claim.domain))
        }
        if not unchanged:
            return {}
        ended = [(claim, domain.checks) for claim, domain in unchanged.values()]

        def work(connection: Connection) -> None:
            if not rows.end_leases_of_unchanged(connection, ended):
                raise _ChangedMeanwhileError

        try:
            self._database.write(work)
        except _ChangedMeanwhileError:
            return {}
        return {key: domain for key, (_, domain) in unchanged.items()}

    def _settle(self, checked: Sequence[CheckedMove]) -> dict[Key, Domain]:
        """Apply moves under the locks of their domains; return those that were saved."""

        def work(connection: Connection) -> tuple[Settled, list[Domain]]:
            now = self._clock.now()
            settled = contests.settle(connection, checked, now)
            again = [
                replace(domain, checks=replace(domain.checks, next_check_time=now + _RETRY_AFTER))
                for domain in settled.late
            ]
            moves = [*settled.steps.values(), *settled.changed.values()]
            rows.end_leases(connection, [*again, *(moved.domain for _, moved in moves)])
            return settled, changes.apply(connection, now, moves)

        settled, after = self._database.write(work)
        count = len(settled.steps)
        for domain in after[count:]:
            _log_loss(domain)
        if told := {domain.tenant for domain in settled.told}:
            self._hints.announce(told)
        return dict(zip(settled.steps, after[:count], strict=True))

    def release(self, claims: Sequence[Claim]) -> None:
        """See `CheckQueue.release`."""
        if claims:
            given_back = [
                {"key": claim.domain.generation, "taken_by": claim.lease}
                for claim in sorted(claims, key=lambda claim: claim.domain.generation)
            ]
            self._database.write(lambda connection: connection.execute(_RELEASE, given_back))

    def next_due(self) -> datetime | None:
        """See `CheckQueue.next_due`."""
        return self._database.query(lambda connection: connection.execute(_NEXT_DUE).scalar())

    def hasten(self, tenant: str, names: Collection[str], *, now: datetime, due: datetime) -> None:
        """See `CheckQueue.hasten`."""
        wanted = {"tenant": tenant, "names": list(names)}

        def pending(connection: Connection) -> Sequence[str]:
            return connection.execute(_PENDING_NAMES, wanted).scalars().all()

        # Mostly none is: that is known without the writer's turn.
        if generations := self._database.query(pending):

            def work(connection: Connection) -> None:
                rows.lock(connection, generations)
                connection.execute(_HASTEN, {**wanted, "generations": generations, "now": now, "due": due})

            self._database.write(work)


@functools.cache
def _claimed(database: str) -> Select[*tuple[Any, ...]]:
    return _CLAIMED.where(is_listed(domains.c.generation, database))


def _claims(connection: Connection, generations: Sequence[str], holder: str) -> list[Claim]:
    if not generations:
        return []
    database = connection.dialect.name
    found = run(connection, _claimed(database), {"listed": listed(generations, database)}).all()
    claims = [_claim(row, holder) for row in found]
    return sorted(claims, key=lambda claim: claim.domain.checks.next_check_time)


def _claim(row: Sequence[Any], holder: str) -> Claim:
    *_, is_held_elsewhere, is_proved_elsewhere, version = row
    return Claim(rows.decode(row), holder, bool(is_held_elsewhere), bool(is_proved_elsewhere), version)


def _log_loss(holder: Domain) -> None:
    if holder.status is not Status.VERIFIED:
        _log.info(
            "domain_status_changed",
            tenant=holder.tenant,
            domain=holder.name,
            before=Status.VERIFIED,
            after=holder.status,
            reason=holder.status_reason,
        )
