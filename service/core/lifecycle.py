"""The moves of a domain between its statuses, and nothing else that moves it.

Every function is pure: it takes a domain and returns what becomes of it, with
the event to tell, if any. `verification.md`'s table is this module:

    PENDING  -> VERIFIED  all required records found and confirmed, provider ready
    PENDING  -> FAILED    the deadline passed without that
    VERIFIED -> FAILED    definitely broken for the grace period, or provider revoked
    FAILED   -> VERIFIED  a later check finds everything right
    FAILED   -> PENDING   VerifyDomain was called and the check did not pass

`core.transfer` adds what another tenant's claim does to a VERIFIED domain.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, assert_never

from service.core import news, offer, ownership, schedule
from service.core.answers import Answers
from service.core.domain import (
    Change,
    CheckState,
    Domain,
    EventType,
    Moved,
    Status,
    StatusReason,
)
from service.core.health import Health, HealthReport
from service.core.records import DmarcPolicy, Identity
from service.core.verdict import Outcome, Verdict

VERIFIER = "verifier"
PROVIDER = "provider"
HEALTH = "health"
"""Whose work the events of assessments are."""

_ABOUT_RECORDS = {EventType.RECORDS_BROKEN, EventType.RECORDS_RESTORED, EventType.RECORDS_CHANGED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a domain has, and how sure a failure must be."""

    window: timedelta = timedelta(hours=72)
    """From creation, or a restart, to VERIFICATION_TIMED_OUT."""
    grace: timedelta = timedelta(hours=72)
    """How long a verified domain's records may be broken."""
    grace_checks: int = 3
    """In how many checks at least they must have been seen broken."""
    transfer: timedelta = timedelta(hours=72)
    """How long a verified domain may take to prove ownership, once another claim is proved."""
    intervals: schedule.Intervals = field(default_factory=schedule.Intervals)


class Check(NamedTuple):
    """Everything that a check of a domain brought."""

    verdict: Verdict
    time: datetime
    provider_ready: bool
    """Whether the mail provider lets the domain send."""
    provider_revoked: bool
    """Whether it has let the domain send, and does no more."""
    held_elsewhere: bool = False
    """Whether another tenant has the name VERIFIED."""
    proved_elsewhere: bool = False
    """Whether another tenant has ever proved that it controls the name."""
    transfer_deadline: datetime | None = None
    """When the transfer is decided that this domain's claim has begun, if it has."""
    challenges: Answers | None = None
    """What stands where challenges are published (`ownership.question`), if it was asked."""
    token: str = ""
    """A new random challenge, for whoever has to be given one."""
    requested: bool = False
    """Whether VerifyDomain asked for it: such a check demotes no VERIFIED domain."""
    spread: float = 0.5
    """Where in its jitter the next gap falls, from 0 to 1."""


def needs_confirmation(domain: Domain, verdict: Verdict, now: datetime, policy: Policy) -> bool:
    """Whether a sampled verdict would move the domain, so that all servers must agree."""
    if domain.transfer is not None:
        return True
    match domain.status:
        case Status.PENDING | Status.FAILED:
            return verdict.outcome is Outcome.PASSED
        case Status.VERIFIED:
            failing = domain.checks.failing_since
            if verdict.outcome is Outcome.FAILED:
                return failing is None or now - failing >= policy.grace
            return verdict.outcome is Outcome.PASSED and failing is not None
        case _:
            assert_never(domain.status)


def after_check(domain: Domain, check: Check, policy: Policy) -> Moved:
    """Return what a check makes of a domain.

    An unknown outcome changes no status and counts for nothing. It only shows
    in the findings, and brings the next check forward.
    """
    seen = news.seen(domain, check.verdict)
    match domain.status:
        case Status.PENDING:
            moved = _pending(seen, check, policy)
        case Status.VERIFIED:
            moved = _verified(seen, check, policy)
        case Status.FAILED:
            moved = _failed(seen, check)
        case _:
            assert_never(domain.status)
    changed = news.changed(domain, seen)
    if moved.change is None and changed:
        moved = replace(moved, change=Change(EventType.RECORDS_CHANGED, actor=VERIFIER))
    if moved.change is not None and moved.change.type in _ABOUT_RECORDS:
        moved = replace(moved, change=replace(moved.change, reason=news.described(changed)))
    if moved.domain.transfer is not None and ownership.is_proved(seen, check.challenges):
        moved = _told_along(moved, ownership.ended(moved.domain), "ownership is proved")
    if _must_be_contested(domain, check):
        asked = ownership.demanded(moved.domain, check.token)
        moved = _told_along(moved, asked, "ownership must be proved")
    return Moved(_scheduled(domain, moved, check, policy), moved.change)


def _told_along(moved: Moved, domain: Domain, reason: str) -> Moved:
    """Return a move that also makes this of its domain, with an event for it where there is none."""
    return Moved(domain, moved.change or records_changed(reason))


def records_changed(reason: str) -> Change:
    """Return the event of records that are others than before, or stand otherwise."""
    return Change(EventType.RECORDS_CHANGED, reason, actor=VERIFIER)


