"""The verdict on a domain's records."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import answers as dns
from service.core import matching, names, steady, verdict
from service.core.answers import Answer, Answers, Question, RecordType
from service.core.domain import Domain, Status
from service.core.records import Problem, Purpose, Record, RecordState
from service.core.verdict import Outcome
from tests.unit.core import zones

DOMAIN = zones.domain("mail.example.com", challenge="t0ken")
ASKED = verdict.questions(DOMAIN)
RIGHT = zones.published(DOMAIN.records)
MX = Question("mail.example.com", RecordType.MX)
SPF = Question("mail.example.com", RecordType.TXT)
UNKNOWN = [outcome for outcome in dns.Outcome if not outcome.is_definite]


def without(*gone: Question) -> zones.Zone:
    """Return a zone that has everything else as it should be."""
    return {question: values for question, values in RIGHT.items() if question not in gone}


def test_every_record_is_asked_for_once() -> None:
    """DMARC at every name where it may apply; questions that records share are not repeated."""
    assert [(question.name, question.type) for question in ASKED] == [
        ("aaa._domainkey.mail.example.com", "CNAME"),
        ("bbb._domainkey.mail.example.com", "CNAME"),
        ("ccc._domainkey.mail.example.com", "CNAME"),
        ("mail.example.com", "MX"),
        ("mail.example.com", "TXT"),
        ("_dmarc.mail.example.com", "TXT"),
        ("_dmarc.example.com", "TXT"),
        ("_kraiter-challenge.mail.example.com", "TXT"),
    ]
    twice = replace(DOMAIN, records=DOMAIN.records * 2)
    assert verdict.questions(twice) == ASKED


def test_a_domain_passes_with_every_required_record() -> None:
    """All is found, by every server: nothing is left to say."""
    judged = verdict.judge(DOMAIN, zones.answers(ASKED, RIGHT, RIGHT))
    assert (judged.outcome, judged.confirmed, judged.unknown) == (Outcome.PASSED, True, False)
    assert {record.finding.state for record in judged.records} == {RecordState.FOUND}
    assert [
        replace(record, finding=was.finding)
        for record, was in zip(judged.records, DOMAIN.records, strict=True)
    ] == [*DOMAIN.records]


def test_a_recommended_record_decides_nothing() -> None:
    """Without it the domain passes, and the record says that it is missing."""
    judged = verdict.judge(DOMAIN, zones.answers(ASKED, without(SPF)))
    assert judged.outcome is Outcome.PASSED
    assert judged.records[4].finding.state is RecordState.MISSING


@pytest.mark.parametrize("record", [record for record in DOMAIN.records if record.required], ids=str)
def test_a_domain_fails_without_any_one_required_record(record: Record) -> None:
    """Definite evidence against one record is enough."""
    gone = Question(record.name, record.type)
    judged = verdict.judge(DOMAIN, zones.answers(ASKED, without(gone)))
    assert (judged.outcome, judged.confirmed, judged.unknown) == (Outcome.FAILED, True, False)


def test_a_domain_without_required_records_does_not_pass() -> None:
    """Nothing was proved."""
    bare = replace(DOMAIN, records=())
    assert verdict.judge(bare, {}).outcome is Outcome.UNDECIDED


@pytest.mark.parametrize("outcome", UNKNOWN)
def test_a_record_that_nobody_can_tell_about_leaves_it_open(outcome: dns.Outcome) -> None:
    """Unknown is neither found nor missing."""
    told = dict(zones.answers(ASKED, RIGHT))
    told[MX] = Answers(MX, (zones.failure(MX, outcome),))
    judged = verdict.judge(DOMAIN, told)
    assert (judged.outcome, judged.confirmed, judged.unknown) == (Outcome.UNDECIDED, False, True)
    assert judged.records[3].finding.state is RecordState.UNKNOWN


def test_a_question_without_an_answer_is_unknown() -> None:
    """Whatever the reason, silence is no evidence."""
    told = {question: each for question, each in zones.answers(ASKED, RIGHT).items() if question != MX}
    judged = verdict.judge(DOMAIN, told)
    assert (judged.outcome, judged.unknown) == (Outcome.UNDECIDED, True)
    assert judged.records[3].finding.problem is Problem.TIMEOUT
    assert verdict.judge(DOMAIN, {**told, MX: Answers(MX, ())}) == judged


def test_one_definite_failure_outweighs_what_is_unknown() -> None:
    """The domain cannot pass whatever the silent servers would have said."""
    told = dict(zones.answers(ASKED, without(ASKED[0])))
    told[MX] = Answers(MX, (zones.failure(MX, dns.Outcome.TIMEOUT),))
    judged = verdict.judge(DOMAIN, told)
    assert (judged.outcome, judged.confirmed, judged.unknown) == (Outcome.FAILED, True, True)


def test_a_server_that_cannot_tell_is_outvoted() -> None:
    """Those that answer definitely decide between them."""
    told = dict(zones.answers(ASKED, RIGHT))
    told[MX] = Answers(MX, (*told[MX].by_server, zones.failure(MX, dns.Outcome.REFUSED)), servers=2)
    judged = verdict.judge(DOMAIN, told)
    assert (judged.outcome, judged.confirmed, judged.unknown) == (Outcome.PASSED, True, False)


def test_servers_that_disagree_leave_it_open() -> None:
    """The record is neither found nor failed; the server that lacks it is named."""
    judged = verdict.judge(DOMAIN, zones.answers(ASKED, RIGHT, without(MX)))
    assert (judged.outcome, judged.confirmed, judged.unknown) == (Outcome.UNDECIDED, False, False)
    found = judged.records[3].finding
    assert (found.state, found.problem) == (RecordState.MISSING, Problem.NOT_PUBLISHED)
    assert found.server == "ns2.example.com (192.0.2.2)"
    assert found.hint == (
        "Not all name servers have the record yet, ns2.example.com (192.0.2.2) lacks it at mail.example.com: "
        "wait, and if this lasts have example.com copied to all of them"
    )


@pytest.mark.parametrize(("servers", "confirmed"), [(1, True), (2, True), (3, False), (13, False)])
def test_half_of_the_name_servers_confirm(servers: int, *, confirmed: bool) -> None:
    """One definite answer confirms a set of two, and none that is larger."""
    for zone in (RIGHT, {}):
        told = {
            question: each._replace(servers=servers) for question, each in zones.answers(ASKED, zone).items()
        }
        assert verdict.judge(DOMAIN, told).confirmed is confirmed


def test_dmarc_is_confirmed_at_every_name_that_was_consulted() -> None:
    """That a domain has no record of its own must be as sure as the one above it."""
    told = dict(zones.answers(ASKED, RIGHT))
    own = Question("_dmarc.mail.example.com", RecordType.TXT)
    told[own] = told[own]._replace(servers=3)
    judged = verdict.judge(DOMAIN, told)
    assert (judged.outcome, judged.confirmed) == (Outcome.PASSED, False)


def test_any_applicable_dmarc_record_will_do() -> None:
    """A record of the domain's own, of any policy, replaces the one that is offered."""
    offered = Question("_dmarc.example.com", RecordType.TXT)
    own = Question("_dmarc.mail.example.com", RecordType.TXT)
    zone = without(offered) | {own: ("v=DMARC1; p=reject; x=y",)}
    judged = verdict.judge(DOMAIN, zones.answers(ASKED, zone))
    assert judged.outcome is Outcome.PASSED
    assert judged.records[5].finding.observed == ("v=DMARC1; p=reject; x=y",)


