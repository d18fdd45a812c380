"""PutDomainUse, DeleteDomainUse and ListDomainUses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from service import ports
from service.core import names
from service.core.errors import Violation, invalid_fields
from service.core.keys import Scope
from service.core.sending import is_on_hold
from service.core.tokens import TokenSealer
from service.core.uses import DomainUse, UseKind, UseState
from service.usecases import limits
from service.usecases.caller import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUse:
    """A request to register a use, as it came."""

    domain: str
    kind: UseKind | None
    use_id: str
    state: UseState = UseState.ACTIVE
    application: str = ""
    scheduled_time: datetime | None = None
    expire_time: datetime | None = None
    violations: Sequence[Violation] = ()
    """Fields found wrong before, to be told together with the others."""


@dataclass(frozen=True, slots=True)
class Holds:
    """Tells whether domains are on hold."""

    domains: ports.DomainStore
    policies: ports.PolicyStore

    def is_on_hold(self, tenant: str, name: str) -> bool:
        """Return whether scheduled sends of a domain are held back.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND.

        """
        return is_on_hold(self.domains.get(tenant, name), self.policies.policy(tenant))


@dataclass(frozen=True, slots=True)
class PutDomainUse:
    """Registers a use, or changes it."""

    store: ports.UseStore
    holds: Holds
    clock: ports.Clock

    def __call__(self, caller: Caller, request: NewUse) -> DomainUse:
        """Register the use and return it, in the state in effect.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, DOMAIN_NOT_FOUND, MISSING_SCOPE.

        """
        name = names.parse(request.domain)
        caller.require_domain(name, Scope.SENDING_WRITE)
        wrong = [
            *request.violations,
            *limits.text_problem("application", request.application, limits.LONGEST_ID),
        ]
        if request.scheduled_time is not None and request.kind is UseKind.SEQUENCE:
            wrong.append(Violation("scheduled_time", "must be set for SCHEDULED_SEND only"))
        kind = _checked_kind(request.kind, request.use_id, wrong)
        now = self.clock.now()
        use = DomainUse(
            domain=name,
            kind=kind,
            use_id=request.use_id,
            state=request.state,
            application=request.application,
            scheduled_time=request.scheduled_time,
            expire_time=request.expire_time,
            create_time=now,
            update_time=now,
        )
        kept = self.store.put_use(caller.tenant, use)
        on_hold = self.holds.is_on_hold(caller.tenant, name)
        return replace(kept, state=kept.in_effect(now, on_hold=on_hold))


@dataclass(frozen=True, slots=True)
class DeleteDomainUse:
    """Removes a use."""

    store: ports.UseStore

    def __call__(
        self,
        caller: Caller,
        domain: str,
        kind: UseKind | None,
        use_id: str,
        *,
        violations: Sequence[Violation] = (),
    ) -> None:
        """Remove the use.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, DOMAIN_NOT_FOUND, USE_NOT_FOUND, MISSING_SCOPE.

        """
        name = names.parse(domain)
        caller.require_domain(name, Scope.SENDING_WRITE)
        self.store.delete_use(caller.tenant, name, (_checked_kind(kind, use_id, violations), use_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class UseQuery:
    """A request for a page of uses, as it came."""

    domain: str
    page_size: int = 0
    page_token: str = ""
    kinds: frozenset[UseKind] = frozenset()
    states: frozenset[UseState] = frozenset()
    violations: Sequence[Violation] = ()


@dataclass(frozen=True, slots=True)
class UseList:
    """One page of uses, in the states in effect."""

    uses: Sequence[DomainUse]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class ListDomainUses:
    """Lists the uses of a domain, by kind and id."""

    store: ports.UseStore
    holds: Holds
    clock: ports.Clock
    tokens: TokenSealer

    def __call__(self, caller: Caller, query: UseQuery) -> UseList:
        """Return one page.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, INVALID_PAGE_TOKEN, DOMAIN_NOT_FOUND,
                MISSING_SCOPE.

        """
        name = names.parse(query.domain)
        caller.require_domain(name, Scope.SENDING_READ)
        if wrong := [*query.violations, *limits.page_size_problem(query.page_size)]:
            raise invalid_fields(wrong)
        bound_to = ("uses", name, sorted(query.kinds), sorted(query.states))
        after = None
        if query.page_token:
            kind, _, use_id = self.tokens.open_page(query.page_token, caller.tenant, bound_to).partition("/")
            after = UseKind(kind), use_id
        now = self.clock.now()
        on_hold = self.holds.is_on_hold(caller.tenant, name)
        wanted = ports.UseFilter(kinds=query.kinds, states=query.states, on_hold=on_hold, now=now)
        limit = query.page_size or limits.PAGE_SIZE
        # One more than asked for tells whether there is another page.
        found = self.store.page_of_uses(caller.tenant, name, wanted, after=after, limit=limit + 1)
        shown = [replace(use, state=use.in_effect(now, on_hold=on_hold)) for use in found[:limit]]
        if len(found) <= limit:
            return UseList(shown, "")
        last = shown[-1]
        return UseList(shown, self.tokens.page(caller.tenant, bound_to, f"{last.kind}/{last.use_id}"))


def _checked_kind(kind: UseKind | None, use_id: str, wrong: Sequence[Violation]) -> UseKind:
    """Return the kind of a use, once nothing is wrong with it nor with what else was found before.

    Raises:
        ServiceError: INVALID_FIELD.

    """
    found = [*wrong, *limits.text_problem("use_id", use_id, limits.LONGEST_ID)]
    if not use_id:
        found.append(Violation("use_id", "must be set"))
    if kind is None and not any(violation.field == "kind" for violation in found):
        found.append(Violation("kind", "must be SEQUENCE or SCHEDULED_SEND"))
    if kind is None or found:
        raise invalid_fields(found)
    return kind
