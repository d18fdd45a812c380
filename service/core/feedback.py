"""What a provider says became of single messages, one recipient at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from service.core.health import Counts


class EventKind(StrEnum):
    """What became of a message. The value is the name of its count."""

    SENT = "sent"
    DELIVERED = "delivered"
    HARD_BOUNCE = "hard_bounces"
    COMPLAINT = "complaints"


class FeedbackEvent(NamedTuple):
    """What became of one message for one recipient. There are hundreds in a batch."""

    id: bytes
    """A digest of 16 octets. However often an event arrives, and in whatever wrapping, it has one id."""
    kind: EventKind
    host: str
    """Where it was sent from, in lower-case A-labels: a sending domain, or a host below it."""
    time: int
    """In whole seconds since 1970, and the same whenever the event arrives."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that no events can be read from."""

    problem: str
    """What is wrong with it, in one sentence that begins with the field."""


Reading = tuple[FeedbackEvent, ...] | Unreadable
"""What a message says: often nothing that counts, which is no problem."""


class Tally(NamedTuple):
    """What became of events that arrived, and of messages that could not be read."""

    counted: int = 0
    duplicates: int = 0
    """Events that were counted before."""
    too_old: int = 0
    """Events of hours that count no more."""
    of_no_domain: int = 0
    """Events of hosts that belong to no domain here, or to nobody among several."""
    dead: int = 0
    """Messages that were kept as dead letters."""

    def plus(self, other: "Tally") -> "Tally":
        """Return the sums."""
        return Tally(*map(sum, zip(self, other, strict=True)))


def candidates(host: str) -> Iterator[str]:
    """Yield the names that a host may belong to, longest first: its own, and those above it but the last."""
    while "." in host:
        yield host
        host = host.partition(".")[2]


def counts_of(kinds: Iterable[EventKind]) -> Counts:
    """Return how many of each kind there are."""
    counts = dict.fromkeys(Counts._fields, 0)
    for kind in kinds:
        counts[kind] += 1
    return Counts(**counts)
