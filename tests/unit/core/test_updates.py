"""What becomes of a domain whose owner makes other choices about its records."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.core import lifecycle, matching, offer, schedule
from service.core.case import observed
from service.core.domain import CheckState, Domain, EventType, Moved, Status
from service.core.lifecycle import Policy
from service.core.records import DmarcPolicy, Finding, Purpose, Record, RecordState
from tests.unit.core import zones

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
POLICY = Policy()
SOON = NOW + POLICY.intervals.pending


def published(**changes: object) -> Domain:
    """Return a domain whose records were all found as they should be, with changes."""
    domain = zones.domain("mail.example.com", challenge="c")
    found = tuple(
        replace(record, finding=Finding(RecordState.FOUND, observed((matching.as_published(record),))))
        for record in domain.records
    )
    checks = CheckState(
        next_check_time=NOW + timedelta(hours=1), fast_since=NOW - timedelta(days=1), gap=900.0
    )
    return replace(domain, records=found, checks=checks, **changes)  # type: ignore[arg-type]  # fields by name


def update(domain: Domain, **choices: object) -> Moved:
    """Make other choices."""
    return lifecycle.updated(domain, **choices, actor="key:1", now=NOW, policy=POLICY)  # type: ignore[arg-type]  # fields by name


def of(domain: Domain, purpose: Purpose) -> tuple[Record, ...]:
    """Return the records of a purpose."""
    return tuple(record for record in domain.records if record.purpose is purpose)


def test_a_moved_envelope_sender_moves_its_records() -> None:
    """MX and SPF have yet to be found at the new host; all others keep what was found of them."""
    before = published()
    moved = update(before, mail_from="m.mail.example.com")
    after = moved.domain
    assert after.mail_from == "m.mail.example.com"
    for old, new in zip(of(before, Purpose.SPF), of(after, Purpose.SPF), strict=True):
        assert new == replace(old, name="m.mail.example.com", finding=Finding())
    for purpose in set(Purpose) - {Purpose.SPF}:
        assert of(after, purpose) == of(before, purpose)
    assert moved.change is not None
    assert (moved.change.type, moved.change.actor) == (EventType.RECORDS_CHANGED, "key:1")
    assert moved.change.reason == "mail_from_domain from mail.example.com to m.mail.example.com"


def test_a_dmarc_choice_changes_the_one_record() -> None:
    """Policy and address are told by name; what is not chosen stays."""
    before = published()
    moved = update(before, dmarc_policy=DmarcPolicy.REJECT, dmarc_report_address="x@example.net")
    (dmarc,) = of(moved.domain, Purpose.DMARC)
    assert dmarc.value == "v=DMARC1; p=reject; rua=mailto:x@example.net"
    assert dmarc.finding == Finding()
    assert [new for old, new in zip(before.records, moved.domain.records, strict=True) if new != old] == [
        dmarc
    ]
    assert moved.change is not None
    assert moved.change.reason == (
        "dmarc_policy from NONE to REJECT; dmarc_report_address from dmarc@example.com to x@example.net"
    )


def test_a_dmarc_record_of_the_owners_own_stays_found() -> None:
    """It does what any would do: nobody is to be told for a moment to replace it."""
    before = published()
    (dmarc,) = of(before, Purpose.DMARC)
    own = replace(dmarc, finding=Finding(RecordState.FOUND, ("v=DMARC1; p=reject",)))
    before = replace(before, records=tuple(own if each == dmarc else each for each in before.records))
    after = update(before, dmarc_policy=DmarcPolicy.QUARANTINE).domain
    (changed,) = of(after, Purpose.DMARC)
    assert changed.value.startswith("v=DMARC1; p=quarantine;")
    assert changed.finding == own.finding
    assert offer.is_met_otherwise(changed)


def test_records_made_by_older_rules_change_only_where_the_choice_does() -> None:
    """Whatever a record looks like that nobody chose to change, it stays as the owner published it."""
    before = published()
    older = tuple(
        replace(record, value="v=DMARC1; p=none") if record.purpose is Purpose.DMARC else record
        for record in before.records
    )
    after = update(replace(before, records=older), mail_from="m.mail.example.com").domain
    assert of(after, Purpose.DMARC) == (older[5],)


def test_the_same_choices_change_nothing() -> None:
    """No event, and no check."""
    before = published()
    moved = update(
        before,
        mail_from=before.mail_from,
        dmarc_policy=before.dmarc_policy,
        dmarc_report_address=before.dmarc_report_address,
    )
    assert moved == Moved(before)


@pytest.mark.parametrize("status", Status)
def test_the_status_stays_and_the_next_check_is_soon(status: Status) -> None:
    """What a check finds then moves the domain, as always."""
    before = published(status=status, verification_deadline=NOW + timedelta(hours=9))
    after = update(before, mail_from="m.mail.example.com").domain
    assert (after.status, after.status_reason, after.status_time) == (
        before.status,
        before.status_reason,
        before.status_time,
    )
    assert after.verification_deadline == before.verification_deadline
    assert after.checks == replace(before.checks, next_check_time=SOON, fast_since=NOW, gap=0.0)


def test_a_check_that_is_due_sooner_stays_due() -> None:
    """Choices do not put off a check."""
    before = published()
    early = replace(before, checks=replace(before.checks, next_check_time=NOW + timedelta(seconds=1)))
    after = update(early, dmarc_policy=DmarcPolicy.REJECT).domain
    assert after.checks.next_check_time == NOW + timedelta(seconds=1)


def test_a_run_of_failures_is_not_forgotten() -> None:
    """Or a broken domain could be kept VERIFIED for ever by choosing anew."""
    checks = replace(
        schedule.first(NOW, POLICY.intervals), failing_since=NOW - timedelta(hours=70), failed_checks=9
    )
    before = replace(published(status=Status.VERIFIED), checks=checks)
    after = update(before, mail_from="m.mail.example.com").domain
    assert (after.checks.failing_since, after.checks.failed_checks) == (checks.failing_since, 9)
