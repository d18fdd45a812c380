"""What is said of a record that is not as it should be: each problem once."""

from dataclasses import replace

import pytest

from service.core import matching, verdict
from service.core.answers import Answer, Answers, Outcome, Question, RecordType
from service.core.case import Case
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
    record: int,
    *values: str,
    domain: Domain = DOMAIN,
    elsewhere: zones.Zone | None = None,
    at: str = "example.com",
    servers: str = "ns{0}.example.com (192.0.2.{0})",
) -> Finding:
    """Return what is found of one record with these values, where all others are right."""
    wanted = domain.records[record]
    zone = zones.published(domain.records)
    del zone[Question(wanted.name, wanted.type)]
    zone |= elsewhere or {}
    if values:
        zone[Question(wanted.name, wanted.type)] = values
    told = zones.answers(verdict.questions(domain), zone, at=at, servers=servers)
    told = {**told, **zones.answers(verdict.diagnose(domain, told), zone, at=at, servers=servers)}
    return verdict.judge(domain, told).records[record].finding


def sibling(record: int, other: RecordType) -> Question:
    """Return the question for a type at the name that only a wildcard can answer for."""
    wanted = question(record)
    case = Case(DOMAIN, DOMAIN.records[record], zones.answer(wanted, {}), {})
    return case.beside(other)


def _at(here: Question) -> zones.Zone:
    """Return what makes a name exist, as one does that a wildcard stands for."""
    return {Question(f"x.{here.name}", RecordType.TXT): ("x",)}


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


def test_the_host_part_is_printed_where_the_panel_is_known_to_append_the_zone() -> None:
    """Whoever enters the full name there publishes it at a doubled one."""
    found = finding(DKIM, servers="amy.ns.cloudflare.com (192.0.2.{0})")
    assert found.hint == (
        "Add a CNAME record at aaa._domainkey.mail.example.com with the value aaa.dkim.amazonses.com: "
        "enter aaa._domainkey.mail as its name, since Cloudflare appends example.com"
    )
    assert "enter" not in finding(DKIM, servers="a1-1.akam.net (192.0.2.{0})").hint


@pytest.mark.parametrize(
    ("zone", "host"),
    [
        ("example.com", "aaa._domainkey.mail"),
        ("mail.example.com", "aaa._domainkey"),
        ("_domainkey.mail.example.com", "aaa"),
        ("aaa._domainkey.mail.example.com", "@"),
        ("other.example", "aaa._domainkey.mail"),
    ],
)
def test_doubled_zone_name(zone: str, host: str) -> None:
    """A panel that appends the zone is to be given only the part before it."""
    told = zone if zone != "other.example" else "example.com"
    doubled = Question(f"aaa._domainkey.mail.example.com.{told}", RecordType.CNAME)
    found = finding(DKIM, elsewhere={doubled: ("aaa.dkim.amazonses.com",)}, at=zone)
    hint = f"Your DNS panel appends {told}: enter only {host}"
    assert_problem(found, Problem.DOUBLED_ZONE_NAME, hint, state=RecordState.MISSING)
    assert found.observed == ("aaa.dkim.amazonses.com",)


def test_a_name_that_only_others_stand_below_is_not_published() -> None:
    """It exists, without records of its own (RFC 8020): nothing is wrong but that they are missing."""
    zone = zones.published(DOMAIN.records[:3])
    told = zones.answers(verdict.questions(DOMAIN), zone)
    assert told[question(MX)].by_server[0].outcome is Outcome.NODATA
    told = {**told, **zones.answers(verdict.diagnose(DOMAIN, told), zone)}
    judged = verdict.judge(DOMAIN, told).records
    assert {judged[record].finding.problem for record in (MX, SPF)} == {Problem.NOT_PUBLISHED}


