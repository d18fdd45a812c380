"""Questions to the DNS and what came back, in three kinds that are kept apart.

Found; definitely not there; unknown. An unknown answer never counts for or
against a domain.
"""

from enum import StrEnum
from typing import NamedTuple


class RecordType(StrEnum):
    """The DNS record types that the service asks for (RFC 1035, RFC 3596)."""

    A = "A"
    AAAA = "AAAA"
    CNAME = "CNAME"
    MX = "MX"
    TXT = "TXT"
    NS = "NS"

    # Of the text itself: an Enum's own is many times slower, and every question has one.
    __hash__ = str.__hash__


class Outcome(StrEnum):
    """What a name server's answer amounts to."""

    FOUND = "FOUND"
    """Records of the type asked for stand at the name."""
    NODATA = "NODATA"
    """The name exists, without records of the type asked for."""
    NXDOMAIN = "NXDOMAIN"
    """The name does not exist (RFC 8020)."""
    TIMEOUT = "TIMEOUT"
    """Unknown: no answer in time."""
    SERVER_FAILURE = "SERVER_FAILURE"
    """Unknown: SERVFAIL, or a message that does not parse."""
    REFUSED = "REFUSED"
    """Unknown: the server does not answer this question for us."""
    LAME_DELEGATION = "LAME_DELEGATION"
    """Unknown: the server is not authoritative for the zone delegated to it."""
    DNSSEC_BOGUS = "DNSSEC_BOGUS"
    """Unknown: a validating resolver rejects the zone's signatures (RFC 8914)."""

    # As that of a record type.
    __hash__ = str.__hash__

    @property
    def is_definite(self) -> bool:
        """Whether the outcome says something about the zone's content."""
        return self in _DEFINITE


_DEFINITE = frozenset({Outcome.FOUND, Outcome.NODATA, Outcome.NXDOMAIN})


class Question(NamedTuple):
    """One name and type to look up. `name` is canonical, without trailing dot."""

    name: str
    type: RecordType


class Answer(NamedTuple):
    """What one name server said to one question.

    `values` holds, where `outcome` is FOUND, one text for each record of the
    type asked for: CNAME and NS the target in lower case without trailing dot,
    MX `PREFERENCE EXCHANGER` in the same form, TXT the chunks joined without a
    space and decoded as UTF-8 with bad octets backslash-escaped, A and AAAA
    the address. A CNAME at the name of another type's question is followed by
    the resolver and not among the values.
    """

    question: Question
    outcome: Outcome
    values: tuple[str, ...] = ()
    server: str = ""
    """Who said so: `name (address)`, or an address. Empty where nobody did."""
    zone: str = ""
    """The zone that the name is in, from the zone cut. Empty where not known."""
    alias: str = ""
    """What the name is an alias of, where that is why nobody could tell: the aliases go round in
    a circle, or on for too long."""
    authoritative: bool = False
    """Whether it came from the zone's own name servers, not a recursive one."""


class Answers(NamedTuple):
    """Everything that was said to one question.

    `by_server` has at least one answer; in a sample exactly one. `servers` is
    the number of name servers in the set that was to be asked, so that a
    confirmation can require half of them to have answered: 0 where a recursive
    resolver is all that there is to ask.
    """

    question: Question
    by_server: tuple[Answer, ...]
    servers: int = 1

    @property
    def definite(self) -> tuple[Answer, ...]:
        """The answers that say something about the zone's content."""
        return tuple(answer for answer in self.by_server if answer.outcome.is_definite)

    @property
    def is_confirmed(self) -> bool:
        """Whether at least half of the name servers could tell.

        What a recursive resolver says in their place confirms nothing: it may
        be of the past, or of one server that runs ahead of the others.
        """
        told = 0
        for each in self.by_server:
            if each.authoritative and each.outcome.is_definite:
                told += 1
        return 2 * told >= self.servers
