"""DMARC policy records: their syntax, and which one applies (RFC 9989)."""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.core import names
from service.core.answers import Answer, Answers, Question, RecordType
from service.core.records import DmarcPolicy

_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)")
_RESEMBLING = re.compile(r"\W*v\W*dmarc", re.IGNORECASE)
_TAG_NAME = re.compile(r"[a-z]+")
_POLICIES = {policy.lower(): policy for policy in DmarcPolicy}
_POLICY_TAGS = ("p", "sp", "np")
_WALK_LABELS = 7  # RFC 9989, section 4.10: so that a walk has at most eight queries


@dataclass(frozen=True, slots=True)
class Policy:
    """What a valid record asks for."""

    policy: DmarcPolicy
    reports_to: str = ""
    """The tag `rua` as published. Empty where no reports are asked for."""


@dataclass(frozen=True, slots=True)
class InvalidTag:
    """Why a record is not valid."""

    tag: str
    """The tag at fault as published, its name alone where its value is at fault."""
    problem: str
    """What is wrong with it, to be read after it."""


def parse(text: str) -> Policy | InvalidTag:
    """Return what a record asks for, or the first tag that is wrong.

    Unknown tags are ignored, a missing `p` means none. The value of a known tag
    that is no policy falls back to its default and is not looked at.
    """
    if not is_record(text):
        return InvalidTag("v", "must stand first and be exactly v=DMARC1")
    tags: dict[str, str] = {}
    for part in filter(None, (part.strip(" \t") for part in text.split(";"))):
        name, equals, value = (piece.strip(" \t") for piece in part.partition("="))
        tag = name.lower()
        if not (equals and _TAG_NAME.fullmatch(tag)):
            return InvalidTag(part, "is not of the form tag=value")
        if tag in tags:
            return InvalidTag(tag, "stands in it more than once")
        tags[tag] = value
    for tag in _POLICY_TAGS:
        if tag in tags and tags[tag].lower() not in _POLICIES:
            return InvalidTag(tag, "must be none, quarantine or reject")
    policy = _POLICIES[tags.get("p", "none").lower()]
    return Policy(policy, tags.get("rua", ""))


def is_record(text: str) -> bool:
    """Whether a TXT value is a DMARC record at all: all others are ignored.

    The version comes first and is compared with case (section 4.7).
    """
    return _VERSION.match(text) is not None


def resembles(text: str) -> bool:
    """Whether a TXT value was meant to be a DMARC record."""
    return _RESEMBLING.match(text) is not None


def strictness(text: str) -> int:
    """Return how much a record asks for: more for a stricter policy, least where invalid."""
    match parse(text):
        case Policy(policy):
            return list(DmarcPolicy).index(policy)
        case InvalidTag():
            return -1


def records_in(values: Iterable[str]) -> tuple[str, ...]:
    """Return the DMARC records among TXT values."""
    return tuple(filter(is_record, values))


# Every check asks for them, of domains that are the same from check to check.
@functools.lru_cache(maxsize=4096)
def questions(name: str) -> tuple[Question, ...]:
    """Return what to ask for a canonical name: its own record, then upwards.

    The tree walk of section 4.10 ends here at the organisational domain.
    """
    labels = name.split(".")
    top = names.organisational(name).count(".") + 1
    longest = min(len(labels) - 1, _WALK_LABELS)
    above = [".".join(labels[-count:]) for count in range(longest, top - 1, -1)]
    return tuple(Question(f"_dmarc.{asked}", RecordType.TXT) for asked in (name, *above))


def discover(name: str, answers: Mapping[Question, Answers]) -> tuple[Answers, ...]:
    """Return the answers that decide which record applies; the last has it.

    A domain's own record comes first, then the one with the fewest labels.
    Several records at one name are all discarded, so that the next name
    counts. A name that nobody could tell about ends the search: what lies
    beyond it may not apply. Where nothing applies, last is an answer with
    discarded or misspelt records, or else that of the organisational domain.
    """
    own, *above = (answers[question] for question in questions(name))
    order = (own, *reversed(above))
    for count, answer in enumerate(order, start=1):
        definite = [each for each in answer.by_server if each.outcome.is_definite]
        if not definite or any(len(records_in(each.values)) == 1 for each in definite):
            return order[:count]
    organisation = order[1] if above else own
    last = next((answer for answer in order if any(map(_has_attempts, answer.by_server))), organisation)
    return (*(answer for answer in order if answer is not last), last)


def _has_attempts(answer: Answer) -> bool:
    return any(map(resembles, answer.values))
