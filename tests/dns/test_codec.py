"""The quick codec says what dnspython says, or nothing."""

import struct
from collections.abc import Iterator, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.dns import codec, wire
from service.dns.message import MalformedReplyError, Reply

RecordSet = tuple[str, str, tuple[str, ...]]
"""Owner, type and values, as in a master file."""

HEADER = struct.Struct("!HBBHHHH")
QUESTION = "token._domainkey.mail.example.com"
QUERY = wire.build_query(QUESTION, "CNAME", recurse=False)
SOA = "ns1.example.com. hostmaster.example.com. 1 3600 600 86400 60"
NAMES = (
    "example.com.",
    "mail.example.com.",
    "Token._DomainKey.mail.example.com.",
    "_dmarc.example.com.",
    "ns1.other.example.",
    "xn--bcher-kva.example.",
    ".",
    "a" * 63 + ".example.com.",
    ".".join(["b" * 60] * 4) + ".",
    r"odd\.label.example.com.",
    r"\000.example.com.",
)
VALUES = {
    "A": ("192.0.2.1", "198.51.100.255", "0.0.0.0"),
    "AAAA": ("2001:db8::1", "2606:4700:0:0:1:0:0:1", "::1", "::ffff:192.0.2.1", "2001:db8:0:1:1:1:1:1"),
    "CNAME": NAMES,
    "NS": NAMES,
    "MX": ("10 feedback.example.net.", "0 .", "65535 Mail.Example.com."),
    "TXT": ('"v=spf1 ~all"', '"a" "b"', '""', r'"\195\188 \255 \000"', '"' + "x" * 255 + '"'),
    "SOA": (SOA,),
    "SRV": ("0 0 25 mail.example.com.",),
    "CAA": ('0 issue "ca.example"',),
}


def reply(
    *answer: RecordSet,
    authority: Sequence[RecordSet] = (),
    additional: Sequence[RecordSet] = (),
    rcode: int = 0,
    edns: bool = True,
) -> bytes:
    """Write a reply with authority, names compressed."""
    message = dns.message.make_response(
        dns.message.make_query(QUESTION, "CNAME", use_edns=0 if edns else False, payload=1232)
    )
    message.flags |= dns.flags.AA
    message.set_rcode(dns.rcode.Rcode(rcode))
    for section, sets in zip(
        (message.answer, message.authority, message.additional), (answer, authority, additional), strict=True
    ):
        section.extend(dns.rrset.from_text(owner, 60, "IN", kind, *values) for owner, kind, values in sets)
    return message.to_wire(max_size=65535)


COMMON = {
    "alias": reply((QUESTION + ".", "CNAME", ("token.dkim.amazonses.com.",))),
    "exchangers": reply(("mail.example.com.", "MX", ("10 feedback.example.net.", "20 Other.example.net."))),
    "chunked text": reply(("mail.example.com.", "TXT", ('"v=spf1 include:amazonses.com" " ~all"', '"x"'))),
    "addresses": reply(
        ("mail.example.com.", "A", ("192.0.2.1",)), ("mail.example.com.", "AAAA", ("2001:db8::1",))
    ),
    "denial": reply(authority=[("example.com.", "SOA", (SOA,))], rcode=3),
    "no data": reply(authority=[("example.com.", "SOA", (SOA,))]),
    "referral": reply(
        authority=[("sub.example.com.", "NS", ("ns1.sub.example.com.", "ns2.sub.example.com."))],
        additional=[("ns1.sub.example.com.", "A", ("192.0.2.1",))],
    ),
    "chain": reply(
        (QUESTION + ".", "CNAME", ("b.example.com.",)), ("b.example.com.", "CNAME", ("c.example.net.",))
    ),
    "null exchanger": reply(("mail.example.com.", "MX", ("0 .",))),
    "without EDNS": reply((QUESTION + ".", "CNAME", ("t.example.net.",)), edns=False),
    "refusal": reply(rcode=5),
}
"""What nearly all replies are like."""


def both(message: bytes) -> tuple[Reply | None, Reply | None]:
    """Read a message in both ways; None where it is refused."""
    try:
        library = wire.parse_with_library(message)
    except MalformedReplyError:
        library = None
    quick = codec.read(message)
    if message[HEADER.size :].lower().startswith(QUERY.question):
        # Who knows the question reads no less and no more.
        assert codec.read(message, QUERY.name) == quick
    return quick, library


def agree(message: bytes) -> bool:
    """Whether the codec says nothing, or what the library says."""
    quick, library = both(message)
    return quick is None or quick == library


@pytest.mark.parametrize("message", COMMON.values(), ids=COMMON)
def test_common_replies_are_read(message: bytes) -> None:
    """What nearly all replies are like never needs the library, and is read as the library does."""
    quick, library = both(message)
    assert quick is not None
    assert quick == library


def sets() -> st.SearchStrategy[RecordSet]:
    """Draw sets of records, unusual ones among them."""
    return st.sampled_from(list(VALUES)).flatmap(
        lambda kind: st.tuples(
            st.sampled_from(NAMES),
            st.just(kind),
            st.lists(st.sampled_from(VALUES[kind]), min_size=1, max_size=3, unique=True).map(tuple),
        )
    )


SECTION = st.lists(sets(), max_size=4)
RCODE = st.sampled_from([0, 0, 2, 3, 5, 9])
DAMAGE = st.tuples(st.integers(min_value=2, max_value=400), st.binary(min_size=1, max_size=3))


