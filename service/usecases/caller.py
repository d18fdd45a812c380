"""Who calls, and what a key lets them touch."""

from dataclasses import dataclass

from service.core.errors import Reason, ServiceError
from service.core.keys import Key, Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, with the rights of its key."""

    tenant: str
    key_id: str
    scopes: frozenset[Scope]
    domains: frozenset[str] | None = None
    """The names that the key is limited to; None for all of the tenant's."""

    @classmethod
    def of(cls, key: Key) -> "Caller":
        """Return the caller that a valid key stands for."""
        return cls(key.tenant, key.id, key.scopes, key.domains)

    @property
    def actor(self) -> str:
        """How events name this caller."""
        return f"key:{self.key_id}"

    def require_scope(self, scope: Scope) -> None:
        """Check that the key has a scope.

        Raises:
            ServiceError: MISSING_SCOPE.

        """
        if scope not in self.scopes:
            raise ServiceError(
                Reason.MISSING_SCOPE,
                f"this key does not have the scope {scope}",
                metadata={"scope": scope},
            )

    def require_domain(self, name: str, scope: Scope) -> None:
        """Check that the key is not limited to other domains.

        Raises:
            ServiceError: MISSING_SCOPE, the same whether the domain exists or not.

        """
        if self.domains is not None and name not in self.domains:
            raise ServiceError(
                Reason.MISSING_SCOPE,
                f"this key does not have the scope {scope} for {name}",
                metadata={"scope": scope, "domain": name},
            )

    def visible(self, names: frozenset[str] | None = None) -> frozenset[str] | None:
        """Return those of `names` that the key may see; None stands for all."""
        if self.domains is None or names is None:
            return names if self.domains is None else self.domains
        return names & self.domains
