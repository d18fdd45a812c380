"""Domains: creating, reading, changing and deleting them."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
)

from service.core import transfer
from service.core.domain import Change, Domain, EventType, Move, Status
from service.core.errors import domain_exists, domain_not_found, invalid_field, quota_reached
from service.ports import CreateRequest, DomainFilter, DomainPage, IdentityRef
from service.store import assessments, changes, identities, rows, uses
from service.store.document import dump_state, load_state
from service.store.errors import concurrent_change
from service.store.locks import lock_names
from service.store.part import Part
from service.store.tables import create_requests, domains, names_held, tenants

REQUEST_MEMORY = timedelta(hours=24)
"""For how long a creation can be repeated by its `request_id`."""

# Above every name that starts with what it is put behind.
_LAST = chr(0x10FFFF)

_HEAD = select(tenants.c.revision).where(tenants.c.id == bindparam("tenant"))
_DELETE = delete(domains).where(domains.c.generation == bindparam("generation"))
_HELD = exists().where(names_held.c.name == bindparam("name"))
_FOREIGN = _HELD.where(names_held.c.tenant != bindparam("tenant"))
_IS_FOREIGN = select(_FOREIGN)
_CLAIMS = select(
    exists().where(domains.c.tenant == bindparam("tenant"), domains.c.name == bindparam("name")),
    _HELD.where(names_held.c.tenant == bindparam("tenant")),
    _FOREIGN,
)
_COUNT = select(func.count()).select_from(domains).where(domains.c.tenant == bindparam("tenant"))
_INSERT_HELD = insert(names_held)
_OF_REQUEST = (
    create_requests.c.tenant == bindparam("tenant"),
    create_requests.c.request == bindparam("request"),
)
_FIND_REQUEST = select(create_requests.c.fingerprint, create_requests.c.document).where(
    *_OF_REQUEST, create_requests.c.create_time > bindparam("since")
)
_FORGET_REQUEST = delete(create_requests).where(*_OF_REQUEST)
_INSERT_REQUEST = insert(create_requests)


class SqlDomains(Part):
    """`DomainStore`."""

    def create(
        self,
        draft: Domain,
        *,
        actor: str,
        request: CreateRequest | None,
        quota: int = 0,
        reservation: str | None = None,
    ) -> Domain:
        """See `DomainStore.create`."""

        def work(connection: Connection) -> Domain:
            # Two tenants that add one name at the same time must not both be the first.
            lock_names(connection, {draft.name})
            if (created := self._find_created(connection, draft.tenant, request)) is not None:
                return created
            if reservation is not None:
                identities.claim(
                    connection, IdentityRef(draft.name, draft.region), reservation, self._clock.now()
                )
            return self._add(connection, draft, actor=actor, request=request, quota=quota)

        created = self._database.write(work)
        self._hints.announce({draft.tenant})
        return created

    def _add(
        self, connection: Connection, draft: Domain, *, actor: str, request: CreateRequest | None, quota: int
    ) -> Domain:
        owner = {"tenant": draft.tenant, "name": draft.name}
        has_it, held_it, is_foreign = connection.execute(_CLAIMS, owner).one()
        if has_it:
            raise domain_exists(draft.name)
        if is_foreign and not draft.contested:
            raise concurrent_change()
        if not held_it:
            connection.execute(_INSERT_HELD, owner)
        now = self._clock.now()
        change = Change(EventType.CREATED, actor=actor)
        (event,) = changes.tell(connection, now, [changes.Told(None, draft, change)])
        # Now that the tenant's row is locked, nobody adds another meanwhile.
        if quota and connection.execute(_COUNT, owner).scalar_one() >= quota:
            raise quota_reached(quota)
        rows.add(connection, event.state)
        if request is not None:
            _remember(connection, request, event.state, now)
        return event.state

    def find_created(self, tenant: str, request: CreateRequest) -> Domain | None:
        """See `DomainStore.find_created`."""
        return self._database.query(lambda connection: self._find_created(connection, tenant, request))

    def _find_created(
        self, connection: Connection, tenant: str, request: CreateRequest | None
    ) -> Domain | None:
        if request is None:
            return None
        since = self._clock.now() - REQUEST_MEMORY
        found = connection.execute(
            _FIND_REQUEST, {"tenant": tenant, "request": _digest(request), "since": since}
        ).first()
        if found is None:
            return None
        if found.fingerprint != request.fingerprint:
            raise invalid_field("request_id", "was used before with another request")
        return load_state(found.document)

    def count(self, tenant: str) -> int:
        """See `DomainStore.count`."""
        owner = {"tenant": tenant}
        return self._database.query(lambda connection: int(connection.execute(_COUNT, owner).scalar_one()))

    def is_foreign(self, tenant: str, name: str) -> bool:
        """See `DomainStore.is_foreign`."""
        return self._database.query(
            lambda connection: bool(
                connection.execute(_IS_FOREIGN, {"tenant": tenant, "name": name}).scalar_one()
            )
        )

    def get(self, tenant: str, name: str) -> Domain:
        """See `DomainStore.get`."""
        return self._database.query(lambda connection: rows.find(connection, tenant, name))

    def find(self, tenant: str, names: Collection[str]) -> Mapping[str, Domain]:
        """See `DomainStore.find`."""
        return self._look_ups.domains(tenant, names)

    def head(self, tenant: str) -> int:
        """See `DomainStore.head`."""
        bounds = self._look_ups.bounds({tenant}).get(tenant)
        return 0 if bounds is None else bounds.head

    def page(self, tenant: str, wanted: DomainFilter, *, after: str, limit: int) -> DomainPage:
        """See `DomainStore.page`."""
        statement = _matching(tenant, wanted, after).limit(limit + 1)
        revision, found = self._database.read(
            lambda connection: (head_of(connection, tenant), connection.execute(statement).all())
        )
        shown = tuple(map(rows.decode, found[:limit]))
        return DomainPage(shown, revision, has_more=len(found) > limit)

    def change(self, tenant: str, name: str, move: Move) -> Domain:
        """See `DomainStore.change`."""

        def work(connection: Connection) -> tuple[Domain, bool]:
            before = rows.lock_one(connection, tenant, name)
            moved = move(before)
            if _contents(moved.domain) != _contents(before):
                rows.end_leases(connection, [moved.domain])
            elif moved.domain.checks != before.checks:
                rows.reschedule(connection, moved.domain)
            (after,) = changes.apply(connection, self._clock.now(), [(before, moved)])
            return after, moved.change is not None

        after, told = self._database.write(work)
        if told:
            self._hints.announce({tenant})
        return after

    def delete(self, tenant: str, name: str, *, actor: str) -> int:
        """See `DomainStore.delete`."""

        def work(connection: Connection) -> tuple[int, set[str]]:
            last, holder = _lock_claim(connection, tenant, name)
            now = self._clock.now()
            uses.require_none(connection, last.generation, name, now)
            connection.execute(_DELETE, {"generation": last.generation})
            identities.release(connection, IdentityRef(name, last.region), now)
            assessments.forget(connection, (tenant, name), now)
            told = [changes.Told(last, last, Change(EventType.DELETED, actor=actor))]
            ended = None if holder is None else transfer.withdrawn(last, holder)
            if ended is not None and ended.change is not None:
                told.append(changes.Told(holder, ended.domain, ended.change))
            deleted, *others = changes.tell(connection, now, told)
            rows.write(connection, [event.state for event in others])
            return deleted.revision, {each.after.tenant for each in told}

        revision, told = self._database.write(work)
        self._hints.announce(told)
        return revision


def _contents(domain: Domain) -> list[tuple[object, ...]]:
    return [record.content for record in domain.records]


def _lock_claim(connection: Connection, tenant: str, name: str) -> tuple[Domain, Domain | None]:
    """Lock a domain, and the one of another tenant that has its name VERIFIED; return both.

    Raises:
        ServiceError: DOMAIN_NOT_FOUND.

    """
    lock_names(connection, {name})
    claims = {domain.tenant: domain.generation for domain in rows.of_name(connection, name)}
    if tenant not in claims:
        raise domain_not_found(name)
    # All that claim the name, since any may become VERIFIED until they are locked.
    rows.lock(connection, claims.values())
    present = rows.of_generations(connection, claims.values())
    mine = present.pop(claims[tenant])
    return mine, next((other for other in present.values() if other.status is Status.VERIFIED), None)


def head_of(connection: Connection, tenant: str) -> int:
    """Return a tenant's revision; 0 before its first change."""
    return connection.execute(_HEAD, {"tenant": tenant}).scalar() or 0


