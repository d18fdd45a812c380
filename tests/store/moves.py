"""Moves that tests apply to domains."""

from dataclasses import replace
from datetime import datetime

from service.core.domain import Change, Domain, EventType, Moved, Status, StatusReason


def toggled(domain: Domain) -> Moved:
    """Pause sending, or resume it: always a change."""
    paused = domain.sending_enabled
    change = Change(
        EventType.SENDING_DISABLED if paused else EventType.SENDING_ENABLED, "on request", "key:1"
    )
    return Moved(replace(domain, sending_enabled=not paused), change)


def verified(domain: Domain) -> Moved:
    """Make the domain VERIFIED."""
    after = replace(domain, status=Status.VERIFIED, status_reason=StatusReason.RECORDS_FOUND)
    return Moved(after, Change(EventType.STATUS_CHANGED, "RECORDS_FOUND", "verifier"))


class Rescheduled:
    """Look at the domain again at `due`, and nothing else."""

    def __init__(self, due: datetime) -> None:
        """Take when."""
        self._due = due

    def __call__(self, domain: Domain) -> Moved:
        """Apply the move."""
        checks = replace(domain.checks, next_check_time=self._due, failed_checks=2, gap=0.1 + 0.2)
        return Moved(replace(domain, checks=checks))
