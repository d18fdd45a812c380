"""Names that several tenants claim: who has one VERIFIED, and who takes it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    ColumnClause,
    Connection,
    bindparam,
    case,
    exists,
    false,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from service.core.domain import Contest, Domain, Moved, Status
from service.ports import CheckedMove, Claim
from service.store import assessments, rows
from service.store.locks import lock_names
from service.store.tables import domains, names_held

Step = tuple[Domain, Moved]
"""A locked domain, and what becomes of it."""
Key = tuple[str, str]
"""Generation and lease of a claim."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of checked domains, and of others by them; nothing of it is told yet."""

    steps: dict[Key, Step]
    """Of those whose claims held still."""
    changed: dict[str, Step]
    """Of the domains that had a claimed name VERIFIED, by generation."""
    late: list[Domain]
    """Claimed domains that another was faster than: they are left as they were."""

    @property
    def told(self) -> list[Domain]:
        """The domains of which there is an event."""
        steps = (*self.steps.values(), *self.changed.values())
        return [moved.domain for _, moved in steps if moved.change is not None]


# Spelt out: with a parameter, no database would use the index of VERIFIED names.
_VERIFIED: ColumnClause[str] = literal_column(f"'{Status.VERIFIED}'")
_other = domains.alias("other")
_is_verified_elsewhere = (
    (_other.c.name == domains.c.name) & (_other.c.status == _VERIFIED) & (_other.c.tenant != domains.c.tenant)
)
_is_proved_elsewhere = exists().where(
    names_held.c.name == domains.c.name,
    names_held.c.tenant != domains.c.tenant,
    names_held.c.proof_time.is_not(None),
)
HELD_ELSEWHERE, PROVED_ELSEWHERE = (
    # No rule asks it of a domain that has the name: nearly all that are checked.
    case((domains.c.status == _VERIFIED, false()), else_=is_elsewhere)
    for is_elsewhere in (exists().where(_is_verified_elsewhere), _is_proved_elsewhere)
)
_generations: BindParameter[str] = bindparam("generations", expanding=True)
_HOLDERS = (
    select(domains.c.generation, _other.c.generation)
    .join_from(domains, _other, _is_verified_elsewhere)
    .where(domains.c.generation.in_(_generations))
)
_OF_KEY = update(domains).where(domains.c.generation == bindparam("key"))
_VERIFY = _OF_KEY.values(status=Status.VERIFIED.value)
_VERIFY_UNPROVED = _VERIFY.where(~_is_proved_elsewhere)
_YIELD = _OF_KEY.values(status=Status.FAILED.value)
_PROVED = (
    update(names_held)
    .where(names_held.c.tenant == bindparam("of_tenant"), names_held.c.name == bindparam("of_name"))
    .values(proof_time=bindparam("now", type_=names_held.c.proof_time.type))
)


def key_of(claim: Claim) -> Key:
    """Return what a claim is told from others by."""
    return claim.domain.generation, claim.lease


def settle(connection: Connection, checked: Sequence[CheckedMove], now: datetime) -> Settled:
    """Lock the domains of a save and whom they contend with, and apply what the checks came to.

    It comes first in its transaction, and writes nothing but who has which name VERIFIED.
    """
    holders = _lock_names(connection, [each.claim for each in checked])
    standing, present = _lock(connection, checked, holders.values())
    settled = Settled({}, {}, [])
    contenders = []
    for each in standing:
        holder = present.get(holders.get(each.claim.domain.generation, ""))
        if each.contest is None or holder is None or holder.status is not Status.VERIFIED:
            continue
        contenders.append(each)
        _contend(settled, each, each.contest, present[each.claim.domain.generation], holder)
    for each in standing:
        before = present[each.claim.domain.generation]
        # What is asked of a domain that another's claim has just changed is out of date.
        if each not in contenders and before.generation not in settled.changed:
            settled.steps[key_of(each.claim)] = before, each.move(before)
    _verify(connection, now, settled, holders)
    return settled


def _contend(settled: Settled, each: CheckedMove, contest: Contest, claimant: Domain, holder: Domain) -> None:
    """Apply a contest. Of several for one name, those have to wait that come after a change of its holder."""
    if holder.generation in settled.changed:
        settled.late.append(claimant)
        return
    mine, theirs = contest(claimant, holder)
    settled.steps[key_of(each.claim)] = claimant, mine
    if theirs is not None:
        settled.changed[holder.generation] = holder, theirs


def _lock_names(connection: Connection, claims: Sequence[Claim]) -> dict[str, str]:
    """Lock contested names; return who has each VERIFIED, by the claims' generations."""
    contested = [claim.domain for claim in claims if claim.held_elsewhere]
    if not contested:
        return {}
    lock_names(connection, {domain.name for domain in contested})
    generations = [domain.generation for domain in contested]
    return dict(connection.execute(_HOLDERS, {"generations": generations}).all())


def _lock(
    connection: Connection, checked: Sequence[CheckedMove], others: Collection[str]
) -> tuple[list[CheckedMove], Mapping[str, Domain]]:
    """Lock domains; return those whose claims hold still, and all as they are now, by generation."""
    claims = {each.claim.domain.generation: each.claim for each in checked}
    locked = rows.lock(connection, {*claims, *others})
    present = {
        generation: claim.domain
        for generation, lock in locked.items()
        if (claim := claims.get(generation)) and (claim.lease, claim.version) == lock
    }
    # Nearly all are as they were claimed, and reading a document takes longer than all else here.
    if others := locked.keys() - present.keys():
        present |= rows.of_generations(connection, others)
    held = {(generation, lock.lease) for generation, lock in locked.items()}
    return [each for each in checked if key_of(each.claim) in held], present


def _verify(connection: Connection, now: datetime, settled: Settled, holders: Mapping[str, str]) -> None:
    """Take the names of domains that become VERIFIED; those that come too late are `late` then.

    Before any revision is taken, for it may have to wait for another tenant; by
    name, so that two transactions never wait for each other.
    """
    for key, (before, moved) in sorted(settled.steps.items(), key=lambda step: step[1][0].name):
        if before.status is Status.VERIFIED or moved.domain.status is not Status.VERIFIED:
            continue
        _, lost = settled.changed.get(holders.get(before.generation, ""), (None, None))
        if lost is not None and lost.domain.status is not Status.VERIFIED:
            # Its row is locked: it has the name until here, and nobody comes between.
            connection.execute(_YIELD, {"key": lost.domain.generation})
        if not _take(connection, moved.domain):
            settled.late.append(before)
            del settled.steps[key]
        elif moved.domain.contested:
            owner = {"of_tenant": before.tenant, "of_name": before.name}
            connection.execute(_PROVED, {**owner, "now": now})
    # From now on they have a health.
    first = [
        (before.tenant, before.name)
        for before, moved in settled.steps.values()
        if before.health is not moved.domain.health
    ]
    if first:
        assessments.hasten(connection, first, now)


def _take(connection: Connection, domain: Domain) -> bool:
    """Whether the domain has its name VERIFIED now: nobody else has, and it proved ownership if it had to."""
    statement = _VERIFY if domain.contested else _VERIFY_UNPROVED
    try:
        with connection.begin_nested():
            return connection.execute(statement, {"key": domain.generation}).rowcount == 1
    except IntegrityError:
        return False
