"""What is said of a record that is not as it should be: each problem once."""

import pytest

from service.core import verdict
from service.core.answers import Answers, Outcome, Question, RecordType
from service.core.domain import Domain
from service.core.records import Finding, Problem, Purpose, RecordState
from tests.unit.core import zones

DKIM, MX, SPF, DMARC, OWNERSHIP = 0, 3, 4, 5, 6
DOMAIN = zones.domain("mail.example.com", challenge="t0ken")


def question(record: int) -> Question:
    """Return what is asked for one of the records."""
    wanted = DOMAIN.records[record]
    return Question(wanted.name, wanted.type)


def finding(
    record: int, *values: str, domain: Domain = DOMAIN, elsewhere: zones.Zone | None = None
) -> Finding:
    """Return what is found of one record with these values, where all others are right."""
    zone = zones.published(domain.records) | (elsewhere or {})
    del zone[question(record)]
    if values:
        zone[question(record)] = values
    told = zones.answers(verdict.questions(domain), zone)
    told = {**told, **zones.answers(verdict.diagnose(domain, told), zone)}
    return verdict.judge(domain, told).records[record].finding


def assert_problem(
    found: Finding, problem: Problem, hint: str, *, state: RecordState = RecordState.MISMATCH
) -> None:
    """Hold a finding to its problem, its hint and its state."""
    assert (found.problem, found.hint, found.state) == (problem, hint, state)
    assert found.server == "ns1.example.com (192.0.2.1)"


@pytest.mark.parametrize(
    ("record", "values", "observed"),
    [
        (DKIM, ["AAA.DKIM.amazonses.com."], ("AAA.DKIM.amazonses.com.",)),
        (MX, ["10 Feedback-SMTP.eu-west-1.amazonses.com."], ("10 Feedback-SMTP.eu-west-1.amazonses.com.",)),
        (SPF, ["x=1", "v=spf1 mx include:amazonses.com -all"], ("v=spf1 mx include:amazonses.com -all",)),
        (DMARC, ["x=1", "v=DMARC1; p=reject"], ("v=DMARC1; p=reject",)),
        (OWNERSHIP, ["x=1", "kraiter-verification=t0ken"], ("kraiter-verification=t0ken",)),
    ],
)
def test_a_record_that_serves_is_found(record: int, values: list[str], observed: tuple[str, ...]) -> None:
    """Case and trailing dots do not matter, nor what else stands at a TXT record's name."""
    found = finding(record, *values)
    assert found == Finding(RecordState.FOUND, observed, server="ns1.example.com (192.0.2.1)")


@pytest.mark.parametrize(
    ("record", "hint"),
    [
        (
            DKIM,
            "Add a CNAME record at aaa._domainkey.mail.example.com with the value aaa.dkim.amazonses.com",
        ),
        (
            MX,
            "Add an MX record at mail.example.com with the value 10 feedback-smtp.eu-west-1.amazonses.com",
        ),
        (SPF, "Add a TXT record at mail.example.com with the value v=spf1 include:amazonses.com ~all"),
        (
            DMARC,
            (
                "Add a TXT record at _dmarc.example.com with the value "
                "v=DMARC1; p=none; rua=mailto:dmarc@example.com"
            ),
        ),
        (
            OWNERSHIP,
            (
                "Add a TXT record at _kraiter-challenge.mail.example.com with the value "
                "kraiter-verification=t0ken"
            ),
        ),
    ],
)
def test_not_published(record: int, hint: str) -> None:
    """A record that stands nowhere is to be added, and the hint has all of it."""
    assert_problem(finding(record), Problem.NOT_PUBLISHED, hint, state=RecordState.MISSING)


def test_other_texts_do_not_publish_spf_or_dmarc() -> None:
    """What does not concern the record is not shown with it either."""
    for record in (SPF, DMARC):
        found = finding(record, "google-site-verification=x")
        assert (found.problem, found.observed) == (Problem.NOT_PUBLISHED, ())


def test_doubled_zone_name() -> None:
    """A panel that appends the zone is to be given only the host part."""
    doubled = Question("aaa._domainkey.mail.example.com.example.com", RecordType.CNAME)
    found = finding(DKIM, elsewhere={doubled: ("aaa.dkim.amazonses.com",)})
    hint = "Your DNS panel appends example.com: enter only aaa._domainkey.mail"
    assert_problem(found, Problem.DOUBLED_ZONE_NAME, hint, state=RecordState.MISSING)
    assert found.observed == ("aaa.dkim.amazonses.com",)


def test_a_wildcard_at_the_doubled_name_is_no_doubling() -> None:
    """Only the value that was to be published tells of a panel's mistake."""
    doubled = Question("aaa._domainkey.mail.example.com.example.com", RecordType.CNAME)
    assert finding(DKIM, elsewhere={doubled: ("parking.example.net",)}).problem is Problem.NOT_PUBLISHED


