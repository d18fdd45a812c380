"""Changes of domains, each written with the event that tells it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Connection, bindparam, case, insert, update

from service.core.domain import Change, Domain, Event, EventType, Moved
from service.store import rows
from service.store.document import dump_event
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
    .returning(tenants.c.revision, tenants.c.change_time)
)
_INSERT_EVENT = insert(events)
_but_checks = attrgetter(*(field.name for field in fields(Domain) if field.name != "checks"))


@dataclass(frozen=True, slots=True)
class Told:
    """A change to be told of."""

    before: Domain | None
    """None where the domain is created."""
    after: Domain
    change: Change


def leaves_unchanged(before: Domain, moved: Moved) -> bool:
    """Whether a move leaves all but the schedule as it was."""
    return moved.change is None and _but_checks(moved.domain) == _but_checks(before)


def apply(connection: Connection, now: datetime, moves: Sequence[tuple[Domain, Moved]]) -> list[Domain]:
    """Write what moves make of locked domains, all but their schedules.

    Returns the domains after their moves, in the order given. It must come last
    in its transaction, for it takes revisions.
    """
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
        revision, time = taken[each.after.tenant]
        taken[each.after.tenant] = revision + 1, time
        added.append(_event(each, revision, time))
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


def _take(connection: Connection, tenant: str, count: int, now: datetime) -> tuple[int, datetime]:
    taken = connection.execute(_TAKE_REVISIONS, {"tenant": tenant, "count": count, "now": now}).one_or_none()
    if taken is None:
        message = f"a change was made for tenant {tenant!r}, which does not exist"
        raise RuntimeError(message)
    head, time = taken
    return head - count + 1, time


def _event(told: Told, revision: int, time: datetime) -> Event:
    before, after, change = told.before, told.after, told.change
    if change.type is not EventType.DELETED:
        after = replace(after, revision=revision, update_time=time)
    return Event(
        tenant=after.tenant,
        revision=revision,
        time=time,
        type=change.type,
        domain=after.name,
        previous_status=None if before is None else before.status,
        previous_health=None if before is None else before.health,
        reason=change.reason,
        actor=change.actor,
        state=after,
    )
