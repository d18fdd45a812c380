"""Canonical names of sending domains."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core import names
from service.core.errors import Reason, ServiceError

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
SPELLINGS = st.text(
    st.sampled_from("aZ1-._*@:/ \u3002\uff0e\uff21\u00fc\u00dfu\u0308\u200d\u05d0\u0661x\u00adn")
)


def refusal(text: str) -> str:
    """Return what is said of a text that is no name."""
    with pytest.raises(ServiceError) as caught:
        names.parse(text)
    assert caught.value.reason is Reason.INVALID_DOMAIN
    (violation,) = caught.value.violations
    assert violation.field == "domain"
    return violation.description


@pytest.mark.parametrize(
    "spelling",
    [
        "xn--mnchen-3ya.de",
        "XN--MNCHEN-3YA.DE.",
        "M\u00dcNCHEN.de",
        "mu\u0308nchen.de",
        "m\u00fcnchen\u3002de",
        "\uff4d\u00fc\uff4e\uff43\uff48\uff45\uff4e\uff0e\uff44\uff45",
    ],
)
def test_every_spelling_of_a_name_is_one_name(spelling: str) -> None:
    """Case, trailing dot, normalisation, width and the form of the dot make no difference."""
    assert names.parse(spelling) == "xn--mnchen-3ya.de"


def test_a_sharp_s_is_kept_apart_from_two() -> None:
    """IDNA 2008 gives the deviation characters names of their own."""
    assert names.parse("stra\u00dfe.de") == "xn--strae-oqa.de"
    assert names.parse("strasse.de") == "strasse.de"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must not be empty"),
        (" \t", "must not be empty"),
        ("localhost", "single label"),
        ("com.", "single label"),
        ("192.0.2.1", "IP address"),
        ("\uff11.2.3.4", "IP address"),
        ("2001:db8::1", "IP address"),
        ("[192.0.2.1]", "IP address"),
        ("[2001:db8::1]", "IP address"),
        ("example.123", "ends in a number"),
        ("*.example.com", "wildcard"),
        ("https://example.com", "URL"),
        ("example.com/path", "URL"),
        ("example.com:587", "port"),
        ("someone@example.com", "only what follows the @"),
        ("someone\uff20example.com", "only what follows the @"),
        ("exam ple.com", "space"),
        ("example.com\n", "control character"),
        ("exam\x00ple.com", "control character"),
        (f"{'a' * 64}.com", "longer than 63"),
        ("\u00fc" * 60 + ".com", "longer than 63"),
        ("example..com", "empty label"),
        (".example.com", "empty label"),
        ("-example.com", "hyphen"),
        ("example-.com", "hyphen"),
        ("_dmarc.example.com", "underscore"),
        ("\u2603.com", "not valid in a domain name"),
        ("xn--a.com", "not valid in a domain name"),
        ("\u202eexample.com", "no domain name may have"),
        ("co.uk", "public suffix"),
        ("github.io", "public suffix"),
        ("\u516c\u53f8.cn", "public suffix"),
    ],
)
def test_a_mistake_is_named(text: str, said: str) -> None:
    """Each kind of wrong name is refused with a sentence that says what is wrong."""
    assert said in refusal(text)


def test_the_field_at_fault_is_named() -> None:
    """A name among several of a request is refused by its place."""
    with pytest.raises(ServiceError) as caught:
        names.parse("", "domains[3]")
    assert caught.value.violations[0].field == "domains[3]"


def test_a_name_leaves_room_for_its_dkim_records() -> None:
    """At most 209 characters, so that a token of 32 fits before the name."""
    longest = ".".join(["a" * 49] * 4 + ["b" * 5, "com"])
    assert len(longest) == 209
    assert names.parse(longest) == longest
    assert len(f"{'t' * 32}._domainkey.{longest}") == 253
    assert "at most 209" in refusal(f"c{longest}")


@pytest.mark.parametrize("text", ["a" * 1_000_000, "\u202e" * 900, "\u00fc" * 1000, "x_" * 450])
def test_a_refusal_quotes_little(text: str) -> None:
    """However long and strange a text is, the sentence about it stays short and printable."""
    said = refusal(text)
    assert len(said) < 250
    assert said.isprintable()


def test_the_registered_domain_is_below_a_registry() -> None:
    """Whatever suffixes the owner of that domain has made."""
    assert names.registered("a.b.example.co.uk") == "example.co.uk"
    assert names.registered("a.foo.github.io") == "github.io"
    assert names.registered("mail.gone.example") == "gone.example"
    assert names.registered("co.uk") == "co.uk"


def test_the_organisation_is_below_the_public_suffix() -> None:
    """Private suffixes count: their customers are organisations of their own."""
    assert names.organisational("a.b.example.co.uk") == "example.co.uk"
    assert names.organisational("a.foo.github.io") == "foo.github.io"
    assert names.organisational("co.uk") == "co.uk"
    assert names.is_organisational("example.com")
    assert not names.is_organisational("mail.example.com")


def test_people_see_unicode() -> None:
    """A label that does not decode is shown as it is."""
    assert names.display("mail.xn--mnchen-3ya.de") == "mail.m\u00fcnchen.de"
    assert names.display("xn--a.de") == "xn--a.de"


@given(st.text() | SPELLINGS)
@example("\ud800.com")
@example("a\u200c\U000e0001.com")
def test_parsing_is_total_and_idempotent(text: str) -> None:
    """Any text is a name or refused; a name parses to itself, as it stands and as displayed."""
    try:
        name = names.parse(text)
    except ServiceError:
        assert refusal(text)
        return
    assert names.parse(name) == name
    assert names.parse(names.display(name)) == name
    assert name.isascii()


@given(st.lists(LABELS, min_size=1, max_size=4), st.data())
def test_case_and_trailing_dot_never_matter(labels: list[str], data: st.DataObject) -> None:
    """Two spellings of one name are one domain."""
    name = ".".join([*labels, "example", "org"])
    spelt = "".join(data.draw(st.sampled_from([c, c.upper()])) for c in name) + data.draw(
        st.sampled_from(["", "."])
    )
    assert names.parse(spelt) == name


@pytest.mark.parametrize("text", ["bounce", "a.b-c", "X1", "a" * 63])
def test_a_host_below_a_name_is_one_or_more_labels(text: str) -> None:
    """Letters, digits and inner hyphens make a label."""
    assert names.label_path_problem(text, below="example.com") is None


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", "-a", "a_b", "a b", "\u00fc", "a\n", "a" * 64])
def test_anything_else_is_no_host(text: str) -> None:
    """What could not be published is refused, with an example of what can."""
    assert "such as bounce" in (names.label_path_problem(text, below="example.com") or "")


def test_a_host_leaves_room_for_the_name() -> None:
    """Labels and name together stay within 253 characters."""
    below = f"{'b' * 49}.{'b' * 49}.{'b' * 49}.com"
    room = 253 - len(below) - 1
    fitting = ".".join(["a" * 49] * 2)[:room]
    assert names.label_path_problem(fitting, below=below) is None
    assert "253" in (names.label_path_problem(f"{fitting}.aa", below=below) or "")


@pytest.mark.parametrize("text", ["dmarc@example.com", "a.b+c-d_e@mail.example.co.uk", "x@xn--mnchen-3ya.de"])
def test_a_plain_address_takes_reports(text: str) -> None:
    """A dot-atom at a domain name can stand in a DMARC record as it is."""
    assert names.email_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dmarc",
        "@example.com",
        "a@b@example.com",
        "a@localhost",
        "a@192.0.2.1",
        "a@-example.com",
        ".a@example.com",
        "a..b@example.com",
        "a b@example.com",
        "a\n@example.com",
        "a@example.com\n",
        "a;p=none@example.com",
        "a@example.com;p=none",
        "a,mailto:b@example.com",
        "a!10m@example.com",
        "a%3B@example.com",
        "a?cc=b@example.com",
        "a@m\u00fcnchen.de",
        f"{'a' * 65}@example.com",
    ],
)
def test_an_address_cannot_break_out_of_its_tag(text: str) -> None:
    """What a DMARC record or a mailto URI would read otherwise is refused."""
    assert "must be an email address" in (names.email_problem(text) or "")


def test_an_address_has_at_most_254_characters() -> None:
    """RFC 5321 leaves a path no more."""
    domain = ".".join(["b" * 60] * 3 + ["c" * 6])
    assert len(f"{'a' * 64}@{domain}") == 254
    assert names.email_problem(f"{'a' * 64}@{domain}") is None
    assert "at most 254" in (names.email_problem(f"{'a' * 64}@b{domain}") or "")
