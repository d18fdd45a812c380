"""What an owner is offered to publish: how it changes, and what the owner's own records already do."""

from dataclasses import replace
from typing import assert_never

from service.core import records
from service.core.answers import RecordType
from service.core.case import observed
from service.core.domain import Domain
from service.core.records import Finding, Identity, Purpose, Record, RecordState


def is_met_otherwise(record: Record) -> bool:
    """Whether a record of the owner's own does what the one offered would do.

    Any valid DMARC record will do, and any SPF record that includes the
    provider's. Publishing ours beside it would void both; in its place, it
    could make a policy less strict.
    """
    finding = record.finding
    return (
        record.type is RecordType.TXT
        and finding.state is RecordState.FOUND
        and finding.observed != observed((record.value,))
    )


def reissued(before: Domain, after: Domain) -> tuple[Record, ...]:
    """Return a domain's records, changed as what was chosen about them changes.

    A record that changes has yet to be found, unless it is met otherwise where
    it stands. All others keep their findings.
    """
    return tuple(_reissued(record, before, after) for record in before.records)


def rekeyed(before: Domain, identity: Identity) -> tuple[Record, ...]:
    """Return a domain's records with those of the identity's DKIM tokens; what stays keeps its findings."""
    had = {record.content: record for record in before.records}
    keys = [had.get(record.content, record) for record in records.dkim(before.name, identity)]
    return (*keys, *(record for record in before.records if record.purpose is not Purpose.DKIM))


def _reissued(record: Record, before: Domain, after: Domain) -> Record:
    match record.purpose:
        case Purpose.DKIM | Purpose.OWNERSHIP:
            return record
        case Purpose.SPF:
            if before.mail_from == after.mail_from:
                return record
            return replace(record, name=after.mail_from, finding=Finding())
        case Purpose.DMARC:
            if _dmarc_choices(before) == _dmarc_choices(after):
                return record
            value = records.dmarc_value(*_dmarc_choices(after))
            found = record.finding if is_met_otherwise(record) else Finding()
            return replace(record, value=value, finding=found)
        case _:
            assert_never(record.purpose)


def _dmarc_choices(domain: Domain) -> tuple[records.DmarcPolicy, str]:
    return domain.dmarc_policy, domain.dmarc_report_address
