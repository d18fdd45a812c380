"""What is said of a record that nobody could tell about: whom to tell."""

from typing import assert_never

from service.core import names
from service.core.answers import Answers, Outcome
from service.core.case import shown
from service.core.records import Finding, Problem, RecordState

_MOST_TELLING = (
    Outcome.DNSSEC_BOGUS,
    Outcome.LAME_DELEGATION,
    Outcome.REFUSED,
    Outcome.SERVER_FAILURE,
    Outcome.TIMEOUT,
)


def explain(answers: Answers) -> Finding:
    """Return the finding where no server gave a definite answer: the most telling one."""
    answer = min(
        answers.by_server,
        key=lambda each: (_MOST_TELLING.index(each.outcome), not each.alias, each.server),
    )
    zone = answer.zone or names.organisational(answer.question.name)
    server = answer.server or f"a name server of {zone}"
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
        case Outcome.SERVER_FAILURE if answer.alias:
            hint = (
                f"Remove the CNAME record at {shown(answer.question.name)}, or correct it: the aliases that "
                f"follow from its value {shown(answer.alias)} go round in a circle, or on for too long"
            )
        case Outcome.SERVER_FAILURE:
            hint = f"Tell the DNS provider of {zone}, if this lasts, that queries fail (SERVFAIL): {server}"
        case Outcome.TIMEOUT if not answer.server:
            hint = f"Wait: no name server of {zone} could be asked; if this lasts, tell its DNS provider"
        case Outcome.TIMEOUT:
            hint = f"Tell the DNS provider of {zone}, if this lasts, that queries get no answer: {server}"
        case Outcome.FOUND | Outcome.NODATA | Outcome.NXDOMAIN:
            raise ValueError(answers)
        case _:
            assert_never(answer.outcome)
    return Finding(
        state=RecordState.UNKNOWN, problem=Problem(answer.outcome), hint=hint, server=answer.server
    )
