"""A quick reader of the common kinds of reply, and a quick writer of names.

What it does not wholly understand it refuses, for dnspython to read: what it does read,
dnspython reads in the same way. A sweep over unchanged domains meets nothing else.
"""

import re
import struct
from collections.abc import Iterable, Mapping
from socket import AF_INET6, inet_ntop
from typing import Final

from service.dns.message import HEADER, Record, Reply

_MOST_RECORDS: Final = 512
"""Records of a message that is read."""

_COUNTS: Final = struct.Struct("!HBBHHHH")
_FIXED: Final = struct.Struct("!HHIH")
_IN: Final = 1
_A, _NS, _CNAME, _SOA, _MX, _TXT, _AAAA, _OPT = 1, 2, 5, 6, 15, 16, 28, 41
_TYPES: Final[Mapping[int, str]] = {
    _A: "A",
    _NS: "NS",
    _CNAME: "CNAME",
    _SOA: "SOA",
    _MX: "MX",
    _TXT: "TXT",
    _AAAA: "AAAA",
}
_SINGLETONS: Final = {"CNAME", "SOA"}
_AUTHORITATIVE: Final = 0x04
_ODD_FLAGS: Final = 0x7A
"""Opcode and TC: neither a plain answer nor a whole one."""
_EXTENDED: Final = 0xFFFF0000
"""Extended rcode and version of an OPT record's TTL (RFC 6891, section 6.1.3)."""
_LONGEST_TTL: Final = 0x7FFFFFFF
"""RFC 2181, section 8."""
_POINTER: Final = 0xC0
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253
_MOST_STEPS: Final = 127
"""Labels of a name, and as many pointers: whoever writes more wants us to read for long."""
_SOA_NUMBERS: Final = 20
# Characters that no presentation of a name escapes.
_PLAIN: Final = re.compile(rb"[A-Za-z0-9_.-]*")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]*")
_LENGTHS: Final = {length: bytes((length,)) for length in range(1, _LONGEST_LABEL + 1)}
"""How long a label is, in front of it."""
_NO_ERRORS: Final[frozenset[int]] = frozenset()


class _Unusual(Exception):  # noqa: N818 - no error: the message is one for dnspython
    pass


def write_name(name: str) -> bytes | None:
    """Return a name as octets (RFC 1035, section 3.1); None for one that is not plain, or too long."""
    if len(name) > _LONGEST_NAME or not _PLAIN_NAME.fullmatch(name):
        return None
    try:
        return b"".join([_LENGTHS[len(label)] + label for label in name.encode().split(b".")]) + b"\0"
    except KeyError:
        return None


def read(message: bytes, asked: str = "") -> Reply | None:
    """Return what a message says, or None where it has anything that is not common.

    It is strict: names of letters, digits, hyphens and underscores, the types that we ask for,
    sets of records that stand together and hold nothing twice, no octet left over. `asked` is the
    name in its question, in lower case, where that is known: it is not read again then.
    """
    try:
        return _Reader(message).read(asked)
    except (_Unusual, IndexError, struct.error):
        return None


