"""The verdict on a domain's records: answers in, findings out.

Three steps, between which the verifier asks: `questions`, then `diagnose` for
what would explain the records that are missing, then `judge`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto

from service.core import answers as dns
from service.core import dmarc, matching, problems
from service.core.answers import Answer, Answers, Question
from service.core.domain import Domain
from service.core.records import Finding, Problem, Purpose, Record, RecordState


class Outcome(StrEnum):
    """What the required records amount to, taken together."""

    PASSED = "PASSED"
    """Every one is found, according to every server that could tell."""
    FAILED = "FAILED"
    """At least one is definitely not, according to every server that could tell."""
    UNDECIDED = "UNDECIDED"
    """Neither: somewhere nobody could tell, or name servers disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check saw of a domain."""

    records: tuple[Record, ...]
    """The domain's records, in their order, with new findings."""
    outcome: Outcome
    confirmed: bool
    """Whether at least half of the name servers concerned could tell. Never of UNDECIDED."""
    unknown: bool
    """Whether nobody could tell about a required record."""


class _Standing(Enum):
    FOUND = auto()
    FAILED = auto()
    SPLIT = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class _Ruling:
    """What was seen of one record."""

    record: Record
    standing: _Standing
    confirmed: bool
    zone: str


def questions(domain: Domain) -> tuple[Question, ...]:
    """Return what to ask for a domain's records, each question once."""
    return tuple(dict.fromkeys(asked for record in domain.records for asked in _questions(domain, record)))


def diagnose(domain: Domain, answers: Mapping[Question, Answers]) -> tuple[Question, ...]:
    """Return what else to ask, once `questions` are answered, to explain what is missing.

    Only for records that are definitely not published, and nothing twice.
    """
    asked = (
        question
        for ruling in _rulings(domain, answers)
        if ruling.standing is _Standing.FAILED and ruling.record.finding.problem is Problem.NOT_PUBLISHED
        for question in problems.follow_ups(ruling.record, ruling.zone)
    )
    return tuple(question for question in dict.fromkeys(asked) if question not in answers)


def judge(domain: Domain, answers: Mapping[Question, Answers]) -> Verdict:
    """Return the verdict on a domain from everything that was answered.

    A question without an answer counts as unknown.
    """
    rulings = _rulings(domain, answers)
    required = [ruling for ruling in rulings if ruling.record.required]
    failed = [ruling for ruling in required if ruling.standing is _Standing.FAILED]
    if failed:
        outcome, confirmed = Outcome.FAILED, any(ruling.confirmed for ruling in failed)
    elif required and all(ruling.standing is _Standing.FOUND for ruling in required):
        outcome, confirmed = Outcome.PASSED, all(ruling.confirmed for ruling in required)
    else:
        outcome, confirmed = Outcome.UNDECIDED, False
    return Verdict(
        records=tuple(ruling.record for ruling in rulings),
        outcome=outcome,
        confirmed=confirmed,
        unknown=any(ruling.standing is _Standing.UNKNOWN for ruling in required),
    )


def _questions(domain: Domain, record: Record) -> tuple[Question, ...]:
    if record.purpose is Purpose.DMARC:
        return dmarc.questions(domain.name)
    return (Question(record.name, record.type),)


def _rulings(domain: Domain, answers: Mapping[Question, Answers]) -> tuple[_Ruling, ...]:
    told = {question: _told(question, answers) for question in questions(domain)}
    return tuple(_rule(domain, record, told, answers) for record in domain.records)


def _told(question: Question, answers: Mapping[Question, Answers]) -> Answers:
    told = answers.get(question)
    if told is None or not told.by_server:
        return Answers(question, (Answer(question, dns.Outcome.TIMEOUT),))
    return told


def _rule(
    domain: Domain,
    record: Record,
    told: Mapping[Question, Answers],
    answers: Mapping[Question, Answers],
) -> _Ruling:
    if record.purpose is Purpose.DMARC:
        consulted = dmarc.discover(domain.name, told)
    else:
        consulted = (told[Question(record.name, record.type)],)
    deciding = consulted[-1]
    definite = sorted(_definite(deciding), key=lambda answer: answer.server)
    lacking = [answer for answer in definite if not matching.satisfies(record, answer.values)]
    if not definite:
        standing, finding = _Standing.UNKNOWN, problems.explain_unknown(deciding)
    elif not lacking:
        standing, finding = _Standing.FOUND, _found(record, definite[0])
    elif len(lacking) < len(definite):
        case = problems.Case(record, lacking[0], answers)
        standing, finding = _Standing.SPLIT, problems.explain_split(case)
    else:
        case = problems.Case(record, lacking[0], answers)
        standing, finding = _Standing.FAILED, problems.explain(case)
    return _Ruling(
        replace(record, finding=finding),
        standing,
        confirmed=all(map(_is_confirmed, consulted)),
        zone=problems.zone_of(record, definite[0]) if definite else "",
    )


def _found(record: Record, answer: Answer) -> Finding:
    values = matching.relevant(record, answer.values)
    if record.purpose is Purpose.OWNERSHIP:
        values = (record.value,)
    return Finding(RecordState.FOUND, problems.observed(values), server=answer.server)


def _definite(answers: Answers) -> Iterable[Answer]:
    return (answer for answer in answers.by_server if answer.outcome.is_definite)


def _is_confirmed(answers: Answers) -> bool:
    return 2 * len(list(_definite(answers))) >= answers.servers
