"""The one error type of the service, and the closed set of reasons it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Reason(StrEnum):
    """Why a call failed: the stable code that a client may switch on."""

    INVALID_DOMAIN = "INVALID_DOMAIN"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"  # noqa: S105 - a code, not a secret
    INVALID_RESUME_TOKEN = "INVALID_RESUME_TOKEN"  # noqa: S105 - a code, not a secret
    INVALID_FIELD = "INVALID_FIELD"
    DOMAIN_NOT_FOUND = "DOMAIN_NOT_FOUND"
    USE_NOT_FOUND = "USE_NOT_FOUND"
    DOMAIN_EXISTS = "DOMAIN_EXISTS"
    DOMAIN_IN_USE = "DOMAIN_IN_USE"
    PROVIDER_CONFLICT = "PROVIDER_CONFLICT"
    RESUME_TOKEN_EXPIRED = "RESUME_TOKEN_EXPIRED"  # noqa: S105 - a code, not a secret
    RESUME_TOKEN_AHEAD = "RESUME_TOKEN_AHEAD"  # noqa: S105 - a code, not a secret
    MISSING_KEY = "MISSING_KEY"
    INVALID_KEY = "INVALID_KEY"
    KEY_EXPIRED = "KEY_EXPIRED"
    KEY_REVOKED = "KEY_REVOKED"
    MISSING_SCOPE = "MISSING_SCOPE"
    RATE_LIMITED = "RATE_LIMITED"
    DOMAIN_QUOTA = "DOMAIN_QUOTA"
    TOO_MANY_STREAMS = "TOO_MANY_STREAMS"
    PROVIDER_LIMIT = "PROVIDER_LIMIT"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    CONCURRENT_CHANGE = "CONCURRENT_CHANGE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field of a request."""

    field: str
    """Path of the field, as in the contract: `domain`, `domains[3]`."""
    description: str
    """What is wrong with it, in one sentence for a person."""


class ServiceError(Exception):
    """A call that cannot be answered, for a reason that its caller may know.

    `message` is for people and never holds the text of a driver. Whatever
    varies in it is in `metadata` too (AIP-193). `violations` names every wrong
    field, or, of a precondition, what stands against it. `retry_after` says how
    long waiting helps, where it does.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: timedelta | None = None,
    ) -> None:
        """Make the error; nothing in it is derived."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after


def invalid_field(field: str, description: str) -> ServiceError:
    """Return the error of a request with one wrong field."""
    return invalid_fields([Violation(field, description)])


def invalid_fields(violations: Sequence[Violation], reason: Reason = Reason.INVALID_FIELD) -> ServiceError:
    """Return the error of a request with these wrong fields, at least one."""
    text = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
    return ServiceError(
        reason,
        text,
        metadata={"field": violations[0].field, "description": violations[0].description},
        violations=violations,
    )


def domain_exists(name: str) -> ServiceError:
    """Return the error of a name that the tenant has already."""
    return ServiceError(Reason.DOMAIN_EXISTS, f"the domain {name} exists", metadata={"domain": name})


def quota_reached(quota: int) -> ServiceError:
    """Return the error of a tenant that has as many domains as it may have."""
    return ServiceError(
        Reason.DOMAIN_QUOTA, f"the tenant has {quota} domains already", metadata={"quota": str(quota)}
    )


def domain_not_found(name: str) -> ServiceError:
    """Return the error of a name that the tenant does not have."""
    return ServiceError(
        Reason.DOMAIN_NOT_FOUND, f"no domain {name} in this tenant", metadata={"domain": name}
    )
