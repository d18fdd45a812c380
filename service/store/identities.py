"""Identities at the mail provider that no domain may need.

Everything here happens under the lock of the identity's name, as creations and
deletions of domains do.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from service.ports import IdentityRef, Removal
from service.store import rows
from service.store.errors import concurrent_change
from service.store.locks import lock_names
from service.store.part import Part
from service.store.tables import loose_identities

_OF_REF = (
    loose_identities.c.name == bindparam("of_name"),
    loose_identities.c.region == bindparam("of_region"),
)
_FIND = select(
    loose_identities.c.token,
    loose_identities.c.due,
    loose_identities.c.is_removing,
    loose_identities.c.failures,
).where(*_OF_REF)
_FIRST_DUE = (
    select(loose_identities.c.name, loose_identities.c.region)
    .where(loose_identities.c.due <= bindparam("now", type_=loose_identities.c.due.type))
    .order_by(loose_identities.c.due)
    .limit(1)
)
_INSERT = insert(loose_identities)
_UPDATE = update(loose_identities).where(*_OF_REF)
_FORGET = delete(loose_identities).where(*_OF_REF)


class SqlIdentities(Part):
    """`IdentityStore`."""

    def reserve(self, ref: IdentityRef, now: datetime, patience: timedelta) -> str | None:
        """See `IdentityStore.reserve`."""

        def work(connection: Connection) -> str | None:
            lock_names(connection, {ref.name})
            found = _find(connection, ref)
            if found is None:
                return _note(connection, ref, due=now + patience)
            if found.is_removing and found.due > now:
                return None
            # Whoever has let its lease run out must not finish any more.
            token: str = _new_token() if found.is_removing else found.token
            _change(connection, ref, token=token, due=now + patience, is_removing=False)
            return token

        return self._database.write(work)

    def take_removal(self, now: datetime, lease: timedelta) -> Removal | None:
        """See `IdentityStore.take_removal`."""
        while (ref := self._first_due(now)) is not None:
            if (taken := self._take(ref, now, lease)) is not None:
                return taken
        return None

    def _first_due(self, now: datetime) -> IdentityRef | None:
        found = self._database.query(lambda connection: connection.execute(_FIRST_DUE, {"now": now}).first())
        return None if found is None else IdentityRef(found.name, found.region)

    def _take(self, ref: IdentityRef, now: datetime, lease: timedelta) -> Removal | None:
        def work(connection: Connection) -> Removal | None:
            lock_names(connection, {ref.name})
            found = _find(connection, ref)
            if found is None or found.due > now:
                return None
            if _is_needed(connection, ref):
                connection.execute(_FORGET, _key(ref))
                return None
            token = _new_token()
            _change(connection, ref, token=token, due=now + lease, is_removing=True)
            return Removal(ref, token, found.failures)

        return self._database.write(work)

    def finish(self, removal: Removal) -> None:
        """See `IdentityStore.finish`."""

        def work(connection: Connection) -> None:
            if _is_held(connection, removal):
                connection.execute(_FORGET, _key(removal.ref))

        self._database.write(work)

    def put_off(self, removal: Removal, due: datetime) -> None:
        """See `IdentityStore.put_off`."""

        def work(connection: Connection) -> None:
            if _is_held(connection, removal):
                _change(connection, removal.ref, due=due, is_removing=False, failures=removal.failures + 1)

        self._database.write(work)


def claim(connection: Connection, ref: IdentityRef, reservation: str) -> None:
    """End the reservation of an identity that gets its domain in this transaction.

    Raises:
        ServiceError: CONCURRENT_CHANGE where it may have been removed since.

    """
    found = _find(connection, ref)
    # While another domain needs it, it is there, whatever became of the reservation.
    is_reserved = found is not None and found.token == reservation and not found.is_removing
    if not is_reserved and not _is_needed(connection, ref):
        raise concurrent_change()
    connection.execute(_FORGET, _key(ref))


def release(connection: Connection, ref: IdentityRef, now: datetime) -> None:
    """Have an identity removed unless a domain needs it, or is being made with it."""
    if not _is_needed(connection, ref) and _find(connection, ref) is None:
        _note(connection, ref, due=now)


def _is_held(connection: Connection, removal: Removal) -> bool:
    lock_names(connection, {removal.ref.name})
    found = _find(connection, removal.ref)
    return found is not None and found.token == removal.token


def _is_needed(connection: Connection, ref: IdentityRef) -> bool:
    return any(domain.region == ref.region for domain in rows.of_name(connection, ref.name))


def _find(connection: Connection, ref: IdentityRef) -> Any | None:
    return connection.execute(_FIND, _key(ref)).first()


def _note(connection: Connection, ref: IdentityRef, *, due: datetime) -> str:
    token = _new_token()
    new = {"name": ref.name, "region": ref.region, "token": token, "due": due}
    connection.execute(_INSERT, {**new, "is_removing": False, "failures": 0})
    return token


def _change(connection: Connection, ref: IdentityRef, **values: object) -> None:
    connection.execute(_UPDATE.values(**values), _key(ref))


def _key(ref: IdentityRef) -> dict[str, str]:
    return {"of_name": ref.name, "of_region": ref.region}


def _new_token() -> str:
    return secrets.token_hex(16)
