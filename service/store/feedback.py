"""Events about single messages: each counted once, and what could not be read."""

import functools
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Connection,
    Delete,
    Select,
    String,
    Table,
    bindparam,
    delete,
    select,
    tuple_,
)

from service.core.domain import Status
from service.core.feedback import EventKind, FeedbackEvent, Tally, candidates, counts_of
from service.core.health import HOUR, Health
from service.ports import DeadLetter, LetterHead, QueueLag
from service.store.deliveries import Counting, add
from service.store.statements import InsertNew, Upsert, is_listed, listed, run
from service.store.tables import (
    counted_events,
    dead_letters,
    domains,
    names_held,
    queue_lags,
    to_microseconds,
)

Key = tuple[str, str]
"""Tenant and name of a domain."""
_Row = tuple[int, bytes]
"""A row of `counted_events`."""

_HOUR_SECONDS = int(HOUR.total_seconds())
_MICROSECONDS = 1_000_000
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_REMEMBER = InsertNew(counted_events)
_KEEP = InsertNew(dead_letters)
_NOTE_LAG = Upsert(queue_lags, lambda new: {"time": new["time"], "lag": new["lag"]})
_head = [dead_letters.c[field] for field in LetterHead._fields]
_age = tuple_(dead_letters.c.time, dead_letters.c.id)
_HEADS = (
    select(*_head)
    .where(_age > tuple_(bindparam("time", type_=dead_letters.c.time.type), bindparam("id", type_=String)))
    .order_by(*_age.clauses)
    .limit(bindparam("limit"))
)
_LETTER = select(*_head, dead_letters.c.body).where(dead_letters.c.id == bindparam("id"))
_ids: BindParameter[str] = bindparam("ids", expanding=True)
_DELETE_LETTERS = delete(dead_letters).where(dead_letters.c.id.in_(_ids))


def _forgetting(table: Table, time: str) -> Delete:
    """Return the deletion of some rows that are older than `before`, the oldest first."""
    key = list(table.primary_key.columns)
    before = bindparam("before", type_=table.c[time].type)
    old = select(*key).where(table.c[time] < before).order_by(table.c[time]).limit(bindparam("limit"))
    return delete(table).where(tuple_(*key).in_(old))


_FORGET_EVENTS = _forgetting(counted_events, "hour")
_FORGET_LETTERS = _forgetting(dead_letters, "time")


class _Claim(NamedTuple):
    """A domain of a name that is asked for."""

    name: str
    tenant: str
    status: str
    health: str


