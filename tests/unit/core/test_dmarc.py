"""DMARC policy records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import dmarc
from service.core.answers import Answers, Outcome, Question, RecordType
from service.core.dmarc import InvalidTag, Policy
from service.core.records import DmarcPolicy
from tests.unit.core import zones

OWN = Question("_dmarc.a.b.example.com", RecordType.TXT)
MIDDLE = Question("_dmarc.b.example.com", RecordType.TXT)
TOP = Question("_dmarc.example.com", RecordType.TXT)
ABOVE = dmarc.questions_above("a.b.example.com")
VALID = ("v=DMARC1; p=none",)
SUFFIX = ("v=DMARC1; p=reject; psd=y",)


@pytest.mark.parametrize(
    ("text", "policy", "reports_to"),
    [
        ("v=DMARC1; p=none", DmarcPolicy.NONE, ""),
        ("v=DMARC1", DmarcPolicy.NONE, ""),
        ("v = DMARC1 ;p= Reject;", DmarcPolicy.REJECT, ""),
        ("v=DMARC1; rua=mailto:a@b.com; p=quarantine", DmarcPolicy.QUARANTINE, "mailto:a@b.com"),
        ("v=DMARC1; p=none; pct=abc; x=1; adkim=q", DmarcPolicy.NONE, ""),
        ("v=DMARC1; p=reject; t=y; sp=none; np=REJECT; psd=x", DmarcPolicy.REJECT, ""),
        ("v=DMARC1; p=none; mailto:a@b.com; x_1=y", DmarcPolicy.NONE, ""),
    ],
)
def test_a_valid_record(text: str, policy: DmarcPolicy, reports_to: str) -> None:
    """Tags come in any order; a missing policy is none; unknown tags and stray texts are ignored."""
    assert dmarc.parse(text) == Policy(policy, reports_to)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("v=dmarc1; p=none", "v"),
        ("p=none; v=DMARC1", "v"),
        ("v=DMARC10; p=none", "v"),
        (" v=DMARC1; p=none", "v"),
        ("v=DMARC1 p=none", "v"),
        ("v=DMARC1; p=rejected", "p"),
        ("v=DMARC1; p=", "p"),
        ("v=DMARC1; p=none; sp=nothing", "sp"),
        ("v=DMARC1; np=x", "np"),
        ("v=DMARC1; p=none; p=reject", "p"),
        ("v=DMARC1; p none", "p none"),
        ("v=DMARC1; mailto:a@b.com", "mailto:a@b.com"),
        ("v=DMARC1; p=x; rua=mailto:a@b.com", "p"),
        ("V=DMARC1; p=none", "v"),
    ],
)
def test_the_wrong_tag_is_named(text: str, tag: str) -> None:
    """A record that receivers do not take says which tag they stumble over."""
    parsed = dmarc.parse(text)
    assert isinstance(parsed, InvalidTag)
    assert parsed.tag == tag


def test_other_texts_are_no_records() -> None:
    """Only the exact version makes a record; the rest at the name is ignored."""
    assert dmarc.records_in(["v=DMARC1; p=none", "v=dmarc1", "google-site-verification=x"]) == VALID


def test_stricter_policies_count_for_more() -> None:
    """An invalid record counts least."""
    ranked = ["v=DMARC1; p=x", "v=DMARC1", "v=DMARC1; p=quarantine", "v=DMARC1; p=reject"]
    assert sorted(set(ranked), key=dmarc.strictness) == ranked


def test_the_walk_goes_up_to_the_organisational_domain() -> None:
    """The domain's own name comes first, and nothing above the organisation is asked."""
    assert dmarc.questions("a.b.example.com") == (OWN, MIDDLE, TOP)
    assert dmarc.questions("example.com") == (TOP,)


def test_a_walk_has_at_most_eight_queries() -> None:
    """From a long name the walk goes on at seven labels (RFC 9989, section 4.10)."""
    asked = [question.name for question in dmarc.questions(f"{'x.' * 20}example.com")]
    assert asked[:2] == [f"_dmarc.{'x.' * 20}example.com", f"_dmarc.{'x.' * 5}example.com"]
    assert asked[-1] == "_dmarc.example.com"
    assert len(asked) == 7
    assert [question.name for question in dmarc.questions_above(f"{'x.' * 20}example.com")] == ["_dmarc.com"]


def test_the_rest_of_the_walk_goes_up_to_the_top() -> None:
    """As far as suffixes that may have a policy for those below them."""
    assert dmarc.questions_above("mail.example.co.uk") == (
        Question("_dmarc.co.uk", RecordType.TXT),
        Question("_dmarc.uk", RecordType.TXT),
    )


