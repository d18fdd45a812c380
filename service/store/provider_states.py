"""What the mail provider says of its identities, as it was last listed."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from sqlalchemy import (
    BindParameter,
    Connection,
    and_,
    bindparam,
    case,
    insert,
    null,
    select,
    tuple_,
    update,
)

from service.ports import IdentityRef, KnownState, ProviderState, StatePoll
from service.store.part import Part
from service.store.tables import checks, domains, names_held, provider_identities, provider_polls

_BATCH = 500
"""How many states are written in one transaction: others wait for it."""
_IN_REGION = provider_polls.c.region == bindparam("of_region")
_FIND_POLL = select(provider_polls.c.due, provider_polls.c.fresh_until).where(_IN_REGION)
_INSERT_POLL = insert(provider_polls)
_UPDATE_POLL = update(provider_polls).where(_IN_REGION)
_MY_POLL = _UPDATE_POLL.where(provider_polls.c.lease == bindparam("of_lease"))
_fresh_until = provider_polls.c.fresh_until
_fresh = bindparam("fresh", type_=_fresh_until.type)
_RENEW_POLL = _MY_POLL.values(
    due=bindparam("new_due"),
    fresh_until=case(
        (and_(_fresh_until >= bindparam("now", type_=_fresh_until.type), _fresh_until < _fresh), _fresh),
        else_=_fresh_until,
    ),
)
_END_POLL = _MY_POLL.values(due=bindparam("new_due"), lease=null(), fresh_until=_fresh)
_KNOWN = select(provider_identities.c.name, provider_identities.c.state, provider_identities.c.version).where(
    provider_identities.c.region == bindparam("of_region")
)
_NAMES = select(provider_identities.c.name, provider_identities.c.reserved_until).where(
    provider_identities.c.region == bindparam("of_region")
)
_REGIONS = select(provider_identities.c.region).distinct()
_refs: BindParameter[tuple[str, str]] = bindparam("refs", expanding=True)
_STATES = (
    select(provider_identities.c.name, provider_identities.c.region, provider_identities.c.state)
    .join(provider_polls, provider_polls.c.region == provider_identities.c.region)
    .where(
        tuple_(provider_identities.c.name, provider_identities.c.region).in_(_refs),
        provider_polls.c.fresh_until >= bindparam("now", type_=provider_polls.c.fresh_until.type),
    )
)
_now = bindparam("now", type_=checks.c.claim_time.type)
_OF_IDENTITY = (
    provider_identities.c.name == bindparam("of_name"),
    provider_identities.c.region == bindparam("of_region"),
)
_SET_STATE = update(provider_identities).where(*_OF_IDENTITY)
_AS_KNOWN = _SET_STATE.where(provider_identities.c.version == bindparam("of_version"))
_SAVE_STATE = _AS_KNOWN.values(state=bindparam("new_state"))
_MAKE_DUE = _AS_KNOWN.where(provider_identities.c.due.is_(None)).values(
    due=_now, version=provider_identities.c.version + 1
)
_names: BindParameter[str] = bindparam("names", expanding=True)
_GENERATIONS_OF = (
    select(domains.c.generation)
    .join(names_held, (names_held.c.tenant == domains.c.tenant) & (names_held.c.name == domains.c.name))
    .where(names_held.c.name.in_(_names))
)
_LOCK_CHECKS = (
    select(checks.c.generation)
    .where(checks.c.generation.in_(_GENERATIONS_OF))
    .order_by(checks.c.generation)
    .with_for_update()
)
_HASTEN = (
    update(checks)
    .where(checks.c.generation.in_(bindparam("generations", expanding=True)))
    .values(
        # A check that runs was told of the former state: it is void.
        lease=null(),
        claim_time=_now,
        next_check_time=_now,
        version=checks.c.version + 1,
    )
)


class SqlProviderStates(Part):
    """`ProviderStates`, and `IdentityStore` as far as it is about what was seen."""

    def states(self, refs: Sequence[IdentityRef]) -> Mapping[IdentityRef, ProviderState]:
        """See `ProviderStates.states`."""
        terms = {"refs": [(ref.name, ref.region) for ref in refs], "now": self._clock.now()}
        found = (
            self._database.query(lambda connection: connection.execute(_STATES, terms).all()) if refs else ()
        )
        known = {IdentityRef(row.name, row.region): _state(row.state) for row in found}
        return {ref: known.get(ref) or ProviderState.UNKNOWN for ref in refs}

    def regions(self) -> Collection[str]:
        """See `IdentityStore.regions`."""
        return self._database.query(lambda connection: connection.execute(_REGIONS).scalars().all())

    def identity_names(self, region: str) -> Mapping[str, bool]:
        """See `IdentityStore.identity_names`."""
        found = self._database.query(
            lambda connection: connection.execute(_NAMES, {"of_region": region}).all()
        )
        return {row.name: row.reserved_until is None for row in found}

    def take_poll(self, region: str, now: datetime, lease: timedelta) -> StatePoll | None:
        """See `IdentityStore.take_poll`."""
        key = {"of_region": region}

        def is_due(connection: Connection) -> bool:
            due = connection.execute(_FIND_POLL, key).scalar()
            return due is None or due <= now

        def work(connection: Connection) -> StatePoll | None:
            # Of two processes at the same time the second finds it taken: it waits for the row.
            found = connection.execute(_FIND_POLL.with_for_update(), key).one_or_none()
            if found is not None and found.due > now:
                return None
            token = secrets.token_hex(16)
            taken = {"lease": token, "due": now + lease}
            if found is None:
                connection.execute(_INSERT_POLL, {"region": region, **taken})
            else:
                connection.execute(_UPDATE_POLL.values(**taken), key)
            known = {
                row.name: KnownState(_state(row.state), row.version)
                for row in connection.execute(_KNOWN, key)
            }
            return StatePoll(region, token, known, None if found is None else found.fresh_until)

        # Mostly it is not: that is known without the writer's turn.
        return self._database.write(work) if self._database.query(is_due) else None

    def renew_poll(self, poll: StatePoll, now: datetime, *, due: datetime, fresh_until: datetime) -> bool:
        """See `IdentityStore.renew_poll`."""
        terms = {**_key_of(poll), "now": now, "new_due": due, "fresh": fresh_until}
        return self._database.write(lambda connection: connection.execute(_RENEW_POLL, terms).rowcount > 0)

    def save_states(
        self,
        poll: StatePoll,
        now: datetime,
        *,
        changed: Mapping[str, ProviderState],
        missing: Collection[str],
    ) -> None:
        """See `IdentityStore.save_states`."""
        lost = set(missing)
        names = iter(sorted({*changed, *missing}))
        while batch := list(islice(names, _BATCH)):
            states = {name: changed[name] for name in batch if name in changed}
            unwell = [name for name in batch if name in lost or states.get(name) is ProviderState.REVOKED]
            self._database.write(partial(_save, poll=poll, states=states, unwell=unwell, now=now))

    def end_poll(self, poll: StatePoll, due: datetime, fresh_until: datetime | None) -> None:
        """See `IdentityStore.end_poll`."""
        terms = {**_key_of(poll), "new_due": due, "fresh": fresh_until}
        self._database.write(lambda connection: connection.execute(_END_POLL, terms))


def _save(
    connection: Connection,
    *,
    poll: StatePoll,
    states: Mapping[str, ProviderState],
    unwell: Sequence[str],
    now: datetime,
) -> None:
    lock_checks(connection, states)
    told = {}
    for name, state in states.items():
        terms = {**_key(poll, name), "new_state": state.value}
        if connection.execute(_SAVE_STATE, terms).rowcount:
            told[name] = poll.known[name].state, state
    if unwell:
        connection.execute(_MAKE_DUE, [{**_key(poll, name), "now": now} for name in unwell])
    tell(connection, told, now)


def lock_checks(connection: Connection, names: Collection[str]) -> None:
    """Lock the domains of names, of all tenants."""
    if names:
        connection.execute(_LOCK_CHECKS, {"names": list(names)})


def tell(
    connection: Connection,
    news: Mapping[str, tuple[str | None, str | None]],
    now: datetime,
) -> None:
    """Have domains looked at whose states are others than before, given both by name.

    Their checks are locked already, by `lock_checks`.
    """
    names = [name for name, (before, after) in news.items() if _is_news(before, after)]
    if names:
        found = connection.execute(_GENERATIONS_OF, {"names": names}).scalars().all()
        if found:
            connection.execute(_HASTEN, {"generations": found, "now": now})


def _is_news(before: str | None, after: str | None) -> bool:
    # What a new identity begins with is none.
    return before != after and not (before is None and after == ProviderState.PENDING)


def _key_of(poll: StatePoll) -> dict[str, object]:
    return {"of_region": poll.region, "of_lease": poll.lease}


def _key(poll: StatePoll, name: str) -> dict[str, object]:
    return {"of_name": name, "of_region": poll.region, "of_version": poll.known[name].version}


def _state(text: str | None) -> ProviderState | None:
    return None if text is None else ProviderState(text)