@settings(max_examples=400)
@given(SECTION, SECTION, SECTION, RCODE, st.booleans())
def test_any_reply_is_read_alike(
    answer: list[RecordSet], authority: list[RecordSet], additional: list[RecordSet], rcode: int, edns: bool
) -> None:
    """Any sets of records, in any sections."""
    assert agree(reply(*answer, authority=authority, additional=additional, rcode=rcode, edns=edns))


def damaged(message: bytes, damages: list[tuple[int, bytes]]) -> bytes:
    """Return a message with some of its octets overwritten."""
    for position, damage in damages:
        start = min(position, len(message) - 1)
        message = message[:start] + damage + message[start + len(damage) :]
    return message


@settings(max_examples=400)
@given(st.sampled_from(list(COMMON.values())), st.lists(DAMAGE, max_size=3), st.binary(max_size=4))
def test_damaged_replies_are_read_alike(
    message: bytes, damages: list[tuple[int, bytes]], tail: bytes
) -> None:
    """Octets overwritten anywhere behind the id, and octets left over."""
    assert agree(damaged(message, damages) + tail)


@settings(max_examples=400)
@given(SECTION, SECTION, st.lists(DAMAGE, min_size=1, max_size=2))
def test_damaged_replies_of_any_kind_are_read_alike(
    answer: list[RecordSet], authority: list[RecordSet], damages: list[tuple[int, bytes]]
) -> None:
    """The same of replies that are not common to begin with."""
    assert agree(damaged(reply(*answer, authority=authority), damages))


def one_change(message: bytes) -> Iterator[bytes]:
    """Yield the message with each octet replaced in turn, and cut at each place."""
    for position in range(2, len(message)):
        for octet in (0, 1, 2, 0x3F, 0x41, 0x80, 0xC0, 0xC0 | message[position], 0xFF, message[position] ^ 1):
            yield message[:position] + bytes([octet]) + message[position + 1 :]
        yield message[:position]


@pytest.mark.parametrize("message", COMMON.values(), ids=COMMON)
def test_no_single_change_is_read_otherwise(message: bytes) -> None:
    """Every octet of every common reply, changed by itself."""
    assert [changed for changed in one_change(message) if not agree(changed)] == []


def record(owner: bytes, kind: int, data: bytes, *, rdclass: int = 1, ttl: int = 60) -> bytes:
    """Write one record by hand."""
    return owner + struct.pack("!HHIH", kind, rdclass, ttl, len(data)) + data


OWNER = b"\xc0\x0c"
A1, A2 = record(OWNER, 1, b"\1\2\3\4"), record(OWNER, 1, b"\1\2\3\5")
ALIAS, OTHER_ALIAS = record(OWNER, 5, b"\1a\0"), record(OWNER, 5, b"\1b\0")
TEXT = record(OWNER, 16, b"\1a")
OPT = record(b"\0", 41, b"", rdclass=1232, ttl=0)
ODD = {
    "a set in two places": [A1, TEXT, A2],
    "a record twice": [A1, A1],
    "two times to live": [A1, record(OWNER, 1, b"\1\2\3\5", ttl=61)],
    "two aliases of one name": [ALIAS, OTHER_ALIAS],
    "a negative time to live": [record(OWNER, 1, b"\1\2\3\4", ttl=0x80000000)],
    "another class": [record(OWNER, 1, b"\1\2\3\4", rdclass=3)],
    "a text without strings": [record(OWNER, 16, b"")],
    "a text with the same octets, cut otherwise": [record(OWNER, 16, b"\2ab"), record(OWNER, 16, b"\1a\1b")],
    "an address too short": [record(OWNER, 1, b"\1\2\3")],
    "options among answers": [OPT],
    "a type that is not asked for": [record(OWNER, 99, b"\1a")],
}


@pytest.mark.parametrize("records", ODD.values(), ids=ODD)
def test_unusual_replies_are_left_to_the_library(records: list[bytes]) -> None:
    """What the library mends, merges or refuses is not guessed at."""
    question = COMMON["alias"][12 : 12 + len(QUESTION) + 6]
    message = HEADER.pack(1, 0x84, 0, 1, len(records), 0, 0) + question + b"".join(records)
    assert codec.read(message) is None


@pytest.mark.parametrize(
    "options",
    [
        OPT * 2,
        record(b"\0", 41, b"", ttl=1 << 24),
        record(b"\0", 41, b"\0\x0f\0\2\0\6"),
        record(OWNER, 41, b""),
    ],
    ids=["twice", "extended code", "an extended error", "not at the root"],
)
def test_options_that_say_something_are_left_to_the_library(options: bytes) -> None:
    """Extended errors (RFC 8914) and codes are the library's to read."""
    question = COMMON["alias"][12 : 12 + len(QUESTION) + 6]
    count = 2 if options == OPT * 2 else 1
    assert codec.read(HEADER.pack(1, 0x84, 2, 1, 0, 0, count) + question + options) is None


def test_pointers_that_go_in_circles_end() -> None:
    """A name that points to itself, or onwards, is refused."""
    for target in (b"\xc0\x0c", b"\xc0\x0e", b"\xc0\xff"):
        assert codec.read(HEADER.pack(1, 0x84, 0, 1, 0, 0, 0) + target + b"\0\1\0\1") is None


def test_large_replies_are_not_read() -> None:
    """More than we ever ask for is refused before any time goes into it."""
    many = HEADER.pack(1, 0x84, 0, 1, 600, 0, 0) + COMMON["alias"][12 : 12 + len(QUESTION) + 6] + A1 * 600
    for message in (many, COMMON["alias"] + bytes(20_000)):
        with pytest.raises(MalformedReplyError):
            wire.parse_reply(message)
