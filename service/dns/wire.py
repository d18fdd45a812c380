"""DNS messages: building queries and reading replies, with dnspython.

Nothing else in the adapter knows the library, so that another codec can take
its place here.
"""

import secrets
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, cast

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.NS import NS
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

UDP_PAYLOAD: Final = 1232
"""Octets that pass everywhere without fragments (DNS flag day 2020)."""

# RFC 6891, section 6.1.2: the root's name, the type, our size as the class, no flags, no options.
_OPT: Final = struct.pack("!BHHIH", 0, dns.rdatatype.OPT, UDP_PAYLOAD, 0, 0)
_HEADER: Final = 12
_TRUNCATED: Final = 0x02
_RESPONSE: Final = 0x80
_RCODE: Final = 0x0F


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
    """The message does not parse."""


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; names are in lower case without trailing dot."""

    owner: str
    type: str
    ttl: int
    value: str
    """As in `service.core.answers.Answer`; for SOA empty."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a name server said. Records of types that we never ask for are left out."""

    rcode: int
    authoritative: bool
    extended_errors: frozenset[int]
    """INFO-CODEs of RFC 8914."""
    answer: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A query as sent, and what its reply is recognised by."""

    wire: bytes
    question: bytes

    def is_answered_by(self, reply: bytes) -> bool:
        """Whether a message answers this query: same id, same question.

        Servers may leave the question out of an error, or where they truncate.
        """
        if len(reply) < _HEADER or reply[:2] != self.wire[:2] or not reply[2] & _RESPONSE:
            return False
        if reply[4:6] == b"\0\0":
            return is_truncated(reply) or reply[3] & _RCODE != Rcode.NOERROR
        return reply[_HEADER : _HEADER + len(self.question)].lower() == self.question


def build_query(name: str, rdtype: str, *, recurse: bool, edns: bool = True) -> Query:
    """Build a query with a random id (RFC 1035, section 4.1).

    By hand, for a query is four fields and a name: dnspython's way takes as long as
    reading the reply does.

    Raises:
        NameTooLongError: for a name that no message can hold.

    """
    try:
        # Octets, where it is given no file to write them to.
        qname = cast("bytes", dns.name.from_text(name).to_wire())
    except (dns.name.LabelTooLong, dns.name.NameTooLong) as error:
        raise NameTooLongError(name) from error
    question = qname + struct.pack("!HH", dns.rdatatype.from_text(rdtype), dns.rdataclass.IN)
    flags = dns.flags.RD if recurse else 0
    header = struct.pack("!HHHHHH", secrets.randbits(16), flags, 1, 0, 0, 1 if edns else 0)
    return Query(header + question + (_OPT if edns else b""), question.lower())


def is_truncated(reply: bytes) -> bool:
    """Whether the rest of a reply must be fetched over TCP (RFC 2181 section 9)."""
    return bool(reply[2] & _TRUNCATED)


def parse_reply(wire: bytes) -> Reply:
    """Read a message.

    Raises:
        MalformedReplyError: when it does not parse.

    """
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise MalformedReplyError from error
    return Reply(
        rcode=message.rcode(),
        authoritative=bool(message.flags & dns.flags.AA),
        extended_errors=frozenset(
            int(option.code) for option in message.options if isinstance(option, dns.edns.EDEOption)
        ),
        answer=_records(message.answer),
        authority=_records(message.authority),
        additional=_records(message.additional),
    )


def system_nameservers() -> list[str]:
    """Return the addresses of the resolvers that the system itself uses.

    Raises:
        ValueError: when none is configured.

    """
    try:
        configured = dns.resolver.Resolver().nameservers
    except dns.resolver.NoResolverConfiguration as error:
        message = "the system has no DNS resolver configured"
        raise ValueError(message) from error
    return [nameserver for nameserver in configured if isinstance(nameserver, str)]


def _records(section: Iterable[dns.rrset.RRset]) -> tuple[Record, ...]:
    records: list[Record] = []
    for rrset in section:
        if rrset.rdclass != dns.rdataclass.IN:
            continue
        owner = _name(rrset.name)
        rdtype = dns.rdatatype.to_text(rrset.rdtype)
        for rdata in rrset:
            value = _value(rdata)
            if value is not None:
                records.append(Record(owner, rdtype, rrset.ttl, value))
    return tuple(records)


def _value(rdata: dns.rdata.Rdata) -> str | None:
    match rdata:
        case CNAME(target=target) | NS(target=target):
            return _name(target)
        case MX(preference=preference, exchange=exchange):
            # RFC 7505: the null MX names the root, which is written as a dot.
            return f"{preference} {_name(exchange) or '.'}"
        case TXT(strings=strings):
            return b"".join(strings).decode("utf-8", "backslashreplace")
        case A(address=address) | AAAA(address=address):
            return str(address)
        case SOA():
            return ""
        case _:
            return None


def _name(name: dns.name.Name) -> str:
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True).lower()
