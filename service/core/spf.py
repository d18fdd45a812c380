"""SPF records: their terms, as far as the owner's mistakes need it (RFC 7208)."""

import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

_VERSION = "v=spf1"
_MECHANISM = re.compile(r"[+?~-]?([a-z0-9]+)(?:([:/])(.*))?", re.IGNORECASE | re.DOTALL)
_QUALIFIERS = "+-~?"
_RESEMBLING = re.compile(r"v=spf1[^0-9.]", re.IGNORECASE)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=.*", re.IGNORECASE | re.DOTALL)
_ONCE = {"redirect", "exp"}
_LOOKING_UP = {"include", "a", "mx", "ptr", "exists"}
MOST_LOOKUPS = 10
"""Terms of a record, and of those it includes, that may need DNS (section 4.6.4)."""


def is_record(text: str) -> bool:
    """Whether a TXT value is an SPF record at all (section 4.5)."""
    version, _, _ = text.partition(" ")
    return version.lower() == _VERSION


def records_in(values: Iterable[str]) -> tuple[str, ...]:
    """Return the SPF records among TXT values."""
    return tuple(filter(is_record, values))


def resembles(text: str) -> bool:
    """Whether a TXT value was meant to be an SPF record: one whose version runs into what follows."""
    return _RESEMBLING.match(text) is not None and not is_record(text)


def invalid_term(text: str) -> str | None:
    """Return the first term of a record that does not parse, or None."""
    once: set[str] = set()
    for term in _terms(text):
        if modifier := _MODIFIER.fullmatch(term):
            name = modifier[1].lower()
            if name in once:
                return term
            once |= {name} & _ONCE
        elif not _is_mechanism(term):
            return term
    return None


def included(text: str) -> frozenset[str]:
    """Return the domains that a record includes with effect: before its `all`, and to pass."""
    return frozenset(domain for domain, term in _including(text).items() if _passes(term))


def not_passing(text: str) -> Mapping[str, str]:
    """Return the domains that a record includes, but not to pass, each with the term that says so."""
    return {domain: term for domain, term in _including(text).items() if not _passes(term)}


# Asked in every check, of a record that is the same from check to check.
@functools.lru_cache(4096)
def lookups(text: str) -> int:
    """Return how many of a record's own terms make a receiver look something up (section 4.6.4)."""
    return sum(_mechanism_of(term) in _LOOKING_UP or _is_redirect(term) for term in _effective(text))


def merged(records: Iterable[str]) -> str:
    """Return one record that allows what each of `records` does.

    It ends as the first record with an `all`, or a redirect, ends.
    """
    each_terms = list(map(_terms, records))
    merged: dict[str, str] = {}
    for terms in each_terms:
        for mechanism, term in _deciding(term for term in terms if not _is_last(term)).items():
            if mechanism not in merged or (_passes(term) and not _passes(merged[mechanism])):
                merged[mechanism] = term
    last = next(filter(None, map(_end, each_terms)), "~all")
    return " ".join((_VERSION, *merged.values(), last))


def _terms(record: str) -> list[str]:
    return list(filter(None, record.split(" ")))[1:]


def _effective(record: str) -> list[str]:
    """Return the terms that can decide: none behind `all`, and no redirect with it (sections 5.1, 6.1)."""
    terms = _terms(record)
    end = next((place for place, term in enumerate(terms) if _is_all(term)), None)
    return terms if end is None else [term for term in terms[:end] if not _is_redirect(term)]


def _including(text: str) -> dict[str, str]:
    """Return the domains that a record includes, each with the term that decides about it."""
    deciding = _deciding(_effective(text)).items()
    found = ((mechanism.partition(":"), term) for mechanism, term in deciding)
    return {domain: term for (name, _, domain), term in found if name == "include"}


def _deciding(terms: Iterable[str]) -> dict[str, str]:
    """Return terms by what they match: of several alike the first, since it decides (section 4.6.2)."""
    deciding: dict[str, str] = {}
    for term in terms:
        deciding.setdefault(term.lower().lstrip(_QUALIFIERS).removesuffix("."), term)
    return deciding


def _passes(term: str) -> bool:
    """Whether what a term matches passes: with a plus, or without a qualifier (section 4.6.2)."""
    return not term.startswith(("-", "~", "?"))


def _end(terms: Sequence[str]) -> str:
    """Return what ends a record: its `all`, without which a redirect (section 6.1), or nothing."""
    return next(filter(_is_all, terms), next(filter(_is_redirect, terms), ""))


def _mechanism_of(term: str) -> str:
    match = _MECHANISM.fullmatch(term)
    return match[1].lower() if match else ""


def _is_all(term: str) -> bool:
    return term.lower().lstrip(_QUALIFIERS) == "all"


def _is_redirect(term: str) -> bool:
    return term.lower().startswith("redirect=")


def _is_last(term: str) -> bool:
    return _is_all(term) or _is_redirect(term)


def _is_mechanism(term: str) -> bool:
    match = _MECHANISM.fullmatch(term)
    if match is None:
        return False
    name, separator, value = match.groups(default="")
    match name.lower():
        case "all":
            valid = not separator
        case "include" | "exists":
            valid = separator == ":" and bool(value)
        case "ip4" | "ip6":
            valid = separator == ":" and _is_network(value, version=int(name[-1]))
        case "a" | "mx" | "ptr":
            valid = not separator or bool(value)
        case _:
            valid = False
    return valid


def _is_network(text: str, *, version: int) -> bool:
    try:
        return ipaddress.ip_network(text, strict=False).version == version
    except ValueError:
        return False
