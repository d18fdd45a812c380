"""DNS messages as a name server reads and writes them, by hand: a library takes ten times as long.

For servers under load, in tests. Nothing is compressed but the name asked for.
"""

import ipaddress
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tests.support.dns_zone import Lookup, Record

_CODES: Final = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}
_TYPES: Final = {code: kind for kind, code in _CODES.items()}
_OPT: Final = struct.pack("!BHHIH", 0, 41, 1232, 0, 0)
_IN: Final = 1
_TTL: Final = 60
_HEADER: Final = 12
_SMALLEST_ROOM: Final = 512
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION = 0x8000, 0x0400, 0x0200, 0x0080
_ASKED_NAME: Final = b"\xc0\x0c"


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked, and how much room there is for the answer over UDP."""

    id: bytes
    question: bytes
    """As it came, for the answer repeats it."""
    name: str
    """In lower case without trailing dot."""
    type: str
    """`TYPE65` and the like for types that have no name here."""
    room: int
    edns: bool


def read_query(wire: bytes) -> Query:
    """Read a query with one question, and at most an OPT record (RFC 6891) beside it."""
    labels = []
    at = _HEADER
    while size := wire[at]:
        labels.append(wire[at + 1 : at + 1 + size].decode("ascii", "replace").lower())
        at += 1 + size
    (code,) = struct.unpack_from("!H", wire, at + 1)
    end = at + 5
    edns = len(wire) > end
    room = max(struct.unpack_from("!H", wire, end + 3)[0], _SMALLEST_ROOM) if edns else _SMALLEST_ROOM
    kind = _TYPES.get(code, f"TYPE{code}")
    return Query(wire[:2], wire[_HEADER:end], ".".join(labels), kind, room, edns)


def write_reply(query: Query, found: Lookup, *, recursive: bool) -> bytes:
    """Write the whole reply, as it goes over TCP."""
    flags = _RESPONSE | found.rcode | (_RECURSION if recursive else 0)
    if found.authoritative and not recursive:
        flags |= _AUTHORITATIVE
    sections = (found.answer, found.authority, found.additional)
    counts = [len(section) for section in sections]
    counts[-1] += query.edns
    parts = [query.id, struct.pack("!5H", flags, 1, *counts), query.question]
    parts += [_resource(query.name, record) for section in sections for record in section]
    if query.edns:
        parts.append(_OPT)
    return b"".join(parts)


def truncated(query: Query, reply: bytes) -> bytes:
    """Return what goes over UDP where the reply has no room: its header and question alone."""
    (flags,) = struct.unpack_from("!H", reply, 2)
    return query.id + struct.pack("!5H", flags | _TRUNCATED, 1, 0, 0, 0) + query.question


def _resource(asked: str, record: Record) -> bytes:
    owner = _ASKED_NAME if record.owner == asked else _name(record.owner)
    data = _data(record.type, record.value)
    return owner + struct.pack("!HHIH", _CODES[record.type], _IN, _TTL, len(data)) + data


@lru_cache(100_000)
def _name(name: str) -> bytes:
    labels = name.rstrip(".").split(".") if name.rstrip(".") else []
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


@lru_cache(100_000)
def _data(kind: str, value: str) -> bytes:
    match kind:
        case "A" | "AAAA":
            return ipaddress.ip_address(value).packed
        case "NS" | "CNAME":
            return _name(value)
        case "MX":
            preference, exchange = value.split(" ")
            return struct.pack("!H", int(preference)) + _name(exchange)
        case "TXT":
            octets = value.encode()
            chunks = [octets[start : start + 255] for start in range(0, len(octets), 255)] or [b""]
            return b"".join(bytes([len(chunk)]) + chunk for chunk in chunks)
        case "SOA":
            primary, contact, *times = value.split(" ")
            return _name(primary) + _name(contact) + struct.pack("!5I", *map(int, times))
        case _:
            raise ValueError(kind)
