"""Domains, and how they change."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from service.core.domain import Domain, Move, Status
from service.core.health import Health


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFilter:
    """Which domains of a tenant are wanted. Empty collections mean all."""

    names: frozenset[str] | None = None
    """Only these names; None for every name."""
    statuses: frozenset[Status] = frozenset()
    healths: frozenset[Health] = frozenset()
    sending_enabled: bool | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class DomainPage:
    """Some domains by name, and the tenant's revision that they were read at."""

    domains: tuple[Domain, ...]
    revision: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A caller's name for a creation, so that repeating it is harmless."""

    request_id: str
    fingerprint: str
    """Digest of everything else in the request."""


class DomainStore(Protocol):
    """Domains, each changed in one transaction with the event that tells it.

    Every change takes the next revision of its tenant under the tenant's row
    lock, last in its transaction, so that revisions become visible in order.
    When a method has returned, what it did survives a crash.
    """

    def create(
        self,
        draft: Domain,
        *,
        actor: str,
        request: CreateRequest | None,
        quota: int = 0,
        reservation: str | None = None,
    ) -> Domain:
        """Add a domain, with its CREATED event, and return it with its revision.

        The name is marked as held by the tenant, for ever, for `is_foreign`.
        `reservation` is what `IdentityStore.reserve` gave for its identity,
        and ends with it; None where the provider has no part in it.

        Raises:
            ServiceError: DOMAIN_EXISTS when the tenant has the name;
                DOMAIN_QUOTA when it has `quota` domains already (0: no limit);
                CONCURRENT_CHANGE when the draft is not contested and another
                tenant has come to hold the name, or when the identity may have
                been removed since it was reserved; INVALID_FIELD for
                `request_id` when it was used with another fingerprint. With the
                same fingerprint the first answer is returned instead.

        """

    def find_created(self, tenant: str, request: CreateRequest) -> Domain | None:
        """Return the first answer to a request seen before, or None.

        Raises:
            ServiceError: INVALID_FIELD as for `create`.

        """

    def count(self, tenant: str) -> int:
        """Return how many domains a tenant has."""

    def is_foreign(self, tenant: str, name: str) -> bool:
        """Whether any other tenant has the name, or has ever had it."""

    def get(self, tenant: str, name: str) -> Domain:
        """Return a domain.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND.

        """

    def find(self, tenant: str, names: Collection[str]) -> Mapping[str, Domain]:
        """Return those of a tenant's domains that exist, by name, read in one query."""

    def head(self, tenant: str) -> int:
        """Return the tenant's present revision; 0 before its first change."""

    def page(self, tenant: str, wanted: DomainFilter, *, after: str, limit: int) -> DomainPage:
        """Return at most `limit` domains with names above `after`, by name."""

    def change(self, tenant: str, name: str, move: Move) -> Domain:
        """Apply a move to a domain under its row lock, and return the result.

        `move` is pure and may be applied more than once. Where it makes a
        change, the domain's `revision` and `update_time` are set by the store
        and the event is written with it; the event tells how many scheduled
        sends the change holds back or releases. Where it alters what has to be
        published, a check that runs is void: its lease is ended, since it has
        asked for what was to be published before.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND, and whatever `move` raises.

        """

    def delete(self, tenant: str, name: str, *, actor: str) -> int:
        """Delete a domain, with its DELETED event; return the event's revision.

        Where no tenant has a domain of its name and region any more, the
        identity becomes due to be removed. A transfer that the domain has
        begun ends, which its holder is told.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND; DOMAIN_IN_USE while it has ACTIVE uses.

        """
