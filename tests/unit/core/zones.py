"""DNS as tests write it: what stands where, and the answers that this gives."""

from collections.abc import Iterable, Mapping

from service.core import matching, records
from service.core.answers import Answer, Answers, Outcome, Question
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
"""The values at each name and type. Other names do not exist, unless one stands below them."""


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
    return {Question(record.name, record.type): (matching.as_published(record),) for record in wanted}


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
    exists = any(f".{each.name}".endswith(f".{question.name}") for each in zone)
    outcome = Outcome.NODATA if exists else Outcome.NXDOMAIN
    return Answer(question, outcome, (), server, at, authoritative=True)


def failure(question: Question, outcome: Outcome, *, server: str = "ns1.example.com (192.0.2.1)") -> Answer:
    """Return the answer of a server that could not tell."""
    return Answer(question, outcome, (), server, "example.com")


def answers(
    asked: Iterable[Question],
    *zones: Zone,
    at: str = "example.com",
    servers: str = "ns{0}.example.com (192.0.2.{0})",
) -> Mapping[Question, Answers]:
    """Return the answers of one name server for each zone given, to every question."""
    return {
        question: Answers(
            question,
            tuple(
                answer(question, zone, server=servers.format(number), at=at)
                for number, zone in enumerate(zones, start=1)
            ),
            servers=len(zones),
        )
        for question in asked
    }
