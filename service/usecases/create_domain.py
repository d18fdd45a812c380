"""CreateDomain: register a domain and issue its records."""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from service import ports
from service.core import lifecycle, names, records, schedule
from service.core.domain import Domain, Status, StatusReason
from service.core.errors import Reason, ServiceError, Violation, domain_exists, invalid_fields, quota_reached
from service.core.keys import Scope
from service.core.records import DmarcPolicy
from service.usecases import limits
from service.usecases.caller import Caller

_ATTEMPTS = 3
_REMOVAL_PATIENCE = 5.0
"""How long a removal of the name's identity is waited for, in seconds."""
_LOOK_AGAIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDomain:
    """A request to create a domain, as it came: nothing in it was checked."""

    domain: str
    region: str = ""
    dmarc_policy: DmarcPolicy = DmarcPolicy.NONE
    dmarc_report_address: str = ""
    mail_from_subdomain: str = ""
    request_id: str = ""
    violations: Sequence[Violation] = ()
    """Fields found wrong before, to be told together with the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDomain:
    """Registers a domain, once for each request id."""

    store: ports.DomainStore
    identities: ports.IdentityStore
    provider: ports.MailProvider
    clock: ports.Clock
    policy: lifecycle.Policy
    region: str
    """Where a domain goes that names none."""
    quota: int
    """The most domains of a tenant; 0 for no limit."""
    reservation: timedelta = timedelta(minutes=10)
    """After what time an identity that was made, and no domain with it, is removed."""
    pause: Callable[[float], None] = time.sleep

    def __call__(self, caller: Caller, request: NewDomain, *, wait: timedelta) -> Domain:
        """Create the domain within `wait`, and return it with its records.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, DOMAIN_EXISTS,
                DOMAIN_QUOTA, MISSING_SCOPE, CONCURRENT_CHANGE, and what the
                provider raises.

        """
        deadline = time.monotonic() + wait.total_seconds()
        name = names.parse(request.domain)
        caller.require_domain(name, Scope.DOMAINS_WRITE)
        self._check(request, name)
        repeat = _create_request(request, name)
        if repeat and (created := self.store.find_created(caller.tenant, repeat)):
            return created
        self._check_room(caller.tenant, name)
        for attempt in range(1, _ATTEMPTS + 1):
            # Before the provider is asked: a crash leaves nothing there that nobody knows of.
            reservation = self._reserve(ports.IdentityRef(name, request.region or self.region), deadline)
            draft = self._draft(caller.tenant, name, request, deadline)
            try:
                return self.store.create(
                    draft, actor=caller.actor, request=repeat, quota=self.quota, reservation=reservation
                )
            except ServiceError as error:
                # Another tenant took the name between our look and our write:
                # the next draft asks for proof of ownership. Or the identity
                # was removed meanwhile: it is made anew.
                if error.reason is not Reason.CONCURRENT_CHANGE or attempt == _ATTEMPTS:
                    raise
        raise AssertionError

    def _check(self, request: NewDomain, name: str) -> None:
        wrong = list(request.violations)
        if request.region and request.region not in self.provider.regions:
            allowed = ", ".join(sorted(self.provider.regions))
            wrong.append(Violation("region", f"must be one of {allowed}"))
        wrong += limits.choice_problems(
            name,
            report_address=request.dmarc_report_address,
            mail_from_subdomain=request.mail_from_subdomain,
        )
        wrong += limits.text_problem("request_id", request.request_id, limits.LONGEST_ID)
        if wrong:
            raise invalid_fields(wrong)

    def _check_room(self, tenant: str, name: str) -> None:
        """Refuse what would be refused in the end, before the provider is asked: its requests are few."""
        if self.store.find(tenant, {name}):
            raise domain_exists(name)
        if self.quota and self.store.count(tenant) >= self.quota:
            raise quota_reached(self.quota)

    def _reserve(self, ref: ports.IdentityRef, deadline: float) -> str:
        deadline = min(deadline, time.monotonic() + _REMOVAL_PATIENCE)
        while (token := self.identities.reserve(ref, self.clock.now(), self.reservation)) is None:
            if time.monotonic() > deadline:
                raise ServiceError(
                    Reason.CONCURRENT_CHANGE,
                    f"the identity of {ref.name} is being removed from the provider: try again",
                    retry_after=timedelta(seconds=1),
                )
            self.pause(_LOOK_AGAIN)
        return token

    def _draft(self, tenant: str, name: str, request: NewDomain, deadline: float) -> Domain:
        now = self.clock.now()
        region = request.region or self.region
        mail_from = records.mail_from_host(name, request.mail_from_subdomain.lower())
        report_address = records.report_address(name, request.dmarc_report_address)
        found = self.provider.create_identity(
            ports.IdentityRef(name, region), wait=timedelta(seconds=max(deadline - time.monotonic(), 0.0))
        )
        # The records of whoever had the name before us, or has it elsewhere, are in DNS already.
        contested = not found.is_ours or self.store.is_foreign(tenant, name)
        return Domain(
            tenant=tenant,
            name=name,
            generation=secrets.token_hex(8),
            region=region,
            mail_from=mail_from,
            dmarc_policy=request.dmarc_policy,
            dmarc_report_address=report_address,
            status=Status.PENDING,
            status_reason=StatusReason.AWAITING_RECORDS,
            status_time=now,
            records=records.required_for(
                name,
                found.identity,
                mail_from=mail_from,
                dmarc_policy=request.dmarc_policy,
                dmarc_report_address=report_address,
                challenge=secrets.token_hex(records.CHALLENGE_OCTETS) if contested else None,
            ),
            contested=contested,
            create_time=now,
            update_time=now,
            verification_deadline=now + self.policy.window,
            checks=schedule.first(now, self.policy.intervals),
        )


def _create_request(request: NewDomain, name: str) -> ports.CreateRequest | None:
    if not request.request_id:
        return None
    content = (
        name,
        request.region,
        request.dmarc_policy,
        request.dmarc_report_address,
        request.mail_from_subdomain,
    )
    fingerprint = hashlib.sha256("\0".join(content).encode()).hexdigest()
    return ports.CreateRequest(request.request_id, fingerprint)
