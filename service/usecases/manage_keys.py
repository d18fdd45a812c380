"""API keys: what operators do with them on the command line."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from service import ports
from service.core import keys, names
from service.core.errors import Violation, invalid_field, invalid_fields
from service.core.keys import Key, Scope
from service.usecases import limits


@dataclass(frozen=True, slots=True)
class ManageKeys:
    """Creates, lists and revokes."""

    store: ports.KeyStore
    clock: ports.Clock

    def create(
        self,
        tenant: str,
        *,
        scopes: Collection[Scope],
        domains: Sequence[str] = (),
        note: str = "",
        lifetime: timedelta | None = None,
    ) -> str:
        """Make a key and return its text, which nobody can read again.

        Raises:
            ServiceError: INVALID_FIELD, INVALID_DOMAIN.

        """
        wrong = limits.text_problem("note", note, limits.LONGEST_REASON)
        if not scopes:
            wrong.append(Violation("scope", "must be given at least once"))
        if lifetime is not None and lifetime <= timedelta():
            wrong.append(Violation("expires-in", "must be above zero"))
        if wrong:
            raise invalid_fields(wrong)
        limited_to = frozenset(names.parse(text) for text in domains) or None
        key_id, secret = keys.generate()
        self._add(tenant, key_id, secret, scopes, domains=limited_to, note=note, lifetime=lifetime)
        return keys.join(key_id, secret)

    def adopt(self, text: str, tenant: str) -> None:
        """Have a key that was chosen elsewhere be a key with every scope.

        Does nothing where it is one already, so that a replica may start with
        it again and again; a revoked key stays revoked. The tenant is made
        where there is none.

        Raises:
            ServiceError: INVALID_FIELD for what is no key, or for a key id
                that was given to another secret or tenant.

        """
        parts = keys.split(text)
        if parts is None:
            raise invalid_field("bootstrap_api_key", "must look like kr_ID_SECRET")
        key_id, secret = parts
        known = self.store.find_keys([key_id]).get(key_id)
        if known is None:
            self.store.create_tenant(tenant)
            self._add(tenant, key_id, secret, list(Scope), note="bootstrap")
        elif known.tenant != tenant or not known.matches(secret):
            raise invalid_field("bootstrap_api_key", f"the key id {key_id} is another key's")

    def list(self, tenant: str | None = None) -> Sequence[Key]:
        """Return the keys of a tenant, or of all."""
        return self.store.list_keys(tenant)

    def revoke(self, key_id: str) -> bool:
        """Revoke a key; False when there is none."""
        return self.store.revoke_key(key_id, self.clock.now())

    def _add(
        self,
        tenant: str,
        key_id: str,
        secret: str,
        scopes: Collection[Scope],
        *,
        domains: frozenset[str] | None = None,
        note: str = "",
        lifetime: timedelta | None = None,
    ) -> None:
        now = self.clock.now()
        self.store.create_key(
            Key(
                id=key_id,
                tenant=tenant,
                digest=keys.digest_of(secret),
                scopes=frozenset(scopes),
                domains=domains,
                note=note,
                create_time=now,
                expire_time=None if lifetime is None else now + lifetime,
            )
        )