def test_only_what_is_definitely_wrong_is_diagnosed() -> None:
    """Not what is found, unknown, or known to some servers only."""
    assert verdict.diagnose(DOMAIN, zones.answers(ASKED, without(ASKED[0]))) == (
        Question("aaa._domainkey.mail.example.com.example.com", RecordType.CNAME),
    )
    assert verdict.diagnose(DOMAIN, zones.answers(ASKED, RIGHT)) == ()
    assert verdict.diagnose(DOMAIN, {}) == ()
    assert verdict.diagnose(DOMAIN, zones.answers(ASKED, RIGHT, without(ASKED[0]))) == ()


def test_of_a_name_that_does_not_exist_no_other_type_is_asked_for() -> None:
    """RFC 8020; but an alias whose target does not exist answers alike where one is followed."""
    told = zones.answers(ASKED, {})
    asked = [(question.name, question.type) for question in verdict.diagnose(DOMAIN, told)]
    assert asked == [
        ("aaa._domainkey.mail.example.com.example.com", "CNAME"),
        ("bbb._domainkey.mail.example.com.example.com", "CNAME"),
        ("ccc._domainkey.mail.example.com.example.com", "CNAME"),
        ("mail.example.com.example.com", "MX"),
        ("mail.example.com", "CNAME"),
        ("mail.example.com.example.com", "TXT"),
        ("_dmarc.example.com.example.com", "TXT"),
        ("example.com", "TXT"),
        ("_dmarc.example.com", "CNAME"),
        ("_dmarc.com", "TXT"),
        ("_kraiter-challenge.mail.example.com.example.com", "TXT"),
        ("_kraiter-challenge.mail.example.com", "CNAME"),
    ]


