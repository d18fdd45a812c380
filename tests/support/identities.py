"""A mail provider in memory, which fails as a test says."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from service.core.records import Identity
from service.mail import LocalMailProvider
from service.ports import FoundIdentity, IdentityRef, ListedStates, ProviderState

_LOCAL = LocalMailProvider(b"secret")


@dataclass
class HandProvider:
    """A `MailProvider` and `IdentityLister` that knows its identities."""

    identities: dict[IdentityRef, FoundIdentity] = field(default_factory=dict)
    failure: Exception | None = None
    failing: set[str] = field(default_factory=set)
    """Which methods fail; all where it is empty."""
    calls: list[str] = field(default_factory=list)
    regions: frozenset[str] = frozenset({"eu-west-1", "eu-west-2"})
    page_size: int = 1000
    on_list: Callable[[], object] = lambda: None

    def create_identity(self, ref: IdentityRef, *, wait: timedelta | None = None) -> FoundIdentity:  # noqa: ARG002 - the port's
        """Make it, or return the one there is."""
        self._called("create")
        if ref not in self.identities:
            self.identities[ref] = FoundIdentity(
                identity=_LOCAL.find_identity(ref).identity,
                state=ProviderState.PENDING,
                is_ours=True,
                mail_from=ref.name,
            )
        return self.identities[ref]

    def find_identity(self, ref: IdentityRef) -> FoundIdentity | None:
        """Return it as it is."""
        self._called("find")
        return self.identities.get(ref)

    def restart_identity(self, ref: IdentityRef) -> Identity:
        """Make it PENDING."""
        self._called("restart")
        self.identities[ref] = replace(self.identities[ref], state=ProviderState.PENDING)
        return self.identities[ref].identity

    def set_mail_from(self, ref: IdentityRef, host: str) -> None:
        """Note the host."""
        self._called("set_mail_from")
        self.identities[ref] = replace(self.identities[ref], mail_from=host, mail_from_failed=False)

    def delete_identity(self, ref: IdentityRef) -> None:
        """Forget it."""
        self._called("delete")
        self.identities.pop(ref, None)

    def list_states(self, region: str, page: str | None = None) -> ListedStates:
        """Return the next of the region's, so many on a page; `on_list` is called first."""
        self.on_list()
        self._called("list")
        names = sorted(ref.name for ref in self.identities if ref.region == region)
        start = 0 if page is None else names.index(page)
        shown, rest = names[start : start + self.page_size], names[start + self.page_size :]
        states = {name: self.identities[IdentityRef(name, region)].state for name in shown}
        return ListedStates(states, rest[0] if rest else None)

    def change(self, ref: IdentityRef, **changes: object) -> None:
        """Change an identity behind everybody's back."""
        self.identities[ref] = replace(self.identities[ref], **changes)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failure is not None and (not self.failing or name in self.failing):
            raise self.failure