class SqlFeedback(Counting):
    """`EventStore`."""

    def count_events(
        self,
        events: Sequence[FeedbackEvent],
        dead: Sequence[DeadLetter],
        *,
        begins: datetime,
        due: datetime,
    ) -> Tally:
        """See `EventStore.count_events`."""
        earliest = begins.timestamp()
        present = [event for event in events if event.time >= earliest]
        owners = self._owners({event.host for event in present})
        placed = [event for event in present if event.host in owners]
        by_row = {_row(event): event for event in placed}
        rows = sorted(by_row)
        letters = sorted(map(_letter_row, dead))

        def work(connection: Connection) -> tuple[int, int]:
            new = _REMEMBER.run(connection, rows) if rows else []
            if new:
                add(connection, _counts(new, by_row, owners), due)
            return len(new), len(_KEEP.run(connection, letters) if letters else ())

        counted, kept = self._count(work) if rows or letters else (0, 0)
        return Tally(
            counted=counted,
            duplicates=len(placed) - counted,
            too_old=len(events) - len(present),
            of_no_domain=len(present) - len(placed),
            dead=kept,
        )

    def forget_events(self, before: datetime, limit: int) -> int:
        """See `EventStore.forget_events`."""
        return self._forget(_FORGET_EVENTS, before, limit)

    def dead_letters(self, limit: int, after: LetterHead | None = None) -> Sequence[LetterHead]:
        """See `EventStore.dead_letters`."""
        terms = {
            "limit": limit,
            "time": after.time if after else _LONG_AGO,
            "id": after.id if after else "",
        }
        found = self._database.query(lambda connection: connection.execute(_HEADS, terms).all())
        return [*map(LetterHead._make, found)]

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """See `EventStore.dead_letter`."""
        found = self._database.query(
            lambda connection: connection.execute(_LETTER, {"id": letter_id}).one_or_none()
        )
        if found is None:
            return None
        *head, body = found
        return DeadLetter(LetterHead(*head), body.decode(errors="surrogatepass"))

    def delete_dead_letters(self, ids: Collection[str]) -> int:
        """See `EventStore.delete_dead_letters`."""
        return self._database.write(
            lambda connection: connection.execute(_DELETE_LETTERS, {"ids": list(ids)}).rowcount
        )

    def forget_dead_letters(self, before: datetime, limit: int) -> int:
        """See `EventStore.forget_dead_letters`."""
        return self._forget(_FORGET_LETTERS, before, limit)

    def note_lag(self, queue: str, lag: QueueLag) -> None:
        """See `EventStore.note_lag`."""
        row = (queue, to_microseconds(lag.time), lag.lag // timedelta(microseconds=1))
        self._database.write(lambda connection: _NOTE_LAG.run(connection, [row]))

    def lags(self) -> Mapping[str, QueueLag]:
        """See `EventStore.lags`."""
        found = self._database.query(lambda connection: connection.execute(select(queue_lags)).all())
        return {queue: QueueLag(time, timedelta(microseconds=lag)) for queue, time, lag in found}

    def _forget(self, statement: Delete, before: datetime, limit: int) -> int:
        terms = {"before": before, "limit": limit}
        return self._database.write(lambda connection: connection.execute(statement, terms).rowcount)

    def _owners(self, hosts: Collection[str]) -> dict[str, Key]:
        """Return whose the events of hosts are, of those that anybody's are."""
        names = {name for host in hosts for name in candidates(host)}
        claims: dict[str, list[_Claim]] = defaultdict(list)
        for claim in self._claims(names):
            claims[claim.name].append(claim)
        owners = {}
        for host in hosts:
            above = [claims[name] for name in candidates(host) if name in claims]
            if owner := next(filter(None, map(self._holder, above)), None) or _sole(above):
                owners[host] = owner
        return owners

    def _claims(self, names: Collection[str]) -> list[_Claim]:
        def work(connection: Connection) -> list[_Claim]:
            database = connection.dialect.name
            found = run(connection, _claims(database), {"listed": listed(names, database)})
            return [*map(_Claim._make, found)]

        return self._database.query(work) if names else []

    def _holder(self, claims: Sequence[_Claim]) -> Key | None:
        """Return who of those with a name has it VERIFIED, or had it last; None where nobody ever had."""
        # UNSPECIFIED is the health of those that were never VERIFIED.
        held = [claim for claim in claims if claim.health != Health.UNSPECIFIED]
        verified = [claim for claim in held if claim.status == Status.VERIFIED]
        if len(held) > 1 and not verified:
            held.sort(key=self._verify_time, reverse=True)
        return next((_key(claim) for claim in verified or held), None)

    def _verify_time(self, claim: _Claim) -> datetime:
        domain = self._look_ups.domains(claim.tenant, {claim.name}).get(claim.name)
        return (domain and domain.verify_time) or _LONG_AGO


@functools.cache
def _claims(database: str) -> Select[*tuple[Any, ...]]:
    return (
        select(names_held.c.name, names_held.c.tenant, domains.c.status, domains.c.health)
        .join_from(
            names_held,
            domains,
            (domains.c.tenant == names_held.c.tenant) & (domains.c.name == names_held.c.name),
        )
        .where(is_listed(names_held.c.name, database))
    )


def _sole(above: Sequence[Sequence[_Claim]]) -> Key | None:
    """Return who claims the nearest name above a host, where nobody has proved any; None if several do."""
    if not above or len(above[0]) > 1:
        return None
    return _key(above[0][0])


def _key(claim: _Claim) -> Key:
    return claim.tenant, claim.name


def _row(event: FeedbackEvent) -> _Row:
    return event.time // _HOUR_SECONDS * _HOUR_SECONDS * _MICROSECONDS, event.id


def _counts(
    new: Sequence[tuple[Any, ...]], events: Mapping[_Row, FeedbackEvent], owners: Mapping[str, Key]
) -> list[tuple[Any, ...]]:
    """Return what new events add to `deliveries`, in the order of its key."""
    kinds: dict[tuple[str, str, int], list[EventKind]] = defaultdict(list)
    for hour, digest in new:
        event = events[hour, digest]
        kinds[(*owners[event.host], hour)].append(event.kind)
    return sorted((*key, *counts_of(told)) for key, told in kinds.items())


def _letter_row(letter: DeadLetter) -> tuple[Any, ...]:
    # A body may have anything that JSON can spell.
    body = letter.body.encode(errors="surrogatepass")
    letter_id, queue, time, problem = letter.head
    return letter_id, queue, to_microseconds(time), problem, body
