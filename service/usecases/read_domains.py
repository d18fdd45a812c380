"""GetDomain, ListDomains and ListStatusEvents: what there is, and what happened."""

from collections.abc import Sequence
from dataclasses import dataclass

from service import ports
from service.core import names
from service.core.domain import Domain, Event, Status
from service.core.errors import ServiceError, Violation, domain_not_found, invalid_fields
from service.core.health import Health
from service.core.keys import Scope
from service.core.tokens import TokenSealer
from service.usecases import limits
from service.usecases.caller import Caller


@dataclass(frozen=True, slots=True)
class WantedDomain:
    """A request for one domain, as it came."""

    caller: Caller
    domain: str
    min_revision: int = 0


@dataclass(frozen=True, slots=True)
class GetDomain:
    """Reads single domains, all that are asked for together in one query for each tenant."""

    store: ports.DomainStore

    def __call__(self, wanted: Sequence[WantedDomain]) -> Sequence[Domain | ServiceError]:
        """Return each domain, in the order given, or why its caller does not get it.

        That is INVALID_DOMAIN, INVALID_FIELD, MISSING_SCOPE or DOMAIN_NOT_FOUND.

        Raises:
            ServiceError: what the store raises.

        """
        names_or_errors = [self._name(each) for each in wanted]
        asked: dict[str, set[str]] = {}
        for each, name in zip(wanted, names_or_errors, strict=True):
            if isinstance(name, str):
                asked.setdefault(each.caller.tenant, set()).add(name)
        found = {tenant: self.store.find(tenant, some) for tenant, some in asked.items()}
        return [
            found[each.caller.tenant].get(name) or domain_not_found(name) if isinstance(name, str) else name
            for each, name in zip(wanted, names_or_errors, strict=True)
        ]

    def _name(self, wanted: WantedDomain) -> str | ServiceError:
        caller = wanted.caller
        try:
            name = names.parse(wanted.domain)
            caller.require_domain(name, Scope.DOMAINS_READ)
            require_fresh(self.store, caller.tenant, wanted.min_revision)
        except ServiceError as error:
            return error
        return name


def require_fresh(store: ports.DomainStore, tenant: str, min_revision: int) -> None:
    """Check that reads are at least as fresh as a revision.

    Every replica reads the one primary database, so what has been committed is
    seen; a revision beyond the head was never given to anybody.

    Raises:
        ServiceError: INVALID_FIELD.

    """
    if min_revision == 0:
        return
    if min_revision < 0:
        raise invalid_fields(limits.min_revision_problem(min_revision))
    head = store.head(tenant)
    if min_revision > head:
        raise limits.revision_ahead(min_revision, head)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainQuery:
    """A request for a page of domains, as it came."""

    page_size: int = 0
    page_token: str = ""
    statuses: frozenset[Status] = frozenset()
    healths: frozenset[Health] = frozenset()
    sending_enabled: bool | None = None
    domain_prefix: str = ""
    min_revision: int = 0
    violations: Sequence[Violation] = ()


@dataclass(frozen=True, slots=True)
class DomainList:
    """One page of domains."""

    domains: tuple[Domain, ...]
    next_page_token: str
    revision: int
    resume_token: str


@dataclass(frozen=True, slots=True)
class ListDomains:
    """Lists a tenant's domains by name."""

    store: ports.DomainStore
    tokens: TokenSealer

    def __call__(self, caller: Caller, query: DomainQuery) -> DomainList:
        """Return one page.

        Raises:
            ServiceError: INVALID_FIELD, INVALID_PAGE_TOKEN.

        """
        prefix = query.domain_prefix.lower()
        wrong = [
            *query.violations,
            *limits.page_size_problem(query.page_size),
            *limits.text_problem("domain_prefix", prefix, names.LONGEST),
            *limits.min_revision_problem(query.min_revision),
        ]
        if wrong:
            raise invalid_fields(wrong)
        require_fresh(self.store, caller.tenant, query.min_revision)
        bound_to = (
            "domains",
            sorted(query.statuses),
            sorted(query.healths),
            query.sending_enabled,
            prefix,
        )
        after = ""
        if query.page_token:
            after = self.tokens.open_page(query.page_token, caller.tenant, bound_to)
        page = self.store.page(
            caller.tenant,
            ports.DomainFilter(
                names=caller.visible(),
                statuses=query.statuses,
                healths=query.healths,
                sending_enabled=query.sending_enabled,
                prefix=prefix,
            ),
            after=after,
            limit=query.page_size or limits.PAGE_SIZE,
        )
        more = page.has_more and page.domains
        return DomainList(
            page.domains,
            self.tokens.page(caller.tenant, bound_to, page.domains[-1].name) if more else "",
            page.revision,
            self.tokens.resume(caller.tenant, page.revision),
        )


@dataclass(frozen=True, slots=True)
class EventList:
    """One page of events, newest first."""

    events: Sequence[Event]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class ListStatusEvents:
    """Lists what happened to a tenant's domains, newest first."""

    log: ports.EventLog
    tokens: TokenSealer

    def __call__(
        self, caller: Caller, *, domain: str = "", page_size: int = 0, page_token: str = ""
    ) -> EventList:
        """Return one page.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, INVALID_PAGE_TOKEN,
                MISSING_SCOPE.

        """
        name = names.parse(domain) if domain else ""
        if name:
            caller.require_domain(name, Scope.DOMAINS_READ)
        if wrong := limits.page_size_problem(page_size):
            raise invalid_fields(wrong)
        bound_to = ("events", name)
        before = None
        if page_token:
            before = int(self.tokens.open_page(page_token, caller.tenant, bound_to))
        limit = page_size or limits.PAGE_SIZE
        wanted = caller.visible(frozenset({name}) if name else None)
        # One more than asked for tells whether there is another page.
        found = self.log.newest(caller.tenant, wanted, before=before, limit=limit + 1)
        events = found[:limit]
        if len(found) <= limit:
            return EventList(events, "")
        last = str(events[-1].revision)
        return EventList(events, self.tokens.page(caller.tenant, bound_to, last))