def test_of_a_domain_that_does_not_exist_nothing_more_is_asked() -> None:
    """The registry has said all there is to say."""
    assert verdict.diagnose(DOMAIN, zones.answers(ASKED, {}, at="com")) == ()


def test_what_explains_itself_costs_few_questions() -> None:
    """A wrong value may be a wildcard's, or the right one may stand elsewhere; no more is asked."""
    told = zones.answers(ASKED, RIGHT | {MX: ("10 mx.example.com",)})
    doubled, sibling = verdict.diagnose(DOMAIN, told)
    assert (doubled.name, doubled.type) == ("mail.example.com.example.com", "MX")
    assert (sibling.name.partition(".")[2], sibling.type) == ("example.com", "MX")


def test_nothing_is_asked_twice() -> None:
    """What was answered before is not among the follow-up questions."""
    told = dict(zones.answers(ASKED, {}))
    more = verdict.diagnose(DOMAIN, told)
    assert len(set(more)) == len(more)
    assert not set(more) & set(told)
    assert verdict.diagnose(DOMAIN, {**told, **zones.answers(more, {})}) == ()


def test_a_zone_of_its_own_is_the_one_that_is_doubled() -> None:
    """The zone cut comes from the answer; without one it is the organisational domain."""
    for told_zone, doubled in [
        ("mail.example.com", "mail.example.com"),
        ("", "example.com"),
        ("other.org", "example.com"),
    ]:
        by_server = (zones.answer(ASKED[0], {}, at=told_zone),)
        told = {**zones.answers(ASKED, RIGHT), ASKED[0]: Answers(ASKED[0], by_server)}
        assert verdict.diagnose(DOMAIN, told)[0].name == f"aaa._domainkey.mail.example.com.{doubled}"


def test_a_doubled_name_that_cannot_exist_is_not_asked_for() -> None:
    """A name has at most 253 characters."""
    long = zones.domain(".".join(["a" * 49] * 4 + ["com"]))
    asked = verdict.questions(long)
    assert all(
        len(question.name) <= names.LONGEST_HOST
        for question in verdict.diagnose(long, zones.answers(asked, {}))
    )


VALUES = st.sampled_from(
    [
        *map(matching.as_published, DOMAIN.records),
        "v=DMARC1; p=reject",
        "v=DMARC1; p=x",
        '"v=DMARC1"',
        "v=spf1 mx -all",
        '"v=spf1',
        "v=spf1include:amazonses.com",
        "v=spf1 ?include:amazonses.com",
        "5 feedback-smtp.eu-west-1.amazonses.com",
        "10",
        "",
    ]
) | st.text(max_size=20)


@st.composite
def any_answer(draw: st.DrawFn, question: Question, outcomes: Sequence[dns.Outcome]) -> Answer:
    """Draw what one server may say to a question."""
    outcome = draw(st.sampled_from(outcomes))
    values = (
        draw(st.lists(VALUES, min_size=1, max_size=4, unique=True)) if outcome is dns.Outcome.FOUND else []
    )
    server = draw(st.sampled_from(["", "ns1", "ns2"]))
    zone, alias = draw(st.sampled_from(["", "example.com", "com"])), draw(st.sampled_from(["", "x\n.test"]))
    return Answer(question, outcome, tuple(values), server, zone, alias)


@st.composite
def any_answers(
    draw: st.DrawFn, outcomes: Sequence[dns.Outcome] = tuple(dns.Outcome)
) -> dict[Question, Answers]:
    """Draw answers to some of the questions, and to some that nobody asked."""
    told = {}
    others = [Question("aaa._domainkey.mail.example.com", RecordType.TXT), Question("x.test", RecordType.A)]
    for question in draw(st.lists(st.sampled_from([*ASKED, *others]), unique=True)):
        by_server = draw(st.lists(any_answer(question, outcomes), max_size=3))
        told[question] = Answers(question, tuple(by_server), draw(st.integers(1, 4)))
    return told


@given(any_answers())
def test_any_answers_have_a_verdict(told: dict[Question, Answers]) -> None:
    """Whatever comes back, every record gets a finding that says what to do, or is found."""
    verdict.diagnose(DOMAIN, told)
    judged = verdict.judge(DOMAIN, told)
    for record in judged.records:
        found = record.finding
        assert found.state is not RecordState.PENDING
        assert (found.state is RecordState.FOUND) == (found.problem is None)
        assert found.hint or found.problem is None
        assert found.hint.isprintable() or not found.hint
    assert judged.outcome is not Outcome.UNDECIDED or not judged.confirmed


