"""Sample values for tests: complete, valid, and changed where a test cares."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from service.core import health
from service.core.answers import RecordType
from service.core.domain import CheckState, Domain, Status, StatusReason
from service.core.health import Counts, HealthReport, Thresholds
from service.core.records import DmarcPolicy, Purpose, Record

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
"""When samples are created: microseconds are set, for they are easily lost."""


def sample_records(name: str) -> tuple[Record, ...]:
    """Return the records of a domain, none looked at yet."""
    dkim = tuple(
        Record(
            purpose=Purpose.DKIM,
            type=RecordType.CNAME,
            name=f"token{number}._domainkey.{name}",
            value=f"token{number}.dkim.amazonses.com",
            required=True,
        )
        for number in (1, 2, 3)
    )
    mail_from = f"bounce.{name}"
    return (
        *dkim,
        Record(Purpose.SPF, RecordType.MX, mail_from, "feedback-smtp.eu-west-1.amazonses.com", True, 10),
        Record(Purpose.SPF, RecordType.TXT, mail_from, "v=spf1 include:amazonses.com ~all", False),
        Record(Purpose.DMARC, RecordType.TXT, f"_dmarc.{name}", "v=DMARC1; p=none", True),
    )


def sample_domain(tenant: str = "acme", name: str = "example.com", **changes: Any) -> Domain:
    """Return a PENDING domain of a new generation, with `changes` to its fields."""
    domain = Domain(
        tenant=tenant,
        name=name,
        generation=secrets.token_hex(8),
        region="eu-west-1",
        mail_from=f"bounce.{name}",
        dmarc_policy=DmarcPolicy.NONE,
        dmarc_report_address=f"dmarc@{name}",
        status=Status.PENDING,
        status_reason=StatusReason.AWAITING_RECORDS,
        status_time=NOON,
        records=sample_records(name),
        create_time=NOON,
        update_time=NOON,
        verification_deadline=NOON + timedelta(hours=72),
        checks=CheckState(next_check_time=NOON + timedelta(seconds=5), fast_since=NOON),
    )
    return replace(domain, **changes)


def sample_report(
    counts: Counts,
    before: HealthReport | None = None,
    *,
    at: datetime = NOON,
    thresholds: Thresholds | None = None,
) -> HealthReport:
    """Return what becomes of a report by these counts of the last seven days."""
    return health.assess(
        before,
        counts,
        thresholds=thresholds or Thresholds(),
        window=health.window_at(at, timedelta(days=7)),
        since=at,
    )
