"""The queue of checks."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from service.core.domain import Contest, Domain, Move


class Claim(NamedTuple):
    """A domain taken for a check under a lease."""

    domain: Domain
    lease: str
    """Random; what `save` and `release` are recognised by."""
    held_elsewhere: bool
    """Whether another tenant has the name VERIFIED. `save` looks again."""
    proved_elsewhere: bool = False
    """Whether another tenant has ever been VERIFIED with the name by its OWNERSHIP record."""
    version: int = -1
    """What `save` knows by that the domain is as it was claimed; the store's."""


class CheckedMove(NamedTuple):
    """What a check makes of a claimed domain."""

    claim: Claim
    move: Move
    contest: Contest | None = None
    """Applied in place of `move` while another tenant has the name VERIFIED."""


class CheckQueue(Protocol):
    """Domains in the order in which their DNS is due to be looked at.

    Shared by any number of processes; costs the same however many domains
    there are.
    """

    def claim_due(self, now: datetime, limit: int, lease: timedelta) -> Sequence[Claim]:
        """Take at most `limit` domains due at `now`, nobody else's, for `lease`.

        The longest due come first. A lease that was not saved or released in
        time makes its domain due again.
        """

    def claim(self, tenant: str, name: str, now: datetime, lease: timedelta) -> Claim | None:
        """Take one domain whether due or not; None while another has it.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND.

        """

    def save(self, checked: Sequence[CheckedMove]) -> Sequence[Domain | None]:
        """Apply moves to claimed domains, each with its events in one transaction, and end the leases.

        Returns each domain after its move, in the order given; None where the
        domain was deleted or created anew meanwhile, where its lease was lost,
        or where another tenant became VERIFIED with the name first: such a
        domain is left as it was, to be checked again. Where only `checks`
        differs, nothing but the schedule is written.

        A contest may change the domain that holds the name, in the same
        transaction. That one loses its lease, whoever has it, and is due as
        the contest says: what was asked about it was asked of its old state.
        """

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back unchecked: their domains are due as they were."""

    def next_due(self) -> datetime | None:
        """Return when the first domain can be claimed, if any: a leased one at its lease's end."""

    def hasten(self, tenant: str, names: Collection[str], *, now: datetime, due: datetime) -> None:
        """Begin the fast phase of these PENDING domains again, at `now`: due at `due` at the latest.

        Domains that do not exist or are not PENDING are passed over.
        """