@given(any_answers(UNKNOWN))
def test_what_is_unknown_never_fails_a_domain(told: dict[Question, Answers]) -> None:
    """A resolver's bad day is no evidence against anybody."""
    judged = verdict.judge(DOMAIN, told)
    assert (judged.outcome, judged.confirmed, judged.unknown) == (Outcome.UNDECIDED, False, True)


@given(any_answers(), st.randoms(use_true_random=False))
def test_the_order_of_values_does_not_matter(told: dict[Question, Answers], random: Random) -> None:
    """Name servers rotate their records; the findings stay."""
    shuffled = {
        question: each._replace(
            by_server=tuple(
                answer._replace(values=tuple(random.sample(answer.values, len(answer.values))))
                for answer in each.by_server
            ),
        )
        for question, each in told.items()
    }
    assert verdict.judge(DOMAIN, shuffled) == verdict.judge(DOMAIN, told)


@pytest.mark.parametrize(
    ("servers", "before", "told"),
    [
        ("amy.ns.cloudflare.com (192.0.2.{0})", "", "Cloudflare"),
        ("ns-{0}.awsdns-07.co.uk (192.0.2.{0})", "Cloudflare", "Amazon Route 53"),
        ("ns{0}.example.com (192.0.2.{0})", "Cloudflare", ""),
    ],
)
def test_the_dns_provider_is_told_by_the_zones_name_servers(servers: str, before: str, told: str) -> None:
    """By those that answer now, known or not."""
    domain = replace(DOMAIN, dns_provider=before)
    assert verdict.judge(domain, zones.answers(ASKED, RIGHT, servers=servers)).dns_provider == told


def test_recursive_answers_tell_no_dns_provider() -> None:
    """Nor does silence."""
    told = {
        question: each._replace(
            by_server=tuple(answer._replace(authoritative=False) for answer in each.by_server)
        )
        for question, each in zones.answers(ASKED, RIGHT, servers="amy.ns.cloudflare.com").items()
    }
    assert verdict.judge(DOMAIN, told).dns_provider is None
    assert verdict.judge(DOMAIN, {}).dns_provider is None


def test_a_server_of_nobody_known_does_not_hide_one_that_is() -> None:
    """Whichever record it was asked for."""
    told = dict(zones.answers(ASKED, RIGHT))
    told |= zones.answers(ASKED[1:2], RIGHT, servers="amy.ns.cloudflare.com (192.0.2.{0})")
    assert verdict.judge(DOMAIN, told).dns_provider == "Cloudflare"


def test_a_zone_at_two_dns_providers_keeps_the_one_it_is_known_for() -> None:
    """Servers are sampled at random: nothing is to change for that."""
    aws, ns1 = "ns-{0}.awsdns-07.net (192.0.2.{0})", "dns1.p0{0}.nsone.net (192.0.2.{0})"
    told = {
        **zones.answers(ASKED[:1], RIGHT, servers=aws),
        **zones.answers(ASKED[1:], RIGHT, servers=ns1),
    }
    for known in ("Amazon Route 53", "NS1 or Netlify"):
        assert verdict.judge(replace(DOMAIN, dns_provider=known), told).dns_provider == known
    assert verdict.judge(DOMAIN, told).dns_provider == "Amazon Route 53"


def test_the_dns_provider_is_not_that_of_the_zone_above() -> None:
    """Where the DMARC record is, which others may run."""
    told = dict(zones.answers(ASKED, RIGHT))
    above = Question("_dmarc.example.com", RecordType.TXT)
    told |= zones.answers([above], RIGHT, servers="amy.ns.cloudflare.com (192.0.2.{0})")
    assert verdict.judge(DOMAIN, told).dns_provider == ""


def test_what_is_found_as_before_stays_the_same_record() -> None:
    """Whichever server says so: a check that brings nothing new costs nothing more."""
    seen = verdict.judge(DOMAIN, zones.answers(ASKED, RIGHT))
    again = zones.answers(ASKED, RIGHT, servers="ns7.example.com (192.0.2.{0}7)")
    judged = verdict.judge(replace(DOMAIN, records=seen.records), again)
    assert all(new is old for new, old in zip(judged.records, seen.records, strict=True))


