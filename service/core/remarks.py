"""What is said of a record that is right, where there is something to say.

A remark never changes a state. It is one function from a case, in which the
record was found, to a hint: empty where it has nothing to say.
"""

from service.core import dmarc, names, spf
from service.core.answers import Question, RecordType
from service.core.case import Case
from service.core.domain import Domain, Status
from service.core.records import Purpose, Record, RecordState


def on(case: Case) -> str:
    """Return the hint on a record that was found."""
    match case.record.purpose:
        case Purpose.DKIM:
            return _key_not_published(case)
        case Purpose.DMARC:
            return _policy_from_above(case)
        case Purpose.SPF if case.record.type is RecordType.TXT:
            return _too_many_lookups(case)
        case _:
            return ""


def key_questions(domain: Domain) -> tuple[Question, ...]:
    """Return what to ask for the keys that a domain's DKIM records lead to.

    They are the mail provider's to publish, so that the answers matter only
    while it is not ready though all records are found.
    """
    return tuple(
        Question(record.name, RecordType.TXT) for record in domain.records if record.purpose is Purpose.DKIM
    )


def has_policy_from_above(record: Record) -> bool:
    """Whether a DMARC record was last found above the organisational domain."""
    found = record.finding
    return record.purpose is Purpose.DMARC and found.state is RecordState.FOUND and found.hint != ""


def _key_not_published(case: Case) -> str:
    if case.domain.status is Status.VERIFIED:
        return ""
    asked = case.answers.get(Question(case.name, RecordType.TXT))
    told = [each for each in asked.by_server if each.outcome.is_definite] if asked else []
    if not told or any(each.values for each in told):
        return ""
    return f"Wait: the record is right, but the mail provider has no key at {case.record.value} yet"


def _policy_from_above(case: Case) -> str:
    if case.answer.question not in dmarc.questions_above(case.domain.name):
        return ""
    return (
        f"Publish a DMARC record at _dmarc.{names.organisational(case.domain.name)} for a policy and reports "
        f"of your own: that at {case.name} applies until then"
    )


def _too_many_lookups(case: Case) -> str:
    lookups = max(map(spf.lookups, spf.records_in(case.values)), default=0)
    if lookups <= spf.MOST_LOOKUPS:
        return ""
    return (
        f"Remove terms from the SPF record at {case.name}: {lookups} of them make receivers look something "
        f"up, and they give up after {spf.MOST_LOOKUPS}"
    )
