"""Domains, events and keys as JSON text, and back without loss.

JSON escapes what a text column of PostgreSQL cannot hold, such as NUL. Times are
microseconds since 1970. Columns that are searched repeat part of a document.
"""

import functools
import json
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from service.core.answers import RecordType
from service.core.domain import (
    CheckState,
    Domain,
    Event,
    EventType,
    Health,
    Status,
    StatusReason,
)
from service.core.keys import Key, Scope
from service.core.records import DmarcPolicy, Finding, Problem, Purpose, Record, RecordState
from service.store.tables import from_microseconds, optional_time, to_microseconds

_CHECK_TIMES = ("next_check_time", "last_check_time", "fast_since", "failing_since")
_CHECK_FIELDS = tuple(field.name for field in fields(CheckState))
_NO_CHECKS = CheckState(next_check_time=from_microseconds(0), fast_since=from_microseconds(0))
"""Stands in where a schedule will be put."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


def dump_domain(domain: Domain) -> str:
    """Return a domain as text, without its schedule of checks."""
    return _encode(_domain_out(domain))


def load_domain(text: str, checks: CheckState) -> Domain:
    """Return the domain that `dump_domain` was given, with this schedule."""
    return replace(_remembered(text), checks=checks)


# A domain is read far more often than it changes, and reading its text takes
# longer than fetching it. Frozen as domains are, they can be shared.
@functools.lru_cache(maxsize=1024)
def _remembered(text: str) -> Domain:
    return _domain_in(json.loads(text), _NO_CHECKS)


def dump_state(domain: Domain) -> str:
    """Return a domain as text, whole."""
    return _encode(_state_out(domain))


def load_state(text: str) -> Domain:
    """Return the domain that `dump_state` was given."""
    return _state_in(json.loads(text))


def dump_event(event: Event) -> str:
    """Return an event as text."""
    return _encode(
        {
            "tenant": event.tenant,
            "revision": event.revision,
            "time": to_microseconds(event.time),
            "type": event.type,
            "domain": event.domain,
            "previous_status": event.previous_status,
            "previous_health": event.previous_health,
            "reason": event.reason,
            "actor": event.actor,
            "state": _state_out(event.state),
            "held_sends": event.held_sends,
        }
    )


def load_event(text: str) -> Event:
    """Return the event that `dump_event` was given."""
    read = json.loads(text)
    status, health = read["previous_status"], read["previous_health"]
    return Event(
        tenant=read["tenant"],
        revision=read["revision"],
        time=from_microseconds(read["time"]),
        type=EventType(read["type"]),
        domain=read["domain"],
        previous_status=None if status is None else Status(status),
        previous_health=None if health is None else Health(health),
        reason=read["reason"],
        actor=read["actor"],
        state=_state_in(read["state"]),
        held_sends=read["held_sends"],
    )


def dump_key(key: Key) -> str:
    """Return the part of a key that never changes, as text."""
    return _encode(
        {
            "digest": key.digest.hex(),
            "scopes": sorted(key.scopes),
            "domains": None if key.domains is None else sorted(key.domains),
            "note": key.note,
            "expire_time": _time_out(key.expire_time),
        }
    )


def load_key(
    text: str, *, key_id: str, tenant: str, create_time: datetime, revoke_time: datetime | None
) -> Key:
    """Return the key that `dump_key` was given, with the rest of its columns."""
    read = json.loads(text)
    return Key(
        id=key_id,
        tenant=tenant,
        digest=bytes.fromhex(read["digest"]),
        scopes=frozenset(map(Scope, read["scopes"])),
        domains=None if read["domains"] is None else frozenset(read["domains"]),
        note=read["note"],
        create_time=create_time,
        expire_time=optional_time(read["expire_time"]),
        revoke_time=revoke_time,
    )


def _time_out(time: datetime | None) -> int | None:
    return None if time is None else to_microseconds(time)


def _domain_out(domain: Domain) -> dict[str, Any]:
    return {
        "tenant": domain.tenant,
        "name": domain.name,
        "generation": domain.generation,
        "region": domain.region,
        "mail_from": domain.mail_from,
        "dmarc_policy": domain.dmarc_policy,
        "dmarc_report_address": domain.dmarc_report_address,
        "status": domain.status,
        "status_reason": domain.status_reason,
        "status_time": to_microseconds(domain.status_time),
        "health": domain.health,
        "sending_enabled": domain.sending_enabled,
        "disable_reason": domain.disable_reason,
        "records": [_record_out(record) for record in domain.records],
        "contested": domain.contested,
        "dns_provider": domain.dns_provider,
        "create_time": to_microseconds(domain.create_time),
        "update_time": to_microseconds(domain.update_time),
        "verify_time": _time_out(domain.verify_time),
        "verification_deadline": _time_out(domain.verification_deadline),
        "revision": domain.revision,
    }


def _domain_in(read: dict[str, Any], checks: CheckState) -> Domain:
    return Domain(
        tenant=read["tenant"],
        name=read["name"],
        generation=read["generation"],
        region=read["region"],
        mail_from=read["mail_from"],
        dmarc_policy=DmarcPolicy(read["dmarc_policy"]),
        dmarc_report_address=read["dmarc_report_address"],
        status=Status(read["status"]),
        status_reason=StatusReason(read["status_reason"]),
        status_time=from_microseconds(read["status_time"]),
        health=Health(read["health"]),
        sending_enabled=read["sending_enabled"],
        disable_reason=read["disable_reason"],
        records=tuple(map(_record_in, read["records"])),
        contested=read["contested"],
        dns_provider=read["dns_provider"],
        create_time=from_microseconds(read["create_time"]),
        update_time=from_microseconds(read["update_time"]),
        verify_time=optional_time(read["verify_time"]),
        verification_deadline=optional_time(read["verification_deadline"]),
        checks=checks,
        revision=read["revision"],
    )


def _state_out(domain: Domain) -> dict[str, Any]:
    checks = {name: getattr(domain.checks, name) for name in _CHECK_FIELDS}
    for name in _CHECK_TIMES:
        checks[name] = _time_out(checks[name])
    return {**_domain_out(domain), "checks": checks}


def _state_in(read: dict[str, Any]) -> Domain:
    checks = {**read["checks"]}
    for name in _CHECK_TIMES:
        checks[name] = optional_time(checks[name])
    return _domain_in(read, CheckState(**checks))


def _record_out(record: Record) -> dict[str, Any]:
    finding = record.finding
    return {
        "purpose": record.purpose,
        "type": record.type,
        "name": record.name,
        "value": record.value,
        "required": record.required,
        "priority": record.priority,
        "ttl": record.ttl,
        "state": finding.state,
        "observed": finding.observed,
        "problem": finding.problem,
        "hint": finding.hint,
        "server": finding.server,
    }


def _record_in(read: dict[str, Any]) -> Record:
    problem = read["problem"]
    return Record(
        purpose=Purpose(read["purpose"]),
        type=RecordType(read["type"]),
        name=read["name"],
        value=read["value"],
        required=read["required"],
        priority=read["priority"],
        ttl=read["ttl"],
        finding=Finding(
            state=RecordState(read["state"]),
            observed=tuple(read["observed"]),
            problem=None if problem is None else Problem(problem),
            hint=read["hint"],
            server=read["server"],
        ),
    )
