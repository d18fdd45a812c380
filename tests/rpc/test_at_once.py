"""What memory has is answered on the event loop, all else on a thread: alike but for that."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from kraiter.domains.v1 import domain_pb2
from kraiter.domains.v1 import domain_service_pb2 as pb

from service.core.errors import Reason, ServiceError, domain_not_found
from service.core.keys import Scope
from service.rpc import RpcConfig, domain_service
from service.rpc.methods import AtOnce, Method
from service.rpc.unary import parsed
from service.usecases import UseCases
from service.usecases.caller import Caller
from tests.rpc.running import Failure, Running, running
from tests.support.logged import WRITER, captured_logs

PATH = "/kraiter.domains.v1.DomainService/GetDomain"
KNOWN, UNKNOWN, REFUSED, BROKEN, HELD = (
    "known.test",
    "unknown.test",
    "refused.test",
    "broken.test",
    "held.test",
)
LARGEST = 32 * 1024
PATIENCE = 10.0


@dataclass
class Memory:
    """Stands in for a use case that has one domain in memory, and notes who was asked for what, and where."""

    looked_up: list[tuple[str, str]] = field(default_factory=list)
    """The names that memory was asked for, each with the thread that asked."""
    read: list[tuple[str, str]] = field(default_factory=list)
    """The names that were read, likewise."""
    is_held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def from_memory(self, octets: bytes, _caller: Caller) -> bytes | None:
        """Answer for the known domain; hold up the loop for the one that is held."""
        name = parsed(pb.GetDomainRequest, octets).domain
        self.looked_up.append((name, threading.current_thread().name))
        match name:
            case "known.test":
                return answer_from("memory")
            case "":
                return b""
            case "refused.test":
                raise domain_not_found(name)
            case "broken.test":
                raise ZeroDivisionError
            case "held.test":
                self.is_held.set()
                assert self.released.wait(PATIENCE)
                return b""
            case _:
                return None

    def answer(self, asked: Sequence[tuple[pb.GetDomainRequest, Caller]]) -> Sequence[bytes | ServiceError]:
        """Answer for every domain."""
        self.read += [(request.domain, threading.current_thread().name) for request, _ in asked]
        return [answer_from("a thread") for _ in asked]


def answer_from(where: str) -> bytes:
    """Return an answer that tells where it is from."""
    return domain_pb2.Domain(region=where).SerializeToString()


def asked_for(name: str) -> bytes:
    """Return a request."""
    return pb.GetDomainRequest(domain=name).SerializeToString()


@dataclass(frozen=True)
class Served:
    """A server whose GetDomain is answered from memory."""

    server: Running
    memory: Memory
    tenant: str
    key: str

    def get(self, name: str, **options: float) -> bytes | Failure:
        """Ask for a domain."""
        return self.server.call(PATH, asked_for(name), self.key, **options)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Put a memory behind the GetDomain of every server that is started."""
    made, methods = Memory(), domain_service.unary

    def unary(usecases: UseCases) -> Mapping[str, Method]:
        from_memory = AtOnce(pb.GetDomainRequest, Scope.DOMAINS_READ, made.from_memory, made.answer)
        return {**methods(usecases), "GetDomain": from_memory}

    monkeypatch.setattr(domain_service, "unary", unary)
    return made


@pytest.fixture
def served(memory: Memory, tmp_path: Path) -> Iterator[Served]:
    """Return a server over the memory, with room for one call."""
    with running(tmp_path, config=RpcConfig(max_calls=1)) as server:
        tenant = server.new_tenant()
        yield Served(server, memory, tenant, server.new_key(tenant))


def test_what_memory_has_is_answered_on_the_loop(served: Served) -> None:
    """No thread is asked."""
    assert served.get(KNOWN) == answer_from("memory")
    assert served.memory.looked_up == [(KNOWN, "server")]
    assert not served.memory.read


def test_what_memory_has_not_is_answered_on_a_thread(served: Served) -> None:
    """Memory is asked first."""
    assert served.get(UNKNOWN) == answer_from("a thread")
    assert served.memory.looked_up == [(UNKNOWN, "server")]
    ((name, thread),) = served.memory.read
    assert name == UNKNOWN
    assert thread.startswith("rpc")


def test_an_empty_message_is_an_answer(served: Served) -> None:
    """Only None says that memory cannot tell."""
    assert served.get("") == b""
    assert not served.memory.read


@pytest.mark.parametrize(("octets", "is_looked_at"), [(LARGEST, True), (LARGEST + 1, False)])
def test_a_large_request_is_not_looked_at_on_the_loop(
    served: Served, octets: int, is_looked_at: bool
) -> None:
    """It goes to a thread at once."""
    overhead = len(asked_for("x" * octets)) - octets
    name = "x" * (octets - overhead)
    assert len(asked_for(name)) == octets
    assert served.get(name) == answer_from("a thread")
    assert bool(served.memory.looked_up) is is_looked_at


