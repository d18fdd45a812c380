"""The common case of a verdict: everything was right, and one server says that it still is.

`verdict.judge` says the same of it, for several times the work. Whoever checks a hundred
thousand domains every hour meets hardly anything else.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from service.core import dmarc, matching
from service.core.answers import Answer, Answers, Outcome, Question
from service.core.domain import Domain, Status
from service.core.records import Purpose, Record, RecordState

# By these names, since all is compared to them: an Enum finds its members slowly.
_DMARC: Final = Purpose.DMARC
_TOLD: Final = Outcome.FOUND
_FOUND: Final = RecordState.FOUND


class Steady(NamedTuple):
    """What one server for each question said, where all is as it was."""

    answers: list[tuple[Record, Answer]]
    """For each record the answer that has it."""
    confirmed: bool
    """Whether one server is at least half of those of each zone."""


def seen(domain: Domain, answers: Mapping[Question, Answers]) -> Steady | None:
    """Return what was said where every record stands alone, as offered, and was found so before.

    None where anything is otherwise: then it takes a closer look.
    """
    if domain.status is not Status.VERIFIED:
        return None
    found: list[tuple[Record, Answer]] = []
    is_required, confirmed = False, True
    for record in domain.records:
        if record.purpose is _DMARC:
            told = _policy(domain, record, answers)
        else:
            told = answers.get(Question(record.name, record.type))
        if told is None or len(told.by_server) != 1:
            return None
        answer = told.by_server[0]
        before = record.finding
        if not (
            answer.values == before.observed
            and answer.values == (matching.as_published(record),)
            and answer.outcome is _TOLD
            and before.state is _FOUND
            and not before.hint
        ):
            return None
        found.append((record, answer))
        if record.required:
            is_required = True
            confirmed = confirmed and told.is_confirmed
    if not is_required:
        return None
    # Of a domain's own DMARC policy it counts, too, who told that there is none.
    own = answers[dmarc.questions(domain.name)[0]]
    return Steady(found, confirmed and own.is_confirmed)


def _policy(domain: Domain, record: Record, answers: Mapping[Question, Answers]) -> Answers | None:
    """Return the answer to the last question of the walk, where those before found nothing."""
    *others, last = dmarc.questions(domain.name)
    if last.name != record.name:
        return None
    for question in others:
        told = answers.get(question)
        if told is None or len(told.by_server) != 1:
            return None
        answer = told.by_server[0]
        if answer.values or not answer.outcome.is_definite:
            return None
    return answers.get(last)
