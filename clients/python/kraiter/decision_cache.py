"""What a send gate knows of domains: from its stream, and from what it asked."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from kraiter import errors
from kraiter.decisions import NOT_FOUND, UNDECIDED, Decision, decide
from kraiter.domains.v1.domain_pb2 import StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusResponse
from kraiter.domains.v1.sending_service_pb2 import SendDecision

ANSWER_LIFETIME = 1.0
"""How long an answer of the service counts, in seconds."""
POLICY_LIFETIME = 10.0
"""How long an answer counts that only the tenant's policy can make out of date, in seconds."""
_MOST_ANSWERS = 10_000
_REPORT_INTERVAL = 60.0
"""Between two reports that the service could not be asked, in seconds."""


class _Known(NamedTuple):
    """What the stream told of a domain."""

    decision: Decision | None
    """None where only the service can tell."""
    revision: int


class _Answer(NamedTuple):
    """What the service answered about a domain."""

    decision: Decision
    revision: float
    expiry: float
    policy_expiry: float
    """Until when it counts while the stream tells of every other reason to change it."""


class DecisionCache:
    """Decisions by domain, for as long as they are known to be right.

    One reader of a stream tells it what comes; any number of threads ask it.
    Every value in it is replaced as a whole, so that nobody has to wait.

    That a stream is alive does not show that it is up to date: one that goes on
    after a break has to catch up first, and a server may be unable to read what
    is new. Only messages that say so (`caught_up`) count.
    """

    def __init__(self, max_silence: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take how long a message of the stream counts, in seconds, and a clock that never goes back."""
        self.clock = clock
        self._max_silence = max_silence
        self._reported = -math.inf
        self.forget()

    def forget(self) -> None:
        """Begin anew: what follows may be the history of another database."""
        self.revision = 0
        """The highest that the stream told of."""
        self._known: dict[str, _Known] = {}
        self._answers: dict[str, _Answer] = {}
        self._snapshot: dict[str, _Known] = {}
        self._expiry = -math.inf
        self._opened = -math.inf

    # --- asked by senders -----------------------------------------------------

    def recall(self, domain: str) -> Decision | None:
        """Return the decision on a domain, or None where the service has to be asked."""
        known = self._known.get(domain)
        now = self.clock()
        is_current = now < self._expiry
        if is_current and known is not None and known.decision is not None:
            return known.decision
        answer = self._answers.get(domain)
        if answer is None:
            return None
        if now >= (answer.policy_expiry if is_current and known is not None else answer.expiry):
            return None
        if known is not None and known.revision > answer.revision:
            return known.decision
        return answer.decision

    def answered(self, domain: str, answer: SendDecision, asked: float) -> None:
        """Keep what the service answered about a domain when it was asked at a time of the clock."""
        self._keep(
            domain,
            _Answer(Decision.of(answer), answer.revision, asked + ANSWER_LIFETIME, asked + POLICY_LIFETIME),
        )

    def failed(self, domain: str, error: errors.Error) -> bool:
        """Keep that the service could not be asked about a domain: for a second, that is HOLD.

        True where somebody should be told: the first time, and each minute.
        """
        # What is no name at all is in no tenant, however often that is asked.
        decision = NOT_FOUND if error.reason == "INVALID_DOMAIN" else UNDECIDED
        now = self.clock()
        expiry = now + ANSWER_LIFETIME
        # Nothing that was known before outweighs it.
        self._keep(domain, _Answer(decision, math.inf, expiry, expiry))
        is_due = decision is UNDECIDED and now >= self._reported + _REPORT_INTERVAL
        if is_due:
            self._reported = now
        return is_due

    def _keep(self, domain: str, answer: _Answer) -> None:
        if len(self._answers) >= _MOST_ANSWERS:
            self._answers = {}
        self._answers[domain] = answer

    # --- told by the reader of the stream -------------------------------------

    def opened(self) -> None:
        """Take note that a stream is about to be opened."""
        self._opened = self.clock()
        self._snapshot = {}

    def take(self, message: WatchStatusResponse) -> None:
        """Learn from a message."""
        for event in message.events:
            self._learn(event)
        if message.snapshot_complete:
            self._known, self._snapshot = self._snapshot, {}
            # It was read after the stream was opened, and may have been long on its way.
            self._expiry = self._opened + self._max_silence
        elif message.caught_up:
            self._expiry = self.clock() + self._max_silence

    def _learn(self, event: StatusEvent) -> None:
        self.revision = max(self.revision, event.revision)
        # A deleted domain stays known: an answer that is under way must not revive it.
        decision = NOT_FOUND if event.type == StatusEvent.DELETED else decide(event.state)
        known = self._snapshot if event.type == StatusEvent.SNAPSHOT else self._known
        known[event.domain] = _Known(decision, event.revision)
