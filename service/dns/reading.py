"""What a reply amounts to. Pure: no network, no clock."""

from dataclasses import dataclass
from typing import Final, NamedTuple, assert_never

from service.core.answers import Outcome, Question
from service.dns.message import Rcode, Record, Reply

MAX_HOPS: Final = 8
"""CNAMEs followed for one question."""

_MAX_VALUES: Final = 64
_MAX_CHARACTERS: Final = 32_768
_SAYS: Final = frozenset({int(Rcode.NOERROR), int(Rcode.NXDOMAIN)})
"""Of replies that say something about the name."""
_FOUND: Final = Outcome.FOUND
"""By this name, since nearly all that is asked for is: an Enum finds its members slowly."""
_DNSSEC_ERRORS: Final = frozenset(range(6, 13))
"""RFC 8914 sections 4.7 to 4.13, from DNSSEC Bogus to NSEC Missing."""


class Content(NamedTuple):
    """What the reply says about the question."""

    outcome: Outcome
    values: tuple[str, ...] = ()
    zone: str | None = None
    """As the SOA record of a negative answer tells; None without one."""
    alias: str = ""
    """As in `service.core.answers.Answer`."""


@dataclass(frozen=True, slots=True)
class Alias:
    """The name is an alias; what stands at its target has to be asked for."""

    target: str


@dataclass(frozen=True, slots=True)
class Referral:
    """The name lies in a zone further down, delegated to other servers."""

    zone: str
    nameservers: tuple[str, ...]
    glue: tuple[Record, ...]
    """Addresses of those of the name servers that the referring zone can speak for."""
    ttl: int


def read_authority(question: Question, reply: Reply, zone: str) -> Content | Alias | Referral:
    """Read the reply of a name server of `zone` to a query without recursion."""
    if failure := failure_of(reply):
        return Content(failure)
    if referral := _referral(question, reply, zone):
        return referral
    if not reply.authoritative:
        return Content(Outcome.LAME_DELEGATION)
    said = _follow(question, reply, zone)
    if isinstance(said, Content) and said.zone is not None and not is_within(said.zone, zone):
        # RFC 2308 section 5: a "no" from a zone above says nothing about this one.
        return Content(Outcome.LAME_DELEGATION)
    return said


def read_recursive(question: Question, reply: Reply) -> Content:
    """Read the reply of a recursive resolver, which has followed all aliases."""
    if failure := failure_of(reply):
        return Content(failure)
    match _follow(question, reply, ""):
        case Content() as content:
            return content
        case Alias(target):
            return _absent(target, reply)
        case other:
            assert_never(other)


def zone_of(name: str, reply: Reply) -> str | None:
    """Return the zone of a name by the SOA record in a reply; None without one."""
    for record in (*reply.answer, *reply.authority):
        if record.type == "SOA" and is_within(name, record.owner):
            return record.owner
    return None


def is_within(name: str, zone: str) -> bool:
    """Whether a name is a zone's apex or below it. The root zone is the empty text."""
    return not zone or name == zone or name.endswith("." + zone)


def end_of_chain(name: str, reply: Reply) -> str:
    """Return the name that the aliases in a reply lead to; at most MAX_HOPS of them."""
    aliases = {record.owner: record.value for record in reply.answer if record.type == "CNAME"}
    for _ in range(MAX_HOPS):
        if name not in aliases:
            break
        name = aliases[name]
    return name


def failure_of(reply: Reply) -> Outcome | None:
    """Return the unknown outcome that a reply stands for; None where it says something."""
    if reply.rcode in _SAYS:
        return None
    match reply.rcode:
        case Rcode.REFUSED:
            return Outcome.REFUSED
        case Rcode.NOTAUTH:
            return Outcome.LAME_DELEGATION
        case Rcode.SERVFAIL if reply.extended_errors & _DNSSEC_ERRORS:
            return Outcome.DNSSEC_BOGUS
        case _:
            return Outcome.SERVER_FAILURE


def _referral(question: Question, reply: Reply, zone: str) -> Referral | None:
    """Return the referral, if it leads down from `zone` towards the name (RFC 1034 section 4.3.2)."""
    if reply.answer or reply.rcode != Rcode.NOERROR or zone_of(question.name, reply) is not None:
        return None
    below = [
        record
        for record in reply.authority
        if record.type == "NS"
        and record.owner != zone
        and is_within(record.owner, zone)
        and is_within(question.name, record.owner)
    ]
    if not below:
        return None
    cut = below[0].owner
    nameservers = tuple(sorted({record.value for record in below if record.owner == cut}))
    glue = tuple(
        record
        for record in reply.additional
        if record.type in {"A", "AAAA"} and record.owner in nameservers and is_within(record.owner, zone)
    )
    return Referral(cut, nameservers, glue, min(record.ttl for record in below))


def _follow(question: Question, reply: Reply, zone: str) -> Content | Alias:
    name = question.name
    for _ in range(MAX_HOPS):
        if values := _values(name, question.type, reply):
            return Content(_FOUND, values)
        targets = _values(name, "CNAME", reply)
        if not targets:
            # A server need not finish the chain: what it leaves out is not absent.
            return _absent(name, reply) if name == question.name else Alias(name)
        name = targets[0]
        if not is_within(name, zone):
            return Alias(name)
    return Content(Outcome.SERVER_FAILURE, alias=_values(question.name, "CNAME", reply)[0])


def _absent(name: str, reply: Reply) -> Content:
    outcome = Outcome.NXDOMAIN if reply.rcode == Rcode.NXDOMAIN else Outcome.NODATA
    return Content(outcome, zone=zone_of(name, reply))


def _values(name: str, rdtype: str, reply: Reply) -> tuple[str, ...]:
    """Return the values in an order of their own, since servers rotate theirs."""
    found = [record.value for record in reply.answer if record.owner == name and record.type == rdtype]
    if len(found) <= 1:
        return tuple(found)
    kept: list[str] = []
    characters = 0
    for value in sorted(found)[:_MAX_VALUES]:
        characters += len(value)
        if characters > _MAX_CHARACTERS:
            break
        kept.append(value)
    return tuple(kept)
