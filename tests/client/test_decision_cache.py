"""What a gate knows: rules, freshness, and which of two words counts. Time passes as the test says."""

from typing import Any

import pytest
from kraiter import Decision, InvalidArgument
from kraiter.decision_cache import ANSWER_LIFETIME, POLICY_LIFETIME, DecisionCache
from kraiter.decisions import NOT_FOUND, UNDECIDED
from kraiter.domains.v1.domain_pb2 import Domain, StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusResponse
from kraiter.domains.v1.sending_service_pb2 import SendDecision

from tests.client.told import NAME, Time, answer, error, event, message

SILENCE = 2.0
ALLOWED = Decision(SendDecision.ALLOW)
DISABLED = Decision(SendDecision.HOLD, SendDecision.DOMAIN_DISABLED)
THROTTLED = Decision(SendDecision.THROTTLE, SendDecision.HEALTH_CRITICAL, 100)


@pytest.fixture
def time() -> Time:
    """Give the clock of the cache."""
    return Time()


@pytest.fixture
def cache(time: Time) -> DecisionCache:
    """Give a cache that knows nothing."""
    return DecisionCache(SILENCE, time)


def _begin(cache: DecisionCache, *events: StatusEvent) -> None:
    """Open a stream with the current state, and have it complete."""
    cache.opened()
    if events:
        cache.take(WatchStatusResponse(events=events))
    cache.take(WatchStatusResponse(resume_token="1", snapshot_complete=True))


def _follow(cache: DecisionCache, *events: StatusEvent) -> None:
    """Have a stream that has caught up."""
    _begin(cache, *events)
    cache.take(message())


def _resume(cache: DecisionCache) -> None:
    """Open the next stream, with its first bookmark."""
    cache.opened()
    cache.take(message(caught_up=False))


def _snapshot(**changes: Any) -> StatusEvent:
    return event(1, StatusEvent.SNAPSHOT, **changes)


@pytest.mark.parametrize(
    ("state", "decision"),
    [
        ({}, ALLOWED),
        ({"health": Domain.WARNING}, ALLOWED),
        ({"health": Domain.HEALTH_UNSPECIFIED}, ALLOWED),
        ({"status": Domain.PENDING}, Decision(SendDecision.REJECT, SendDecision.NOT_VERIFIED)),
        (
            {"status": Domain.PENDING, "health": Domain.CRITICAL},
            Decision(SendDecision.REJECT, SendDecision.NOT_VERIFIED),
        ),
        ({"status": Domain.FAILED}, Decision(SendDecision.REJECT, SendDecision.VERIFICATION_FAILED)),
        ({"sending_enabled": False}, DISABLED),
        ({"sending_enabled": False, "status": Domain.PENDING}, DISABLED),
        ({"sending_enabled": False, "status": Domain.FAILED}, DISABLED),
        ({"sending_enabled": False, "health": Domain.CRITICAL}, DISABLED),
        # Only the service knows the tenant's policy, and what later versions of it add.
        ({"health": Domain.CRITICAL}, None),
        ({"status": 99}, None),
    ],
)
def test_the_state_of_a_domain_decides(
    cache: DecisionCache, state: dict[str, Any], decision: Decision | None
) -> None:
    """The same from the initial state and from a change."""
    _begin(cache, _snapshot(**state))
    assert cache.recall(NAME) == decision
    _follow(cache)
    cache.take(message(event(2, **state)))
    assert cache.recall(NAME) == decision


def test_nothing_is_known_before_the_initial_state_is_complete(cache: DecisionCache) -> None:
    """A part of it is not the whole, also when the stream breaks and begins anew."""
    assert cache.recall(NAME) is None
    cache.opened()
    cache.take(WatchStatusResponse(events=[_snapshot()]))
    assert cache.recall(NAME) is None
    _begin(cache)
    assert cache.recall(NAME) is None


def test_the_initial_state_is_as_old_as_its_stream(cache: DecisionCache, time: Time) -> None:
    """However long it was on its way."""
    cache.opened()
    cache.take(WatchStatusResponse(events=[_snapshot()]))
    time.now += SILENCE - 0.1
    cache.take(WatchStatusResponse(resume_token="1", snapshot_complete=True))
    assert cache.recall(NAME) == ALLOWED
    time.now += 0.1
    assert cache.recall(NAME) is None


