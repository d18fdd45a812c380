"""The verdict on a domain's records: answers in, findings out.

Three steps, between which the verifier asks: `questions`, then `diagnose` for
what would explain the records that are missing, then `judge`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from typing import Final, NamedTuple

from service.core import answers as dns
from service.core import dmarc, dns_providers, matching, outages, problems, remarks, steady
from service.core.answers import Answer, Answers, Question
from service.core.case import Case, observed
from service.core.domain import Domain
from service.core.records import Finding, Purpose, Record, RecordState

_DMARC: Final = Purpose.DMARC
"""By this name, since every record of every check is compared to it: an Enum finds its members slowly."""


class Outcome(StrEnum):
    """What the required records amount to, taken together."""

    PASSED = "PASSED"
    """Every one is found, according to every server that could tell."""
    FAILED = "FAILED"
    """At least one is definitely not, according to every server that could tell."""
    UNDECIDED = "UNDECIDED"
    """Neither: somewhere nobody could tell, or name servers disagree."""


class Verdict(NamedTuple):
    """What a check saw of a domain."""

    records: tuple[Record, ...]
    """The domain's records, in their order, with new findings; those that are
    found as before are the same objects."""
    outcome: Outcome
    confirmed: bool
    """Whether at least half of the name servers concerned could tell. Never of UNDECIDED."""
    unknown: bool
    """Whether nobody could tell about a required record."""
    dns_provider: str | None = None
    """Who runs the zone's name servers, as it calls itself; empty where that is
    nobody known, None where none of them was heard."""


class _Standing(Enum):
    FOUND = auto()
    FAILED = auto()
    SPLIT = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class _Ruling:
    """What was seen of one record."""

    record: Record
    standing: _Standing
    consulted: tuple[Answers, ...]
    """The answers that decide, of which the last has the record or lacks it."""
    answer: Answer | None = None
    """What was looked at of that one; None where nobody could tell."""


def questions(domain: Domain) -> tuple[Question, ...]:
    """Return what to ask for a domain's records, each question once."""
    asked: dict[Question, None] = {}
    for record in domain.records:
        if record.purpose is _DMARC:
            asked |= dict.fromkeys(_policy_questions(domain, record))
        else:
            asked[Question(record.name, record.type)] = None
    return tuple(asked)


def diagnose(domain: Domain, answers: Mapping[Question, Answers]) -> tuple[Question, ...]:
    """Return what else to ask, once `questions` are answered, to explain what is wrong.

    Only for records that are definitely not as they should be, only what could
    change the explanation, and nothing twice.
    """
    asked = (
        question
        for ruling in _rulings(domain, answers)
        if ruling.standing is _Standing.FAILED and ruling.answer is not None
        for question in _follow_ups(Case(domain, ruling.record, ruling.answer, answers))
    )
    return tuple(question for question in dict.fromkeys(asked) if question not in answers)


def key_questions(domain: Domain) -> tuple[Question, ...]:
    """Return what to ask besides where all is found and the mail provider is not ready."""
    return remarks.key_questions(domain)


def judge(domain: Domain, answers: Mapping[Question, Answers]) -> Verdict:
    """Return the verdict on a domain from everything that was answered.

    A question without an answer counts as unknown.
    """
    if (same := steady.seen(domain, answers)) is not None:
        return Verdict(
            records=domain.records,
            outcome=Outcome.PASSED,
            confirmed=same.confirmed,
            unknown=False,
            dns_provider=_dns_provider(domain, same.answers),
        )
    return _judge(domain, answers)


def _judge(domain: Domain, answers: Mapping[Question, Answers]) -> Verdict:
    rulings = _rulings(domain, answers)
    required = [ruling for ruling in rulings if ruling.record.required]
    failed = [ruling for ruling in required if ruling.standing is _Standing.FAILED]
    if failed:
        outcome, confirmed = Outcome.FAILED, any(map(_is_confirmed, failed))
    elif required and all(ruling.standing is _Standing.FOUND for ruling in required):
        outcome, confirmed = Outcome.PASSED, all(map(_is_confirmed, required))
    else:
        outcome, confirmed = Outcome.UNDECIDED, False
    return Verdict(
        records=tuple(_with_finding(domain, ruling, answers) for ruling in rulings),
        outcome=outcome,
        confirmed=confirmed,
        unknown=any(ruling.standing is _Standing.UNKNOWN for ruling in required),
        dns_provider=_dns_provider(domain, [(ruling.record, ruling.answer) for ruling in rulings]),
    )


