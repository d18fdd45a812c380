"""UpdateDomain: change what the owner has to publish."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from service import ports
from service.core import lifecycle, names, quoting, records
from service.core.domain import Domain, Moved
from service.core.errors import Violation, invalid_fields
from service.core.keys import Scope
from service.core.records import DmarcPolicy
from service.usecases import limits
from service.usecases.caller import Caller

_MOST_PATHS = 100
_LONGEST_QUOTE = 80


class Field(StrEnum):
    """What can be changed, as the contract names it."""

    DMARC_POLICY = "dmarc_policy"
    DMARC_REPORT_ADDRESS = "dmarc_report_address"
    MAIL_FROM_SUBDOMAIN = "mail_from_subdomain"


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainUpdate:
    """A request to change a domain, as it came. What `paths` does not name is not looked at."""

    domain: str
    paths: Sequence[str]
    dmarc_policy: DmarcPolicy = DmarcPolicy.NONE
    dmarc_report_address: str = ""
    mail_from_subdomain: str = ""
    violations: Sequence[Violation] = ()
    """Fields found wrong before, to be told together with the others."""


@dataclass(frozen=True, slots=True)
class UpdateDomain:
    """Changes the choices that a domain's records are made by."""

    store: ports.DomainStore
    clock: ports.Clock
    policy: lifecycle.Policy

    def __call__(self, caller: Caller, request: DomainUpdate) -> Domain:
        """Change the fields that the request names, and return the domain.

        An empty value stands for the default, as in CreateDomain. The
        provider's identity follows: the store has it seen to.

        Raises:
            ServiceError: INVALID_DOMAIN, INVALID_FIELD, DOMAIN_NOT_FOUND,
                MISSING_SCOPE.

        """
        name = names.parse(request.domain)
        caller.require_domain(name, Scope.DOMAINS_WRITE)
        _check(request, name)
        now = self.clock.now()

        def move(domain: Domain) -> Moved:
            chosen = request.paths
            address = records.report_address(name, request.dmarc_report_address)
            host = records.mail_from_host(name, request.mail_from_subdomain.lower())
            return lifecycle.updated(
                domain,
                dmarc_policy=request.dmarc_policy if Field.DMARC_POLICY in chosen else None,
                dmarc_report_address=address if Field.DMARC_REPORT_ADDRESS in chosen else None,
                mail_from=host if Field.MAIL_FROM_SUBDOMAIN in chosen else None,
                actor=caller.actor,
                now=now,
                policy=self.policy,
            )

        return self.store.change(caller.tenant, name, move)


def _check(request: DomainUpdate, name: str) -> None:
    chosen = request.paths
    wrong = [
        *_mask_problems(chosen),
        *request.violations,
        *limits.choice_problems(
            name,
            report_address=request.dmarc_report_address if Field.DMARC_REPORT_ADDRESS in chosen else "",
            mail_from_subdomain=request.mail_from_subdomain if Field.MAIL_FROM_SUBDOMAIN in chosen else "",
        ),
    ]
    if wrong:
        raise invalid_fields(wrong)


def _mask_problems(paths: Sequence[str]) -> list[Violation]:
    allowed = ", ".join(Field)
    if not paths:
        return [Violation("update_mask", f"must name at least one of {allowed}")]
    if len(paths) > _MOST_PATHS:
        return [Violation("update_mask", f"must have at most {_MOST_PATHS} paths, and has {len(paths)}")]
    wrong = []
    for index, path in enumerate(paths):
        place, quote = f"update_mask.paths[{index}]", quoting.escaped(path, _LONGEST_QUOTE)
        if path not in set(Field):
            wrong.append(Violation(place, f'must be one of {allowed}, and is "{quote}"'))
        elif path in paths[:index]:
            wrong.append(Violation(place, f'names "{quote}" a second time'))
    return wrong
