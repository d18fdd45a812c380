"""API keys."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from service.core.keys import Key


class KeyStore(Protocol):
    """Tenants and their API keys."""

    def create_tenant(self, tenant: str) -> bool:
        """Add a tenant; False when it exists."""

    def tenants(self) -> Sequence[str]:
        """Return the ids of all tenants, in order."""

    def create_key(self, key: Key) -> None:
        """Add a key.

        Raises:
            ServiceError: INVALID_FIELD for `tenant` when it does not exist, for
                `id` when there is such a key.

        """

    def find_keys(self, ids: Collection[str]) -> Mapping[str, Key]:
        """Return those of the keys asked for that exist, revoked ones too."""

    def list_keys(self, tenant: str | None) -> Sequence[Key]:
        """Return the keys of a tenant, or of all, by creation time."""

    def revoke_key(self, key_id: str, now: datetime) -> bool:
        """Revoke a key; False when there is none. Idempotent."""
