"""The mail provider, and the identities that it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from service.core.records import Identity


class ProviderState(StrEnum):
    """Whether the mail provider lets a domain send."""

    READY = "READY"
    FALTERING = "FALTERING"
    """It does still, but has not found the records lately."""
    PENDING = "PENDING"
    """It does not yet: it is looking for the records."""
    REVOKED = "REVOKED"
    """It does not, and has given up looking; or it has no such identity any more."""
    UNKNOWN = "UNKNOWN"
    """It could not be asked: never counts against the domain."""


@dataclass(frozen=True, slots=True)
class IdentityRef:
    """Names one identity at the provider: of a name and region, whoever asks for it."""

    name: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundIdentity:
    """An identity as the provider has it."""

    identity: Identity
    state: ProviderState
    is_ours: bool
    """Whether this installation made it. No other is ever deleted, and whoever claims the name of
    another has to prove that it is theirs: its records are in DNS already."""
    mail_from: str
    """The host of its envelope senders; its own name where it has no other."""
    mail_from_failed: bool = False
    """Whether the provider has given that host up, and has to be given it again."""


@dataclass(frozen=True, slots=True)
class ListedStates:
    """A page of what the provider says of the identities of a region."""

    states: Mapping[str, ProviderState]
    """Of every domain on it that has an identity there, by name, whoever made it."""
    next_page: str | None
    """What the next page is asked for by; None: this is the last."""


class ProviderStates(Protocol):
    """Knows what the mail provider says of its identities."""

    def states(self, refs: Sequence[IdentityRef]) -> Mapping[IdentityRef, ProviderState]:
        """Return the state of every identity asked about, at once: the provider is not waited for."""


class MailProvider(Protocol):
    """The service that sends the mail, and holds an identity for each domain.

    Its methods ask one region each, and block. All of them raise `ServiceError`:
    PROVIDER_LIMIT where the provider takes no more for now, PROVIDER_UNAVAILABLE
    where it does not answer or lets us not do it. Whether a call that failed had
    its effect is then not known. No two that nobody waits for take longer than
    the lease of an `IdentityWork`.
    """

    regions: frozenset[str]
    """Where new identities can be."""

    def create_identity(self, ref: IdentityRef, *, wait: timedelta | None = None) -> FoundIdentity:
        """Make the identity, or adopt the one there is, and return how it is then; idempotent.

        It is the same for every tenant, and its DKIM tokens stay the same.
        `IdentityStore.reserve` comes first. `wait` is how long somebody waits
        for it: whoever waits goes before those who do not (None), and is
        refused with PROVIDER_LIMIT at once where it would be in vain.

        Raises:
            ServiceError: besides, INVALID_FIELD for a name that the provider
                does not take, PROVIDER_CONFLICT where the identity that there
                is signs with keys of its own.

        """

    def find_identity(self, ref: IdentityRef) -> FoundIdentity | None:
        """Return the identity; None where there is none."""

    def restart_identity(self, ref: IdentityRef) -> Identity:
        """Have the provider look for the records again, which it has given up. Their tokens may change."""

    def set_mail_from(self, ref: IdentityRef, host: str) -> None:
        """Make `host` that of the identity's envelope senders: its own name, or one below it."""

    def delete_identity(self, ref: IdentityRef) -> None:
        """Delete the identity; no error where there is none."""


class IdentityLister(Protocol):
    """Tells the states of all identities of a region in few calls."""

    def list_states(self, region: str, page: str | None = None) -> ListedStates:
        """Return a page of the region's identities: the first, or the one that `page` stands for.

        An identity that is on none of the pages is not there. No page takes
        longer than the lease of a `StatePoll`.

        Raises:
            ServiceError: PROVIDER_LIMIT, PROVIDER_UNAVAILABLE. The page may be
                asked for again.

        """