def _must_be_contested(domain: Domain, check: Check) -> bool:
    """Whether the domain was the first to have its name, and another has proved it since."""
    elsewhere = check.held_elsewhere or check.proved_elsewhere
    return domain.status is not Status.VERIFIED and not domain.contested and elsewhere


def _pending(domain: Domain, check: Check, policy: Policy) -> Moved:
    if _may_verify(domain, check):
        return _verify(domain, check.time)
    deadline = domain.verification_deadline
    if deadline is None or check.time < deadline:
        return Moved(domain)
    # Nothing fails on an outage alone: a check that could not tell extends the
    # window, though not for ever, since a zone may stay unreachable.
    if not _told(check) and check.time < deadline + policy.grace:
        return Moved(domain)
    # Whoever has to wait for a transfer cannot do anything about it.
    if check.transfer_deadline is not None:
        return Moved(domain)
    return failed(domain, StatusReason.VERIFICATION_TIMED_OUT, check.time)


def _verified(domain: Domain, check: Check, policy: Policy) -> Moved:
    if check.provider_revoked and not check.requested:
        return failed(domain, StatusReason.PROVIDER_REVOKED, check.time)
    checks = domain.checks
    match check.verdict.outcome:
        case Outcome.UNDECIDED:
            return Moved(domain)
        case Outcome.PASSED:
            if checks.failing_since is None or not check.verdict.confirmed:
                return Moved(domain)
            restored = replace(checks, failing_since=None, failed_checks=0)
            return Moved(
                replace(domain, checks=restored),
                Change(EventType.RECORDS_RESTORED, actor=VERIFIER),
            )
        case Outcome.FAILED:
            return _broken(domain, check, policy)
        case _:
            assert_never(check.verdict.outcome)


def _broken(domain: Domain, check: Check, policy: Policy) -> Moved:
    checks, confirmed = domain.checks, check.verdict.confirmed
    if checks.failing_since is None:
        if not confirmed:
            return Moved(domain)
        broken = replace(checks, failing_since=check.time, failed_checks=1)
        return Moved(replace(domain, checks=broken), Change(EventType.RECORDS_BROKEN, actor=VERIFIER))
    if check.requested:
        return Moved(domain)
    counted = replace(domain, checks=replace(checks, failed_checks=checks.failed_checks + 1))
    lasted = check.time - checks.failing_since >= policy.grace
    if lasted and confirmed and counted.checks.failed_checks >= policy.grace_checks:
        return failed(counted, StatusReason.RECORDS_BROKEN, check.time)
    return Moved(counted)


def _failed(domain: Domain, check: Check) -> Moved:
    return _verify(domain, check.time) if _may_verify(domain, check) else Moved(domain)


def _may_verify(domain: Domain, check: Check) -> bool:
    return passed(check) and not check.held_elsewhere and not _must_be_contested(domain, check)


def passed(check: Check) -> bool:
    """Whether a check found everything right, for certain, and the provider is ready."""
    return check.verdict.outcome is Outcome.PASSED and check.verdict.confirmed and check.provider_ready


def _told(check: Check) -> bool:
    """Whether a check could tell how the domain stands."""
    return check.verdict.outcome is not Outcome.UNDECIDED or not check.verdict.unknown


def _verify(domain: Domain, now: datetime) -> Moved:
    verified = replace(
        domain,
        status=Status.VERIFIED,
        status_reason=StatusReason.RECORDS_FOUND,
        status_time=now,
        verify_time=now,
        verification_deadline=None,
        health=Health.HEALTHY if domain.health is Health.UNSPECIFIED else domain.health,
        checks=replace(domain.checks, failing_since=None, failed_checks=0, gap=0.0),
    )
    return Moved(verified, Change(EventType.STATUS_CHANGED, StatusReason.RECORDS_FOUND, actor=VERIFIER))


def failed(domain: Domain, reason: StatusReason, now: datetime) -> Moved:
    """Return the domain as FAILED."""
    after = replace(
        ownership.ended(domain),
        status=Status.FAILED,
        status_reason=reason,
        status_time=now,
        verification_deadline=None,
        checks=replace(domain.checks, failing_since=None, failed_checks=0, gap=0.0),
    )
    actor = PROVIDER if reason is StatusReason.PROVIDER_REVOKED else VERIFIER
    return Moved(after, Change(EventType.STATUS_CHANGED, reason, actor=actor))


def _scheduled(before: Domain, moved: Moved, check: Check, policy: Policy) -> Domain:
    domain = moved.domain
    moments = (
        domain.verification_deadline,
        domain.checks.failing_since and domain.checks.failing_since + policy.grace,
        domain.transfer and domain.transfer.deadline,
        check.transfer_deadline,
    )
    undecided = check.verdict.outcome is Outcome.UNDECIDED
    checks = schedule.after_check(
        domain,
        now=check.time,
        # Name servers that disagree are mostly being brought up to date. For a
        # verified domain that is worth another look soon, as an outage is.
        told=_told(check) and not (domain.status is Status.VERIFIED and undecided),
        restored=moved.change is not None and moved.change.type is EventType.RECORDS_RESTORED,
        intervals=policy.intervals,
        spread=check.spread,
        must_look_at=min((each for each in moments if each and each > check.time), default=None),
    )
    if check.requested:
        counts = before.status is not Status.VERIFIED
        checks = _not_put_off(domain.checks, checks, check.time, counts=counts)
    return domain.scheduled(checks)


