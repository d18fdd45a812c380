"""What is known of the identities at the mail provider, and what has to be done there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from service.ports.mail import IdentityRef, ProviderState


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedIdentity:
    """What an identity has to be like, by the domains that need it."""

    mail_from: str | None
    """The host of its envelope senders: that of the domain that has the name VERIFIED, or of the only
    one, where it needs no proof. None where nobody has a say: over other tenants, or over whoever had
    the identity before."""
    tenants: tuple[str, ...]
    """Who has a domain of its name and region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityWork:
    """An identity taken under a lease, to be made what it has to be."""

    ref: IdentityRef
    lease: str
    """Random; what `finish` and `put_off` are recognised by."""
    wanted: WantedIdentity | None
    """None: no domain needs it, it is to be removed."""
    failures: int = 0
    """How often it was put off in a row."""
    version: int = 0
    """What `finish` knows by that nothing else is wanted since; the store's."""
    state: ProviderState | None = None
    """What the provider said of it last, when it was taken. What it said to a poll since is newer than
    what a turn has to tell, and stays."""


class KnownState(NamedTuple):
    """An identity as it was when a poll began."""

    state: ProviderState | None
    """None where the provider has not told of it yet."""
    version: int
    """What `save_states` knows by that nobody has seen to it since; the store's."""


@dataclass(frozen=True, slots=True)
class StatePoll:
    """A region taken under a lease, to have its identities listed."""

    region: str
    lease: str
    known: Mapping[str, KnownState]
    """The identities that should be there, by name."""
    fresh_until: datetime | None
    """Until when what is known of their states counts, by the lists before; None where there was none."""


class IdentityStore(Protocol):
    """The identities that the provider has, or may have: what is intended, and what was seen.

    The provider cannot take part in a transaction. So before an identity is
    made it is noted down here, and whatever changes what it has to be like (its
    first domain, another envelope sender, the end of its last domain) makes it
    due in the same transaction. Whoever takes one that is due makes it so, and
    may be killed at any moment: it is due again when the lease ends. Of
    creation and removal of one identity at the same time the creation is made
    to start again, or to wait.
    """

    def reserve(self, ref: IdentityRef, now: datetime, patience: timedelta) -> str | None:
        """Note that an identity is going to be made; return what `DomainStore.create` wants to see.

        Unless a domain is created with it, it is due for removal after
        `patience`. None while it is being removed: to be asked again.
        """

    def take_due(self, now: datetime, lease: timedelta, region: str | None) -> IdentityWork | None:
        """Take an identity that is due at `now`, for `lease`; None where none is.

        `region` is where to look; None for everywhere.

        Where it is to be removed, nothing that was reserved before can become
        a domain from then on.
        """

    def finish(self, work: IdentityWork, now: datetime, state: ProviderState | None) -> None:
        """Note that an identity is what it had to be, or forget it where it was removed.

        `state` is what the provider says of it; its domains are looked at soon
        where that is news.
        """

    def put_off(self, work: IdentityWork, due: datetime, state: ProviderState | None = None) -> None:
        """Give an identity back that could not be seen to: to be taken again at `due`.

        `state` as for `finish`; None where nothing was learnt.
        """

    def take_poll(self, region: str, now: datetime, lease: timedelta) -> StatePoll | None:
        """Take a region whose identities are due to be listed, for `lease`; None where it is not."""

    def renew_poll(self, poll: StatePoll, now: datetime, *, due: datetime, fresh_until: datetime) -> bool:
        """Keep a region that is still being listed until `due`; False where another has taken it.

        States that count at `now` do so until `fresh_until` at least: their
        list goes on.
        """

    def save_states(
        self,
        poll: StatePoll,
        now: datetime,
        *,
        changed: Mapping[str, ProviderState],
        missing: Collection[str],
    ) -> None:
        """Note states that have changed, and what should be there and is not.

        Domains whose state is news are looked at soon. Identities that are
        missing, or that the provider has given up, become due. Those that were
        seen to since the poll began are passed over.
        """

    def end_poll(self, poll: StatePoll, due: datetime, fresh_until: datetime | None) -> None:
        """Give a region back, to be listed again at `due`, unless another has taken it.

        Until `fresh_until` what is known of its states counts.
        """

    def identity_names(self, region: str) -> Mapping[str, bool]:
        """Return the names of a region that have, or may have, an identity, and whether a domain needs it."""

    def regions(self) -> Collection[str]:
        """Return the regions in which there are, or may be, identities."""