@pytest.mark.parametrize(
    "name", ["xn--bcher-kva.xn--fiqs8s", ".".join(["a" * 49, "b" * 49, "c" * 49, "d" * 49, "com"])]
)
def test_names_in_other_scripts_and_the_longest_ones(name: str) -> None:
    """A name is printed as it is to be entered, and no question is longer than a name can be."""
    domain = zones.domain(name)
    here = {Question(record.name, RecordType.A): ("192.0.2.9",) for record in domain.records}
    for number, record in enumerate(domain.records):
        missing = finding(number, domain=domain, at=name)
        assert missing.hint.startswith(f"Add {'an' if number == MX else 'a'} {record.type} record at ")
        assert f" at {record.name} " in missing.hint
        finding(number, domain=domain, elsewhere=here, at=name)
        finding(number, "x", domain=domain, elsewhere=here, at=name)
    proxied = finding(DKIM, domain=domain, elsewhere=here, at=name)
    assert (proxied.problem, domain.records[DKIM].name in proxied.hint) == (Problem.PROXIED, True)


def test_doubled_beside_a_wildcard() -> None:
    """Whatever answers at the name: the value stands where the panel has put it."""
    doubled = Question("aaa._domainkey.mail.example.com.example.com", RecordType.CNAME)
    parked = ("parking.example.net",)
    elsewhere = {doubled: ("aaa.dkim.amazonses.com",), sibling(DKIM, RecordType.CNAME): parked}
    assert finding(DKIM, *parked, elsewhere=elsewhere).problem is Problem.DOUBLED_ZONE_NAME