def test_silence_ends_what_is_known(cache: DecisionCache, time: Time) -> None:
    """Every message of a stream that has caught up, a bookmark too, counts as long as silence may last."""
    _follow(cache, _snapshot())
    for told in (message(), message(event(2)), message()):
        time.now += SILENCE - 0.1
        assert cache.recall(NAME) == ALLOWED
        cache.take(told)
    time.now += SILENCE
    assert cache.recall(NAME) is None


def test_a_stream_that_goes_on_has_to_catch_up(cache: DecisionCache, time: Time) -> None:
    """No part of what was missed shows that nothing else was, nor a bookmark in the midst of it."""
    _follow(cache, _snapshot())
    time.now += 10
    _resume(cache)
    assert cache.recall(NAME) is None
    cache.take(message(event(2), caught_up=False))
    cache.take(message(caught_up=False))
    assert cache.recall(NAME) is None
    cache.take(message())
    assert cache.recall(NAME) == ALLOWED
    cache.take(message(event(3, sending_enabled=False)))
    assert cache.recall(NAME) == DISABLED


def test_a_short_break_is_not_noticed(cache: DecisionCache, time: Time) -> None:
    """What was heard before it counts on."""
    _follow(cache, _snapshot())
    cache.take(message())
    time.now += 1
    _resume(cache)
    assert cache.recall(NAME) == ALLOWED


def test_a_stream_that_falls_behind_is_not_believed(cache: DecisionCache, time: Time) -> None:
    """What it says is learnt all the same."""
    _follow(cache, _snapshot())
    for told in (message(event(2, sending_enabled=False), caught_up=False), message(caught_up=False)):
        cache.take(told)
        assert cache.recall(NAME) == DISABLED
        time.now += SILENCE / 2
    assert cache.recall(NAME) is None


def test_a_deleted_domain_is_known_to_be_gone(cache: DecisionCache) -> None:
    """And comes back when it is created again."""
    _follow(cache, _snapshot())
    cache.take(message(event(2, StatusEvent.DELETED)))
    assert cache.recall(NAME) == NOT_FOUND
    cache.take(message(event(3, StatusEvent.CREATED, status=Domain.PENDING)))
    assert cache.recall(NAME) == Decision(SendDecision.REJECT, SendDecision.NOT_VERIFIED)


@pytest.mark.parametrize("is_followed", [False, True])
def test_an_answer_counts_for_a_second_from_the_question(
    cache: DecisionCache, time: Time, is_followed: bool
) -> None:
    """About a domain that the stream does not tell of, and about any while there is none."""
    if is_followed:
        _follow(cache)
    asked = time.now
    time.now += 0.6
    cache.answered(NAME, answer(ALLOWED, 1), asked)
    assert cache.recall(NAME) == ALLOWED
    time.now = asked + ANSWER_LIFETIME
    assert cache.recall(NAME) is None


def test_the_newer_word_counts(cache: DecisionCache, time: Time) -> None:
    """That of the stream or of the service, by revision, while the stream is silent."""
    _follow(cache, _snapshot(), event(1, StatusEvent.SNAPSHOT))
    cache.take(message(event(5, sending_enabled=False)))
    time.now += SILENCE
    cache.answered(NAME, answer(ALLOWED, 4), time.now)
    assert cache.recall(NAME) == DISABLED
    cache.answered(NAME, answer(ALLOWED, 5), time.now)
    assert cache.recall(NAME) == ALLOWED


def test_an_answer_does_not_revive_a_deleted_domain(cache: DecisionCache, time: Time) -> None:
    """It was on its way when the deletion came."""
    _follow(cache, _snapshot())
    cache.take(message(event(2, StatusEvent.DELETED)))
    time.now += SILENCE
    cache.answered(NAME, answer(ALLOWED, 1), time.now)
    assert cache.recall(NAME) == NOT_FOUND


def test_the_stream_is_believed_while_it_is_up_to_date(cache: DecisionCache, time: Time) -> None:
    """Then nobody asks; an answer to an earlier question changes nothing."""
    _follow(cache, _snapshot())
    cache.answered(NAME, answer(DISABLED, 9), time.now)
    assert cache.recall(NAME) == ALLOWED


