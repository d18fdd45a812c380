"""Master files (RFC 1035, section 5): what name servers load and most DNS panels import."""

from typing import assert_never

from service.core.answers import RecordType
from service.core.exports.content import Content, character_strings
from service.core.records import Record

_TTL = 3600
_PLAIN_IN_NAMES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def render(content: Content) -> str:
    """Return the records, with absolute names: the zone's origin does not matter."""
    lines = (
        f"{_name(record.name)} {record.ttl} IN {record.type} {_data(record)}" for record in content.records
    )
    header = content.header(";", "Add them to what the zone has: there is no SOA record here.")
    return header + f"$TTL {_TTL}\n" + "".join(f"{line}\n" for line in lines)


def quoted(text: str) -> str:
    """Return a TXT value as quoted character strings."""
    return " ".join(f'"{"".join(map(_escaped, string))}"' for string in character_strings(text))


def _data(record: Record) -> str:
    match record.type:
        case RecordType.CNAME | RecordType.NS:
            return _name(record.value)
        case RecordType.MX:
            return f"{record.priority} {_name(record.value)}"
        case RecordType.TXT:
            return quoted(record.value)
        case RecordType.A | RecordType.AAAA:
            return record.value
        case _:
            assert_never(record.type)


def _name(name: str) -> str:
    """Return an absolute name; whatever is special in master files is escaped (section 5.1)."""
    octets = name.removesuffix(".").encode()
    return "".join(chr(octet) if octet in _PLAIN_IN_NAMES else f"\\{octet:03d}" for octet in octets) + "."


def _escaped(octet: int) -> str:
    character = chr(octet)
    if character in '"\\':
        return f"\\{character}"
    return character if character.isascii() and character.isprintable() else f"\\{octet:03d}"