@pytest.mark.parametrize(
    ("record", "other", "value", "hint"),
    [
        (
            DKIM,
            RecordType.TXT,
            "aaa.dkim.amazonses.com",
            (
                "Publish aaa._domainkey.mail.example.com as a CNAME record with the value "
                "aaa.dkim.amazonses.com: a TXT record, aaa.dkim.amazonses.com, answers there instead"
            ),
        ),
        (
            DKIM,
            RecordType.A,
            "192.0.2.9",
            (
                "Publish aaa._domainkey.mail.example.com as a CNAME record with the value "
                "aaa.dkim.amazonses.com: an A record, 192.0.2.9, answers there instead"
            ),
        ),
        (
            MX,
            RecordType.CNAME,
            "www.example.com",
            (
                "Publish mail.example.com as an MX record with the value "
                "10 feedback-smtp.eu-west-1.amazonses.com: "
                "a CNAME record, www.example.com, answers there instead"
            ),
        ),
        (
            DMARC,
            RecordType.CNAME,
            "www.example.com",
            (
                "Publish _dmarc.example.com as a TXT record with the value "
                "v=DMARC1; p=none; rua=mailto:dmarc@example.com: "
                "a CNAME record, www.example.com, answers there instead"
            ),
        ),
    ],
)
def test_wrong_type(record: int, other: RecordType, value: str, hint: str) -> None:
    """A record of another type at the name is shown, with the type to change it to."""
    found = finding(record, elsewhere={Question(question(record).name, other): (value,)})
    assert_problem(found, Problem.WRONG_TYPE, hint)
    assert found.observed == (f"{other} {value}",)


@pytest.mark.parametrize(
    ("record", "value", "hint"),
    [
        (
            DKIM,
            "bbb.dkim.amazonses.com",
            (
                "Change the CNAME record at aaa._domainkey.mail.example.com "
                "from bbb.dkim.amazonses.com to aaa.dkim.amazonses.com"
            ),
        ),
        (
            MX,
            "10 mx.example.com",
            (
                "Change the MX record at mail.example.com from 10 mx.example.com to "
                "10 feedback-smtp.eu-west-1.amazonses.com, or choose another mail_from_subdomain "
                "if mail is received there"
            ),
        ),
        (
            SPF,
            "v=spf1 include:_spf.example.net -all",
            (
                "Add include:amazonses.com before the all of the SPF record at mail.example.com, so that it "
                "reads v=spf1 include:_spf.example.net include:amazonses.com -all"
            ),
        ),
        (
            OWNERSHIP,
            "kraiter-verification=other",
            (
                "Add kraiter-verification=t0ken as a TXT record at _kraiter-challenge.mail.example.com, "
                "where only kraiter-verification=other stands"
            ),
        ),
    ],
)
def test_wrong_value(record: int, value: str, hint: str) -> None:
    """Expected and found stand side by side."""
    found = finding(record, value)
    assert_problem(found, Problem.WRONG_VALUE, hint)
    assert found.observed == (value,)


def test_an_include_behind_all_is_a_wrong_value() -> None:
    """It has no effect there, so the hint moves it."""
    found = finding(SPF, "v=spf1 ~all include:amazonses.com")
    assert found.problem is Problem.WRONG_VALUE
    assert found.hint.endswith("so that it reads v=spf1 include:amazonses.com ~all")


@pytest.mark.parametrize(
    ("record", "value", "wanted"),
    [
        (DKIM, '"aaa.dkim.amazonses.com"', "aaa.dkim.amazonses.com"),
        (DKIM, "https://aaa.dkim.amazonses.com/", "aaa.dkim.amazonses.com"),
        (SPF, '"v=spf1 include:amazonses.com ~all"', "v=spf1 include:amazonses.com ~all"),
        (DMARC, "\u201cv=DMARC1; p=none\u201d", "v=DMARC1; p=none"),
        (OWNERSHIP, "'kraiter-verification=t0ken'", "kraiter-verification=t0ken"),
    ],
)
def test_quoted_value(record: int, value: str, wanted: str) -> None:
    """A value that is right but for quotes, or a URL around it, is to be entered bare."""
    name = question(record).name
    hint = f"Remove the quotes, or the URL around it, from the value at {name}: enter it as {wanted}"
    assert_problem(finding(record, value), Problem.QUOTED_VALUE, hint)


def test_multiple_dmarc_records() -> None:
    """The strictest is to be kept, and the others to be removed."""
    found = finding(DMARC, "v=DMARC1; p=none", "v=DMARC1; p=reject", "v=DMARC1; p=x")
    hint = (
        "Keep v=DMARC1; p=reject and remove the other DMARC records at _dmarc.example.com: "
        "receivers ignore them all while there are several"
    )
    assert_problem(found, Problem.MULTIPLE_RECORDS, hint)


def test_multiple_spf_records() -> None:
    """One record that allows what all of them do is to replace them."""
    found = finding(SPF, "v=spf1 include:amazonses.com ~all", "v=spf1 mx -all")
    hint = (
        "Replace the 2 SPF records at mail.example.com with a single one: "
        "v=spf1 include:amazonses.com mx ~all"
    )
    assert_problem(found, Problem.MULTIPLE_RECORDS, hint)


