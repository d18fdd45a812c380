"""VerifyDomain: look at a domain's DNS now."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from service import ports
from service.core import lifecycle, names
from service.core.domain import Domain, Status
from service.core.keys import Scope
from service.usecases.caller import Caller


class Checker(Protocol):
    """Whoever can check a domain at once."""

    def check_now(self, tenant: str, name: str, *, wait: timedelta) -> Domain:
        """Check the domain, or share a check that runs, and return it as it is then.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND; DEADLINE_EXCEEDED after `wait`.

        """


@dataclass(frozen=True, slots=True)
class VerifyDomain:
    """Checks a domain at once, and gives a FAILED one another window."""

    store: ports.DomainStore
    queue: ports.CheckQueue
    checker: Checker
    clock: ports.Clock
    policy: lifecycle.Policy

    def __call__(self, caller: Caller, domain: str, *, wait: timedelta) -> Domain:
        """Check the domain within `wait` and return it with what was found.

        Raises:
            ServiceError: INVALID_DOMAIN, DOMAIN_NOT_FOUND, MISSING_SCOPE,
                DEADLINE_EXCEEDED.

        """
        name = names.parse(domain)
        caller.require_domain(name, Scope.DOMAINS_WRITE)
        checked = self.checker.check_now(caller.tenant, name, wait=wait)
        match checked.status:
            case Status.VERIFIED:
                return checked
            case Status.PENDING:
                now = self.clock.now()
                self.queue.hasten(caller.tenant, {name}, now=now, due=now + self.policy.intervals.pending)
                return self.store.get(caller.tenant, name)
            case Status.FAILED:
                now = self.clock.now()
                return self.store.change(
                    caller.tenant,
                    name,
                    lambda before: lifecycle.reopened(
                        before, actor=caller.actor, now=now, policy=self.policy
                    ),
                )
