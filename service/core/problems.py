"""What is wrong with a record that is not as it should be, and how to mend it.

A problem is one explainer: a function from a case to an explanation, or None
where it is another problem. They are tried in the order of `_PROBLEMS`, where
each stands with the questions, if any, that it needs answered besides.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from service.core import dmarc, matching, names, spf
from service.core.answers import Answer, Outcome, Question, RecordType
from service.core.case import Case, listed, observed, shown
from service.core.domain import Domain
from service.core.records import Finding, Problem, Purpose, Record, RecordState

_OTHER_TYPES: Mapping[RecordType, tuple[RecordType, ...]] = {
    RecordType.CNAME: (RecordType.TXT,),
    RecordType.MX: (RecordType.CNAME, RecordType.TXT),
    RecordType.TXT: (RecordType.CNAME,),
}
_ADDRESSES = (RecordType.A, RecordType.AAAA)
_ABSENT = {
    Problem.NOT_PUBLISHED,
    Problem.DOUBLED_ZONE_NAME,
    Problem.WRONG_PLACE,
    Problem.DOMAIN_NOT_FOUND,
}


@dataclass(frozen=True, slots=True)
class _Explanation:
    hint: str
    observed: tuple[str, ...] | None = None
    """What to show in place of the values found at the name."""


def _nothing(_case: Case) -> Iterable[Question]:
    return ()


@dataclass(frozen=True, slots=True)
class _Problem:
    code: Problem
    explain: Callable[[Case], _Explanation | None]
    asks: Callable[[Case], Iterable[Question]] = _nothing


def explain(case: Case) -> Finding:
    """Return the finding of a record that a server definitely does not have right.

    What explained it before still does where nobody could tell otherwise: an
    outage is no news.
    """
    before = case.record.finding
    for problem in _PROBLEMS:
        if explanation := problem.explain(case):
            return Finding(
                state=RecordState.MISSING if problem.code in _ABSENT else RecordState.MISMATCH,
                observed=observed(case.values if explanation.observed is None else explanation.observed),
                problem=problem.code,
                hint=explanation.hint,
                server=case.answer.server,
            )
        if before.problem is problem.code and any(map(case.is_untold, problem.asks(case))):
            return before
    raise AssertionError("whatever is not there is not published")


def explain_split(case: Case) -> Finding:
    """Return the finding of a record that only some name servers have right."""
    server = case.answer.server or "one of them"
    zone = case.answer.zone or names.organisational(case.name)
    return replace(
        explain(case),
        hint=f"Not all name servers have the record yet, {server} lacks it at {case.name}: wait, and if "
        f"this lasts have {zone} copied to all of them",
    )


def follow_ups(case: Case) -> Iterator[Question]:
    """Yield what to ask to explain a record: only what could change the explanation."""
    for problem in _PROBLEMS:
        for question in problem.asks(case):
            if len(question.name) <= names.LONGEST_HOST:
                yield question
        if problem.explain(case):
            break


def is_unregistered(case: Case) -> bool:
    """Whether the registry does not know the domain: then there is nothing more to ask."""
    if not _is_unknown_to_registry(case.domain, case.answer):
        return False
    # One answer is not enough: it may be that about the target of an alias.
    told = (case.answers.get(Question(record.name, record.type)) for record in case.domain.records)
    definite = (each for asked in told if asked for each in asked.by_server if each.outcome.is_definite)
    return all(_is_unknown_to_registry(case.domain, answer) for answer in definite)


def _domain_not_found(case: Case) -> _Explanation | None:
    if not is_unregistered(case):
        return None
    domain, registry = names.registered(case.domain.name), case.answer.zone or "the root of the DNS"
    hint = f"Register {domain}, or correct the name: it does not exist according to {registry}"
    return _Explanation(hint)


def _is_unknown_to_registry(domain: Domain, answer: Answer) -> bool:
    if answer.outcome is not Outcome.NXDOMAIN:
        return False
    if not answer.zone:
        return answer.authoritative  # then it is the root, and else not known
    above = f".{answer.zone}"
    # A private suffix is no registry: the name may exist in its zone.
    return names.organisational(domain.name).endswith(above) and names.registered(domain.name).endswith(above)


def _quoted_value(case: Case) -> _Explanation | None:
    stripped = [matching.unquoted(case.record, value) for value in case.values]
    if not matching.satisfies(case.record, stripped):
        return None
    changed = [new for new, old in zip(stripped, case.values, strict=True) if new != old]
    hint = (
        f"Remove the quotes, or the URL around it, from the value at {case.name}: "
        f"enter it as {listed(changed)}"
    )
    return _Explanation(hint)


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
        f"Keep {shown(max(found, key=dmarc.strictness))} and remove the other DMARC records at {case.name}: "
        "receivers ignore them all while there are several"
    )
    return _Explanation(hint)


def _several_spf(case: Case, found: Sequence[str]) -> _Explanation | None:
    if len(found) < 2:  # noqa: PLR2004 - several
        return None
    whole = shown(spf.merged([*found, case.record.value]))
    hint = f"Replace the {len(found)} SPF records at {case.name} with a single one: {whole}"
    return _Explanation(hint)


def _invalid_syntax(case: Case) -> _Explanation | None:
    match case.record:
        case Record(purpose=Purpose.DMARC):
            parsed = map(dmarc.parse, dmarc.records_in(case.values) or case.values)
            wrong = [
                f"the tag {shown(bad.tag)} {bad.problem}"
                for bad in parsed
                if isinstance(bad, dmarc.InvalidTag)
            ]
        case Record(purpose=Purpose.SPF, type=RecordType.TXT):
            found = spf.records_in(case.values)
            terms = map(spf.invalid_term, found)
            wrong = [f"{shown(term)} is no valid term of SPF" for term in terms if term is not None]
            if not found and any(spf.resembles(matching.bare(value)) for value in case.values):
                wrong = ["the space after v=spf1 is missing, and chunks are joined without one"]
        case _:
            return None
    if not wrong:
        return None
    hint = f"Correct the {case.record.purpose} record at {case.name}: {wrong[0]}"
    return _Explanation(hint)


def _extra_mx(case: Case) -> _Explanation | None:
    if case.record.type is not RecordType.MX or len(case.values) == 1:
        return None
    wanted = matching.exchanger(matching.as_published(case.record))
    found = [matching.exchanger(value) for value in case.values]
    if wanted[1] not in {host for _, host in found}:
        return None
    extra = [value for value, exchanger in zip(case.values, found, strict=True) if exchanger != wanted]
    hint = (
        f"Remove the other MX records at {case.name}, {listed(extra)}: "
        f"only {matching.as_published(case.record)} may stand there"
    )
    return _Explanation(hint)


def _wrong_priority(case: Case) -> _Explanation | None:
    if case.record.type is not RecordType.MX or len(case.values) != 1:
        return None
    preference, host = matching.exchanger(case.values[0])
    if not matching.satisfies(case.record, [f"{case.record.priority} {host}"]):
        return None
    hint = (
        f"Change the priority of the MX record at {case.name} "
        f"from {shown(preference)} to {case.record.priority}"
    )
    return _Explanation(hint)


def _wrong_value(case: Case) -> _Explanation | None:
    if not case.values:
        return None
    found, wanted = listed(case.values), matching.as_published(case.record)
    match case.record.purpose:
        case Purpose.SPF if case.record.type is RecordType.TXT:
            hint = _with_include(case)
        case Purpose.SPF | Purpose.DKIM if appended := _appended_zone(case):
            panel = case.provider.name if case.provider else "your DNS panel"
            hint = (
                f"Change the {case.record.type} record at {case.name} from {found} to {wanted}: {panel} has "
                f"appended {appended} to the value, so end it with a dot, or as {panel} wants full names"
            )
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
    return _Explanation(hint)


def _with_include(case: Case) -> str:
    wanted = spf.included(case.record.value)
    found = spf.records_in(map(matching.bare, case.values))
    added = " and ".join(f"include:{domain}" for domain in wanted)
    not_passing = [
        shown(term)
        for record in found
        for domain, term in spf.not_passing(record).items()
        if domain in wanted
    ]
    if not_passing:
        # The first match decides: another term behind it would change nothing.
        change = f"Replace {' and '.join(not_passing)} by {added} in"
    else:
        change = f"Add {added} before the all of"
    whole = shown(spf.merged([*found, case.record.value]))
    return f"{change} the SPF record at {case.name}, so that it reads {whole}"


def _appended_zone(case: Case) -> str:
    """Return the zone that a panel has appended to a target that is right but for it, or nothing."""
    wanted = f"{case.record.value}.".lower()
    hosts = (value.rpartition(" ")[2].lower() for value in case.values)
    appended = (host.removeprefix(wanted) for host in hosts if host.startswith(wanted))
    return next((zone for zone in appended if f".{case.name}".endswith(f".{zone}")), "")


def _doubled_zone_name(case: Case) -> _Explanation | None:
    doubled = case.found(case.doubled())
    if not matching.satisfies(case.record, doubled):
        return None
    panel = case.provider.name if case.provider else "Your DNS panel"
    hint = f"{panel} appends {case.zone}: enter only {case.host}"
    return _Explanation(hint, doubled)


def _ask_doubled(case: Case) -> Iterable[Question]:
    return (case.doubled(),)


def _wrong_place(case: Case) -> _Explanation | None:
    for place in _ask_places(case):
        if misplaced := tuple(filter(dmarc.resembles, case.found(place))):
            hint = f"Move {listed(misplaced)} from {place.name} to _dmarc.{place.name}"
            return _Explanation(hint, misplaced)
    return None


def _ask_places(case: Case) -> Iterable[Question]:
    if case.record.purpose is not Purpose.DMARC:
        return ()
    places = dict.fromkeys((case.domain.name, names.organisational(case.domain.name)))
    return (Question(place, RecordType.TXT) for place in places)


def _wildcard(case: Case) -> _Explanation | None:
    for beside in _ask_beside(case):
        found = _concerning(case, case.here(beside.type))
        if found and found == _concerning(case, beside):
            hint = (
                f"Add {_described(case.record)} at {case.name} {_with_value(case.record)}: "
                f"what answers there, {listed(found)}, is a wildcard record"
            )
            return _Explanation(hint, found)
    return None


def _ask_beside(case: Case) -> Iterable[Question]:
    # No wildcard stands for a zone's own name, nor for one that does not exist (RFC 4592).
    if case.name == case.answer.zone or case.answer.outcome is Outcome.NXDOMAIN:
        return ()
    record_type = case.record.type
    types = (record_type,) if case.values else _OTHER_TYPES[record_type] + _proxying(case)
    return map(case.beside, types)


def _concerning(case: Case, question: Question) -> tuple[str, ...]:
    found = case.found(question)
    return matching.relevant(case.record, found) if question.type is case.record.type else found


def _wrong_type(case: Case) -> _Explanation | None:
    record = case.record
    for question in _ask_other_types(case):
        other, found = question.type, case.found(question)
        if other is RecordType.TXT and record.type is RecordType.MX:
            # Other texts stand rightly where mail is received.
            found = tuple(value for value in found if record.value in value.lower())
        if found:
            hint = (
                f"Publish {case.name} as {_described(record)} {_with_value(record)}: "
                f"a {other} record, {listed(found)}, answers there instead"
            )
            return _Explanation(hint, tuple(f"{other} {value}" for value in found))
    return None


def _ask_other_types(case: Case) -> Iterable[Question]:
    others = _OTHER_TYPES[case.record.type]
    if case.answer.outcome is Outcome.NXDOMAIN:
        # Nothing else stands at the name then (RFC 8020), but an alias may whose
        # target does not exist (RFC 2308, section 2.1).
        others = tuple(other for other in others if other is RecordType.CNAME)
    return map(case.here, others)


def _proxied(case: Case) -> _Explanation | None:
    found = [
        f"{question.type} {value}" for question in _ask_addresses(case) for value in case.found(question)
    ]
    if not found:
        return None
    provider = case.provider
    switch = (
        f"in {provider.name}, {provider.proxy_switch}"
        if provider and provider.proxy_switch
        else 'set it to "DNS only" in your DNS panel'
    )
    hint = f"Switch the proxy of {case.name} off, so that it answers with {case.record.value}: {switch}"
    return _Explanation(hint, tuple(found))


def _ask_addresses(case: Case) -> Iterable[Question]:
    return map(case.here, _proxying(case))


def _proxying(case: Case) -> tuple[RecordType, ...]:
    """Return the types that a proxy answers with in place of a record that is missing."""
    is_possible = case.record.type is RecordType.CNAME and case.answer.outcome is Outcome.NODATA
    return _ADDRESSES if is_possible else ()


def _not_published(case: Case) -> _Explanation:
    record, provider = case.record, case.provider
    hint = f"Add {_described(record)} at {record.name} {_with_value(record)}"
    if provider and provider.appends_zone:
        hint += f": enter {case.host} as its name, since {provider.name} appends {case.zone}"
    return _Explanation(hint)


_PROBLEMS = (
    _Problem(Problem.DOMAIN_NOT_FOUND, _domain_not_found),
    _Problem(Problem.QUOTED_VALUE, _quoted_value),
    _Problem(Problem.MULTIPLE_RECORDS, _multiple_records),
    _Problem(Problem.INVALID_SYNTAX, _invalid_syntax),
    _Problem(Problem.DOUBLED_ZONE_NAME, _doubled_zone_name, asks=_ask_doubled),
    _Problem(Problem.WRONG_PLACE, _wrong_place, asks=_ask_places),
    _Problem(Problem.WILDCARD, _wildcard, asks=_ask_beside),
    _Problem(Problem.EXTRA_MX, _extra_mx),
    _Problem(Problem.WRONG_PRIORITY, _wrong_priority),
    _Problem(Problem.WRONG_VALUE, _wrong_value),
    _Problem(Problem.WRONG_TYPE, _wrong_type, asks=_ask_other_types),
    _Problem(Problem.PROXIED, _proxied, asks=_ask_addresses),
    _Problem(Problem.NOT_PUBLISHED, _not_published),
)


def _described(record: Record) -> str:
    return f"{'an' if record.type is RecordType.MX else 'a'} {record.type} record"


def _with_value(record: Record) -> str:
    return f"with the value {matching.as_published(record)}"
