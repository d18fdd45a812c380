"""Messages are built and read without losing anything, and junk is told as junk."""

import contextlib
import struct

import dns.flags
import dns.message
import dnslib  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.dns import wire
from service.dns.budget import Budget
from service.dns.message import UDP_PAYLOAD, MalformedReplyError, NameTooLongError

QUERY = wire.build_query("mail.example.com", "TXT", recurse=False)


def reply_with_txt(*chunks: bytes) -> bytes:
    """Encode a reply with one TXT record, by another library."""
    reply = dnslib.DNSRecord.parse(QUERY.wire).reply()
    reply.add_answer(dnslib.RR("mail.example.com", dnslib.QTYPE.TXT, rdata=dnslib.TXT(list(chunks))))
    return bytes(reply.pack())


@given(st.text(max_size=2000))
def test_text_survives_the_wire(text: str) -> None:
    """A text of any characters, cut into chunks wherever they end, is read as it was written."""
    octets = text.encode("utf-8", "replace")
    chunks = [octets[start : start + 255] for start in range(0, len(octets), 255)] or [b""]
    (record,) = wire.parse_reply(reply_with_txt(*chunks)).answer
    assert (record.owner, record.type) == ("mail.example.com", "TXT")
    assert record.value == octets.decode()


@given(st.lists(st.binary(max_size=255), min_size=1, max_size=5))
def test_octets_that_are_no_text_are_escaped(chunks: list[bytes]) -> None:
    """What is not UTF-8 is kept visible, and chunks are joined without a space."""
    (record,) = wire.parse_reply(reply_with_txt(*chunks)).answer
    assert record.value == b"".join(chunks).decode("utf-8", "backslashreplace")


@given(st.binary(max_size=300))
def test_junk_never_breaks_the_reader(junk: bytes) -> None:
    """Octets after our id and question parse, or are refused as malformed: nothing else happens."""
    message = QUERY.wire[:2] + b"\x84\0\0\1\0\2\0\1\0\1" + QUERY.question + junk
    assert QUERY.is_answered_by(message)
    with contextlib.suppress(MalformedReplyError):
        wire.parse_reply(message)


@given(st.integers(min_value=12, max_value=80), st.binary(min_size=1, max_size=8))
def test_damaged_reply_never_breaks_the_reader(position: int, damage: bytes) -> None:
    """A genuine reply with some octets overwritten parses, or is refused as malformed."""
    genuine = reply_with_txt(b"v=spf1 ~all", b"more")
    message = genuine[:position] + damage + genuine[position + len(damage) :]
    with contextlib.suppress(MalformedReplyError):
        wire.parse_reply(message)


def test_names_that_take_long_are_not_read() -> None:
    """Thousands of pointers that lead from one to the next, in a text, and back to it from each owner."""
    texts = bytearray()
    start = len(QUERY.wire[:12] + QUERY.question) + 12
    last = 12
    for _ in range(30):
        chunk = bytearray()
        for _ in range(127):
            chunk += (0xC000 | last).to_bytes(2)
            last = start + len(texts) + len(chunk) - 1
        texts += bytes([len(chunk)]) + chunk
    pointer = (0xC000 | last).to_bytes(2)
    text = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, len(texts)) + texts
    addresses = b"".join(pointer + struct.pack("!HHIHI", 1, 1, 60, 4, number) for number in range(250))
    header = QUERY.wire[:2] + b"\x84\0" + struct.pack("!4H", 1, 251, 0, 0)
    with pytest.raises(MalformedReplyError):
        wire.parse_reply(header + QUERY.question + text + addresses)


@pytest.mark.parametrize("count", [512, 513])
def test_no_more_records_are_read_than_anybody_needs(count: int) -> None:
    """However plain they are: each takes its time."""
    records = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIHI", 1, 1, 60, 4, 0xC0000200 + number) for number in range(count)
    )
    message = QUERY.wire[:2] + b"\x84\0" + struct.pack("!4H", 1, count, 0, 0) + QUERY.question + records
    if count == 512:
        assert len(wire.parse_reply(message).answer) == count
    else:
        with pytest.raises(MalformedReplyError):
            wire.parse_reply(message)


def test_messages_that_only_the_library_reads_cost_more() -> None:
    """So that nobody spends seconds of ours with a look-up's worth of octets."""
    budget = Budget(0.0, 10_000)
    message = reply_with_txt(b"text")
    assert wire.parse_reply(message, budget).answer
    assert not budget.is_spent(-1.0)
    unusual = message.replace(b"\4mail", b"\4m il")
    for _ in range(20):
        wire.parse_reply(unusual, budget)
    assert budget.is_spent(-1.0)


def test_ids_are_random() -> None:
    """Queries alike have ids that cannot be foretold."""
    assert len({wire.build_query("example.com", "TXT", recurse=True).wire[:2] for _ in range(200)}) > 150


def test_query_asks_for_what_is_wanted() -> None:
    """Recursion is wanted from resolvers only, and answers of up to 1232 octets."""
    for recurse in (False, True):
        sent = dnslib.DNSRecord.parse(wire.build_query("mail.example.com", "MX", recurse=recurse).wire)
        assert (str(sent.q.qname), sent.q.qtype) == ("mail.example.com.", dnslib.QTYPE.MX)
        assert (sent.header.rd, sent.ar[0].edns_len) == (int(recurse), 1232)


ODD_LABELS = ["_dmarc", "xn--bcher-kva", r"a\.b", r"\032", r"\255"]
ASCII = st.characters(codec="ascii", exclude_characters=".\\")
LABEL = st.text(ASCII, min_size=1, max_size=63) | st.sampled_from(ODD_LABELS)


@given(
    st.lists(LABEL, min_size=1, max_size=3).map(".".join),
    st.sampled_from(["A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT"]),
    st.booleans(),
    st.booleans(),
)
def test_query_is_the_one_that_the_library_makes(name: str, rdtype: str, recurse: bool, edns: bool) -> None:
    """Octet for octet, but for the id."""
    query = wire.build_query(name, rdtype, recurse=recurse, edns=edns)
    reference = dns.message.make_query(
        name,
        rdtype,
        use_edns=0 if edns else False,
        payload=UDP_PAYLOAD,
        flags=dns.flags.RD if recurse else 0,
    )
    assert query.wire[2:] == reference.to_wire()[2:]
    reference.id = int.from_bytes(query.wire[:2], "big")
    reply = dns.message.make_response(reference)
    assert query.is_answered_by(reply.to_wire())


@pytest.mark.parametrize("name", [".".join(["a" * 60] * 5), "a" * 64 + ".example.com"])
def test_name_that_cannot_be_is_refused(name: str) -> None:
    """A name or label too long for a message is told from other errors."""
    with pytest.raises(NameTooLongError):
        wire.build_query(name, "TXT", recurse=False)
