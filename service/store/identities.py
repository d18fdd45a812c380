"""Identities at the mail provider: what each has to be like, and who sees to it.

Whether there has to be one is decided under the lock of its name, as creations and
deletions of domains are.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, insert, or_, select, update

from service.core.domain import Domain, EventType, Moved, Status
from service.ports import IdentityRef, IdentityWork, ProviderState, WantedIdentity
from service.store import provider_states, rows
from service.store.errors import concurrent_change
from service.store.locks import lock_names
from service.store.part import Part
from service.store.tables import provider_identities

_OF_REF = (
    provider_identities.c.name == bindparam("of_name"),
    provider_identities.c.region == bindparam("of_region"),
)
# Locked, since `touch` has not the lock of the name.
_FIND = select(provider_identities).where(*_OF_REF).with_for_update()
_now = bindparam("now", type_=provider_identities.c.due.type)
_region = bindparam("in_region", type_=provider_identities.c.region.type)
_FIRST_DUE = (
    select(provider_identities.c.name, provider_identities.c.region)
    .where(provider_identities.c.due <= _now, or_(_region.is_(None), provider_identities.c.region == _region))
    .order_by(provider_identities.c.due)
    .limit(1)
)
_INSERT = insert(provider_identities)
_UPDATE = (
    update(provider_identities)
    .where(*_OF_REF)
    .values(version=provider_identities.c.version + 1)
    .returning(provider_identities.c.version)
)
_TOUCH = (
    update(provider_identities)
    .where(*_OF_REF)
    .values(
        version=provider_identities.c.version + 1,
        due=case((provider_identities.c.lease.is_(None), _now), else_=provider_identities.c.due),
    )
)
_FORGET = delete(provider_identities).where(*_OF_REF)


class SqlIdentities(Part):
    """`IdentityStore`, as far as it is about what is intended."""

    def reserve(self, ref: IdentityRef, now: datetime, patience: timedelta) -> str | None:
        """See `IdentityStore.reserve`."""
        until = now + patience

        def work(connection: Connection) -> str | None:
            lock_names(connection, {ref.name})
            found = _find(connection, ref)
            if found is None:
                return _note(connection, ref, due=until, reserved_until=until)
            if found.is_removing and found.due > now:
                return None
            if found.is_removing:
                # Whoever has let its lease run out must not finish any more.
                token = _new_token()
                ended = {"reservation": token, "lease": None, "is_removing": False}
                _change(connection, ref, **ended, due=until, reserved_until=until)
                return token
            _change(connection, ref, due=until if found.due is None else found.due, reserved_until=until)
            return str(found.reservation)

        return self._database.write(work)

    def take_due(self, now: datetime, lease: timedelta, region: str | None) -> IdentityWork | None:
        """See `IdentityStore.take_due`."""
        while (ref := self._first_due(now, region)) is not None:
            if (taken := self._take(ref, now, lease)) is not None:
                return taken
        return None

    def _first_due(self, now: datetime, region: str | None) -> IdentityRef | None:
        terms = {"now": now, "in_region": region}
        found = self._database.query(lambda connection: connection.execute(_FIRST_DUE, terms).first())
        return None if found is None else IdentityRef(found.name, found.region)

    def _take(self, ref: IdentityRef, now: datetime, lease: timedelta) -> IdentityWork | None:
        def work(connection: Connection) -> IdentityWork | None:
            lock_names(connection, {ref.name})
            found = _find(connection, ref)
            if found is None or found.due is None or found.due > now:
                return None
            wanted = _wanted(connection, ref)
            if wanted is None and found.reserved_until is not None and found.reserved_until > now:
                _change(connection, ref, due=found.reserved_until, lease=None)
                return None
            token = _new_token()
            taken = {"lease": token, "due": now + lease, "is_removing": wanted is None}
            if wanted is None:
                taken["reservation"] = _new_token()
            version = _change(connection, ref, **taken)
            return IdentityWork(
                ref=ref,
                lease=token,
                wanted=wanted,
                failures=found.failures,
                version=version,
                state=None if found.state is None else ProviderState(found.state),
            )

        return self._database.write(work)

    def finish(self, work: IdentityWork, now: datetime, state: ProviderState | None) -> None:
        """See `IdentityStore.finish`."""

        def write(connection: Connection) -> None:
            if (found := _held(connection, work)) is None:
                return
            if work.wanted is None:
                connection.execute(_FORGET, _key(work.ref))
                return
            due = None if found.version == work.version else now
            seen = _newest(found.state, work, state)
            _change(connection, work.ref, lease=None, due=due, failures=0, state=seen)
            provider_states.tell(connection, {work.ref.name: (found.state, seen)}, now)

        self._database.write(write)

    def put_off(self, work: IdentityWork, due: datetime, state: ProviderState | None = None) -> None:
        """See `IdentityStore.put_off`."""

        def write(connection: Connection) -> None:
            if (found := _held(connection, work)) is None:
                return
            known = found.state if state is None else _newest(found.state, work, state)
            given_back = {"lease": None, "is_removing": False, "failures": work.failures + 1}
            _change(connection, work.ref, due=due, state=known, **given_back)
            provider_states.tell(connection, {work.ref.name: (found.state, known)}, self._clock.now())

        self._database.write(write)


def claim(connection: Connection, ref: IdentityRef, reservation: str, now: datetime) -> None:
    """End the reservation of an identity that gets its domain in this transaction.

    Raises:
        ServiceError: CONCURRENT_CHANGE where it may have been removed since.

    """
    found = _find(connection, ref)
    is_reserved = found is not None and found.reservation == reservation and not found.is_removing
    # While another domain needs it, it is there, whatever became of the reservation.
    if not is_reserved and not rows.of_name_in(connection, ref.name, ref.region):
        raise concurrent_change()
    if found is None:
        _note(connection, ref, due=now, reserved_until=None)
    else:
        _change(connection, ref, reserved_until=None)
        touch(connection, [ref], now)


def release(connection: Connection, ref: IdentityRef, now: datetime) -> None:
    """Have an identity seen to that one domain needs no more."""
    if _find(connection, ref) is None:
        _note(connection, ref, due=now, reserved_until=None)
    else:
        touch(connection, [ref], now)


def follow(connection: Connection, moves: Iterable[tuple[Domain, Moved]], now: datetime) -> None:
    """Have identities seen to that have to be otherwise after these moves, or that the provider gave up."""
    touch(
        connection,
        sorted(
            {
                IdentityRef(moved.domain.name, moved.domain.region)
                for before, moved in moves
                if _concerns_provider(before, moved)
            },
            key=_order,
        ),
        now,
    )


def _concerns_provider(before: Domain, moved: Moved) -> bool:
    """Whether a move changes who decides on the envelope sender's host, or what it is.

    Records that were broken for long have made the provider give up that host.
    """
    after = moved.domain
    return (
        after.mail_from != before.mail_from
        or (after.status is Status.VERIFIED) is not (before.status is Status.VERIFIED)
        or (moved.change is not None and moved.change.type is EventType.RECORDS_RESTORED)
    )


def touch(connection: Connection, refs: Sequence[IdentityRef], now: datetime) -> None:
    """Have identities seen to, in the order given: at once, or again by whoever does it now."""
    if refs:
        connection.execute(_TOUCH, [{**_key(ref), "now": now} for ref in refs])


def _order(ref: IdentityRef) -> tuple[str, str]:
    return ref.name, ref.region


def _held(connection: Connection, work: IdentityWork) -> Any | None:
    lock_names(connection, {work.ref.name})
    # Its domains may have to be told, and are locked before it.
    provider_states.lock_checks(connection, {work.ref.name})
    found = _find(connection, work.ref)
    return found if found is not None and found.lease == work.lease else None


def _newest(known: str | None, work: IdentityWork, state: ProviderState | None) -> str | None:
    """Return the state to keep: that of the turn, unless a poll has learnt another since it began."""
    return (state and state.value) if known == work.state else known


def _wanted(connection: Connection, ref: IdentityRef) -> WantedIdentity | None:
    claims = rows.of_name_in(connection, ref.name, ref.region)
    if not claims:
        return None
    holders = [domain for domain in claims if domain.status is Status.VERIFIED]
    deciding = holders or ([] if len(claims) > 1 or claims[0].contested else claims)
    return WantedIdentity(
        mail_from=deciding[0].mail_from if deciding else None,
        tenants=tuple(sorted(domain.tenant for domain in claims)),
    )


def _find(connection: Connection, ref: IdentityRef) -> Any | None:
    return connection.execute(_FIND, _key(ref)).first()


def _note(connection: Connection, ref: IdentityRef, *, due: datetime, reserved_until: datetime | None) -> str:
    reservation = _new_token()
    connection.execute(
        _INSERT,
        {
            "name": ref.name,
            "region": ref.region,
            "reservation": reservation,
            "reserved_until": reserved_until,
            "due": due,
            "is_removing": False,
            "failures": 0,
            "version": 0,
        },
    )
    return reservation


def _change(connection: Connection, ref: IdentityRef, **values: Any) -> int:
    """Change a row, and return its version from then on."""
    version: int = connection.execute(_UPDATE.values(**values), _key(ref)).scalar_one()
    return version


def _key(ref: IdentityRef) -> dict[str, str]:
    return {"of_name": ref.name, "of_region": ref.region}


def _new_token() -> str:
    return secrets.token_hex(16)