class _Reader:
    """Reads one message from its beginning to its end."""

    __slots__ = ("_at", "_message", "_names")

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._at = HEADER
        self._names: dict[int, str] = {}
        """The names read so far, by where they begin."""

    def read(self, asked: str) -> Reply:
        _, flags, rcode, questions, answers, authorities, additionals = _COUNTS.unpack_from(self._message)
        if flags & _ODD_FLAGS or questions != 1 or answers + authorities + additionals > _MOST_RECORDS:
            raise _Unusual
        if asked:
            self._names[HEADER] = asked
            self._at += len(asked) + 2
        else:
            self._name()
        self._at += 4
        reply = Reply(
            rcode & 0x0F,
            bool(flags & _AUTHORITATIVE),
            _NO_ERRORS,
            self._section(answers),
            self._section(authorities),
            self._section(additionals, may_have_options=True),
        )
        if self._at != len(self._message):
            raise _Unusual
        return reply

    def _section(self, count: int, *, may_have_options: bool = False) -> tuple[Record, ...]:
        if not count:
            return ()
        records: list[Record] = []
        for _ in range(count):
            owner = self._owner()
            rdtype, rdclass, ttl, size = _FIXED.unpack_from(self._message, self._at)
            self._at += 10
            if rdtype == _OPT and may_have_options:
                # A single one, without options and with nothing to say.
                if owner or size or ttl & _EXTENDED:
                    raise _Unusual
                may_have_options = False
                continue
            if rdclass != _IN or ttl > _LONGEST_TTL:
                raise _Unusual
            records.append(Record(owner, _TYPES.get(rdtype, ""), ttl, self._value(rdtype, size)))
        if len(records) > 1:
            _check_sets(records)
        return tuple(records)

    def _owner(self) -> str:
        """Read the name that a record begins with: mostly the root's, or a pointer to one read before."""
        message, at = self._message, self._at
        first = message[at]
        if not first:
            self._at = at + 1
            return ""
        if first >= _POINTER:
            known = self._names.get((first & ~_POINTER) << 8 | message[at + 1])
            if known is not None:
                self._at = at + 2
                return known
        return self._name()

    def _value(self, rdtype: int, size: int) -> str:
        message, at = self._message, self._at
        end = at + size
        if end > len(message):
            raise _Unusual
        if rdtype in (_CNAME, _NS):
            value = self._name()
        elif rdtype == _TXT:
            value = self._text(end)
        elif rdtype == _MX:
            self._at += 2
            value = f"{message[at] << 8 | message[at + 1]} {self._name() or '.'}"
        elif rdtype == _A and size == 4:  # noqa: PLR2004 - RFC 1035, section 3.4.1
            value = "{}.{}.{}.{}".format(*message[at:end])
            self._at = end
        elif rdtype == _AAAA and size == 16 and message[at]:  # noqa: PLR2004 - RFC 3596, section 2.2
            value = inet_ntop(AF_INET6, message[at:end])
            self._at = end
        elif rdtype == _SOA:
            self._name()
            self._name()
            self._at += _SOA_NUMBERS
            value = ""
        else:
            raise _Unusual
        if self._at != end:
            raise _Unusual
        return value

    def _text(self, end: int) -> str:
        message, at = self._message, self._at
        chunks = []
        while at < end:
            following = at + 1 + message[at]
            chunks.append(message[at + 1 : following])
            at = following
        if not chunks:
            raise _Unusual
        self._at = at
        return b"".join(chunks).decode("utf-8", "backslashreplace")

    def _name(self) -> str:
        """Read a name, compressed or not (RFC 1035, section 4.1.4), and go on behind it."""
        message, start = self._message, self._at
        at, bound, behind = start, start, 0
        labels: list[bytes] = []
        pointers = 0
        ending = ""
        while length := message[at]:
            if length <= _LONGEST_LABEL:
                labels.append(message[at + 1 : at + 1 + length])
                at += 1 + length
                continue
            pointers += 1
            if length < _POINTER:
                raise _Unusual
            target = (length & ~_POINTER) << 8 | message[at + 1]
            behind = behind or at + 2
            # Always further back, so that it ends.
            if target >= bound or pointers + len(labels) > _MOST_STEPS:
                raise _Unusual
            at = bound = target
            if target in self._names:
                ending = self._names[target]
                break
        else:
            behind = behind or at + 1
        self._at = behind
        if labels:
            own = b".".join(labels)
            if own.count(b".") >= len(labels) or not _PLAIN.fullmatch(own):
                raise _Unusual
            name = own.decode().lower()
            if ending:
                name = f"{name}.{ending}"
            if len(name) > _LONGEST_NAME:
                raise _Unusual
        else:
            name = ending
        self._names[start] = name
        return name


def _check_sets(records: Iterable[Record]) -> None:
    """See to it that the records of one name and type stand together, with one TTL and nothing twice.

    Raises:
        _Unusual: where they do not.

    """
    seen: set[tuple[str, str]] = set()
    last, last_ttl = None, 0
    values: set[str] = set()
    for owner, rdtype, ttl, value in records:
        if (owner, rdtype) != last:
            last, last_ttl = (owner, rdtype), ttl
            if last in seen:
                raise _Unusual
            seen.add(last)
            values = {value}
        elif rdtype in _SINGLETONS or ttl != last_ttl or value in values:
            raise _Unusual
        else:
            values.add(value)
