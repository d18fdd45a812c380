"""DNS as tests write it: what stands where, and the answers that this gives."""

from collections.abc import Iterable, Mapping

from service.core import records
from service.core.answers import Answer, Answers, Outcome, Question, RecordType
from service.core.domain import Domain
from service.core.records import DmarcPolicy, Identity, Record
from tests.support.samples import sample_domain

IDENTITY = Identity(
    dkim_tokens=("aaa", "bbb", "ccc"),
    dkim_zone="dkim.amazonses.com",
    feedback_host="feedback-smtp.eu-west-1.amazonses.com",
    spf_include="amazonses.com",
)
REPORT_ADDRESS = "dmarc@example.com"

Zone = dict[Question, tuple[str, ...]]
"""The values at each name and type. Where there are none, the answer is NXDOMAIN."""


def domain(name: str = "mail.example.com", *, challenge: str | None = None) -> Domain:
    """Return a domain with the records that it has to publish."""
    mail_from = records.mail_from_host(name, "")
    required = records.required_for(
        name,
        IDENTITY,
        mail_from=mail_from,
        dmarc_policy=DmarcPolicy.NONE,
        dmarc_report_address=REPORT_ADDRESS,
        challenge=challenge,
    )
    return sample_domain(
        name=name, mail_from=mail_from, dmarc_report_address=REPORT_ADDRESS, records=required
    )


def published(wanted: Iterable[Record]) -> Zone:
    """Return a zone in which records stand as they should."""
    return {Question(record.name, record.type): (as_text(record),) for record in wanted}


def as_text(record: Record) -> str:
    """Return a record's value as an answer has it."""
    return f"{record.priority} {record.value}" if record.type is RecordType.MX else record.value


def answer(
    question: Question,
    zone: Zone,
    *,
    server: str = "ns1.example.com (192.0.2.1)",
    at: str = "example.com",
) -> Answer:
    """Return what a server that has `zone` says to a question."""
    if question in zone:
        return Answer(question, Outcome.FOUND, zone[question], server, at, authoritative=True)
    return Answer(question, Outcome.NXDOMAIN, (), server, at, authoritative=True)


def failure(question: Question, outcome: Outcome, *, server: str = "ns1.example.com (192.0.2.1)") -> Answer:
    """Return the answer of a server that could not tell."""
    return Answer(question, outcome, (), server, "example.com")


def answers(asked: Iterable[Question], *zones: Zone) -> Mapping[Question, Answers]:
    """Return the answers of one name server for each zone given, to every question."""
    return {
        question: Answers(
            question,
            tuple(
                answer(question, zone, server=f"ns{number}.example.com (192.0.2.{number})")
                for number, zone in enumerate(zones, start=1)
            ),
            servers=len(zones),
        )
        for question in asked
    }
