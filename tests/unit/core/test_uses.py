"""What uses a domain: what counts, and what state it has in effect."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.uses import DomainUse, UseKind, UseState
from tests.support.samples import NOON

SECOND = timedelta(seconds=1)
SEND, SEQUENCE = UseKind.SCHEDULED_SEND, UseKind.SEQUENCE
ACTIVE, PAUSED, ARCHIVED, HELD = UseState.ACTIVE, UseState.PAUSED, UseState.ARCHIVED, UseState.HELD

kept_states = st.sampled_from([ACTIVE, PAUSED, ARCHIVED])
lifetimes = st.timedeltas(timedelta(days=-100), timedelta(days=100)) | st.integers(-3, 3).map(SECOND.__mul__)


def use(kind: UseKind = SEND, state: UseState = ACTIVE, expires_in: timedelta | None = None) -> DomainUse:
    """Return a use that expires some time from noon, or never."""
    return DomainUse(
        domain="example.com",
        kind=kind,
        use_id="1",
        state=state,
        expire_time=None if expires_in is None else NOON + expires_in,
        create_time=NOON,
        update_time=NOON,
    )


@pytest.mark.parametrize("kind", UseKind)
@pytest.mark.parametrize(
    ("state", "expires_in", "expected"),
    [
        (ACTIVE, None, True),
        (ACTIVE, SECOND, True),
        (ACTIVE, timedelta(), False),
        (ACTIVE, -SECOND, False),
        (PAUSED, None, False),
        (PAUSED, SECOND, False),
        (ARCHIVED, None, False),
        (ARCHIVED, SECOND, False),
    ],
)
def test_what_keeps_a_domain_from_being_deleted(
    kind: UseKind, state: UseState, expires_in: timedelta | None, expected: bool
) -> None:
    """ACTIVE uses until they expire, and no others."""
    assert use(kind, state, expires_in).counts(NOON) is expected


@pytest.mark.parametrize(
    ("kind", "state", "expires_in", "on_hold", "expected"),
    [
        (SEND, ACTIVE, None, False, ACTIVE),
        (SEND, ACTIVE, None, True, HELD),
        (SEND, ACTIVE, SECOND, True, HELD),
        (SEND, ACTIVE, timedelta(), True, ARCHIVED),
        (SEND, ACTIVE, timedelta(), False, ARCHIVED),
        (SEND, PAUSED, None, True, PAUSED),
        (SEND, PAUSED, -SECOND, True, PAUSED),
        (SEND, ARCHIVED, None, True, ARCHIVED),
        (SEQUENCE, ACTIVE, None, False, ACTIVE),
        (SEQUENCE, ACTIVE, None, True, ACTIVE),
        (SEQUENCE, ACTIVE, timedelta(), True, ARCHIVED),
        (SEQUENCE, PAUSED, None, True, PAUSED),
    ],
)
def test_the_state_in_effect(
    kind: UseKind, state: UseState, expires_in: timedelta | None, on_hold: bool, expected: UseState
) -> None:
    """Only scheduled sends that would go out are held, and only while their domain is."""
    assert use(kind, state, expires_in).in_effect(NOON, on_hold=on_hold) is expected


@given(st.sampled_from(UseKind), kept_states, st.none() | lifetimes, st.booleans())
def test_what_counts_is_active_or_held_in_effect(
    kind: UseKind, state: UseState, expires_in: timedelta | None, on_hold: bool
) -> None:
    """A domain that can be deleted has nothing that waits to be sent."""
    given_use = use(kind, state, expires_in)
    in_effect = given_use.in_effect(NOON, on_hold=on_hold)
    assert given_use.counts(NOON) == (in_effect in {ACTIVE, HELD})


@given(st.sampled_from(UseKind), kept_states, st.none() | lifetimes)
def test_a_hold_that_ends_leaves_no_trace(
    kind: UseKind, state: UseState, expires_in: timedelta | None
) -> None:
    """It changes nothing but what is held meanwhile."""
    given_use = use(kind, state, expires_in)
    held = given_use.in_effect(NOON, on_hold=True)
    free = given_use.in_effect(NOON, on_hold=False)
    assert free is not HELD
    assert held is free or (held, free) == (HELD, ACTIVE)
