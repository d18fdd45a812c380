"""What the owner of a domain could do better."""

from dataclasses import replace

import pytest

from service.core import advice, verdict
from service.core.advice import AdviceCode
from service.core.answers import Question, RecordType
from service.core.domain import Domain, Status
from service.core.health import Counts
from service.core.records import Finding
from tests.support.samples import sample_report
from tests.unit.core import zones

DMARC = Question("_dmarc.example.com", RecordType.TXT)


def checked(domain: Domain, dmarc: str) -> Domain:
    """Return a domain as a check leaves it that found this DMARC record."""
    zone = zones.published(domain.records) | {DMARC: (dmarc,)}
    judged = verdict.judge(domain, zones.answers(verdict.questions(domain), zone))
    return replace(domain, records=judged.records, status=Status.VERIFIED)


def test_a_subdomain_with_reports_needs_no_advice() -> None:
    """As offered, everything is as it should be."""
    domain = checked(zones.domain("mail.example.com"), "v=DMARC1; p=none; rua=mailto:a@example.com")
    assert advice.for_domain(domain) == ()


def test_an_organisational_domain_had_better_not_send() -> None:
    """What it sends risks the reputation of all its mail."""
    (given,) = advice.for_domain(zones.domain("example.com"))
    assert given.code is AdviceCode.USE_A_SUBDOMAIN
    assert "mail.example.com" in given.text


@pytest.mark.parametrize("record", ["v=DMARC1; p=reject", "v=DMARC1; rua="])
def test_a_dmarc_record_had_better_ask_for_reports(record: str) -> None:
    """The address that was offered is the one to add."""
    (given,) = advice.for_domain(checked(zones.domain("mail.example.com"), record))
    assert given.code is AdviceCode.DMARC_WITHOUT_REPORTS
    assert "rua=mailto:dmarc@example.com" in given.text


@pytest.mark.parametrize("record", ["v=DMARC1; p=x", f"v=DMARC1; x={'y' * 250}; rua=mailto:a@b.com"])
def test_a_record_that_cannot_be_read_whole_calls_for_none(record: str) -> None:
    """What is invalid has a problem already, and what was cut may ask for reports further on."""
    assert advice.for_domain(checked(zones.domain("mail.example.com"), record)) == ()


def test_before_the_first_check_nothing_is_known() -> None:
    """Advice on a record needs the record."""
    assert advice.for_domain(zones.domain("mail.example.com")) == ()


def test_when_all_is_found_there_is_nothing_to_do_but_wait() -> None:
    """The owner sees no fault, and a domain that is not VERIFIED. Whoever contends may wait for others."""
    found = checked(zones.domain("mail.example.com"), "v=DMARC1; p=none; rua=mailto:a@example.com")
    waiting = replace(found, status=Status.PENDING)
    (given,) = advice.for_domain(waiting)
    assert given.code is AdviceCode.AWAITING_PROVIDER
    assert advice.for_domain(replace(waiting, contested=True)) == ()
    lacking = tuple(replace(record, finding=Finding()) for record in found.records[:1])
    assert advice.for_domain(replace(waiting, records=lacking + found.records[1:])) == ()


BOUNCES, COMPLAINTS = AdviceCode.HIGH_BOUNCES, AdviceCode.HIGH_COMPLAINTS


@pytest.mark.parametrize(
    ("bounces", "complaints", "expected"),
    [
        (0, 0, []),
        (500, 10, []),
        (600, 0, [BOUNCES]),
        (2000, 0, [BOUNCES]),
        (0, 20, [COMPLAINTS]),
        (0, 100, [COMPLAINTS]),
        (600, 100, [BOUNCES, COMPLAINTS]),
    ],
)
def test_each_rate_that_is_high_calls_for_advice(
    bounces: int, complaints: int, expected: list[AdviceCode]
) -> None:
    """From WARNING on, whichever of them decides on health."""
    report = sample_report(Counts(10_000, 10_000, bounces, complaints))
    domain = replace(zones.domain("mail.example.com"), health_report=report)
    assert [given.code for given in advice.for_domain(domain)] == expected


@pytest.mark.parametrize(
    ("counts", "causes"),
    [
        (Counts(10_000, 8000, hard_bounces=2000), ["old or bought lists", "confirmed"]),
        (Counts(10_000, 10_000, complaints=100), ["unwanted", "frequent", "unsubscribe link"]),
    ],
)
def test_advice_on_a_high_rate_names_its_usual_causes(counts: Counts, causes: list[str]) -> None:
    """In one sentence, as all advice."""
    domain = replace(zones.domain("mail.example.com"), health_report=sample_report(counts))
    (given,) = advice.for_domain(domain)
    assert [cause for cause in causes if cause not in given.text] == []
    assert "." not in given.text
