"""Whatever octets come, the answer is one that the contract knows."""

from collections.abc import Mapping

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.errors import Reason
from service.rpc.errors import MAPPED
from tests.rpc.running import METHODS, Failure, Running

NAMES = ("mail.example.com", "xn--bcher-kva.example.com", "other.example.org")
NEVER = {Reason.INTERNAL, Reason.MISSING_KEY, Reason.DATABASE_UNAVAILABLE, Reason.SHUTTING_DOWN}

_TEXTS = st.one_of(
    st.sampled_from(
        ("", " ", "\0", "\x7f", ".", "a" * 300, "x" * 5000, "é" * 1000, "\u202e", "kr_a_b", "%", "_", "'")
    ),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES).map(str.upper),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
_INTEGERS_32 = st.sampled_from((0, 1, -1, 50, 1000, 1001, 2**31 - 1, -(2**31))) | st.integers(
    -(2**31), 2**31 - 1
)
_INTEGERS_64 = st.sampled_from((0, 1, -1, 2**63 - 1, -(2**63))) | st.integers(-(2**63), 2**63 - 1)
_VALUES: Mapping[int, st.SearchStrategy[object]] = {
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_INT32: _INTEGERS_32,
    FieldDescriptor.TYPE_INT64: _INTEGERS_64,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_ENUM: st.integers(-1, 12) | _INTEGERS_32,
}


def _values(field: FieldDescriptor) -> st.SearchStrategy[object]:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return messages(field.message_type)
    return _VALUES[field.type]


def messages(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    """Return messages of a type, whose fields are set to anything they can hold."""
    fields = {
        field.name: st.lists(_values(field), max_size=5) if field.is_repeated else _values(field)
        for field in descriptor.fields
    }
    kind = message_factory.GetMessageClass(descriptor)
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: kind(**values))


def _octets(descriptor: Descriptor) -> st.SearchStrategy[bytes]:
    whole = messages(descriptor).map(lambda message: message.SerializeToString())
    unknown = st.builds(bytes.__add__, whole, st.sampled_from((b"\xf8\x3f\x01", b"\xfa\x3f\x02hi")))
    cut = st.builds(lambda octets, keep: octets[: keep % (len(octets) + 1)], whole, st.integers(0, 50))
    return whole | unknown | cut | st.binary(max_size=60)


@pytest.fixture(scope="module")
def fuzzed_key(service: Running) -> str:
    """Return the key of a tenant that has some of the names."""
    key = service.new_key(service.new_tenant())
    with service.client(key) as client:
        for name in NAMES[:2]:
            client.domains.create(name)
    return key


def _check(answer: bytes | Failure) -> None:
    if isinstance(answer, Failure):
        assert answer.reason in set(Reason) - NEVER, answer
        assert answer.code is MAPPED[Reason(answer.reason)].code


@pytest.mark.parametrize("path", METHODS)
def test_any_request_has_an_answer_of_the_contract(service: Running, fuzzed_key: str, path: str) -> None:
    """Every field empty, too long, out of range or garbage: the code and reason are known ones."""

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(octets=_octets(METHODS[path].input_type))
    def check(octets: bytes) -> None:
        _check(service.call(path, octets, fuzzed_key))

    check()


@pytest.mark.parametrize("path", METHODS)
def test_text_that_is_not_utf_8_is_the_callers_mistake(service: Running, key: str, path: str) -> None:
    """In every text field it is INVALID_FIELD, where gRPC by itself would say INTERNAL."""
    for field in METHODS[path].input_type.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            answer = service.call(path, _framed(field.number, b"\xff\xfe"), key)
            assert isinstance(answer, Failure)
            assert (answer.code.name, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")


@pytest.mark.parametrize("path", METHODS)
def test_a_message_of_nearly_4_mib_is_dealt_with(service: Running, key: str, path: str) -> None:
    """Each field of texts or numbers may be as large as a message can be."""
    for field in METHODS[path].input_type.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            octets = _framed(field.number, b"a" * (4 * 1024 * 1024 - 100))
        elif field.type == FieldDescriptor.TYPE_ENUM and field.is_repeated:
            octets = _framed(field.number, b"\x63" * (4 * 1024 * 1024 - 100))
        else:
            continue
        answer = service.call(path, octets, key)
        assert isinstance(answer, Failure)
        _check(answer)


def test_a_larger_message_is_refused_by_grpc(service: Running, key: str) -> None:
    """Beyond 4 MiB the transport itself answers RESOURCE_EXHAUSTED."""
    answer = service.call("/kraiter.domains.v1.DomainService/GetDomain", b"\0" * (4 * 1024 * 1024 + 1), key)
    assert isinstance(answer, Failure)
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def _framed(number: int, octets: bytes) -> bytes:
    """Return a length-delimited field (protobuf encoding, "Message Structure")."""
    return _varint(number << 3 | 2) + _varint(len(octets)) + octets


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
