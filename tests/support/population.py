"""Domains in a store and their zones on a farm: both sides of what a verifier looks at."""

import threading
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from service import ports
from service.core import lifecycle, records, schedule
from service.core.answers import RecordType
from service.core.domain import Domain, Status, StatusReason
from service.core.records import DmarcPolicy, Record
from service.mail.local import LocalMailProvider
from tests.support.samples import sample_domain
from tests.support.sites import Published

PROVIDER = LocalMailProvider(b"test")


class CountingQueue:
    """A queue of checks that knows how often each domain was checked and saved."""

    def __init__(self, queue: ports.CheckQueue) -> None:
        """Take the queue that does the work."""
        self._queue = queue
        self._lock = threading.Lock()
        self._checks: Counter[str] = Counter()

    def save(self, checked: Sequence[ports.CheckedMove]) -> Sequence[Domain | None]:
        """Save, and count."""
        saved = self._queue.save(checked)
        with self._lock:
            self._checks.update(domain.name for domain in saved if domain is not None)
        return saved

    def total(self, names: Collection[str] | None = None) -> int:
        """Return how many checks there were, of all domains or of these."""
        with self._lock:
            return sum(count for name, count in self._checks.items() if names is None or name in names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


def draft(tenant: str, name: str, status: Status, now: datetime, policy: lifecycle.Policy) -> Domain:
    """Return a domain, PENDING or VERIFIED, as if created now: its records are those that it would get."""
    plain = sample_domain(tenant, name, mail_from=name)
    identity = PROVIDER.find_identity(ports.IdentityRef(name, plain.region)).identity
    issued = records.required_for(
        name,
        identity,
        mail_from=name,
        dmarc_policy=DmarcPolicy.NONE,
        dmarc_report_address=plain.dmarc_report_address,
        challenge=None,
    )
    is_pending = status is Status.PENDING
    return sample_domain(
        tenant,
        name,
        mail_from=name,
        status=status,
        status_reason=StatusReason.AWAITING_RECORDS if is_pending else StatusReason.RECORDS_FOUND,
        status_time=now,
        create_time=now,
        update_time=now,
        verification_deadline=now + policy.window if is_pending else None,
        records=issued,
        checks=schedule.first(now, policy.intervals),
    )


def published(issued: Sequence[Record]) -> list[Published]:
    """Return records as a zone has them."""
    return [
        (record.name, record.type.value, f"{record.priority} {record.value}")
        if record.type is RecordType.MX
        else (record.name, record.type.value, record.value)
        for record in issued
    ]