def discovered(zone: zones.Zone) -> list[Question]:
    """Return the questions whose answers decided, in a zone."""
    told = zones.answers((OWN, MIDDLE, TOP, *(ABOVE if ABOVE[0] in zone else ())), zone)
    return [each.question for each in dmarc.discover("a.b.example.com", told)]


def test_the_domains_own_record_applies_first() -> None:
    """Nothing else is needed to know it."""
    assert discovered({OWN: VALID, TOP: VALID}) == [OWN]


def test_else_the_record_with_the_fewest_labels_applies() -> None:
    """The organisational domain comes before what lies between."""
    assert discovered({MIDDLE: VALID, TOP: VALID}) == [OWN, TOP]
    assert discovered({MIDDLE: VALID}) == [OWN, MIDDLE]


def test_a_domain_may_declare_itself_the_organisation() -> None:
    """Its record applies then, whatever there is above it."""
    assert discovered({MIDDLE: ("v=DMARC1; psd=n",), TOP: VALID}) == [OWN, MIDDLE]


def test_below_a_suffix_is_the_organisation() -> None:
    """Its record applies, or where it has none that of the suffix."""
    assert discovered({MIDDLE: VALID, TOP: SUFFIX}) == [OWN, MIDDLE]
    assert discovered({TOP: SUFFIX}) == [OWN, TOP]
    assert discovered({MIDDLE: SUFFIX, TOP: VALID}) == [OWN, MIDDLE]


def test_only_right_below_a_suffix_is_the_organisation() -> None:
    """What is published further down applies to nobody but its own domain."""
    asked = dmarc.questions("a.b.c.example.com")
    own, below, _, suffix = asked
    told = zones.answers(asked, {below: VALID, suffix: SUFFIX})
    decided = dmarc.discover("a.b.c.example.com", told)
    assert [each.question for each in decided] == [own, suffix]


def test_above_the_organisation_only_what_is_valid_applies() -> None:
    """And only where nothing does below."""
    assert discovered({ABOVE[0]: SUFFIX}) == [OWN, MIDDLE, TOP, *ABOVE]
    assert discovered({ABOVE[0]: VALID}) == [OWN, MIDDLE, TOP, *ABOVE]
    assert discovered({TOP: VALID, ABOVE[0]: SUFFIX}) == [OWN, TOP]
    assert discovered({TOP: ("v=DMARC1; p=x",), ABOVE[0]: SUFFIX}) == [OWN, TOP]
    assert discovered({ABOVE[0]: ("v=DMARC1; p=x",)})[-1] == TOP
    assert discovered({ABOVE[0]: VALID * 2})[-1] == TOP


def test_several_records_at_a_name_are_all_discarded() -> None:
    """The next name counts, as if the first had none."""
    assert discovered({OWN: ("v=DMARC1; p=none", "v=DMARC1; p=reject"), TOP: VALID}) == [OWN, TOP]


def test_an_invalid_record_applies_and_ends_the_search() -> None:
    """Receivers would not look further either."""
    assert discovered({OWN: ("v=DMARC1; p=x",), TOP: VALID}) == [OWN]


def test_where_nothing_applies_the_failed_attempt_decides() -> None:
    """Its owner is to be told of it; without one the organisational domain is looked at."""
    assert discovered({}) == [OWN, MIDDLE, TOP]
    assert discovered({MIDDLE: ("v=DMARC1", "v=DMARC1; p=none")})[-1] == MIDDLE
    assert discovered({OWN: ("v=dmarc1; p=none",)})[-1] == OWN


def test_a_name_that_nobody_could_tell_about_may_have_the_record() -> None:
    """The domain's own comes first; of the others, what is known applies."""
    told = dict(zones.answers((OWN, MIDDLE, TOP), {TOP: VALID}))
    told[OWN] = Answers(OWN, (zones.failure(OWN, Outcome.TIMEOUT),))
    assert [each.question for each in dmarc.discover("a.b.example.com", told)] == [OWN]
    told = {**zones.answers((OWN, TOP), {TOP: VALID}), MIDDLE: Answers(MIDDLE, ())}
    assert [each.question for each in dmarc.discover("a.b.example.com", told)] == [OWN, TOP]
    told |= zones.answers([TOP], {})
    assert [each.question for each in dmarc.discover("a.b.example.com", told)] == [OWN, TOP, MIDDLE]


@given(st.text() | st.text("vDMARC1=; pnoe\t").map("v=DMARC1;".__add__))
def test_any_text_can_be_parsed(text: str) -> None:
    """A text is a policy or has a tag that is wrong; it is never an error."""
    parsed = dmarc.parse(text)
    assert isinstance(parsed, Policy | InvalidTag)
    assert dmarc.is_record(text) or parsed == dmarc.parse("")
