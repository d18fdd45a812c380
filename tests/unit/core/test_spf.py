"""SPF records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import spf


def test_only_version_one_is_a_record() -> None:
    """The version is a word of its own, in any case."""
    assert spf.records_in(["v=spf1 -all", "V=SPF1", "v=spf10 -all", "spf1", "x v=spf1"]) == (
        "v=spf1 -all",
        "V=SPF1",
    )


@pytest.mark.parametrize(
    ("text", "is_meant"),
    [
        ("v=spf1include:amazonses.com ~all", True),
        ("V=SPF1~all", True),
        ("v=spf1\tmx", True),
        ("v=spf1,include:amazonses.com", True),
        ("v=spf1 mx", False),
        ("v=spf1", False),
        ("v=spf10 mx", False),
        ("v=spf1.1 mx", False),
        ("spf1include:amazonses.com", False),
    ],
)
def test_a_version_that_runs_on_is_meant_for_a_record(text: str, *, is_meant: bool) -> None:
    """Where the space behind the version is missing no receiver sees a record; another version is none."""
    assert spf.resembles(text) is is_meant


@pytest.mark.parametrize(
    "text",
    [
        "v=spf1",
        "v=spf1 include:amazonses.com ~all",
        "v=spf1  a mx:mail.example.com a/24 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?ptr -ALL",
        "v=spf1 exists:%{i}.example.com redirect=_spf.example.com x-new=1 x-new=2",
    ],
)
def test_a_valid_record_has_no_invalid_term(text: str) -> None:
    """Every mechanism of RFC 7208 is known, and any modifier may come."""
    assert spf.invalid_term(text) is None


@pytest.mark.parametrize(
    "term",
    [
        "include",
        "include:",
        "all:x",
        "ip4:2001:db8::1",
        "ip6:192.0.2.1",
        "ip4:300.1.1.1",
        "ip4",
        "includes:a.com",
        "~~all",
        "\u0430ll",
        "mx:",
    ],
)
def test_the_invalid_term_is_named(term: str) -> None:
    """The first term that a receiver cannot read is returned as it stands."""
    assert spf.invalid_term(f"v=spf1 a {term} -all") == term


def test_a_redirect_comes_once() -> None:
    """A repeated redirect or exp is an error (section 6)."""
    assert spf.invalid_term("v=spf1 redirect=a.com redirect=b.com") == "redirect=b.com"


def test_what_follows_all_is_not_included() -> None:
    """Evaluation ends at `all`; case, a plus and a trailing dot make no difference."""
    assert spf.included("v=spf1 +Include:A.com. -include:b.com ~all include:c.com") == {"a.com"}


@pytest.mark.parametrize("qualifier", "?~-")
def test_the_first_match_decides_what_is_included(qualifier: str) -> None:
    """A term that lets nothing pass stands before all later ones, and after no earlier one (4.6.2)."""
    weak = f"{qualifier}include:A.com."
    assert spf.included(f"v=spf1 {weak} include:a.com ~all") == frozenset()
    assert spf.not_passing(f"v=spf1 {weak} include:a.com ~all") == {"a.com": weak}
    assert spf.included(f"v=spf1 +include:a.com {weak} ~all") == {"a.com"}
    assert spf.not_passing(f"v=spf1 +include:a.com {weak} ~all {qualifier}include:b.com") == {}


def test_merging_lets_pass_what_any_record_lets_pass() -> None:
    """A term with another qualifier gives way, at its place; one that all records have stays."""
    assert spf.merged(["v=spf1 ?include:a.com -mx a -all", "v=spf1 +A include:A.com ~mx ~all"]) == (
        "v=spf1 include:A.com -mx a -all"
    )
    assert spf.merged(["v=spf1 -a a ~all"]) == "v=spf1 -a ~all"
    assert spf.merged(["v=spf1 mx -all", "v=spf1 +all"]) == "v=spf1 mx -all"


def test_merging_keeps_every_mechanism_once_before_the_end() -> None:
    """The first record's last term stays last."""
    assert spf.merged(["v=spf1 include:a.com -all", "v=spf1 mx include:a.com ~all"]) == (
        "v=spf1 include:a.com mx -all"
    )
    assert spf.merged(["v=spf1 redirect=a.com", "v=spf1 mx ~all"]) == "v=spf1 mx redirect=a.com"


def test_merging_drops_a_redirect_that_has_no_effect() -> None:
    """One beside an `all` is ignored (section 6.1)."""
    assert spf.merged(["v=spf1 redirect=a.com mx -all"]) == "v=spf1 mx -all"


@pytest.mark.parametrize(
    ("text", "lookups"),
    [
        ("v=spf1 +all", 0),
        ("v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 exp=x.example.com x-a=b -all", 0),
        ("v=spf1 a -mx ~ptr ?exists:%{i}._spf.%{d2} include:%{d}.a.com a:b.com/24//64 -all", 6),
        ("v=spf1 A MX:a.com redirect=_spf.example.com", 3),
        ("v=spf1 mx redirect=a.com ~all include:b.com", 1),
    ],
)
def test_the_terms_that_are_looked_up_are_counted(text: str, lookups: int) -> None:
    """Those of the record itself that have an effect (sections 4.6.4, 5.1, 6.1)."""
    assert spf.lookups(text) == lookups


@given(st.text() | st.text("ialncude4p6:/.+-~?=1 v\t").map("v=spf1 ".__add__))
def test_any_text_can_be_read(text: str) -> None:
    """No text, however broken, is an error; what is merged is a record."""
    spf.invalid_term(text)
    assert not spf.included(text) & spf.not_passing(text).keys()
    spf.resembles(text)
    spf.lookups(text)
    assert spf.is_record(spf.merged([text]))
