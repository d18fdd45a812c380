"""What uses domains."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.core.uses import DomainUse, UseKind, UseState


@dataclass(frozen=True, slots=True, kw_only=True)
class UseFilter:
    """Which uses of a domain are wanted. Empty collections mean all."""

    kinds: frozenset[UseKind] = frozenset()
    states: frozenset[UseState] = frozenset()
    """The states in effect, given `on_hold` and the time."""
    on_hold: bool = False
    """Whether the domain is on hold, so that its ACTIVE scheduled sends are HELD."""
    now: datetime


UseKey = tuple[UseKind, str]
"""Kind and `use_id`: what uses of a domain are told apart and ordered by."""


class UseStore(Protocol):
    """The uses of domains. A domain that was deleted has none any more."""

    def put_use(self, tenant: str, use: DomainUse) -> DomainUse:
        """Add a use to its domain, or change it, and return it.

        One that is there keeps its `create_time`, and all of it where nothing
        changes. Against a deletion of the domain it is ordered: it is seen by
        it, or finds no domain.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND.

        """

    def delete_use(self, tenant: str, name: str, key: UseKey) -> None:
        """Remove a use.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND, USE_NOT_FOUND.

        """

    def page_of_uses(
        self, tenant: str, name: str, wanted: UseFilter, *, after: UseKey | None, limit: int
    ) -> Sequence[DomainUse]:
        """Return at most `limit` uses of a domain above `after`, by kind and id, as they are kept."""

    def archive_expired(self, now: datetime, limit: int) -> int:
        """Make at most `limit` ACTIVE uses that have expired ARCHIVED; return how many."""