def test_the_panel_that_appends_the_zone_is_named() -> None:
    """Where its name servers tell whose it is."""
    doubled = Question("mail.example.com.example.com", RecordType.MX)
    elsewhere = {doubled: ("10 feedback-smtp.eu-west-1.amazonses.com",)}
    found = finding(MX, elsewhere=elsewhere, servers="ns5{0}.domaincontrol.com (192.0.2.{0})")
    assert found.hint == "GoDaddy appends example.com: enter only mail"


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
            MX,
            RecordType.TXT,
            "10 Feedback-SMTP.eu-west-1.amazonses.com.",
            (
                "Publish mail.example.com as an MX record with the value "
                "10 feedback-smtp.eu-west-1.amazonses.com: "
                "a TXT record, 10 Feedback-SMTP.eu-west-1.amazonses.com., answers there instead"
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


def test_texts_where_mail_is_received_are_no_wrong_type() -> None:
    """They stand there rightly."""
    texts = {question(SPF): ("v=spf1 include:amazonses.com ~all", "x=1")}
    assert finding(MX, elsewhere=texts).problem is Problem.NOT_PUBLISHED


def test_an_alias_that_leads_nowhere_is_a_wrong_type() -> None:
    """The text is sought at its target, which does not exist; the alias itself does."""
    alias = Question("_dmarc.example.com", RecordType.CNAME)
    told = dict(zones.answers(verdict.questions(DOMAIN), zones.published(DOMAIN.records)))
    told |= zones.answers([question(DMARC)], {})
    assert alias in verdict.diagnose(DOMAIN, told)
    told |= zones.answers([alias], {alias: ("gone.example.net",)})
    found = verdict.judge(DOMAIN, told).records[DMARC].finding
    assert (found.problem, found.observed) == (Problem.WRONG_TYPE, ("CNAME gone.example.net",))


def test_proxied() -> None:
    """Addresses in place of the alias are a proxy's; where the switch is depends on the provider."""
    name = question(DKIM).name
    addresses = {
        Question(name, RecordType.A): ("192.0.2.9",),
        Question(name, RecordType.AAAA): ("2001:db8::9",),
    }
    found = finding(DKIM, elsewhere=addresses)
    hint = f"Switch the proxy of {name} off, so that it answers with aaa.dkim.amazonses.com: "
    assert_problem(found, Problem.PROXIED, f'{hint}set it to "DNS only" in your DNS panel')
    assert found.observed == ("A 192.0.2.9", "AAAA 2001:db8::9")
    assert finding(DKIM, elsewhere=addresses, servers="amy.ns.cloudflare.com (192.0.2.{0})").hint == (
        f"{hint}in Cloudflare, edit it under DNS, Records and set its proxy status to "
        '"DNS only" (the grey cloud)'
    )


@pytest.mark.parametrize(
    ("record", "answering", "value"),
    [
        (DKIM, RecordType.CNAME, "parking.example.net"),
        (DKIM, RecordType.A, "192.0.2.9"),
        (MX, RecordType.MX, "10 mx.example.com"),
        (SPF, RecordType.TXT, "v=spf1 mx -all"),
        (DMARC, RecordType.CNAME, "parking.example.net"),
    ],
)
def test_wildcard(record: int, answering: RecordType, value: str) -> None:
    """What a sibling that nobody publishes answers with as well, the name has from a wildcard."""
    here, wanted = Question(question(record).name, answering), DOMAIN.records[record]
    found = finding(record, elsewhere={here: (value,), sibling(record, answering): (value,)} | _at(here))
    hint = (
        f"Add {'an' if record == MX else 'a'} {wanted.type} record at {wanted.name} with the value "
        f"{matching.as_published(wanted)}: what answers there, {value}, is a wildcard record"
    )
    assert_problem(found, Problem.WILDCARD, hint)
    assert found.observed == (value,)


def test_a_wildcard_that_answers_otherwise_explains_nothing() -> None:
    """The record has a value of its own then, which is wrong."""
    elsewhere = {sibling(DKIM, RecordType.CNAME): ("parking.example.net",)}
    assert finding(DKIM, "bbb.dkim.amazonses.com", elsewhere=elsewhere).problem is Problem.WRONG_VALUE


def test_a_wildcard_that_serves_is_found() -> None:
    """Nothing is wrong with it."""
    right = "10 feedback-smtp.eu-west-1.amazonses.com"
    assert finding(MX, right, elsewhere={sibling(MX, RecordType.MX): (right,)}).problem is None


def test_a_zones_own_name_has_nothing_from_a_wildcard() -> None:
    """What its sibling has is another zone's, even if it is the same."""
    value = "10 mx.example.com"
    found = finding(MX, value, elsewhere={sibling(MX, RecordType.MX): (value,)}, at="mail.example.com")
    assert found.problem is Problem.WRONG_VALUE


@pytest.mark.parametrize("place", ["example.com", "mail.example.com"])
def test_wrong_place(place: str) -> None:
    """A policy at the domain itself, or the organisation's, is read by nobody."""
    text = "v=DMARC1; p=reject"
    elsewhere = {Question(place, RecordType.TXT): ("v=spf1 -all", text)}
    found = finding(DMARC, elsewhere=zones.published(DOMAIN.records[:5]) | elsewhere)
    hint = f"Move {text} from {place} to _dmarc.{place}"
    assert_problem(found, Problem.WRONG_PLACE, hint, state=RecordState.MISSING)
    assert found.observed == (text,)


def test_domain_not_found() -> None:
    """The registry does not know the domain, and says so for each of its records."""
    domain = zones.domain("mail.b\u00fccher.example".encode("idna").decode())
    told = zones.answers(verdict.questions(domain), {}, at="example")
    for record in verdict.judge(domain, told).records:
        hint = "Register xn--bcher-kva.example, or correct the name: it does not exist according to example"
        assert_problem(record.finding, Problem.DOMAIN_NOT_FOUND, hint, state=RecordState.MISSING)


@pytest.mark.parametrize(
    ("zone", "is_registry"), [("github.io", False), ("foo.github.io", False), ("io", True), ("", True)]
)
def test_a_private_suffix_is_no_registry(zone: str, *, is_registry: bool) -> None:
    """A name may exist in the suffix's own zone, though its records do not yet."""
    domain = zones.domain("foo.github.io")
    told = zones.answers(verdict.questions(domain), {}, at=zone)
    expected = Problem.DOMAIN_NOT_FOUND if is_registry else Problem.NOT_PUBLISHED
    assert {record.finding.problem for record in verdict.judge(domain, told).records} == {expected}


def test_a_top_level_domain_that_does_not_exist() -> None:
    """The root says so itself; a recursive resolver that names no zone says nothing of it."""
    domain = zones.domain("mail.example.con")
    told = zones.answers(verdict.questions(domain), {}, at="")
    assert verdict.judge(domain, told).records[DKIM].finding.hint == (
        "Register example.con, or correct the name: it does not exist according to the root of the DNS"
    )
    recursive = {
        question: Answers(question, (each.by_server[0]._replace(authoritative=False),))
        for question, each in told.items()
    }
    assert verdict.judge(domain, recursive).records[DKIM].finding.problem is Problem.NOT_PUBLISHED


def test_an_alias_to_a_domain_that_does_not_exist_says_nothing_of_this_one() -> None:
    """A recursive resolver tells the zone of the alias's target."""
    told = dict(zones.answers(verdict.questions(DOMAIN), {}))
    told |= zones.answers([question(DMARC)], {}, at="com")
    assert verdict.judge(DOMAIN, told).records[DMARC].finding.problem is Problem.NOT_PUBLISHED


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


@pytest.mark.parametrize(
    ("record", "value", "wanted"),
    [
        (DKIM, "aaa.dkim.amazonses.com.{}", "aaa.dkim.amazonses.com"),
        (MX, "10 Feedback-SMTP.eu-west-1.amazonses.com.{}", "10 feedback-smtp.eu-west-1.amazonses.com"),
    ],
)
@pytest.mark.parametrize("zone", ["example.com", "mail.example.com"])
def test_a_zone_that_was_appended_to_the_value_is_named(
    record: int, value: str, wanted: str, zone: str
) -> None:
    """A panel takes a target without a final dot for a name in its own zone."""
    value = value.format(zone)
    what, name = DOMAIN.records[record].type, question(record).name
    hint = f"Change the {what} record at {name} from {value} to {wanted}: "
    known = finding(record, value, servers="ns{0}.domaincontrol.com (192.0.2.{0})")
    assert known.hint == (
        f"{hint}GoDaddy has appended {zone} to the value, so end it with a dot, "
        "or as GoDaddy wants full names"
    )
    hint += f"your DNS panel has appended {zone} to the value, so end it with a dot, "
    assert_problem(
        finding(record, value), Problem.WRONG_VALUE, f"{hint}or as your DNS panel wants full names"
    )


def test_what_ends_in_another_domain_has_nothing_appended() -> None:
    """Only the names above the record are what a panel appends."""
    for value in ("aaa.dkim.amazonses.com.example.org", "aaa.dkim.amazonses.com.ple.com"):
        assert "appended" not in finding(DKIM, value).hint


def test_an_include_that_lets_nothing_pass_is_to_be_replaced() -> None:
    """Another one behind it would change nothing: the first match decides."""
    found = finding(SPF, "v=spf1 mx ?include:amazonses.com include:amazonses.com -all")
    hint = (
        "Replace ?include:amazonses.com by include:amazonses.com in the SPF record at mail.example.com, "
        "so that it reads v=spf1 mx include:amazonses.com -all"
    )
    assert_problem(found, Problem.WRONG_VALUE, hint)
    assert finding(SPF, "v=spf1 include:amazonses.com ?include:amazonses.com -all").problem is None


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
        (OWNERSHIP, '\\"kraiter-verification=t0ken\\"', "kraiter-verification=t0ken"),
        (DKIM, "http://aaa.dkim.amazonses.com", "aaa.dkim.amazonses.com"),
        (MX, "10 'feedback-smtp.eu-west-1.amazonses.com/'", "10 feedback-smtp.eu-west-1.amazonses.com"),
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
        (DMARC, "p=none; v=DMARC1", "the tag v must stand first and be exactly v=DMARC1"),
        (DMARC, "v=DMARC1; p none", "the tag p none is not of the form tag=value"),
        (
            SPF,
            "v=spf1include:amazonses.com ~all",
            "the space after v=spf1 is missing, and chunks are joined without one",
        ),
        (SPF, "v=spf1 include:amazonses.com ipv4:192.0.2.1 ~all", "ipv4:192.0.2.1 is no valid term of SPF"),
    ],
)
def test_invalid_syntax(record: int, value: str, said: str) -> None:
    """The part that receivers stumble over is named."""
    purpose, name = DOMAIN.records[record].purpose, question(record).name
    hint = f"Correct the {purpose} record at {name}: {said}"
    assert_problem(finding(record, value), Problem.INVALID_SYNTAX, hint)


