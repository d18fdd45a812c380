"""API keys: their text, their digest, their scopes."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key may be used for."""

    DOMAINS_READ = "domains.read"
    DOMAINS_WRITE = "domains.write"
    SENDING_READ = "sending.read"
    SENDING_WRITE = "sending.write"
    DELIVERIES_WRITE = "deliveries.write"

    # Every call looks its scope up: an enum's own hash takes several times as long.
    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key as it is kept: its secret only as a digest."""

    id: str
    tenant: str
    digest: bytes
    """SHA-256 of the secret. The secret has 256 random bits, so that a plain
    digest is as hard to invert as the secret is to guess."""
    scopes: frozenset[Scope]
    domains: frozenset[str] | None = None
    """The canonical names that it is limited to; None for all."""
    note: str = ""
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None

    def matches(self, secret: str) -> bool:
        """Whether `secret` is this key's, compared in constant time."""
        return hmac.compare_digest(self.digest, digest_of(secret))


_TEXT = re.compile(r"kr_([0-9a-z]{4,32})_([0-9A-Za-z_-]{16,128})", re.ASCII)


def digest_of(secret: str) -> bytes:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def split(text: str) -> tuple[str, str] | None:
    """Return id and secret of a key's text `kr_ID_SECRET`; None for anything else."""
    match = _TEXT.fullmatch(text)
    return (match[1], match[2]) if match else None


def generate() -> tuple[str, str]:
    """Return a new id and a new secret of 256 random bits."""
    return secrets.token_hex(6), secrets.token_urlsafe(32)


def join(key_id: str, secret: str) -> str:
    """Return the text that callers send."""
    return f"kr_{key_id}_{secret}"
