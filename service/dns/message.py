"""DNS messages, as far as the service needs them: queries and replies (RFC 1035, section 4)."""

import secrets
from enum import IntEnum
from typing import Final, NamedTuple

UDP_PAYLOAD: Final = 1232
"""Octets that pass everywhere without fragments (DNS flag day 2020)."""
HEADER: Final = 12

_TRUNCATED: Final = 0x02
_RESPONSE: Final = 0x80
_RCODE: Final = 0x0F
_IDS_AT_ONCE: Final = 1024

_ids: list[bytes] = []
"""Random and unused."""


class Rcode(IntEnum):
    """The response codes that mean something to us (RFC 1035, RFC 6891)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    NOTAUTH = 9
    BADVERS = 16


class NameTooLongError(ValueError):
    """The name has more than 255 octets or a label of more than 63: it cannot exist."""


class MalformedReplyError(ValueError):
    """The message does not parse, or is larger than we care to read."""


class Record(NamedTuple):
    """One resource record; names are in lower case without trailing dot."""

    owner: str
    type: str
    ttl: int
    value: str
    """As in `service.core.answers.Answer`; for SOA empty."""


class Reply(NamedTuple):
    """What a name server said. Records of types that we never ask for are left out."""

    rcode: int
    authoritative: bool
    extended_errors: frozenset[int]
    """INFO-CODEs of RFC 8914."""
    answer: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]


class Query(NamedTuple):
    """A query as sent, and what its reply is recognised by."""

    wire: bytes
    question: bytes
    """In lower case."""
    name: str = ""
    """The one asked about, as a reply's reader writes it; empty where that is not known."""

    def renumbered(self) -> "Query":
        """Return the same query under another random id."""
        return Query(random_id() + self.wire[2:], self.question, self.name)

    def is_answered_by(self, reply: bytes) -> bool:
        """Whether a message answers this query: same id, same question.

        Servers may leave the question out of an error, or where they truncate.
        """
        if len(reply) < HEADER or reply[:2] != self.wire[:2] or not reply[2] & _RESPONSE:
            return False
        if reply[4:6] == b"\0\0":
            return is_truncated(reply) or reply[3] & _RCODE != Rcode.NOERROR
        return reply[HEADER : HEADER + len(self.question)].lower() == self.question


def random_id() -> bytes:
    """Return an id that cannot be foretold (RFC 5452, section 9.2)."""
    try:
        return _ids.pop()
    except IndexError:
        # Many at once: to ask the kernel takes longer than all else about an id.
        octets = secrets.token_bytes(2 * _IDS_AT_ONCE)
        _ids.extend(octets[start : start + 2] for start in range(0, len(octets), 2))
        return _ids.pop()


def is_truncated(reply: bytes) -> bool:
    """Whether the rest of a reply must be fetched over TCP (RFC 2181 section 9)."""
    return bool(reply[2] & _TRUNCATED)
