"""Events from queues: count them, and keep what cannot be read."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service import ports
from service.core.deliveries import Bounds
from service.core.feedback import FeedbackEvent, Reading, Tally, Unreadable

_GATHER = timedelta(milliseconds=250)
"""How long counts gather before they are assessed together."""
_ID_LENGTH = 16
_AHEAD = Unreadable("timestamp: must be at most 10 minutes in the future")


@dataclass(frozen=True, slots=True)
class CountEvents:
    """Counts what messages say, however often they come."""

    store: ports.EventStore
    clock: ports.Clock
    window: timedelta

    def __call__(self, queue: str, messages: Sequence[ports.QueuedMessage]) -> Tally:
        """Count the events of messages of a queue; keep those that cannot be read, as dead letters.

        Once it returns, the messages are needed no more; where it raises, nothing is counted.
        """
        now = self.clock.now()
        bounds = Bounds.at(now, self.window)
        events: list[FeedbackEvent] = []
        dead = []
        for message in messages:
            match checked(message.reading, bounds):
                case Unreadable(problem):
                    dead.append(_letter(queue, now, problem, message.body))
                case read:
                    events += read
        return self.store.count_events(events, dead, begins=bounds.begins, due=now + _GATHER)


def checked(reading: Reading, bounds: Bounds) -> Reading:
    """Return a reading, unless one of its events has not happened yet."""
    if isinstance(reading, Unreadable):
        return reading
    return _AHEAD if any(event.time > bounds.latest for event in reading) else reading


def _letter(queue: str, now: datetime, problem: str, body: str) -> ports.DeadLetter:
    digest = hashlib.blake2b(body.encode(errors="surrogatepass"), digest_size=_ID_LENGTH)
    return ports.DeadLetter(ports.LetterHead(digest.hexdigest(), queue, now, problem), body)
