"""The mail provider, and the identities that it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from service.core.records import Identity


class ProviderState(StrEnum):
    """Whether the mail provider lets a domain send."""

    READY = "READY"
    PENDING = "PENDING"
    REVOKED = "REVOKED"
    UNKNOWN = "UNKNOWN"
    """It could not be asked: never counts against the domain."""


@dataclass(frozen=True, slots=True)
class IdentityRef:
    """Names one identity at the provider: of a name and region, whoever asks for it."""

    name: str
    region: str


class MailProvider(Protocol):
    """The service that sends the mail, and holds an identity for each domain."""

    regions: frozenset[str]
    """Where identities can be."""

    def create_identity(self, ref: IdentityRef, mail_from: str) -> Identity:
        """Make the identity, or adopt the one there is; idempotent.

        It is the same for every tenant. From then on `mail_from` is the host
        of its envelope senders, whatever it was before; the DKIM tokens of an
        identity stay the same. `IdentityStore.reserve` comes first.
        """

    def delete_identity(self, ref: IdentityRef) -> None:
        """Delete the identity; idempotent, and no error where there is none.

        It must return, or raise, well within the lease of a `Removal`.

        Raises:
            ServiceError: it could not be deleted now.

        """

    def states(self, refs: Sequence[IdentityRef]) -> Mapping[IdentityRef, ProviderState]:
        """Return the state of every identity asked about, in bulk."""
