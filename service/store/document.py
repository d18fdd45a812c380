"""What is kept as JSON text, and back without loss.

msgspec reads and writes the types of `core` as they are. JSON escapes what a text
column of PostgreSQL cannot hold, such as NUL. Columns that are searched repeat part
of a document; what stands in columns alone is left out of it or taken from there.
"""

import functools
from dataclasses import replace
from datetime import datetime

import msgspec

from service.core.deliveries import BatchAnswer
from service.core.domain import CheckState, Domain, Event
from service.core.health import HealthReport
from service.core.keys import Key
from service.core.tenants import TenantPolicy
from service.store.tables import from_microseconds

_NO_CHECKS = CheckState(next_check_time=from_microseconds(0), fast_since=from_microseconds(0))
"""Stands in where a schedule will be put."""
KEPT_ELSEWHERE = frozenset({"checks", "health_report", "is_shared"})
"""Fields of a domain that are no part of its document: other tables have them."""

_encode = msgspec.json.Encoder().encode
_domain = msgspec.json.Decoder(Domain).decode
_event = msgspec.json.Decoder(Event).decode
_key = msgspec.json.Decoder(Key).decode
_report = msgspec.json.Decoder(HealthReport).decode
_answer = msgspec.json.Decoder(BatchAnswer).decode
_policy = msgspec.json.Decoder(TenantPolicy).decode


def dump_domain(domain: Domain) -> str:
    """Return a domain as text, without what other tables have of it."""
    return dump_state(replace(domain, checks=_NO_CHECKS, health_report=None, is_shared=False))


def load_domain(
    text: str, *, checks: CheckState, health_report: HealthReport | None, is_shared: bool
) -> Domain:
    """Return the domain that `dump_domain` was given, with what other tables have of it."""
    domain = _domain(text)
    # It is nobody else's yet, and to copy a domain takes as long as to read one.
    object.__setattr__(domain, "checks", checks)
    object.__setattr__(domain, "health_report", health_report)
    object.__setattr__(domain, "is_shared", is_shared)
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


def dump_report(report: HealthReport) -> str:
    """Return an assessment as text."""
    return _encode(report).decode()


def load_report(text: str) -> HealthReport:
    """Return the assessment that `dump_report` was given."""
    return _report(text)


def dump_answer(answer: BatchAnswer) -> str:
    """Return the answer to a batch of reports as text."""
    return _encode(answer).decode()


def load_answer(text: str) -> BatchAnswer:
    """Return the answer that `dump_answer` was given."""
    return _answer(text)


def dump_policy(policy: TenantPolicy) -> str:
    """Return a tenant's policy as text."""
    return _encode(policy).decode()


# There are few, and they are read with every event.
@functools.lru_cache(maxsize=1024)
def load_policy(text: str | None) -> TenantPolicy:
    """Return the policy that `dump_policy` was given; None stands for the default."""
    return TenantPolicy() if text is None else _policy(text)