def page_of_names(
    tenant: str, names: frozenset[str] | None, *, after: str, limit: int
) -> Select[*tuple[Any, ...]]:
    """Return the statement for `rows.decode` that selects some domains by name."""
    return _matching(tenant, DomainFilter(names=names), after).limit(limit)


def _matching(tenant: str, wanted: DomainFilter, after: str) -> Select[*tuple[Any, ...]]:
    statement = rows.DOMAINS.where(domains.c.tenant == tenant, domains.c.name > after)
    if wanted.prefix:
        statement = statement.where(domains.c.name >= wanted.prefix, domains.c.name < wanted.prefix + _LAST)
    if wanted.names is not None:
        statement = statement.where(domains.c.name.in_(sorted(wanted.names)))
    if wanted.statuses:
        statement = statement.where(domains.c.status.in_(_values(wanted.statuses)))
    if wanted.healths:
        statement = statement.where(domains.c.health.in_(_values(wanted.healths)))
    if wanted.sending_enabled is not None:
        statement = statement.where(domains.c.sending_enabled == wanted.sending_enabled)
    return statement.order_by(domains.c.name)


def _values(members: frozenset[str]) -> Sequence[str]:
    return sorted(str(member) for member in members)


def _digest(request: CreateRequest) -> bytes:
    # Callers choose the text: of any length, with characters that no column takes.
    return hashlib.sha256(request.request_id.encode()).digest()


def _remember(connection: Connection, request: CreateRequest, created: Domain, now: datetime) -> None:
    key = {"tenant": created.tenant, "request": _digest(request)}
    connection.execute(_FORGET_REQUEST, key)
    connection.execute(
        _INSERT_REQUEST,
        {
            **key,
            "fingerprint": request.fingerprint,
            "create_time": now,
            "document": dump_state(created),
        },
    )
