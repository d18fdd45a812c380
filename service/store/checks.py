"""The queue of checks: whose DNS is due, who looks at it, what came of it."""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, Connection, bindparam, case, exists, func, null, or_, select, update
from sqlalchemy.exc import IntegrityError

from service.core.domain import Domain, Moved, Status
from service.core.errors import domain_not_found
from service.ports import CheckedMove, Claim
from service.store import changes, rows
from service.store.part import Part
from service.store.tables import checks, domains

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
_other = domains.alias("other")
_HELD_ELSEWHERE = (
    exists()
    .where(
        _other.c.name == domains.c.name,
        _other.c.status == Status.VERIFIED.value,
        _other.c.tenant != domains.c.tenant,
    )
    .label("held_elsewhere")
)
_generations: BindParameter[str] = bindparam("generations", expanding=True)
_CLAIMED = rows.DOMAINS.add_columns(_HELD_ELSEWHERE).where(domains.c.generation.in_(_generations))
_RELEASE = (
    update(checks)
    .where(checks.c.generation == bindparam("key"), checks.c.lease == bindparam("taken_by"))
    .values(lease=null(), claim_time=checks.c.next_check_time)
)
_VERIFY = update(domains).where(domains.c.generation == bindparam("key")).values(status=Status.VERIFIED.value)
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
        next_check_time=case(
            (checks.c.next_check_time > _at_latest, _at_latest), else_=checks.c.next_check_time
        ),
        claim_time=case(
            (checks.c.lease.is_(None) & (checks.c.claim_time > _at_latest), _at_latest),
            else_=checks.c.claim_time,
        ),
    )
)


class SqlChecks(Part):
    """`CheckQueue`."""

    def claim_due(self, now: datetime, limit: int, lease: timedelta) -> Sequence[Claim]:
        """See `CheckQueue.claim_due`."""
        holder = secrets.token_hex(16)
        terms = {"now": now, "until": now + lease, "taken_by": holder, "limit": limit}

        def work(connection: Connection) -> list[Claim]:
            taken = connection.execute(_CLAIM_DUE, terms).scalars().all()
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
        if not checked:
            return []

        def work(connection: Connection) -> tuple[list[Domain | None], set[str]]:
            now = self._clock.now()
            current = _held(connection, [each.claim for each in checked])
            moves = {
                _key(each.claim): (before, each.move(before))
                for each in checked
                if (before := current.get(_key(each.claim))) is not None
            }
            beaten = _verify(connection, moves.values())
            kept = {key: move for key, move in moves.items() if move[0].generation not in beaten}
            late = [
                replace(before, checks=replace(before.checks, next_check_time=now + _RETRY_AFTER))
                for before, _ in moves.values()
                if before.generation in beaten
            ]
            rows.end_leases(connection, [*late, *(moved.domain for _, moved in kept.values())])
            after = changes.apply(connection, now, list(kept.values()))
            saved = dict(zip(kept, after, strict=True))
            told = {before.tenant for before, moved in kept.values() if moved.change is not None}
            return [saved.get(_key(each.claim)) for each in checked], told

        saved, told = self._database.write(work)
        if told:
            self._hints.announce(told)
        return saved

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


def _claims(connection: Connection, generations: Sequence[str], holder: str) -> list[Claim]:
    if not generations:
        return []
    found = connection.execute(_CLAIMED, {"generations": generations})
    claims = [Claim(rows.decode(row), holder, bool(row.held_elsewhere)) for row in found]
    return sorted(claims, key=lambda claim: claim.domain.checks.next_check_time)


def _key(claim: Claim) -> tuple[str, str]:
    return claim.domain.generation, claim.lease


def _held(connection: Connection, claims: Sequence[Claim]) -> Mapping[tuple[str, str], Domain]:
    """Lock the domains whose claims hold still, and return them as they are now."""
    generations = [claim.domain.generation for claim in claims]
    leases = rows.lock(connection, generations)
    current = rows.of_generations(connection, generations)
    return {(generation, leases[generation] or ""): domain for generation, domain in current.items()}


def _verify(connection: Connection, moves: Iterable[tuple[Domain, Moved]]) -> set[str]:
    """Take the names of domains that become VERIFIED; return who came too late.

    Before any revision is taken, for it may have to wait for another tenant; by
    name, so that two transactions never wait for each other.
    """
    beaten = set()
    for before, moved in sorted(moves, key=lambda move: move[0].name):
        if before.status is not Status.VERIFIED and moved.domain.status is Status.VERIFIED:
            try:
                with connection.begin_nested():
                    connection.execute(_VERIFY, {"key": before.generation})
            except IntegrityError:
                beaten.add(before.generation)
    return beaten
