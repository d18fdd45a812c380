"""The moves of a domain between its statuses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import lifecycle, schedule
from service.core.domain import Change, Domain, EventType, Moved, Status, StatusReason
from service.core.health import Counts, Health, HealthReason, HealthReport
from service.core.lifecycle import Check, Policy
from service.core.records import Finding, Problem, Record, RecordState
from service.core.verdict import Outcome, Verdict
from tests.support.samples import sample_domain, sample_report

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
POLICY = Policy()
HOUR = timedelta(hours=1)
WELL = Counts(sent=10_000, delivered=10_000)
BOUNCING = WELL._replace(hard_bounces=2000)
COMPLAINED = WELL._replace(complaints=30)
STATES = {
    Outcome.PASSED: Finding(RecordState.FOUND),
    Outcome.FAILED: Finding(RecordState.MISSING, problem=Problem.NOT_PUBLISHED, hint="Add it"),
    Outcome.UNDECIDED: Finding(RecordState.UNKNOWN, problem=Problem.TIMEOUT, hint="Wait"),
}


def new_domain() -> Domain:
    """Return a domain created just now."""
    return sample_domain(
        create_time=NOW,
        update_time=NOW,
        status_time=NOW,
        verification_deadline=NOW + POLICY.window,
        checks=schedule.first(NOW, POLICY.intervals),
    )


def with_finding(records: Sequence[Record], finding: Finding) -> tuple[Record, ...]:
    """Return records that were all found so."""
    return tuple(replace(record, finding=finding) for record in records)


def check(
    domain: Domain,
    outcome: Outcome,
    at: datetime,
    *,
    confirmed: bool = True,
    unknown: bool | None = None,
    ready: bool = True,
    revoked: bool = False,
    held_elsewhere: bool = False,
    dns_provider: str | None = None,
) -> Moved:
    """Check a domain; all its records are as the outcome says."""
    verdict = Verdict(
        records=with_finding(domain.records, STATES[outcome]),
        outcome=outcome,
        confirmed=confirmed,
        unknown=outcome is Outcome.UNDECIDED if unknown is None else unknown,
        dns_provider=dns_provider,
    )
    return lifecycle.after_check(
        domain,
        Check(
            verdict=verdict,
            time=at,
            provider_ready=ready,
            provider_revoked=revoked,
            held_elsewhere=held_elsewhere,
        ),
        POLICY,
    )


def verified(at: datetime = NOW) -> Domain:
    """Return a domain that became verified."""
    return check(new_domain(), Outcome.PASSED, at).domain


def failed(at: datetime = NOW + 73 * HOUR) -> Domain:
    """Return a domain whose window ran out."""
    return check(new_domain(), Outcome.FAILED, at).domain


def assessed(domain: Domain, counts: Counts) -> Moved:
    """Assess the health of a domain."""
    return lifecycle.assessed(domain, sample_report(counts, domain.health_report))


def report_of(domain: Domain) -> HealthReport:
    """Return the figures of a domain that was assessed."""
    assert domain.health_report is not None
    return domain.health_report


def test_a_pending_domain_with_all_records_becomes_verified_and_healthy() -> None:
    """Its deadline is lifted, and the event says why."""
    moved = check(new_domain(), Outcome.PASSED, NOW + HOUR)
    assert moved.domain.status is Status.VERIFIED
    assert moved.domain.status_reason is StatusReason.RECORDS_FOUND
    assert moved.domain.verify_time == NOW + HOUR
    assert moved.domain.verification_deadline is None
    assert moved.domain.health is Health.HEALTHY
    assert moved.change is not None
    assert (moved.change.type, moved.change.reason) == (EventType.STATUS_CHANGED, "RECORDS_FOUND")


@pytest.mark.parametrize(
    "lacking",
    [{"confirmed": False}, {"ready": False}, {"held_elsewhere": True}],
    ids=lambda each: next(iter(each)),
)
def test_records_alone_do_not_verify(lacking: dict[str, bool]) -> None:
    """Name servers must confirm, the provider be ready, and no other tenant hold the name."""
    assert check(new_domain(), Outcome.PASSED, NOW, **lacking).domain.status is Status.PENDING


def test_a_pending_domain_fails_at_its_deadline_not_before() -> None:
    """The window is its owner's to use up."""
    early = check(new_domain(), Outcome.FAILED, NOW + POLICY.window - timedelta(seconds=1))
    assert early.domain.status is Status.PENDING
    late = check(new_domain(), Outcome.FAILED, NOW + POLICY.window)
    assert late.domain.status is Status.FAILED
    assert late.domain.status_reason is StatusReason.VERIFICATION_TIMED_OUT


