"""What is wrong with a record that is not as it should be, and how to mend it.

A problem is one explainer: a function from a case to an explanation, or None
where it is another problem. They are tried in the order of `_EXPLAINERS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from service.core import dmarc, matching, names, quoting, spf
from service.core.answers import Answer, Answers, Outcome, Question, RecordType
from service.core.records import Finding, Problem, Purpose, Record, RecordState

_MOST_OBSERVED = 10
_LONGEST_OBSERVED = 255
_OTHER_TYPES: Mapping[RecordType, tuple[RecordType, ...]] = {
    RecordType.CNAME: (RecordType.TXT, RecordType.A),
    RecordType.MX: (RecordType.CNAME,),
    RecordType.TXT: (RecordType.CNAME,),
}
_ABSENT = {Problem.NOT_PUBLISHED, Problem.DOUBLED_ZONE_NAME}


@dataclass(frozen=True, slots=True)
class Case:
    """A record, and a definite answer that does not satisfy it."""

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

    def found(self, question: Question) -> tuple[str, ...]:
        """Return what any server has for a follow-up question, in order."""
        asked = self.answers.get(question)
        return tuple(sorted({value for each in (asked.by_server if asked else ()) for value in each.values}))


@dataclass(frozen=True, slots=True)
class _Explanation:
    problem: Problem
    hint: str
    observed: tuple[str, ...] | None = None
    """What to show in place of the values found at the name."""


def explain(case: Case) -> Finding:
    """Return the finding of a record that a server definitely does not have right."""
    explanation = next(found for explainer in _EXPLAINERS if (found := explainer(case)))
    absent = explanation.problem in _ABSENT
    return Finding(
        state=RecordState.MISSING if absent else RecordState.MISMATCH,
        observed=observed(case.values if explanation.observed is None else explanation.observed),
        problem=explanation.problem,
        hint=explanation.hint,
        server=case.answer.server,
    )


def explain_split(case: Case) -> Finding:
    """Return the finding of a record that only some name servers have right."""
    server = case.answer.server or "one of them"
    return replace(
        explain(case),
        hint=f"Not all name servers have the record yet, {server} does not: wait, and if this lasts "
        f"have {_zone(case.answer)} copied to all of them",
    )


def explain_unknown(answers: Answers) -> Finding:
    """Return the finding where no server gave a definite answer: the most telling one."""
    answer = min(answers.by_server, key=lambda each: (_MOST_TELLING.index(each.outcome), each.server))
    zone = _zone(answer)
    server = answer.server or f"A name server of {zone}"
    match answer.outcome:
        case Outcome.DNSSEC_BOGUS:
            hint = (
                f"Ask the DNS provider of {zone} to sign it again, or the registrar to correct its DS record"
            )
        case Outcome.LAME_DELEGATION:
            hint = f"Ask the registrar of {zone} to correct its NS records: {server} does not serve it"
        case Outcome.REFUSED:
            hint = (
                f"Ask the DNS provider of {zone} why its queries are refused: {server} does not answer for it"
            )
        case Outcome.SERVER_FAILURE:
            hint = f"Tell the DNS provider of {zone}, if this lasts, that queries fail (SERVFAIL): {server}"
        case Outcome.TIMEOUT:
            hint = f"Tell the DNS provider of {zone}, if this lasts, that queries get no answer: {server}"
        case Outcome.FOUND | Outcome.NODATA | Outcome.NXDOMAIN:
            raise ValueError(answers)
        case _:
            assert_never(answer.outcome)
    return Finding(
        state=RecordState.UNKNOWN, problem=Problem(answer.outcome), hint=hint, server=answer.server
    )


def follow_ups(record: Record, zone: str) -> tuple[Question, ...]:
    """Return what to ask to explain a record that does not stand at its name."""
    doubled = _doubled(record, zone)
    others = (Question(record.name, other) for other in _OTHER_TYPES[record.type])
    return (*((doubled,) if len(doubled.name) <= names.LONGEST_HOST else ()), *others)


def zone_of(record: Record, answer: Answer) -> str:
    """Return the zone that a record belongs in: the one told, or the organisational domain."""
    told = answer.zone
    return (
        told if record.name == told or record.name.endswith(f".{told}") else names.organisational(record.name)
    )


def observed(values: Sequence[str]) -> tuple[str, ...]:
    """Return values fit to be shown: few, short and printable."""
    return tuple(quoting.escaped(value, _LONGEST_OBSERVED) for value in values[:_MOST_OBSERVED])


def _quoted_value(case: Case) -> _Explanation | None:
    stripped = [matching.bare(value) for value in case.values]
    if not matching.satisfies(case.record, stripped):
        return None
    changed = [new for new, old in zip(stripped, case.values, strict=True) if new != old]
    hint = (
        f"Remove the quotes, or the URL around it, from the value at {case.name}: "
        f"enter it as {_all_shown(changed)}"
    )
    return _Explanation(Problem.QUOTED_VALUE, hint)


def _multiple_records(case: Case) -> _Explanation | None:
    match case.record:
        case Record(purpose=Purpose.DMARC):
            return _several_dmarc(case, dmarc.records_in(case.values))
        case Record(purpose=Purpose.SPF, type=RecordType.TXT):
            return _several_spf(case, spf.records_in(case.values))
        case _:
            return None


def _several_dmarc(case: Case, found: Sequence[str]) -> _Explanation | None:
    if len(found) < 2:  # noqa: PLR2004 - several
        return None
    hint = (
        f"Keep {_shown(max(found, key=dmarc.strictness))} and remove the other DMARC records at {case.name}: "
        "receivers ignore them all while there are several"
    )
    return _Explanation(Problem.MULTIPLE_RECORDS, hint)


def _several_spf(case: Case, found: Sequence[str]) -> _Explanation | None:
    if len(found) < 2:  # noqa: PLR2004 - several
        return None
    whole = _shown(spf.merged([*found, case.record.value]))
    hint = f"Replace the {len(found)} SPF records at {case.name} with a single one: {whole}"
    return _Explanation(Problem.MULTIPLE_RECORDS, hint)


def _invalid_syntax(case: Case) -> _Explanation | None:
    match case.record:
        case Record(purpose=Purpose.DMARC):
            parsed = map(dmarc.parse, dmarc.records_in(case.values) or case.values)
            wrong = [
                f"the tag {_shown(bad.tag)} {bad.problem}"
                for bad in parsed
                if isinstance(bad, dmarc.InvalidTag)
            ]
        case Record(purpose=Purpose.SPF, type=RecordType.TXT):
            terms = map(spf.invalid_term, spf.records_in(case.values))
            wrong = [f"{_shown(term)} is no valid term of SPF" for term in terms if term is not None]
        case _:
            return None
    if not wrong:
        return None
    hint = f"Correct the {case.record.purpose} record at {case.name}: {wrong[0]}"
    return _Explanation(Problem.INVALID_SYNTAX, hint)


def _extra_mx(case: Case) -> _Explanation | None:
    if case.record.type is not RecordType.MX:
        return None
    extra = [value for value in case.values if not matching.satisfies(case.record, [value])]
    if len(extra) == len(case.values):
        return None
    hint = (
        f"Remove the other MX records at {case.name}, {_all_shown(extra)}: "
        f"only {_wanted(case.record)} may stand there"
    )
    return _Explanation(Problem.EXTRA_MX, hint)


def _wrong_priority(case: Case) -> _Explanation | None:
    if case.record.type is not RecordType.MX or len(case.values) != 1:
        return None
    preference, host = matching.exchanger(case.values[0])
    if not matching.satisfies(case.record, [f"{case.record.priority} {host}"]):
        return None
    hint = (
        f"Change the priority of the MX record at {case.name} "
        f"from {_shown(preference)} to {case.record.priority}"
    )
    return _Explanation(Problem.WRONG_PRIORITY, hint)


def _wrong_value(case: Case) -> _Explanation | None:
    if not case.values:
        return None
    found, wanted = _all_shown(case.values), _wanted(case.record)
    match case.record.purpose:
        case Purpose.SPF if case.record.type is RecordType.TXT:
            added = " and ".join(f"include:{domain}" for domain in spf.included(case.record.value))
            whole = _shown(spf.merged([*map(matching.bare, case.values), case.record.value]))
            hint = f"Add {added} before the all of the SPF record at {case.name}, so that it reads {whole}"
        case Purpose.SPF:
            hint = (
                f"Change the MX record at {case.name} from {found} to {wanted}, or choose another "
                "mail_from_subdomain if mail is received there"
            )
        case Purpose.OWNERSHIP:
            hint = f"Add {wanted} as a TXT record at {case.name}, where only {found} stands"
        case Purpose.DKIM | Purpose.DMARC:
            hint = f"Change the {case.record.type} record at {case.name} from {found} to {wanted}"
        case _:
            assert_never(case.record.purpose)
    return _Explanation(Problem.WRONG_VALUE, hint)


def _doubled_zone_name(case: Case) -> _Explanation | None:
    zone = zone_of(case.record, case.answer)
    doubled = case.found(_doubled(case.record, zone))
    if not matching.satisfies(case.record, doubled):
        return None
    host = case.record.name.removesuffix(zone).removesuffix(".") or "@"
    return _Explanation(
        Problem.DOUBLED_ZONE_NAME, f"Your DNS panel appends {zone}: enter only {host}", doubled
    )


def _wrong_type(case: Case) -> _Explanation | None:
    record = case.record
    for other in _OTHER_TYPES[record.type]:
        if found := case.found(Question(record.name, other)):
            hint = (
                f"Publish {record.name} as {_with_article(record.type)} record "
                f"with the value {_wanted(record)}: "
                f"{_with_article(other)} record, {_all_shown(found)}, answers there instead"
            )
            return _Explanation(Problem.WRONG_TYPE, hint, tuple(f"{other} {value}" for value in found))
    return None


def _not_published(case: Case) -> _Explanation:
    record = case.record
    hint = f"Add {_with_article(record.type)} record at {record.name} with the value {_wanted(record)}"
    return _Explanation(Problem.NOT_PUBLISHED, hint)


_EXPLAINERS: tuple[Callable[[Case], _Explanation | None], ...] = (
    _quoted_value,
    _multiple_records,
    _invalid_syntax,
    _extra_mx,
    _wrong_priority,
    _wrong_value,
    _doubled_zone_name,
    _wrong_type,
    _not_published,
)

_MOST_TELLING = (
    Outcome.DNSSEC_BOGUS,
    Outcome.LAME_DELEGATION,
    Outcome.REFUSED,
    Outcome.SERVER_FAILURE,
    Outcome.TIMEOUT,
)


def _doubled(record: Record, zone: str) -> Question:
    return Question(f"{record.name}.{zone}", record.type)


def _zone(answer: Answer) -> str:
    return answer.zone or names.organisational(answer.question.name)


def _wanted(record: Record) -> str:
    return f"{record.priority} {record.value}" if record.type is RecordType.MX else record.value


def _with_article(record_type: RecordType) -> str:
    return f"{'an' if record_type in {RecordType.MX, RecordType.A} else 'a'} {record_type}"


def _shown(value: str) -> str:
    return quoting.escaped(value, _LONGEST_OBSERVED)


def _all_shown(values: Sequence[str]) -> str:
    return ", ".join(observed(values))
