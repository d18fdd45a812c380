"""Builds queries and reads replies: with the codec what is common, with dnspython all else.

Nothing else in the adapter knows the library.
"""

import struct
from collections.abc import Iterable
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

from service.dns import codec
from service.dns.budget import Budget
from service.dns.message import (
    UDP_PAYLOAD,
    MalformedReplyError,
    NameTooLongError,
    Query,
    Record,
    Reply,
    random_id,
)

LARGEST: Final = 16_384
"""Octets of a message that is read; what we ask for is seldom a tenth of it."""
_MOST_UNUSUAL: Final = 64
"""Of a message for the library, which takes tens of microseconds for each, and ten times that for the
longest names."""
_COST_OF_UNUSUAL: Final = 16
"""How many octets one octet counts for that the library reads: about as much more time it takes."""

# RFC 6891, section 6.1.2: the root's name, the type, our size as the class, no flags, no options.
_OPT: Final = struct.pack("!BHHIH", 0, dns.rdatatype.OPT, UDP_PAYLOAD, 0, 0)
_FIELDS: Final = struct.Struct("!HHHHH")
"""Of a header, behind the id."""
_RD: Final = int(dns.flags.RD)
_CD: Final = int(dns.flags.CD)
_KINDS: Final = {
    kind: struct.pack("!HH", dns.rdatatype.from_text(kind), dns.rdataclass.IN)
    for kind in ("A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT")
}


def build_query(name: str, rdtype: str, *, recurse: bool, edns: bool = True, validated: bool = True) -> Query:
    """Build a query with a random id (RFC 1035, section 4.1).

    A resolver that validates hands out what is not `validated`, too (RFC 4035, section 3.2.2).

    Raises:
        NameTooLongError: for a name that no message can hold.

    """
    plain = codec.write_name(name)
    question = (plain or _written(name)) + _KINDS[rdtype]
    flags = (_RD if recurse else 0) | (0 if validated else _CD)
    header = random_id() + _FIELDS.pack(flags, 1, 0, 0, 1 if edns else 0)
    return Query(header + question + (_OPT if edns else b""), question.lower(), name.lower() if plain else "")


def parse_reply(message: bytes, budget: Budget | None = None, *, asked: str = "") -> Reply:
    """Read a message; what takes long is charged to the budget.

    `asked` is the `Query.name` of a query that the message is known to answer.

    Raises:
        MalformedReplyError: when it does not parse, or is too large to be worth it.

    """
    if len(message) > LARGEST:
        raise MalformedReplyError
    if reply := codec.read(message, asked):
        return reply
    if sum(_FIELDS.unpack_from(message, 2)[1:]) > _MOST_UNUSUAL:
        raise MalformedReplyError
    if budget is not None:
        budget.charge(len(message) * _COST_OF_UNUSUAL)
    return parse_with_library(message)


def parse_with_library(message: bytes) -> Reply:
    """Read a message with dnspython, which knows them all.

    Raises:
        MalformedReplyError: when it does not parse.

    """
    try:
        parsed = dns.message.from_wire(message, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise MalformedReplyError from error
    return Reply(
        rcode=parsed.rcode(),
        authoritative=bool(parsed.flags & dns.flags.AA),
        extended_errors=frozenset(
            int(option.code) for option in parsed.options if isinstance(option, dns.edns.EDEOption)
        ),
        answer=_records(parsed.answer),
        authority=_records(parsed.authority),
        additional=_records(parsed.additional),
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


def _written(name: str) -> bytes:
    try:
        # Octets, where it is given no file to write them to.
        return cast("bytes", dns.name.from_text(name).to_wire())
    except (dns.name.LabelTooLong, dns.name.NameTooLong) as error:
        raise NameTooLongError(name) from error


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
