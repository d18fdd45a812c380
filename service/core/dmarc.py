"""DMARC policy records: their syntax, and which one applies (RFC 9989).

What `sp`, `np` and `t` ask for is the receivers' business: any policy will do
here, so that these tags only have to be valid.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.core import names
from service.core.answers import Answer, Answers, Question, RecordType
from service.core.records import DmarcPolicy

_MOST_REMEMBERED = 4096
# With a small v: section 4.8 would take a capital one, but the tag lists of DKIM
# that it builds on do not (RFC 6376, section 3.2), and neither do all receivers.
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)")
_RESEMBLING = re.compile(r"(?:\W*|.*;\s*)v\W*dmarc", re.IGNORECASE | re.DOTALL)
_TAG_NAME = re.compile(r"[a-z]+")
_POLICIES = {policy.lower(): policy for policy in DmarcPolicy}
_POLICY_TAGS = ("p", "sp", "np")
_WALK_LABELS = 7  # RFC 9989, section 4.10, step 4: so that a walk has at most eight queries


@dataclass(frozen=True, slots=True)
class Policy:
    """What a valid record asks for."""

    policy: DmarcPolicy
    reports_to: str = ""
    """The tag `rua` as published. Empty where no reports are asked for."""
    is_suffix: bool | None = None
    """What `psd` says: whether the domain is a public suffix. None where that is left open."""


@dataclass(frozen=True, slots=True)
class InvalidTag:
    """Why a record is not valid."""

    tag: str
    """The tag at fault as published, its name alone where its value is at fault."""
    problem: str
    """What is wrong with it, to be read after it."""


# A record is the same from check to check, and several rules look at it in one.
@functools.lru_cache(_MOST_REMEMBERED)
def parse(text: str) -> Policy | InvalidTag:
    """Return what a record asks for, or the first tag that is wrong.

    Unknown tags are ignored, and so is what is no tag at all where the policy
    is clear without it; a missing `p` means none (section 4.7). The value of a
    known tag that is no policy falls back to its default. A tag that stands
    there twice makes the whole list invalid (RFC 6376, section 3.2).

    An invalid policy is wrong even where receivers read it as none, since
    there is a `rua` (section 4.10.1): it is not what its owner means.
    """
    if not is_record(text):
        return InvalidTag("v", "must stand first and be exactly v=DMARC1")
    tags: dict[str, str] = {}
    malformed = ""
    for part in filter(None, (part.strip(" \t") for part in text.split(";"))):
        name, equals, value = (piece.strip(" \t") for piece in part.partition("="))
        tag = name.lower()
        if not (equals and _TAG_NAME.fullmatch(tag)):
            malformed = malformed or part
        elif tag in tags:
            return InvalidTag(tag, "stands in it more than once")
        else:
            tags[tag] = value
    if malformed and "p" not in tags:
        return InvalidTag(malformed, "is not of the form tag=value")
    for tag in _POLICY_TAGS:
        if tag in tags and tags[tag].lower() not in _POLICIES:
            return InvalidTag(tag, "must be none, quarantine or reject")
    policy = _POLICIES[tags.get("p", "none").lower()]
    return Policy(policy, tags.get("rua", ""), {"y": True, "n": False}.get(tags.get("psd", "u").lower()))


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
@functools.lru_cache(_MOST_REMEMBERED)
def questions(name: str) -> tuple[Question, ...]:
    """Return what to ask for a canonical name: its own record, then upwards.

    The tree walk of section 4.10 as far as the organisational domain by the
    public suffix list, where owners publish.
    """
    labels = name.split(".")
    top = names.organisational(name).count(".") + 1
    longest = min(len(labels) - 1, _WALK_LABELS)
    return tuple(map(_question, (name, *_suffixes(labels, longest, top))))


@functools.lru_cache(_MOST_REMEMBERED)
def questions_above(name: str) -> tuple[Question, ...]:
    """Return the rest of the walk, up to the top-level domain.

    Its records matter only where there is none further down: a public suffix
    may have a policy for those below it (section 4.10.1).
    """
    suffix = names.organisational(name).split(".")[1:]
    return tuple(map(_question, _suffixes(suffix, min(len(suffix), _WALK_LABELS), 1)))


def discover(name: str, answers: Mapping[Question, Answers]) -> tuple[Answers, ...]:
    """Return the answers that decide which record applies; the last has it.

    Those to `questions` must all be there, those to `questions_above` may be.
    A domain's own record comes first (section 4.10.1), then what the walk finds
    (section 4.10.2). Several records at one name are all discarded, so that the
    next name counts; of names above the organisational domain only a valid
    record does, for its owner can mend no other. A name that nobody could tell
    about decides where no record is known. Where none applies, last is an
    answer with discarded or misspelt records, or else that of the
    organisational domain.
    """
    own, *below = (answers[question] for question in questions(name))
    if _holds(own) or not _is_told(own):
        return (own,)
    if applying := _applying(below, _holds):
        return (own, applying)
    above = [answers[question] for question in questions_above(name) if question in answers]
    if applying := _applying(above, _is_valid):
        return (own, *below, applying)
    asked = (own, *below, *above)
    last = next((each for each in asked if not _is_told(each)), None)
    if last is None:
        attempts = (each for each in (own, *reversed(below)) if any(map(_has_attempts, each.by_server)))
        last = next(attempts, below[-1] if below else own)
    return (*(each for each in asked if each is not last), last)


def _question(name: str) -> Question:
    return Question(f"_dmarc.{name}", RecordType.TXT)


def _suffixes(labels: Sequence[str], longest: int, shortest: int) -> Iterator[str]:
    return (".".join(labels[-count:]) for count in range(longest, shortest - 1, -1))


def _applying(walk: Sequence[Answers], holds: Callable[[Answers], bool]) -> Answers | None:
    """Return the answer whose record applies, of names from the longest to the shortest.

    The domain that says `psd=n` is the organisational one, and so is that right
    below the first with `psd=y`, whose own record applies where that one has
    none; else it is the one with the fewest labels (section 4.10.2).
    """
    applying = previous = None
    for answers in walk:
        if not holds(answers):
            previous = None
            continue
        is_suffix = _is_suffix(answers)
        if is_suffix is not None:
            return (previous or answers) if is_suffix else answers
        applying = previous = answers
    return applying


def _is_suffix(answers: Answers) -> bool | None:
    policies = (parse(record) for each in answers.by_server for record in records_in(each.values))
    return next((policy.is_suffix for policy in policies if isinstance(policy, Policy)), None)


def _is_told(answers: Answers) -> bool:
    return any(each.outcome.is_definite for each in answers.by_server)


def _holds(answers: Answers) -> bool:
    """Whether there is a record at the name, according to any server."""
    return any(len(records_in(each.values)) == 1 for each in answers.by_server)


def _is_valid(answers: Answers) -> bool:
    found = (records_in(each.values) for each in answers.by_server)
    return any(len(records) == 1 and isinstance(parse(records[0]), Policy) for records in found)


def _has_attempts(answer: Answer) -> bool:
    return any(map(resembles, answer.values))
