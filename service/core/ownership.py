"""The challenge: how a tenant proves that it controls a name that others claim too.

All tenants that claim a name publish their challenges at one place, each its
own value. So the answers to one question show whose challenge stands there,
and whose does not, at the same moment.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from service.core import matching, records
from service.core.answers import Answers, Question, RecordType
from service.core.domain import Domain, Transfer
from service.core.records import Purpose, Record, RecordState


def question(name: str) -> Question:
    """Return what to ask for the challenges of all tenants that claim a name."""
    return Question(records.challenge_host(name), RecordType.TXT)


def record_of(domain: Domain) -> Record | None:
    """Return the domain's OWNERSHIP record; None where it was given none."""
    return next((record for record in domain.records if record.purpose is Purpose.OWNERSHIP), None)


def is_proved(domain: Domain, challenges: Answers | None) -> bool:
    """Whether every name server that could tell, and at least half of them, has the domain's challenge."""
    record = record_of(domain)
    return (
        record is not None
        and challenges is not None
        and challenges.is_confirmed
        and challenges.definite != ()
        and all(matching.satisfies(record, answer.values) for answer in challenges.definite)
    )


def is_shown(domain: Domain, challenges: Answers | None) -> bool:
    """Whether any name server has the domain's challenge."""
    record = record_of(domain)
    return (
        record is not None
        and challenges is not None
        and any(matching.satisfies(record, answer.values) for answer in challenges.definite)
    )


def offered(domain: Domain, token: str) -> Domain:
    """Return the domain with an OWNERSHIP record, which it may do without: the one it has, or a new one."""
    if record_of(domain) is not None:
        return domain
    return replace(domain, records=(*domain.records, records.ownership(domain.name, token, required=False)))


def demanded(domain: Domain, token: str) -> Domain:
    """Return the domain as contested: it needs an OWNERSHIP record, the one it has or a new one."""
    asked = tuple(
        replace(record, required=True) if record.purpose is Purpose.OWNERSHIP else record
        for record in offered(domain, token).records
    )
    return replace(domain, records=asked, contested=True)


def begun(domain: Domain, transfer: Transfer, token: str) -> Domain:
    """Return a VERIFIED domain with a transfer against it, and with a challenge to prove ownership by."""
    asked = offered(domain, token)
    return replace(asked, transfer=transfer, records=urged(asked.records, transfer))


def ended(domain: Domain) -> Domain:
    """Return the domain without the transfer against it, if there was one. It keeps its challenge."""
    if domain.transfer is None:
        return domain
    urgency = _urgency(domain.transfer)
    calm = (
        replace(record, finding=replace(record.finding, hint=record.finding.hint.removesuffix(urgency)))
        for record in domain.records
    )
    return replace(domain, transfer=None, records=tuple(calm))


def urged(found: Sequence[Record], transfer: Transfer | None) -> tuple[Record, ...]:
    """Return records with the deadline of a transfer in the hint of the OWNERSHIP record."""
    if transfer is None:
        return tuple(found)
    return tuple(
        _urged(record, transfer)
        if record.purpose is Purpose.OWNERSHIP and record.finding.state is not RecordState.FOUND
        else record
        for record in found
    )


def _urged(record: Record, transfer: Transfer) -> Record:
    hint = record.finding.hint or f"Add a TXT record at {record.name} with the value {record.value}"
    return replace(record, finding=replace(record.finding, hint=hint + _urgency(transfer)))


def _urgency(transfer: Transfer) -> str:
    return f"; without it the domain turns FAILED at {moment(transfer.deadline)}"


def moment(time: datetime) -> str:
    """Return a time in UTC for a person to read (RFC 3339)."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
