"""One record at issue: what was asked about it, and what came back."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.core import dns_providers, matching, names, quoting
from service.core.answers import Answer, Answers, Question, RecordType
from service.core.dns_providers import DnsProvider
from service.core.domain import Domain
from service.core.records import Record

_MOST_OBSERVED = 10
_LONGEST_OBSERVED = 255


@dataclass(frozen=True, slots=True)
class Case:
    """A record of a domain, and a definite answer about it."""

    domain: Domain
    record: Record
    answer: Answer
    answers: Mapping[Question, Answers]
    """Everything that was asked, follow-ups among it."""

    @property
    def name(self) -> str:
        """Where the answer was looked for: for DMARC not always the record's name."""
        return self.answer.question.name

    @property
    def values(self) -> tuple[str, ...]:
        """What was found that concerns the record, in order."""
        return matching.relevant(self.record, self.answer.values)

    @property
    def zone(self) -> str:
        """The zone that the record belongs in: the one told, or the organisational domain."""
        name, told = self.record.name, self.answer.zone
        is_within = told and (name == told or name.endswith(f".{told}"))
        return told if is_within else names.organisational(name)

    @property
    def host(self) -> str:
        """The part of the record's name that a panel does not append."""
        return self.record.name.removesuffix(self.zone).removesuffix(".") or "@"

    @property
    def provider(self) -> DnsProvider | None:
        """Who runs the name server that answered; of a recursive one only the address is known."""
        return dns_providers.of_server(self.answer.server)

    def found(self, question: Question) -> tuple[str, ...]:
        """Return what any server has for a follow-up question, in order."""
        asked = self.answers.get(question)
        return tuple(sorted({value for each in (asked.by_server if asked else ()) for value in each.values}))

    def is_untold(self, question: Question) -> bool:
        """Whether a follow-up question was asked in vain."""
        asked = self.answers.get(question)
        return asked is not None and not any(each.outcome.is_definite for each in asked.by_server)

    def here(self, other: RecordType) -> Question:
        """Return the question for another type at the name."""
        return Question(self.name, other)

    def beside(self, other: RecordType) -> Question:
        """Return the question for a type at a sibling of the name that nobody publishes.

        What answers there is a wildcard (RFC 4592). The label is the same in
        every check of a domain, so that caches can help.
        """
        digest = hashlib.sha256(f"sibling:{self.domain.generation}".encode()).hexdigest()
        return Question(f"{digest[:20]}.{self.name.partition('.')[2]}", other)

    def doubled(self) -> Question:
        """Return the question for the record where a panel would put it that appends the zone."""
        return Question(f"{self.record.name}.{self.zone}", self.record.type)


def observed(values: Sequence[str]) -> tuple[str, ...]:
    """Return values fit to be shown: few, short and printable."""
    return tuple(map(shown, values[:_MOST_OBSERVED]))


def shown(value: str) -> str:
    """Return a value fit to be shown."""
    return quoting.escaped(value, _LONGEST_OBSERVED)


def listed(values: Sequence[str]) -> str:
    """Return values fit to be shown within a sentence."""
    return ", ".join(observed(values))
