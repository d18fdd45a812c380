"""Saves what checks came to, and logs the moves between statuses."""

from collections.abc import Sequence

import structlog

from service import ports
from service.core.domain import Domain
from service.core.errors import ServiceError

_log = structlog.get_logger(__name__)


def save(queue: ports.CheckQueue, checked: Sequence[ports.CheckedMove]) -> Sequence[Domain | None]:
    """Save moves together; see `CheckQueue.save`."""
    if not checked:
        return ()
    saved = queue.save(checked)
    for move, after in zip(checked, saved, strict=True):
        before = move.claim.domain
        if after is not None and after.status is not before.status:
            _log.info(
                "domain_status_changed",
                tenant=after.tenant,
                domain=after.name,
                before=before.status,
                after=after.status,
                reason=after.status_reason,
            )
    return saved


def save_all(queue: ports.CheckQueue, checked: Sequence[ports.CheckedMove]) -> None:
    """Save moves together, or, where one of them is at fault, each by itself.

    Raises:
        ServiceError: what the queue raises.
        Exception: of a single move that is at fault.

    """
    try:
        save(queue, checked)
    except ServiceError:
        raise
    except Exception:
        if len(checked) == 1:
            raise
        for move in checked:
            try:
                save(queue, [move])
            except ServiceError:
                raise
            except Exception:  # noqa: BLE001 - logged with its traceback
                domain = move.claim.domain
                _log.exception("check_failed", tenant=domain.tenant, domain=domain.name)
