"""What a database is told from others by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """What tells one database from another."""

    epoch: str
    """Random; changes when the database is restored (`migrate --new-epoch`)."""
    secret: bytes
    """32 random octets, for tokens that must not be forged."""
