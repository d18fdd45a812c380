"""What is said of records that are right."""

from dataclasses import replace

import pytest

from service.core import matching, verdict
from service.core.answers import Answers, Outcome, Question, RecordType
from service.core.domain import Domain, Status
from service.core.records import Finding, RecordState
from tests.unit.core import zones

DOMAIN = zones.domain("mail.example.com")
RIGHT = zones.published(DOMAIN.records)
KEY = verdict.key_questions(DOMAIN)[0]


def findings(zone: zones.Zone, *more: Answers, domain: Domain = DOMAIN) -> list[Finding]:
    """Return what is found in a zone, with more answers."""
    told = {**zones.answers(verdict.questions(domain), zone), **{each.question: each for each in more}}
    return [record.finding for record in verdict.judge(domain, told).records]


def test_the_keys_are_asked_for_at_the_names_of_the_dkim_records() -> None:
    """A resolver follows the alias, which leads to the provider's zone."""
    assert verdict.key_questions(DOMAIN) == tuple(
        Question(f"{token}._domainkey.mail.example.com", RecordType.TXT) for token in ("aaa", "bbb", "ccc")
    )


@pytest.mark.parametrize("outcome", [Outcome.NODATA, Outcome.NXDOMAIN])
def test_a_key_that_is_not_published_is_the_providers_business(outcome: Outcome) -> None:
    """The owner is told so, and the record is still found."""
    absent = Answers(KEY, (zones.failure(KEY, outcome),))
    first, second, *_ = findings(RIGHT, absent)
    assert (first.state, first.problem) == (RecordState.FOUND, None)
    assert first.hint == (
        "Wait: the record is right, but the mail provider has no key at aaa.dkim.amazonses.com yet"
    )
    assert second.hint == ""
    told = {**zones.answers(verdict.questions(DOMAIN), RIGHT), KEY: absent}
    waiting = replace(DOMAIN, records=verdict.judge(DOMAIN, told).records)
    assert findings(RIGHT, domain=waiting)[0].hint == ""
    assert findings(RIGHT, absent, domain=replace(DOMAIN, status=Status.VERIFIED))[0].hint == ""


def test_a_key_that_is_there_or_unknown_is_not_spoken_of() -> None:
    """Only what is definitely absent is waited for."""
    published = zones.answers([KEY], {KEY: ("k=rsa; p=MIGf",)})[KEY]
    unknown = Answers(KEY, (zones.failure(KEY, Outcome.TIMEOUT),))
    assert [findings(RIGHT, each)[0].hint for each in (published, unknown)] == ["", ""]


def test_a_wrong_record_is_not_to_be_waited_for() -> None:
    """Whatever stands at the end of another alias."""
    zone = RIGHT | {Question(KEY.name, RecordType.CNAME): ("other.example.net",)}
    found = findings(zone, Answers(KEY, (zones.failure(KEY, Outcome.NXDOMAIN),)))[0]
    assert found.state is RecordState.MISMATCH


def test_an_spf_record_with_too_many_lookups_is_found_with_a_warning() -> None:
    """It names how many there are, and how many receivers do."""
    spf = Question("mail.example.com", RecordType.TXT)
    includes = " ".join(f"include:{number}.example.net" for number in range(9))
    for more, hint in [
        ("", ""),
        (
            " mx",
            (
                "Remove terms from the SPF record at mail.example.com: 11 of them make receivers look "
                "something up, and they give up after 10"
            ),
        ),
    ]:
        zone = RIGHT | {spf: (f"v=spf1 {includes} include:amazonses.com{more} ~all",)}
        found = findings(zone)[4]
        assert (found.state, found.problem, found.hint) == (RecordState.FOUND, None, hint)


def test_there_is_nothing_to_say_of_what_is_as_it_was_asked_for() -> None:
    """No hint stands where nothing is to be done."""
    assert {found.hint for found in findings(RIGHT)} == {""}
    assert [found.observed for found in findings(RIGHT)] == [
        (matching.as_published(record),) for record in DOMAIN.records
    ]