def test_a_pending_domain_does_not_fail_on_an_outage_at_its_deadline() -> None:
    """An unknown outcome extends the window, though not beyond the grace period."""
    during = check(new_domain(), Outcome.UNDECIDED, NOW + POLICY.window + HOUR)
    assert during.domain.status is Status.PENDING
    after = check(new_domain(), Outcome.UNDECIDED, NOW + POLICY.window + POLICY.grace)
    assert after.domain.status is Status.FAILED


def test_name_servers_that_disagree_do_not_extend_the_window() -> None:
    """They have been asked, and the records are not published."""
    moved = check(new_domain(), Outcome.UNDECIDED, NOW + POLICY.window, unknown=False)
    assert moved.domain.status is Status.FAILED


def test_a_broken_record_of_a_verified_domain_is_told_at_once_and_demotes_nothing() -> None:
    """During the grace period the domain stays verified."""
    moved = check(verified(), Outcome.FAILED, NOW + HOUR)
    assert moved.domain.status is Status.VERIFIED
    assert moved.change is not None
    assert moved.change.type is EventType.RECORDS_BROKEN
    assert "MX bounce.example.com NOT_PUBLISHED" in moved.change.reason
    assert moved.domain.checks.failing_since == NOW + HOUR
    again = check(moved.domain, Outcome.FAILED, NOW + 2 * HOUR)
    assert again.change is None


def test_an_unconfirmed_first_failure_is_not_told() -> None:
    """One name server of several may be behind."""
    moved = check(verified(), Outcome.FAILED, NOW + HOUR, confirmed=False)
    assert moved.domain.checks.failing_since is None
    assert moved.change is None or moved.change.type is not EventType.RECORDS_BROKEN


def test_a_verified_domain_fails_after_the_whole_grace_period_and_three_checks() -> None:
    """Both, and not one of them alone."""
    first = check(verified(), Outcome.FAILED, NOW).domain
    second = check(first, Outcome.FAILED, NOW + POLICY.grace)
    assert second.domain.status is Status.VERIFIED, "two checks only"
    third = check(second.domain, Outcome.FAILED, NOW + POLICY.grace + HOUR)
    assert third.domain.status is Status.FAILED
    assert third.domain.status_reason is StatusReason.RECORDS_BROKEN

    domain = first
    for minutes in range(1, 10):
        domain = check(domain, Outcome.FAILED, NOW + timedelta(minutes=minutes)).domain
    assert domain.status is Status.VERIFIED, "ten checks within ten minutes"


def test_restored_records_are_told_and_forgive_the_failures() -> None:
    """The next break has its whole grace period again."""
    broken = check(verified(), Outcome.FAILED, NOW).domain
    restored = check(broken, Outcome.PASSED, NOW + 71 * HOUR)
    assert restored.change is not None
    assert restored.change.type is EventType.RECORDS_RESTORED
    anew = check(restored.domain, Outcome.FAILED, NOW + 73 * HOUR)
    assert anew.domain.status is Status.VERIFIED
    assert anew.domain.checks.failing_since == NOW + 73 * HOUR


def test_a_revoked_identity_fails_a_verified_domain_at_once() -> None:
    """The provider does not send for it any more, whatever its records say."""
    moved = check(verified(), Outcome.PASSED, NOW, ready=False, revoked=True)
    assert moved.domain.status_reason is StatusReason.PROVIDER_REVOKED
    assert moved.change is not None
    assert moved.change.actor == "provider"


def test_a_failed_domain_comes_back_by_itself() -> None:
    """Fixing the DNS is always enough."""
    moved = check(failed(), Outcome.PASSED, NOW + 100 * HOUR)
    assert moved.domain.status is Status.VERIFIED