def test_a_suffix_with_a_policy_stands_in_for_the_owner() -> None:
    """It is looked for where the owner has none, found, and asked for from then on."""
    above = Question("_dmarc.com", RecordType.TXT)
    zone = without(Question("_dmarc.example.com", RecordType.TXT)) | {above: ("v=DMARC1; p=reject; psd=y",)}
    told = zones.answers(ASKED, zone)
    assert verdict.judge(DOMAIN, told).outcome is Outcome.FAILED
    more = verdict.diagnose(DOMAIN, told)
    assert above in more
    judged = verdict.judge(DOMAIN, {**told, **zones.answers(more, zone)})
    assert judged.outcome is Outcome.PASSED
    assert judged.records[5].finding.hint == (
        "Publish a DMARC record at _dmarc.example.com for a policy and reports of your own: "
        "that at _dmarc.com applies until then"
    )
    assert above in verdict.questions(replace(DOMAIN, records=judged.records))
    assert above not in verdict.questions(
        replace(DOMAIN, records=verdict.judge(DOMAIN, zones.answers(ASKED, RIGHT)).records)
    )


def test_a_domain_with_a_wrong_policy_of_its_own_has_none_from_above() -> None:
    """Its record is the one that applies: nothing is asked of the registry."""
    told = zones.answers(ASKED, RIGHT | {Question("_dmarc.example.com", RecordType.TXT): ("v=DMARC1; p=x",)})
    assert verdict.diagnose(DOMAIN, told) == ()


def test_a_suffix_that_cannot_be_asked_leaves_it_open() -> None:
    """It may have the policy that counts."""
    above = Question("_dmarc.com", RecordType.TXT)
    told = dict(zones.answers(ASKED, without(Question("_dmarc.example.com", RecordType.TXT))))
    told[above] = Answers(above, (zones.failure(above, dns.Outcome.TIMEOUT),))
    assert verdict.judge(DOMAIN, told).outcome is Outcome.UNDECIDED


def test_the_purposes_are_all_judged() -> None:
    """The domain of these tests has every kind of record."""
    assert {record.purpose for record in DOMAIN.records} == set(Purpose)


def steady_domain(name: str) -> Domain:
    """Return a VERIFIED domain, all of whose records were found as offered."""
    made = zones.domain(name)
    asked = verdict.questions(made)
    found = verdict.judge(made, zones.answers(asked, zones.published(made.records)))
    return replace(made, records=found.records, status=Status.VERIFIED)


CHANGES: dict[str, Callable[[Answers], Answers | None]] = {
    "unasked": lambda _: None,
    "gone": lambda told: saying(told, dns.Outcome.NODATA),
    "other": lambda told: saying(told, dns.Outcome.FOUND, "other"),
    "more": lambda told: saying(told, dns.Outcome.FOUND, *told.by_server[0].values, "v=spf1 -all"),
    "unknown": lambda told: saying(told, dns.Outcome.TIMEOUT),
    "two servers": lambda told: told._replace(by_server=told.by_server[:1] * 2, servers=2),
    "many servers": lambda told: told._replace(servers=5),
}


def saying(told: Answers, outcome: dns.Outcome, *values: str) -> Answers:
    """Return answers of one server that says something else."""
    return told._replace(by_server=(told.by_server[0]._replace(outcome=outcome, values=values),))


@pytest.mark.parametrize("name", ["example.com", "mail.example.com", "a.b.c.mail.example.com"])
@given(
    st.dictionaries(st.integers(min_value=0, max_value=9), st.sampled_from(list(CHANGES)), max_size=3),
    st.booleans(),
)
def test_the_short_way_says_what_the_long_way_says(name: str, changes: dict[int, str], hint: bool) -> None:
    """Of a domain as it was, and of one in which anything is otherwise."""
    domain = steady_domain(name)
    if hint:
        first, *others = domain.records
        domain = replace(
            domain, records=(replace(first, finding=replace(first.finding, hint="as before")), *others)
        )
    asked = verdict.questions(domain)
    told = dict(zones.answers(asked, zones.published(domain.records)))
    for number, change in changes.items():
        question = asked[number % len(asked)]
        before = told.pop(question, None)
        if before is not None and (changed := CHANGES[change](before)):
            told[question] = changed
    assert verdict.judge(domain, told) == verdict._judge(domain, told)


def test_the_short_way_is_taken() -> None:
    """A sample of a domain as it was needs no longer look, of a zone with any number of servers."""
    domain = steady_domain("mail.example.com")
    told = zones.answers(verdict.questions(domain), zones.published(domain.records))
    for servers in (1, 2, 3):
        sampled = {question: each._replace(servers=servers) for question, each in told.items()}
        same = steady.seen(domain, sampled)
        assert same is not None
        assert same.confirmed is (servers <= 2)