@pytest.mark.parametrize(
    ("record", "value", "said"),
    [
        (DMARC, "v=DMARC1; p=rejected", "the tag p must be none, quarantine or reject"),
        (DMARC, "v=dmarc1; p=none", "the tag v must stand first and be exactly v=DMARC1"),
        (DMARC, "v=DMARC1; p none", "the tag p none is not of the form tag=value"),
        (SPF, "v=spf1 include:amazonses.com ipv4:192.0.2.1 ~all", "ipv4:192.0.2.1 is no valid term of SPF"),
    ],
)
def test_invalid_syntax(record: int, value: str, said: str) -> None:
    """The part that receivers stumble over is named."""
    purpose, name = DOMAIN.records[record].purpose, question(record).name
    hint = f"Correct the {purpose} record at {name}: {said}"
    assert_problem(finding(record, value), Problem.INVALID_SYNTAX, hint)


def test_a_domains_own_invalid_dmarc_record_is_named_at_its_place() -> None:
    """The hint speaks of the record that applies, wherever it stands."""
    own = Question("_dmarc.mail.example.com", RecordType.TXT)
    found = finding(DMARC, "v=DMARC1; p=none", elsewhere={own: ("v=DMARC1; p=x",)})
    assert found.problem is Problem.INVALID_SYNTAX
    assert found.hint.startswith("Correct the DMARC record at _dmarc.mail.example.com: ")


def test_extra_mx() -> None:
    """Bounces must reach the provider alone: what else stands there is to be removed."""
    found = finding(MX, "20 mx.example.com", "10 feedback-smtp.eu-west-1.amazonses.com")
    hint = (
        "Remove the other MX records at mail.example.com, 20 mx.example.com: "
        "only 10 feedback-smtp.eu-west-1.amazonses.com may stand there"
    )
    assert_problem(found, Problem.EXTRA_MX, hint)


def test_wrong_priority() -> None:
    """The right exchanger with another preference needs only that changed."""
    found = finding(MX, "5 feedback-smtp.eu-west-1.amazonses.com")
    hint = "Change the priority of the MX record at mail.example.com from 5 to 10"
    assert_problem(found, Problem.WRONG_PRIORITY, hint)


@pytest.mark.parametrize(
    ("outcome", "hint"),
    [
        (
            Outcome.TIMEOUT,
            (
                "Tell the DNS provider of example.com, if this lasts, that queries get no answer: "
                "ns1.example.com (192.0.2.1)"
            ),
        ),
        (
            Outcome.SERVER_FAILURE,
            (
                "Tell the DNS provider of example.com, if this lasts, that queries fail (SERVFAIL): "
                "ns1.example.com (192.0.2.1)"
            ),
        ),
        (
            Outcome.REFUSED,
            (
                "Ask the DNS provider of example.com why its queries are refused: "
                "ns1.example.com (192.0.2.1) does not answer for it"
            ),
        ),
        (
            Outcome.LAME_DELEGATION,
            (
                "Ask the registrar of example.com to correct its NS records: "
                "ns1.example.com (192.0.2.1) does not serve it"
            ),
        ),
        (
            Outcome.DNSSEC_BOGUS,
            "Ask the DNS provider of example.com to sign it again, or the registrar to correct its DS record",
        ),
    ],
)
def test_unknown_outcomes_are_told_apart(outcome: Outcome, hint: str) -> None:
    """The problem is the outcome, and the hint says whom to tell."""
    told = dict(zones.answers(verdict.questions(DOMAIN), zones.published(DOMAIN.records)))
    told[question(MX)] = Answers(question(MX), (zones.failure(question(MX), outcome),))
    found = verdict.judge(DOMAIN, told).records[MX].finding
    assert_problem(found, Problem(outcome), hint, state=RecordState.UNKNOWN)


def test_the_most_telling_of_several_unknown_outcomes_is_shown() -> None:
    """A bogus zone explains a timeout, not the other way round."""
    by_server = (
        zones.failure(question(MX), Outcome.TIMEOUT),
        zones.failure(question(MX), Outcome.DNSSEC_BOGUS),
    )
    told = {question(MX): Answers(question(MX), by_server, servers=2)}
    assert verdict.judge(DOMAIN, told).records[MX].finding.problem is Problem.DNSSEC_BOGUS


def test_observed_values_are_few_short_and_printable() -> None:
    """A hostile zone fills no screen and breaks no line."""
    found = finding(OWNERSHIP, *(f"{number:02}\n{'x' * 300}" for number in range(12)))
    assert len(found.observed) == 10
    assert all(len(value) == 255 and value.isprintable() for value in found.observed)
    assert found.observed[0].startswith("00\\nxxx")


def test_the_builder_has_every_purpose() -> None:
    """The places of the records above are those of the domain."""
    purposes = [DOMAIN.records[place].purpose for place in (DKIM, MX, SPF, DMARC, OWNERSHIP)]
    assert purposes == [Purpose.DKIM, Purpose.SPF, Purpose.SPF, Purpose.DMARC, Purpose.OWNERSHIP]