def test_a_broken_spf_record_beside_a_good_one_does_no_harm() -> None:
    """Receivers do not see it, and it is no part of what a record should read."""
    broken = "v=spf1ip4:192.0.2.1 mx ~all"
    assert finding(SPF, "v=spf1 include:amazonses.com -all", broken).problem is None
    assert finding(SPF, "v=spf1 a -all", broken).hint.endswith("v=spf1 a include:amazonses.com -all")


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


def test_the_right_mx_with_another_priority_among_others() -> None:
    """All but the record asked for are to go."""
    found = finding(MX, "20 mx.example.com", "5 feedback-smtp.eu-west-1.amazonses.com")
    assert found.problem is Problem.EXTRA_MX
    assert "20 mx.example.com, 5 feedback-smtp.eu-west-1.amazonses.com: only 10 feedback-smtp" in found.hint


def test_wrong_priority() -> None:
    """The right exchanger with another preference needs only that changed."""
    found = finding(MX, "5 feedback-smtp.eu-west-1.amazonses.com")
    hint = "Change the priority of the MX record at mail.example.com from 5 to 10"
    assert_problem(found, Problem.WRONG_PRIORITY, hint)


def test_an_explanation_lasts_while_nobody_can_tell_otherwise() -> None:
    """A question that is asked in vain makes no other problem of it; a definite answer does."""
    doubled = Question("aaa._domainkey.mail.example.com.example.com", RecordType.CNAME)
    zone = zones.published(DOMAIN.records[1:]) | {doubled: ("aaa.dkim.amazonses.com",)}
    told = dict(zones.answers([*verdict.questions(DOMAIN), doubled], zone))
    seen = replace(DOMAIN, records=verdict.judge(DOMAIN, told).records)
    assert seen.records[DKIM].finding.problem is Problem.DOUBLED_ZONE_NAME
    told[doubled] = Answers(doubled, (zones.failure(doubled, Outcome.TIMEOUT),))
    assert verdict.judge(seen, told).records[DKIM].finding == seen.records[DKIM].finding
    assert verdict.judge(DOMAIN, told).records[DKIM].finding.problem is Problem.NOT_PUBLISHED
    told |= zones.answers([doubled], {})
    assert verdict.judge(seen, told).records[DKIM].finding.problem is Problem.NOT_PUBLISHED


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