def _policy_questions(domain: Domain, record: Record) -> tuple[Question, ...]:
    if remarks.has_policy_from_above(record):
        return dmarc.questions(domain.name) + dmarc.questions_above(domain.name)
    return dmarc.questions(domain.name)


def _follow_ups(case: Case) -> Iterable[Question]:
    yield from problems.follow_ups(case)
    is_overruled = case.record.purpose is Purpose.DMARC and len(dmarc.records_in(case.answer.values)) != 1
    if is_overruled and not problems.is_unregistered(case):
        yield from dmarc.questions_above(case.domain.name)


def _rulings(domain: Domain, answers: Mapping[Question, Answers]) -> list[_Ruling]:
    return [_rule(record, _consulted(domain, record, answers)) for record in domain.records]


def _consulted(domain: Domain, record: Record, answers: Mapping[Question, Answers]) -> tuple[Answers, ...]:
    if record.purpose is not Purpose.DMARC:
        return (_told(Question(record.name, record.type), answers),)
    told = {question: _told(question, answers) for question in dmarc.questions(domain.name)}
    for question in dmarc.questions_above(domain.name):
        if question in answers:
            told[question] = _told(question, answers)
    return dmarc.discover(domain.name, told)


def _told(question: Question, answers: Mapping[Question, Answers]) -> Answers:
    told = answers.get(question)
    if told is None or not told.by_server:
        return Answers(question, (Answer(question, dns.Outcome.TIMEOUT),))
    return told


def _rule(record: Record, consulted: tuple[Answers, ...]) -> _Ruling:
    definite = consulted[-1].definite
    lacking = [answer for answer in definite if not matching.satisfies(record, answer.values)]
    if not definite:
        return _Ruling(record, _Standing.UNKNOWN, consulted)
    if not lacking:
        return _Ruling(record, _Standing.FOUND, consulted, _first(definite))
    standing = _Standing.SPLIT if len(lacking) < len(definite) else _Standing.FAILED
    return _Ruling(record, standing, consulted, _first(lacking))


def _with_finding(domain: Domain, ruling: _Ruling, answers: Mapping[Question, Answers]) -> Record:
    if ruling.answer is None:
        return replace(ruling.record, finding=outages.explain(ruling.consulted[-1]))
    case = Case(domain, ruling.record, ruling.answer, answers)
    if ruling.standing is _Standing.FOUND:
        return _found(case)
    is_split = ruling.standing is _Standing.SPLIT
    return replace(case.record, finding=problems.explain_split(case) if is_split else problems.explain(case))


def _found(case: Case) -> Record:
    record, old = case.record, case.record.finding
    values = (record.value,) if record.purpose is Purpose.OWNERSHIP else case.values
    seen = values if values == old.observed else observed(values)
    hint = remarks.on(case)
    if old.state is RecordState.FOUND and old.observed == seen and old.hint == hint:
        return record  # as nearly always: that another server said so is nothing new
    return replace(record, finding=Finding(RecordState.FOUND, seen, hint=hint, server=case.answer.server))


def _dns_provider(domain: Domain, told_of: Iterable[tuple[Record, Answer | None]]) -> str | None:
    """Return who serves the domain's zone: as before, where one of several does."""
    told = None
    for record, answer in told_of:
        # The record of DMARC may be in a zone above.
        if answer is None or not answer.authoritative or record.purpose is Purpose.DMARC:
            continue
        provider = dns_providers.of_server(answer.server)
        name = "" if provider is None else provider.name
        if name and name == domain.dns_provider:
            return name
        told = told or name
    return told


def _first(answers: Sequence[Answer]) -> Answer:
    return min(answers, key=lambda answer: answer.server)


def _is_confirmed(ruling: _Ruling) -> bool:
    return all(each.is_confirmed for each in ruling.consulted)
