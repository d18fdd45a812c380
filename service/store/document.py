"""Domains, events and keys as JSON text, and back without loss.

msgspec reads and writes the types of `core` as they are. JSON escapes what a text
column of PostgreSQL cannot hold, such as NUL. Columns that are searched repeat part
of a document; what stands in columns alone is left out of it or taken from there.
"""

from dataclasses import replace
from datetime import datetime

import msgspec

from service.core.domain import CheckState, Domain, Event
from service.core.keys import Key
from service.store.tables import from_microseconds

_NO_CHECKS = CheckState(next_check_time=from_microseconds(0), fast_since=from_microseconds(0))
"""Stands in where a schedule will be put."""

_encode = msgspec.json.Encoder().encode
_domain = msgspec.json.Decoder(Domain).decode
_event = msgspec.json.Decoder(Event).decode
_key = msgspec.json.Decoder(Key).decode


def dump_domain(domain: Domain) -> str:
    """Return a domain as text, without its schedule of checks."""
    return dump_state(replace(domain, checks=_NO_CHECKS))


def load_domain(text: str, checks: CheckState) -> Domain:
    """Return the domain that `dump_domain` was given, with this schedule."""
    domain = _domain(text)
    # It is nobody else's yet, and to copy a domain takes as long as to read one.
    object.__setattr__(domain, "checks", checks)
    return domain


def dump_state(domain: Domain) -> str:
    """Return a domain as text, whole."""
    return _encode(domain).decode()


def load_state(text: str) -> Domain:
    """Return the domain that `dump_state` was given."""
    return _domain(text)


def dump_event(event: Event) -> str:
    """Return an event as text."""
    return _encode(event).decode()


def load_event(text: str) -> Event:
    """Return the event that `dump_event` was given."""
    return _event(text)


def dump_key(key: Key) -> str:
    """Return a key as text."""
    return _encode(key).decode()


def load_key(text: str, *, revoke_time: datetime | None) -> Key:
    """Return the key that `dump_key` was given, revoked when its column says so."""
    return replace(_key(text), revoke_time=revoke_time)
