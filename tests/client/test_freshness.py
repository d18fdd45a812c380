"""However streams break and answers arrive: a gate never tells what has long been over."""

import math
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from kraiter import Decision
from kraiter.decision_cache import ANSWER_LIFETIME, DecisionCache
from kraiter.decisions import UNDECIDED
from kraiter.domains.v1.domain_pb2 import Domain, StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusResponse
from kraiter.domains.v1.sending_service_pb2 import SendDecision

from tests.client.told import NAME, Time, answer, error, event, message

MAX_SILENCE = 2.0
ANSWER_AGE = 1.0
"""How old the state may be that the service answers from."""
BOUND = max(MAX_SILENCE, ANSWER_AGE + ANSWER_LIFETIME)

STATES = (
    ({}, SendDecision.ALLOW),
    ({"sending_enabled": False}, SendDecision.HOLD),
    ({"health": Domain.CRITICAL}, SendDecision.THROTTLE),
    (None, SendDecision.REJECT),
)
"""Of the domain, with what is to be decided; None where it was deleted."""
states = st.integers(0, len(STATES) - 1)


class Freshness(RuleBasedStateMachine):
    """One domain, a server that may be stuck, streams that break, answers that are late and old."""

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.cache = DecisionCache(MAX_SILENCE, self.time)
        self.history: list[tuple[float, int]] = []
        """When which of the states began. Places in it are revisions, from 1."""
        self.place = 0
        """The revision that the stream told last."""
        self.is_open = self.is_stuck = False
        self.on_their_way: list[tuple[float, int]] = []
        """Answers: when the question was asked, and the revision."""

    @initialize(state=states)
    def begin(self, state: int) -> None:
        """Begin with a domain, or without one."""
        self.history.append((self.time.now, state))

    @rule(seconds=st.sampled_from([0.05, 0.3, 0.95, 1.9]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.time.now += seconds

    @rule(state=states)
    def change(self, state: int) -> None:
        """Change the domain."""
        self.history.append((self.time.now, state))

    @rule()
    def get_stuck_or_free(self) -> None:
        """Have the server unable to read changes, or able again."""
        self.is_stuck = not self.is_stuck

    @precondition(lambda self: not self.is_open)
    @rule(lasts=st.sampled_from([0.0, 0.5, 2.5]))
    def open(self, lasts: float) -> None:
        """Open a stream with the current state, which is on its way for some seconds."""
        self.is_open = True
        self.cache.forget()
        self.cache.opened()
        self.place = len(self.history)
        exists = STATES[self.history[-1][1]][0] is not None
        self.time.now += lasts
        self.cache.take(WatchStatusResponse(events=[self._event(self.place, anew=True)] if exists else []))
        self.cache.take(WatchStatusResponse(resume_token="somewhere", snapshot_complete=True))

    @precondition(lambda self: self.place and not self.is_open)
    @rule()
    def resume(self) -> None:
        """Open a stream that goes on where the last one ended."""
        self.is_open = True
        self.cache.opened()
        self.cache.take(message(caught_up=False))

    @precondition(lambda self: self.is_open and not self.is_stuck)
    @rule(most=st.integers(1, 3))
    def tell(self, most: int) -> None:
        """Send what is new, or a part of it; or a bookmark."""
        end = min(self.place + most, len(self.history))
        events = [self._event(revision) for revision in range(self.place + 1, end + 1)]
        self.place = end
        self.cache.take(message(*events, caught_up=self._has_caught_up))

    @precondition(lambda self: self.is_open)
    @rule()
    def bookmark(self) -> None:
        """Send a bookmark, stuck or not."""
        self.cache.take(message(caught_up=self._has_caught_up and not self.is_stuck))

    @precondition(lambda self: self.is_open)
    @rule(is_bookmarked=st.booleans())
    def end(self, is_bookmarked: bool) -> None:
        """End the stream, in order or not."""
        self.is_open = False
        if is_bookmarked:
            self.bookmark()

    @rule(age=st.floats(0, ANSWER_AGE))
    def ask(self, age: float) -> None:
        """Ask about the domain; the service answers from a state of some age."""
        known = sum(since <= self.time.now - age for since, _ in self.history)
        self.on_their_way.append((self.time.now, max(known, self.cache.revision, 1)))

    @precondition(lambda self: self.on_their_way)
    @rule(chance=st.randoms())
    def arrive(self, chance: Random) -> None:
        """Have an answer arrive, if it still can."""
        asked, revision = self.on_their_way.pop(chance.randrange(len(self.on_their_way)))
        if self.time.now - asked > ANSWER_LIFETIME:
            self.cache.failed(NAME, error())
        else:
            decision = STATES[self.history[revision - 1][1]][1]
            self.cache.answered(NAME, answer(Decision(decision), revision), asked)

    @invariant()
    def nothing_is_told_that_is_long_over(self) -> None:
        """What is told was so within the bound."""
        told = self.cache.recall(NAME)
        if told is None or told == UNDECIDED:
            return
        ends = [*(since for since, _ in self.history[1:]), math.inf]
        lately = {
            STATES[state][1]
            for (_, state), end in zip(self.history, ends, strict=True)
            if end > self.time.now - BOUND
        }
        assert told.decision in lately

    @property
    def _has_caught_up(self) -> bool:
        return self.place == len(self.history)

    def _event(self, revision: int, *, anew: bool = False) -> StatusEvent:
        changes = STATES[self.history[revision - 1][1]][0]
        if changes is None:
            return event(revision, StatusEvent.DELETED)
        return event(revision, StatusEvent.SNAPSHOT if anew else StatusEvent.STATUS_CHANGED, **changes)


TestFreshness = Freshness.TestCase
