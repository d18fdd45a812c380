"""What a check saw that was not known before."""

from collections.abc import Sequence
from dataclasses import replace

from service.core import ownership
from service.core.domain import Domain, Status
from service.core.records import Finding, Record, RecordState
from service.core.verdict import Verdict


def seen(domain: Domain, verdict: Verdict) -> Domain:
    """Return a domain with what a check saw of its records."""
    records = _settled(domain.records, ownership.urged(verdict.records, domain.transfer))
    # Recursive resolvers say nothing of a zone's name servers: then it stays.
    provider = domain.dns_provider if verdict.dns_provider is None else verdict.dns_provider
    if records is domain.records and provider == domain.dns_provider:
        return domain
    return replace(domain, records=records, dns_provider=provider)


def changed(before: Domain, after: Domain) -> list[Record]:
    """Return the records of which a check saw something definite that was not believed before.

    An outage is no news, and neither is its end: a record that is found again
    where it was never known to be gone.
    """
    if after.records is before.records:
        return []  # as nearly always
    sound = before.status is Status.VERIFIED and before.checks.failing_since is None
    return [
        new
        for old, new in zip(before.records, after.records, strict=True)
        if new is not old
        and new.finding.state is not RecordState.UNKNOWN
        and _definite(new) != _definite(old)
        and not (
            sound and old.finding.state is RecordState.UNKNOWN and new.finding.state is RecordState.FOUND
        )
    ]


def described(changed: Sequence[Record]) -> str:
    """Return what happened to records, as the reason of an event."""
    return "; ".join(
        f"{record.type} {record.name} {record.finding.problem or record.finding.state}" for record in changed
    )


def _settled(before: tuple[Record, ...], after: tuple[Record, ...]) -> tuple[Record, ...]:
    """Return what was seen, as it was seen before where only the server is another.

    Servers are sampled at random: nothing is to be written for that.
    """
    if before is after:
        return before
    return tuple(
        old if _said(new.finding) == _said(old.finding) else new
        for old, new in zip(before, after, strict=True)
    )


def _said(finding: Finding) -> tuple[object, ...]:
    return finding.state, finding.problem, finding.observed, finding.hint


def _definite(record: Record) -> tuple[object, ...]:
    found = record.finding
    return found.state, found.problem, frozenset(found.observed)