def _not_put_off(before: CheckState, after: CheckState, now: datetime, *, counts: bool) -> CheckState:
    """Return the schedule after a check on request.

    Whoever asks again and again must not put off the checks that count. One
    that was due is done with this check, if this one `counts` as much.
    """
    is_done = counts and before.next_check_time <= now
    return replace(
        after,
        next_check_time=after.next_check_time
        if is_done
        else min(after.next_check_time, before.next_check_time),
        gap=before.gap,
        unknown_checks=min(after.unknown_checks, before.unknown_checks),
    )


def reopened(domain: Domain, *, actor: str, now: datetime, policy: Policy) -> Moved:
    """Return a FAILED domain as PENDING with a new window; any other unchanged.

    What VerifyDomain does for a domain whose check did not pass.
    """
    if domain.status is not Status.FAILED:
        return Moved(domain)
    reason = StatusReason.VERIFICATION_RESTARTED
    pending = replace(
        domain,
        status=Status.PENDING,
        status_reason=reason,
        status_time=now,
        verification_deadline=now + policy.window,
        checks=schedule.fast_phase(domain.checks, now, policy.intervals),
    )
    return Moved(pending, Change(EventType.STATUS_CHANGED, reason, actor=actor))


def updated(
    domain: Domain,
    *,
    mail_from: str | None = None,
    dmarc_policy: DmarcPolicy | None = None,
    dmarc_report_address: str | None = None,
    actor: str,
    now: datetime,
    policy: Policy,
) -> Moved:
    """Return the domain with other choices about its records; None keeps what was chosen.

    The status stays. Records that change have yet to be found, so the domain is
    looked at soon: from then on the rules of checks apply to them as to any
    others. Without a change the domain is as it was.
    """
    after = replace(
        domain,
        mail_from=domain.mail_from if mail_from is None else mail_from,
        dmarc_policy=domain.dmarc_policy if dmarc_policy is None else dmarc_policy,
        dmarc_report_address=domain.dmarc_report_address
        if dmarc_report_address is None
        else dmarc_report_address,
    )
    choices = (
        ("mail_from_domain", domain.mail_from, after.mail_from),
        ("dmarc_policy", domain.dmarc_policy, after.dmarc_policy),
        ("dmarc_report_address", domain.dmarc_report_address, after.dmarc_report_address),
    )
    changes = [f"{field} from {old} to {new}" for field, old, new in choices if old != new]
    if not changes:
        return Moved(domain)
    changed = replace(
        after,
        records=offer.reissued(domain, after),
        checks=schedule.fast_phase(domain.checks, now, policy.intervals),
    )
    return Moved(changed, Change(EventType.RECORDS_CHANGED, "; ".join(changes), actor))


def rekeyed(domain: Domain, identity: Identity, *, now: datetime, policy: Policy) -> Moved:
    """Return the domain with the DKIM records of its identity at the provider; unchanged where it has them.

    A provider whose identity was deleted and made again may sign with other keys.
    """
    issued = offer.rekeyed(domain, identity)
    if {record.content for record in issued} == {record.content for record in domain.records}:
        return Moved(domain)
    changed = replace(
        domain, records=issued, checks=schedule.fast_phase(domain.checks, now, policy.intervals)
    )
    return Moved(
        changed, Change(EventType.RECORDS_CHANGED, "the mail provider has other DKIM keys", PROVIDER)
    )


def disabled(domain: Domain, *, reason: str, actor: str) -> Moved:
    """Return the domain with sending paused; unchanged where it is."""
    if not domain.sending_enabled:
        return Moved(domain)
    paused = replace(domain, sending_enabled=False, disable_reason=reason)
    return Moved(paused, Change(EventType.SENDING_DISABLED, reason, actor))


def enabled(domain: Domain, *, reason: str, actor: str) -> Moved:
    """Return the domain with sending resumed; unchanged where it is."""
    if domain.sending_enabled:
        return Moved(domain)
    resumed = replace(domain, sending_enabled=True, disable_reason="")
    return Moved(resumed, Change(EventType.SENDING_ENABLED, reason, actor))


def assessed(domain: Domain, report: HealthReport) -> Moved:
    """Return a domain that was once VERIFIED with a new assessment of its health."""
    before = domain.health_report
    after = replace(domain, health=report.health, health_report=report)
    if report.health is domain.health:
        return Moved(after)
    # Of one that is well again: what had stood against it.
    reason = report.reason or (before.reason if before else None)
    return Moved(after, Change(EventType.HEALTH_CHANGED, reason or "", actor=HEALTH))
