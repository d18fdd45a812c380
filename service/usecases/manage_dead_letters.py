"""Dead letters: what operators do with them on the command line."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from service import ports
from service.core.deliveries import Bounds
from service.core.feedback import Reading, Tally, Unreadable
from service.usecases.count_events import CountEvents, checked

_PAGE = 1000
"""What is read, or deleted, at once."""


@dataclass(frozen=True, slots=True)
class ManageDeadLetters:
    """Lists, retries and deletes messages that could not be read."""

    store: ports.EventStore
    parse: Callable[[str], Reading]
    clock: ports.Clock
    window: timedelta

    def list(self) -> Iterator[ports.LetterHead]:
        """Yield the dead letters, oldest first."""
        page = self.store.dead_letters(_PAGE)
        while page:
            yield from page
            page = self.store.dead_letters(_PAGE, page[-1])

    def get(self, letter_id: str) -> ports.DeadLetter | None:
        """Return a dead letter; None where there is none."""
        return self.store.dead_letter(letter_id)

    def retry(self, letter_id: str) -> Tally | Unreadable | None:
        """Read a letter again: count and delete it, or say what is still wrong; None where there is none."""
        if (letter := self.get(letter_id)) is None:
            return None
        reading = checked(self.parse(letter.body), Bounds.at(self.clock.now(), self.window))
        if isinstance(reading, Unreadable):
            return reading
        message = ports.QueuedMessage("", letter.body, reading, letter.head.time)
        # What is counted and, by an accident, not deleted counts for nothing the next time.
        tally = CountEvents(self.store, self.clock, self.window)(letter.head.queue, [message])
        self.store.delete_dead_letters([letter_id])
        return tally

    def delete(self, ids: Iterable[str]) -> int:
        """Delete letters; return how many there were."""
        pending, count = iter(ids), 0
        while page := list(islice(pending, _PAGE)):
            count += self.store.delete_dead_letters(page)
        return count