def test_a_failed_domain_that_is_asked_about_gets_a_new_window() -> None:
    """VerifyDomain is how an owner starts over; for any other status it changes nothing."""
    at = NOW + 100 * HOUR
    moved = lifecycle.reopened(failed(), actor="key:a", now=at, policy=POLICY)
    assert moved.domain.status is Status.PENDING
    assert moved.domain.verification_deadline == at + POLICY.window
    assert moved.change is not None
    for other in (new_domain(), verified()):
        assert lifecycle.reopened(other, actor="key:a", now=at, policy=POLICY) == Moved(other)


def test_an_outage_is_no_event_and_neither_is_its_end() -> None:
    """A hundred thousand domains must not all be news when a resolver stumbles."""
    during = check(verified(), Outcome.UNDECIDED, NOW + HOUR)
    assert during.change is None
    assert all(record.finding.state is RecordState.UNKNOWN for record in during.domain.records)
    assert check(during.domain, Outcome.PASSED, NOW + 2 * HOUR).change is None


def test_the_dns_provider_is_kept_until_another_is_told_and_is_no_event() -> None:
    """Where none could be told, it is the former one."""
    domain = verified()
    for told, kept in [(None, ""), ("Hetzner", "Hetzner"), (None, "Hetzner"), ("Gandi", "Gandi"), ("", "")]:
        moved = check(domain, Outcome.PASSED, NOW + HOUR, dns_provider=told)
        domain = moved.domain
        assert (domain.dns_provider, moved.change) == (kept, None)


def test_a_record_seen_for_the_first_time_is_an_event() -> None:
    """Whoever waits for a domain sees it progress; seeing the same again is no news."""
    first = check(new_domain(), Outcome.FAILED, NOW + HOUR)
    assert first.change is not None
    assert first.change.type is EventType.RECORDS_CHANGED
    assert check(first.domain, Outcome.FAILED, NOW + 2 * HOUR).change is None


def test_disable_and_enable_are_idempotent_in_every_status() -> None:
    """The second call changes nothing and tells nothing."""
    for domain in (new_domain(), verified(), failed()):
        paused = lifecycle.disabled(domain, reason="abuse", actor="key:a")
        assert not paused.domain.sending_enabled
        assert paused.domain.disable_reason == "abuse"
        assert lifecycle.disabled(paused.domain, reason="again", actor="key:a").change is None
        resumed = lifecycle.enabled(paused.domain, reason="", actor="key:a")
        assert resumed.domain == domain
        assert lifecycle.enabled(domain, reason="", actor="key:a").change is None


@pytest.mark.parametrize(
    ("counts", "health", "reason"),
    [
        (BOUNCING, Health.CRITICAL, HealthReason.BOUNCE_RATE),
        (COMPLAINED, Health.WARNING, HealthReason.COMPLAINT_RATE),
    ],
)
def test_an_assessment_that_changes_health_is_told(
    counts: Counts, health: Health, reason: HealthReason
) -> None:
    """With the rate that decided, by the assessment; status and schedule stay."""
    before = verified()
    moved = assessed(before, counts)
    assert moved.domain == replace(before, health=health, health_report=sample_report(counts))
    assert moved.change == Change(EventType.HEALTH_CHANGED, reason, "health")


def test_an_assessment_that_changes_nothing_is_no_event() -> None:
    """Its figures are kept all the same."""
    ill = assessed(verified(), BOUNCING).domain
    for domain, counts in ((verified(), WELL), (ill, BOUNCING._replace(hard_bounces=1900))):
        moved = assessed(domain, counts)
        assert moved.change is None
        assert moved.domain.health is domain.health
        assert report_of(moved.domain).counts == counts


@pytest.mark.parametrize(
    ("counts", "reason"),
    [(BOUNCING, HealthReason.BOUNCE_RATE), (COMPLAINED, HealthReason.COMPLAINT_RATE)],
)
def test_of_a_domain_that_is_well_again_it_is_told_what_had_stood_against_it(
    counts: Counts, reason: HealthReason
) -> None:
    """The rates themselves are no reason any more."""
    moved = assessed(assessed(verified(), counts).domain, WELL)
    assert moved.domain.health is Health.HEALTHY
    assert moved.change == Change(EventType.HEALTH_CHANGED, reason, "health")