def test_a_request_that_is_none_is_refused(served: Served) -> None:
    """The caller is told, as of every RPC."""
    answer = served.server.call(PATH, b"\xff", served.key)
    assert isinstance(answer, Failure)
    assert answer.reason == "INVALID_FIELD"


def test_a_key_without_the_scope_learns_nothing(served: Served) -> None:
    """Memory is not asked."""
    key = served.server.new_key(served.tenant, frozenset({Scope.DOMAINS_WRITE}))
    answer = served.server.call(PATH, asked_for(KNOWN), key)
    assert isinstance(answer, Failure)
    assert answer.reason == "MISSING_SCOPE"
    assert not served.memory.looked_up


def test_no_call_is_left_counted(served: Served) -> None:
    """However a call ends, it makes room for the next."""
    for name in (KNOWN, UNKNOWN, REFUSED, BROKEN, KNOWN):
        answer = served.get(name)
        assert not isinstance(answer, Failure) or answer.reason != Reason.RATE_LIMITED


@pytest.mark.parametrize(("name", "is_made"), [(KNOWN, False), (UNKNOWN, True)])
def test_a_request_id_is_made_where_the_call_is_told_of(served: Served, name: str, is_made: bool) -> None:
    """An answer from memory is not logged, so that no id could find it; one that was given comes back."""
    call = served.server.channel.unary_unary(PATH)
    metadata = [("authorization", f"Bearer {served.key}")]
    _, ended = call.with_call(asked_for(name), metadata=metadata, timeout=PATIENCE)
    assert ("x-request-id" in dict(ended.trailing_metadata())) is is_made
    metadata += [("x-request-id", "mine")]
    _, ended = call.with_call(asked_for(name), metadata=metadata, timeout=PATIENCE)
    assert dict(ended.trailing_metadata())["x-request-id"] == "mine"


@pytest.mark.parametrize("name", [UNKNOWN, REFUSED])
def test_every_call_has_a_request_id_of_its_own(served: Served, name: str) -> None:
    """It comes back with the answer, and with errors."""
    call = served.server.channel.unary_unary(PATH)
    metadata = [("authorization", f"Bearer {served.key}")]
    ids = set()
    for _ in range(250):
        try:
            _, ended = call.with_call(asked_for(name), metadata=metadata, timeout=PATIENCE)
        except grpc.RpcError as error:
            ended = error
        ids.add(dict(ended.trailing_metadata())["x-request-id"])
    assert len(ids) == 250
    assert {len(each) for each in ids} == {16}


def test_a_call_whose_deadline_has_passed_is_not_begun(served: Served) -> None:
    """One that comes while the loop is busy, and whose caller has gone when it no longer is."""
    served.get(KNOWN)  # so that the key is known
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.get, HELD)
        assert served.memory.is_held.wait(PATIENCE)
        late = served.get(UNKNOWN, timeout=0.2)
        served.memory.released.set()
        assert first.result() == b""
    assert isinstance(late, Failure)
    assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert served.get(KNOWN) == answer_from("memory")
    assert [name for name, _ in served.memory.looked_up] == [KNOWN, HELD, KNOWN]


def ends(logs: Sequence[Mapping[str, object]], tenant: str) -> list[tuple[object, object]]:
    """Return the level and the code of the ends of a tenant's calls."""
    return [
        (line["log_level"], line["code"])
        for line in logs
        if line["event"] == "rpc_finished" and line["tenant"] == tenant
    ]


def quiet_and_loud(served: Served) -> list[tuple[object, object]]:
    """Make a call that is answered from memory and two that fail, and return how that is logged."""
    with captured_logs() as logs:
        assert not isinstance(served.get(KNOWN), Failure)
        refused, broken = served.get(REFUSED), served.get(BROKEN)
    assert isinstance(refused, Failure)
    assert isinstance(broken, Failure)
    assert refused.metadata == {"domain": REFUSED}
    failed = next(line for line in logs if line["event"] == "rpc_failed")
    assert broken.metadata == {"request_id": failed["request_id"]}
    return ends(logs, served.tenant)


def test_only_failures_are_logged(served: Served) -> None:
    """A line for each answer would cost more than the answer."""
    assert quiet_and_loud(served) == [("info", "NOT_FOUND"), ("info", "INTERNAL")]


def test_all_is_logged_for_debugging(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is started at level debug notes every answer."""
    monkeypatch.setattr(WRITER, "_least", logging.DEBUG)
    with running(tmp_path) as server:
        tenant = server.new_tenant()
        served = Served(server, memory, tenant, server.new_key(tenant))
        assert quiet_and_loud(served) == [("debug", "OK"), ("info", "NOT_FOUND"), ("info", "INTERNAL")]
