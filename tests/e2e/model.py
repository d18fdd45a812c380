"""What a log of changes must be like, whoever reads it: rules that every client's view is held against."""

from collections.abc import Sequence
from itertools import pairwise

from kraiter.domains.v1.domain_pb2 import Domain, StatusEvent

from tests.e2e.writer import Acknowledged, Kind

State = dict[str, Domain]
"""The domains of a tenant by name."""


def require_contiguous(revisions: Sequence[int]) -> None:
    """Check that nothing is missing, told twice or out of order."""
    breaks = [(before, after) for before, after in pairwise(revisions) if after != before + 1]
    assert breaks == []


def require_rising(revisions: Sequence[int]) -> None:
    """Check that nothing is told twice or out of order."""
    breaks = [(before, after) for before, after in pairwise(revisions) if after <= before]
    assert breaks == []


def replayed(events: Sequence[StatusEvent], state: State | None = None) -> State:
    """Return what becomes of domains by changes, each of which must be possible where it stands."""
    now = dict(state or {})
    for event in events:
        before = now.get(event.domain)
        match event.type:
            case StatusEvent.CREATED:
                assert before is None, f"created twice: {event}"
                now[event.domain] = stable(event.state)
            case StatusEvent.DELETED:
                assert before is not None, f"deleted, and did not exist: {event}"
                del now[event.domain]
            case _:
                assert before is not None, f"changed, and did not exist: {event}"
                assert before.status == event.previous_status
                now[event.domain] = stable(event.state)
                assert now[event.domain].revision == event.revision
    return now


def stable(domain: Domain) -> Domain:
    """Return a domain without what changes and makes no event: the times of its checks."""
    kept = Domain()
    kept.CopyFrom(domain)
    for name in ("dns_records", "last_check_time", "next_check_time"):
        kept.ClearField(name)
    return kept


def require_acknowledged(history: Sequence[StatusEvent], acknowledged: Sequence[Acknowledged]) -> None:
    """Check that everything that one writer was told to be done stands in the history, in its order."""
    by_revision = {event.revision: event for event in history}
    last: dict[str, int] = {}
    for change in acknowledged:
        name = change.domain
        if change.kind is Kind.DELETE:
            event = next(
                (
                    each
                    for each in history
                    if each.revision > last.get(name, 0)
                    and (each.domain, each.type) == (name, StatusEvent.DELETED)
                ),
                None,
            )
        else:
            event = by_revision.get(change.revision)
        assert event is not None, f"lost: {change}"
        assert event.domain == name
        assert event.revision >= last.get(name, 0)
        last[name] = event.revision
        match change.kind:
            case Kind.CREATE:
                assert event.type == StatusEvent.CREATED
            case Kind.ENABLE | Kind.DISABLE:
                assert event.state.sending_enabled == (change.kind is Kind.ENABLE)
                assert event.type != StatusEvent.DELETED
            case Kind.DELETE:
                pass
