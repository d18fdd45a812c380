"""Changes of domains, each written with the event that tells it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, insert, update

from service.core.domain import Change, Domain, Event, EventType, Moved
from service.core.sending import is_on_hold
from service.core.tenants import TenantPolicy
from service.store import identities, rows, uses
from service.store.document import KEPT_ELSEWHERE, dump_event, load_policy
from service.store.tables import events, tenants

_now = bindparam("now", type_=tenants.c.change_time.type)
# Clocks of replicas differ, the order of a log must not: its times never fall.
_TAKE_REVISIONS = (
    update(tenants)
    .where(tenants.c.id == bindparam("tenant"))
    .values(
        revision=tenants.c.revision + bindparam("count"),
        change_time=case((tenants.c.change_time < _now, _now), else_=tenants.c.change_time),
    )
    .returning(tenants.c.revision, tenants.c.change_time, tenants.c.policy)
)
_INSERT_EVENT = insert(events)
_document = attrgetter(*(field.name for field in fields(Domain) if field.name not in KEPT_ELSEWHERE))


_ABOUT_SENDING = {EventType.SENDING_DISABLED, EventType.SENDING_ENABLED, EventType.HEALTH_CHANGED}


class _Turn(NamedTuple):
    """What the next event of a tenant is written under."""

    revision: int
    time: datetime
    policy: TenantPolicy


@dataclass(frozen=True, slots=True)
class Told:
    """A change to be told of."""

    before: Domain | None
    """None where the domain is created."""
    after: Domain
    change: Change


def leaves_unchanged(before: Domain, moved: Moved) -> bool:
    """Whether a move leaves all as it was but what has tables of its own, such as the schedule."""
    return moved.change is None and _document(moved.domain) == _document(before)


def apply(connection: Connection, now: datetime, moves: Sequence[tuple[Domain, Moved]]) -> list[Domain]:
    """Write what moves make of locked domains, all but their schedules.

    Returns the domains after their moves, in the order given. It must come last
    in its transaction, for it takes revisions.
    """
    identities.follow(connection, moves, now)
    rows.write(
        connection,
        [
            moved.domain
            for before, moved in moves
            if moved.change is None and not leaves_unchanged(before, moved)
        ],
    )
    told = [Told(before, moved.domain, moved.change) for before, moved in moves if moved.change is not None]
    changed = [event.state for event in tell(connection, now, told)]
    rows.write(connection, changed)
    latest = iter(changed)
    return [moved.domain if moved.change is None else next(latest) for _, moved in moves]


def tell(connection: Connection, now: datetime, told: Sequence[Told]) -> list[Event]:
    """Add events to the log, in the order given, under the next revisions.

    The state of each carries its revision and time, but that of a deleted
    domain, which is the last one it had. Tenants are locked from here to the
    end of the transaction: that is what makes a log gapless.
    """
    if not told:
        return []
    taken = {
        tenant: _take(connection, tenant, count, now)
        for tenant, count in sorted(Counter(each.after.tenant for each in told).items())
    }
    added = []
    for each in told:
        turn = taken[each.after.tenant]
        taken[each.after.tenant] = turn._replace(revision=turn.revision + 1)
        added.append(_event(each, turn, _held_sends(connection, each, turn.policy, now)))
    connection.execute(
        _INSERT_EVENT,
        [
            {
                "tenant": event.tenant,
                "revision": event.revision,
                "time": event.time,
                "domain": event.domain,
                "document": dump_event(event),
            }
            for event in added
        ],
    )
    return added


def _take(connection: Connection, tenant: str, count: int, now: datetime) -> _Turn:
    taken = connection.execute(_TAKE_REVISIONS, {"tenant": tenant, "count": count, "now": now}).one_or_none()
    if taken is None:
        message = f"a change was made for tenant {tenant!r}, which does not exist"
        raise RuntimeError(message)
    head, time, policy = taken
    return _Turn(head - count + 1, time, load_policy(policy))


def _held_sends(connection: Connection, told: Told, policy: TenantPolicy, now: datetime) -> int:
    """Return how many scheduled sends a change holds back or releases."""
    before, after = told.before, told.after
    # Other changes put nothing on hold that can be sent otherwise.
    if before is None or told.change.type not in _ABOUT_SENDING:
        return 0
    if is_on_hold(before, policy) is is_on_hold(after, policy):
        return 0
    return uses.scheduled(connection, after.generation, now)


def _event(told: Told, turn: _Turn, held_sends: int) -> Event:
    before, after, change = told.before, told.after, told.change
    if change.type is not EventType.DELETED:
        after = replace(after, revision=turn.revision, update_time=turn.time)
    return Event(
        tenant=after.tenant,
        revision=turn.revision,
        time=turn.time,
        type=change.type,
        domain=after.name,
        previous_status=None if before is None else before.status,
        previous_health=None if before is None else before.health,
        reason=change.reason,
        actor=change.actor,
        state=after,
        held_sends=held_sends,
    )