@pytest.mark.parametrize("decision", [THROTTLED, Decision(SendDecision.HOLD, SendDecision.HEALTH_CRITICAL)])
def test_the_policy_for_a_critical_domain_is_asked_for_now_and_then(
    cache: DecisionCache, time: Time, decision: Decision
) -> None:
    """The answer counts for longer: the stream tells of everything else."""
    _follow(cache, _snapshot(health=Domain.CRITICAL))
    assert cache.recall(NAME) is None
    asked = time.now
    cache.answered(NAME, answer(decision, 1), asked)
    while time.now < asked + POLICY_LIFETIME:
        assert cache.recall(NAME) == decision
        time.now += 0.5
        cache.take(message())
    assert cache.recall(NAME) is None


def test_the_policy_for_a_critical_domain_counts_only_with_the_stream(
    cache: DecisionCache, time: Time
) -> None:
    """In its silence the answer is one as all others."""
    _follow(cache, _snapshot(health=Domain.CRITICAL))
    cache.answered(NAME, answer(THROTTLED, 1), time.now)
    time.now += SILENCE
    assert cache.recall(NAME) is None


def test_an_answer_from_before_a_domain_became_critical_does_not_count(
    cache: DecisionCache, time: Time
) -> None:
    """It knew of another health."""
    _follow(cache, _snapshot())
    cache.take(message(event(5, health=Domain.CRITICAL)))
    cache.answered(NAME, answer(ALLOWED, 4), time.now)
    assert cache.recall(NAME) is None
    cache.answered(NAME, answer(THROTTLED, 5), time.now)
    assert cache.recall(NAME) == THROTTLED
    cache.take(message(event(6, health=Domain.CRITICAL, sending_enabled=False)))
    assert cache.recall(NAME) == DISABLED
    cache.take(message(event(7, health=Domain.CRITICAL)))
    assert cache.recall(NAME) is None


@pytest.mark.parametrize("state", [None, {}, {"health": Domain.CRITICAL}])
def test_a_failed_call_is_hold_for_a_second(
    cache: DecisionCache, time: Time, state: dict[str, Any] | None
) -> None:
    """Whatever was known before."""
    _follow(cache, *([] if state is None else [_snapshot(**state)]))
    if state == {}:
        time.now += SILENCE
    cache.failed(NAME, error())
    assert cache.recall(NAME) == UNDECIDED
    time.now += ANSWER_LIFETIME
    assert cache.recall(NAME) is None


def test_failures_are_reported_once_a_minute(cache: DecisionCache, time: Time) -> None:
    """Whatever they are about; what is no name is no failure."""
    assert not cache.failed("no name", error(InvalidArgument, "INVALID_DOMAIN"))
    assert cache.failed(NAME, error())
    time.now += 59
    assert not cache.failed("other.example.com", error())
    time.now += 1
    assert cache.failed("other.example.com", error())


def test_what_is_no_name_is_in_no_tenant(cache: DecisionCache) -> None:
    """Waiting would not help."""
    cache.failed("no name", error(InvalidArgument, "INVALID_DOMAIN"))
    assert cache.recall("no name") == NOT_FOUND
    cache.failed(NAME, error(InvalidArgument, "INVALID_FIELD"))
    assert cache.recall(NAME) == UNDECIDED


def test_answers_about_any_number_of_names_take_little_memory(cache: DecisionCache, time: Time) -> None:
    """A sender may ask about names that nobody has, each once."""
    for number in range(25_000):
        cache.answered(f"d{number}.example.com", answer(NOT_FOUND, 1), time.now)
    assert cache.recall("d24999.example.com") == NOT_FOUND
    assert len(cache._answers) <= 10_000


def test_it_knows_how_far_it_was_told(cache: DecisionCache) -> None:
    """The initial state comes by name, changes by revision."""
    other = event(5, StatusEvent.SNAPSHOT)
    other.domain = "another.example.com"
    _begin(cache, other, event(3, StatusEvent.SNAPSHOT))
    assert cache.revision == 5
    cache.take(message(event(7)))
    assert cache.revision == 7


def test_beginning_anew_forgets_everything(cache: DecisionCache, time: Time) -> None:
    """Revisions too: a restored database may have lower ones."""
    _follow(cache, _snapshot())
    cache.take(message(event(9)))
    cache.answered("other.example.com", answer(ALLOWED, 1), time.now)
    assert cache.revision == 9
    cache.forget()
    assert cache.revision == 0
    assert cache.recall(NAME) is cache.recall("other.example.com") is None
    cache.answered(NAME, answer(ALLOWED, 2), time.now)
    assert cache.recall(NAME) == ALLOWED
