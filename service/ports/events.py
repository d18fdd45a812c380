"""Events that arrive on queues, at least once, and are counted once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from service.core.feedback import FeedbackEvent, Reading, Tally


class QueuedMessage(NamedTuple):
    """A message that was received, and is to be deleted once it is counted."""

    receipt: str
    """What it is deleted by."""
    body: str
    """As it came."""
    reading: Reading
    sent: datetime
    """When it was put into the queue."""


class EventQueue(Protocol):
    """A queue of messages about events. May be used by several threads at once."""

    name: str
    """What operators know it by."""

    def receive(self, most: int, wait: timedelta) -> Sequence[QueuedMessage]:
        """Return at most `most` messages: those there are, or the first to come within `wait`.

        A message that is not deleted is received again, by anybody, in time.

        Raises:
            ServiceError: PROVIDER_UNAVAILABLE. Nothing is lost by it.

        """

    def delete(self, receipts: Sequence[str]) -> int:
        """Delete messages; return how many could not be, which are received again.

        Raises:
            ServiceError: PROVIDER_UNAVAILABLE. Some may have been deleted.

        """

    def close(self) -> None:
        """Close what it holds. Nothing may be called afterwards."""


class LetterHead(NamedTuple):
    """What a dead letter is listed with."""

    id: str
    """Of its body: the same message is kept once."""
    queue: str
    time: datetime
    """When it first arrived."""
    problem: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be read, kept until somebody has looked at it."""

    head: LetterHead
    body: str


class QueueLag(NamedTuple):
    """How far behind its senders a queue was read last."""

    time: datetime
    """When that was."""
    lag: timedelta
    """How long the oldest message had waited; nothing where there was none."""


class EventStore(Protocol):
    """Counts events, each once however often it comes, and keeps what could not be read."""

    def count_events(
        self,
        events: Sequence[FeedbackEvent],
        dead: Sequence[DeadLetter],
        *,
        begins: datetime,
        due: datetime,
    ) -> Tally:
        """Count the events that are new, keep the dead letters, and have the domains assessed at `due`.

        All of it or nothing, and exactly also where several do it with the same
        events at once. Events before `begins` count no more. An event is its
        host's, or that of the longest name above it that is a domain here: of
        several tenants that have the name, who has it VERIFIED; else who had it
        so last; else the only one there is, or nobody.
        """

    def forget_events(self, before: datetime, limit: int) -> int:
        """Forget at most `limit` ids of events of hours before; return how many.

        Who counts an event of those hours afterwards counts it again.
        """

    def dead_letters(self, limit: int, after: LetterHead | None = None) -> Sequence[LetterHead]:
        """Return the heads of at most `limit` dead letters, oldest first, of those that follow `after`."""

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """Return a dead letter; None where there is none."""

    def delete_dead_letters(self, ids: Collection[str]) -> int:
        """Delete dead letters; return how many there were."""

    def forget_dead_letters(self, before: datetime, limit: int) -> int:
        """Forget at most `limit` dead letters that arrived before; return how many."""

    def note_lag(self, queue: str, lag: QueueLag) -> None:
        """Keep how far behind a queue was read, instead of what was kept before."""

    def lags(self) -> Mapping[str, QueueLag]:
        """Return what was kept last, by queue."""
