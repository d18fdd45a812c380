"""Identities that the provider may have in vain."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from service.ports.mail import IdentityRef


@dataclass(frozen=True, slots=True)
class Removal:
    """The removal of an identity, taken under a lease."""

    ref: IdentityRef
    token: str
    """Random; what `finish` and `put_off` are recognised by."""
    failures: int
    """How often it was put off."""


class IdentityStore(Protocol):
    """The identities that the provider may have though no domain needs them.

    The provider cannot take part in a transaction. So before an identity is
    made, and with the deletion of the last domain that needs it, it is noted
    down here: whoever finds a note that is due, and no domain of its name and
    region, removes the identity. Of creation and removal of one identity at
    the same time the creation is made to start again, or to wait.
    """

    def reserve(self, ref: IdentityRef, now: datetime, patience: timedelta) -> str | None:
        """Note that an identity is going to be made; return what `DomainStore.create` wants to see.

        Unless a domain is created with it, it is due for removal after
        `patience`. None while it is being removed: to be asked again.
        """

    def take_removal(self, now: datetime, lease: timedelta) -> Removal | None:
        """Take an identity that no domain needs, due at `now`, for `lease`; None where none is.

        From then on nothing that was reserved before can become a domain.
        """

    def finish(self, removal: Removal) -> None:
        """Forget an identity that was removed."""

    def put_off(self, removal: Removal, due: datetime) -> None:
        """Give an identity back that could not be removed: to be taken again at `due`."""