def test_nobody_is_blamed_where_nobody_could_be_asked() -> None:
    """Without a server that was silent it may be our own resolver."""
    told = dict(zones.answers(verdict.questions(DOMAIN), zones.published(DOMAIN.records)))
    told[question(MX)] = Answers(question(MX), (Answer(question(MX), Outcome.TIMEOUT),))
    found = verdict.judge(DOMAIN, told).records[MX].finding
    assert (found.problem, found.server) == (Problem.TIMEOUT, "")
    hint = "Wait: no name server of example.com could be asked; if this lasts, tell its DNS provider"
    assert found.hint == hint


def test_the_alias_that_leads_nowhere_is_named() -> None:
    """Whoever owns the name can mend it, whatever else its name servers failed in."""
    failed = zones.failure(question(MX), Outcome.SERVER_FAILURE)
    endless = failed._replace(alias="relay.example.com", server="ns2.example.com (192.0.2.2)")
    told = {question(MX): Answers(question(MX), (failed, endless), servers=2)}
    found = verdict.judge(DOMAIN, told).records[MX].finding
    assert (found.state, found.problem) == (RecordState.UNKNOWN, Problem.SERVER_FAILURE)
    assert found.hint == (
        "Remove the CNAME record at mail.example.com, or correct it: the aliases that follow from its value "
        "relay.example.com go round in a circle, or on for too long"
    )


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
