"""EnableDomain, DisableDomain and DeleteDomain."""

from dataclasses import dataclass

from service import ports
from service.core import lifecycle, names
from service.core.domain import Domain
from service.core.errors import invalid_fields
from service.core.keys import Scope
from service.sending_memory import SendingMemory
from service.usecases import limits
from service.usecases.caller import Caller


@dataclass(frozen=True, slots=True)
class EnableDomain:
    """Resumes sending."""

    store: ports.DomainStore
    memory: SendingMemory

    def __call__(self, caller: Caller, domain: str, reason: str = "") -> Domain:
        """Enable the domain and return it; unchanged where it is enabled.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, DOMAIN_NOT_FOUND,
                MISSING_SCOPE.

        """
        name = _writable(caller, domain, reason)
        changed = self.store.change(
            caller.tenant,
            name,
            lambda before: lifecycle.enabled(before, reason=reason, actor=caller.actor),
        )
        self.memory.forget(caller.tenant, name)
        return changed


@dataclass(frozen=True, slots=True)
class DisableDomain:
    """Pauses sending."""

    store: ports.DomainStore
    memory: SendingMemory

    def __call__(self, caller: Caller, domain: str, reason: str = "") -> Domain:
        """Disable the domain and return it; unchanged where it is disabled.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, DOMAIN_NOT_FOUND,
                MISSING_SCOPE.

        """
        name = _writable(caller, domain, reason)
        changed = self.store.change(
            caller.tenant,
            name,
            lambda before: lifecycle.disabled(before, reason=reason, actor=caller.actor),
        )
        self.memory.forget(caller.tenant, name)
        return changed


@dataclass(frozen=True, slots=True)
class DeleteDomain:
    """Deletes a domain; the owner's DNS is left alone."""

    store: ports.DomainStore
    memory: SendingMemory

    def __call__(self, caller: Caller, domain: str) -> int:
        """Delete the domain and return the revision of its DELETED event.

        Raises:
            ServiceError: INVALID_DOMAIN, DOMAIN_NOT_FOUND, DOMAIN_IN_USE, MISSING_SCOPE.

        """
        name = _writable(caller, domain)
        revision = self.store.delete(caller.tenant, name, actor=caller.actor)
        self.memory.forget(caller.tenant, name)
        return revision


def _writable(caller: Caller, domain: str, reason: str = "") -> str:
    name = names.parse(domain)
    caller.require_domain(name, Scope.DOMAINS_WRITE)
    if wrong := limits.text_problem("reason", reason, limits.LONGEST_REASON):
        raise invalid_fields(wrong)
    return name
