"""Names of sending domains: one canonical form, its limits, its organisation.

Canonical are lower-case A-labels without a trailing dot, made by IDNA 2008
(RFC 5891) after the mapping of UTS 46. Two spellings of one name are one name.
"""

import functools
import ipaddress
import re

import idna
from publicsuffixlist import PublicSuffixList

from service.core import quoting
from service.core.errors import Reason, ServiceError, Violation, invalid_fields

LONGEST_HOST = 253
"""Characters of a domain name without its trailing dot (RFC 1035, section 2.3.4)."""
LONGEST = LONGEST_HOST - len("._domainkey.") - 32
"""Characters of a sending domain: its DKIM records have a token of 32 before it."""
LONGEST_EMAIL = 254
"""Characters of an email address (RFC 5321, section 4.5.3.1.3)."""

# The list inside the package. Read here, which takes some 30 ms: threads that
# met it unread at the same time would each read it.
_SUFFIXES = PublicSuffixList()
_MOST_REMEMBERED = 4096
_LONGEST_LABEL = 63
_LONGEST_TEXT = 1000  # what is longer is refused before anything is spent on it
_LONGEST_QUOTE = 80

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LABEL_PATH = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# No octet that a DMARC tag or a mailto URI would need encoded (RFC 6068, section 2).
_ATOM = r"[A-Za-z0-9_+~'*$-]+"
_EMAIL = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}")


class _Refused(Exception):  # noqa: N818 - not an error of ours: what is wrong with the text, in a sentence
    pass


def parse(text: str, field: str = "domain") -> str:
    """Return the canonical name of a sending domain, from any of its spellings.

    `parse(parse(x)) == parse(x)` and `parse(display(x)) == parse(x)`.

    Raises:
        ServiceError: INVALID_DOMAIN, with a violation of `field` that says
            what is wrong with the text.

    """
    try:
        return _canonical(text)
    except _Refused as refused:
        raise _invalid(field, str(refused)) from None


def display(name: str) -> str:
    """Return a name for people: with U-labels, and a label that does not decode as it is."""
    return ".".join(map(_displayed, name.split(".")))


@functools.lru_cache(_MOST_REMEMBERED)
def organisational(name: str) -> str:
    """Return the organisational domain of a canonical name.

    By the public suffix list with its private section, so that `foo.github.io`
    is an organisation of its own. A public suffix is its own organisation.
    """
    return _SUFFIXES.privatesuffix(name) or name


def registered(name: str) -> str:
    """Return the domain that was registered for a canonical name: registries alone count as suffixes."""
    return _registries().privatesuffix(name) or name


def is_organisational(name: str) -> bool:
    """Whether a canonical name is an organisational domain itself."""
    return organisational(name) == name


def label_path_problem(text: str, *, below: str) -> str | None:
    """Return what is wrong with the label, or labels, of a host below a name."""
    if not _LABEL_PATH.fullmatch(text):
        return (
            "must be one or more labels of letters, digits and inner hyphens, "
            f'such as bounce, and is "{_quoted(text)}"'
        )
    if len(text) + 1 + len(below) > LONGEST_HOST:
        return f"must leave room for .{below} within the {LONGEST_HOST} characters of a domain name"
    return None


def email_problem(text: str) -> str | None:
    """Return what is wrong with an email address for DMARC reports.

    Stricter than RFC 5321: only what can stand unencoded in a `rua` tag.
    """
    if len(text) > LONGEST_EMAIL:
        return f"must have at most {LONGEST_EMAIL} characters, and has {len(text)}"
    if not _EMAIL.fullmatch(text):
        return (
            "must be an email address such as dmarc@example.com, of ASCII letters, digits "
            f'and . _ + - before the @ and A-labels after it, and is "{_quoted(text)}"'
        )
    return None


# Read when first needed, which is for the few domains that do not exist.
@functools.cache
def _registries() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True)


# Nearly every call names a domain, mostly one of the busy ones; finding its
# canonical form takes as long as the answer to the call.
@functools.lru_cache(_MOST_REMEMBERED)
def _canonical(text: str) -> str:
    if not text.strip():
        raise _Refused("must not be empty: enter a name such as mail.example.com")
    if len(text) > _LONGEST_TEXT:
        raise _Refused(_too_long(text))
    _check_form(text)
    mapped = _mapped(text)
    # Once more: full-width forms of the characters that are refused map to them.
    _check_form(mapped)
    name = ".".join(_a_label(label, mapped) for label in mapped.removesuffix(".").split("."))
    _check_name(name)
    return name


def _check_form(text: str) -> None:
    quote = f'"{_quoted(text)}"'
    if any(character.isspace() or ord(character) < ord(" ") or character == "\x7f" for character in text):
        raise _Refused(f"{quote} contains a space or a control character: enter the name alone")
    if _is_address(text):
        raise _Refused(f"{quote} is an IP address: enter a domain name such as mail.example.com")
    for characters, mistake in _FOREIGN:
        if any(character in text for character in characters):
            raise _Refused(f"{quote} {mistake}")


_FOREIGN = (
    ("@", "looks like an email address: enter only what follows the @"),
    ("/\\?#", "looks like a URL: enter only the host name, without scheme and path"),
    ("*", "is a wildcard: enter each sending domain by its own name"),
    (":", "contains a port or a colon: enter only the host name"),
    ("_", "contains an underscore, which no sending domain may have"),
)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removesuffix(".").removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _mapped(text: str) -> str:
    try:
        return idna.uts46_remap(text, std3_rules=False)
    except idna.IDNAError:
        raise _Refused(
            f'"{_quoted(text)}" contains a character that no domain name may have (UTS 46)'
        ) from None


def _a_label(label: str, text: str) -> str:
    if not label:
        raise _Refused(f'"{_quoted(text)}" has an empty label: a dot too many')
    quote = f'the label "{_quoted(label)}"'
    if label.startswith("-") or label.endswith("-"):
        raise _Refused(f"{quote} begins or ends with a hyphen, which no label of a host name may")
    if len(label) > _LONGEST_LABEL:
        raise _Refused(_label_too_long(quote))
    try:
        return idna.alabel(label).decode("ascii")
    except idna.IDNAError as error:
        if error.code == "label_too_long":
            raise _Refused(_label_too_long(quote)) from None
        raise _Refused(f"{quote} is not valid in a domain name (IDNA 2008, RFC 5891)") from None


def _check_name(name: str) -> None:
    quote = f'"{_quoted(name)}"'
    *parents, last = name.split(".")
    if not parents:
        raise _Refused(f"{quote} is a single label: enter a full name such as mail.example.com")
    if last.isdigit():
        raise _Refused(f"{quote} ends in a number, as IP addresses do and domain names do not")
    if len(name) > LONGEST:
        raise _Refused(_too_long(name))
    if _SUFFIXES.is_public(name):
        raise _Refused(
            f"{quote} is a public suffix, below which others register names: enter your own name below it"
        )


def _too_long(text: str) -> str:
    return (
        f'"{_quoted(text)}" has {len(text)} characters, and a sending domain at most {LONGEST}, '
        f"so that the names of its DKIM records stay within {LONGEST_HOST}"
    )


def _label_too_long(quote: str) -> str:
    return f"{quote} is longer than {_LONGEST_LABEL} characters in its ASCII form"


def _displayed(label: str) -> str:
    try:
        return idna.ulabel(label)
    except idna.IDNAError:
        return label


def _quoted(text: str) -> str:
    return quoting.escaped(text, _LONGEST_QUOTE)


def _invalid(field: str, description: str) -> ServiceError:
    return invalid_fields([Violation(field, description)], Reason.INVALID_DOMAIN)