def test_another_rate_that_decides_is_no_event_while_health_is_the_same() -> None:
    """Senders act on health; the report says why."""
    ill = assessed(verified(), WELL._replace(hard_bounces=600)).domain
    moved = assessed(ill, COMPLAINED)
    assert (ill.health, moved.domain.health, moved.change) == (Health.WARNING, Health.WARNING, None)
    assert report_of(moved.domain).reason is HealthReason.COMPLAINT_RATE


def test_health_survives_a_domain_that_fails_and_comes_back() -> None:
    """Records that are mended do not mend a reputation."""
    ill = assessed(verified(), BOUNCING).domain
    lost = lifecycle.failed(ill, StatusReason.RECORDS_BROKEN, NOW + HOUR).domain
    back = check(lost, Outcome.PASSED, NOW + 2 * HOUR).domain
    assert (back.status, back.health, back.health_report) == (
        Status.VERIFIED,
        Health.CRITICAL,
        ill.health_report,
    )


@dataclass(frozen=True)
class Step:
    """One check of a random history, and whether VerifyDomain follows it."""

    outcome: Outcome
    confirmed: bool
    unknown: bool
    ready: bool
    revoked: bool
    held: bool
    minutes: int
    reopen: bool


STEPS = st.builds(
    Step,
    outcome=st.sampled_from(Outcome),
    confirmed=st.booleans(),
    unknown=st.booleans(),
    ready=st.booleans(),
    revoked=st.booleans(),
    held=st.booleans(),
    minutes=st.integers(0, 60 * 24 * 5),
    reopen=st.booleans(),
)
ALLOWED = {
    (Status.PENDING, Status.VERIFIED),
    (Status.PENDING, Status.FAILED),
    (Status.VERIFIED, Status.FAILED),
    (Status.FAILED, Status.VERIFIED),
}


@given(st.lists(STEPS, max_size=40))
def test_no_order_of_checks_leaves_the_table(steps: list[Step]) -> None:
    """Every change of status is one that the table allows, for the reason it gives, and is told."""
    domain, now = new_domain(), NOW
    for step in steps:
        now += timedelta(minutes=step.minutes)
        if step.reopen:
            moved = lifecycle.reopened(domain, actor="key:a", now=now, policy=POLICY)
            assert (moved.change is not None) == (domain.status is Status.FAILED)
            domain = moved.domain
        before = domain
        moved = check(
            before,
            step.outcome,
            now,
            confirmed=step.confirmed,
            unknown=step.unknown,
            ready=step.ready,
            revoked=step.revoked,
            held_elsewhere=step.held,
        )
        domain = moved.domain
        told = moved.change is not None and moved.change.type is EventType.STATUS_CHANGED
        assert told == (before.status is not domain.status)
        if told:
            assert (before.status, domain.status) in ALLOWED
            assert_has_its_cause(before, domain, step, now)
        assert (domain.verification_deadline is not None) == (domain.status is Status.PENDING)
        assert domain.checks.failing_since is None or domain.status is Status.VERIFIED
        assert domain.checks.next_check_time > now


def assert_has_its_cause(before: Domain, after: Domain, step: Step, now: datetime) -> None:
    """Check that a move had what the table asks for it."""
    match after.status_reason:
        case StatusReason.RECORDS_FOUND:
            assert step.outcome is Outcome.PASSED
            assert step.confirmed
            assert step.ready
            assert not step.held
        case StatusReason.VERIFICATION_TIMED_OUT:
            assert before.verification_deadline is not None
            assert now >= before.verification_deadline
        case StatusReason.RECORDS_BROKEN:
            assert step.outcome is Outcome.FAILED
            assert before.checks.failing_since is not None
            assert now - before.checks.failing_since >= POLICY.grace
            assert before.checks.failed_checks + 1 >= POLICY.grace_checks
        case StatusReason.PROVIDER_REVOKED:
            assert step.revoked
        case reason:
            raise AssertionError(reason)


@given(st.lists(st.integers(1, 600), max_size=40), st.sampled_from([new_domain(), verified(), failed()]))
def test_an_outage_within_the_grace_period_moves_nothing(minutes: list[int], domain: Domain) -> None:
    """However often it is looked at meanwhile."""
    started = now = NOW + 73 * HOUR
    before = domain.status
    for minute in minutes:
        now += timedelta(minutes=minute)
        if now - started >= POLICY.grace - HOUR:
            break
        domain = check(domain, Outcome.UNDECIDED, now).domain
    assert domain.status is before
