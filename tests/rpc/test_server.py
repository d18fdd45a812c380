"""The server around the calls: identification, limits, deadlines, health, an orderly stop."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Never

import grpc
import kraiter
import pytest
import structlog
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from kraiter.domains.v1 import domain_service_pb2 as pb

from service.core.domain import Domain
from service.core.errors import Reason, ServiceError
from service.rpc import RpcConfig
from service.usecases import UseCases
from service.usecases.caller import Caller
from service.usecases.read_domains import WantedDomain
from tests.rpc.running import SERVICES, Failure, Running, running
from tests.support.logged import captured_logs

GET = "/kraiter.domains.v1.DomainService/GetDomain"
DISABLE = "/kraiter.domains.v1.DomainService/DisableDomain"
WATCH = "/kraiter.domains.v1.DomainService/WatchStatus"
SECRET = "password=hunter2 at db.internal"


@dataclass
class Gate:
    """GetDomain and DisableDomain that wait to be let through, and note whom they were begun for."""

    begun: list[str]
    entered: threading.Semaphore
    opened: threading.Event

    @classmethod
    def shut(cls) -> "Gate":
        """Return a gate that lets nobody through yet."""
        return cls([], threading.Semaphore(0), threading.Event())

    def get(self, wanted: Sequence[WantedDomain]) -> Sequence[Domain | ServiceError]:
        """Wait, and find nothing."""
        self._pass([each.domain for each in wanted])
        return [ServiceError(Reason.DOMAIN_NOT_FOUND, "nothing here") for _ in wanted]

    def disable(self, _caller: Caller, domain: str, _reason: str) -> Domain:
        """Wait, and find nothing."""
        self._pass([domain])
        raise ServiceError(Reason.DOMAIN_NOT_FOUND, "nothing here")

    def _pass(self, domains: list[str]) -> None:
        self.begun += domains
        self.entered.release()
        assert self.opened.wait(30)

    def instead(self, usecases: UseCases) -> UseCases:
        """Return the use cases with these two."""
        return replace(usecases, get_domain=self.get, disable_domain=self.disable)  # type: ignore[arg-type]  # stand in for the classes


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Return threads for calls that wait."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


def _get(domain: str) -> bytes:
    return pb.GetDomainRequest(domain=domain).SerializeToString()


# --- identification ----------------------------------------------------------


@pytest.mark.parametrize(("sent", "kept"), [("order-4711/retry~2", True), ("x" * 129, False), ("a b", False)])
def test_a_sane_request_id_comes_back(service: Running, key: str, sent: str, kept: bool) -> None:
    """The caller's id is returned, with answers and errors alike; else one is made."""
    metadata = [("authorization", f"Bearer {key}"), ("x-request-id", sent)]
    call = service.channel.unary_unary("/kraiter.domains.v1.DomainService/ListDomains")
    _, answered = call.with_call(b"", metadata=metadata, timeout=5)
    with pytest.raises(grpc.RpcError) as caught:
        service.channel.unary_unary(GET)(b"", metadata=metadata, timeout=5)
    for ended in (answered, caught.value):
        returned = dict(ended.trailing_metadata())["x-request-id"]
        assert (returned == sent) is kept
        assert 0 < len(returned) <= 128


def test_a_stream_says_its_request_id_first(service: Running, key: str) -> None:
    """It stands in the initial metadata, for streams have no end in sight."""
    call = service.channel.unary_stream("/kraiter.domains.v1.DomainService/WatchStatus")
    stream = call(b"", metadata=[("authorization", f"Bearer {key}"), ("x-request-id", "mine")], timeout=5)
    assert dict(stream.initial_metadata())["x-request-id"] == "mine"
    stream.cancel()


def test_every_call_is_one_log_line(service: Running, tenant: str, key: str) -> None:
    """It names the method, outcome, tenant, key and request."""
    with captured_logs() as logs:
        service.call(GET, _get("mail.example.com"), key)
    lines = [line for line in logs if line.get("tenant") == tenant]
    assert len(lines) == 1
    assert (
        lines[0].items()
        >= {
            "event": "rpc_finished",
            "log_level": "info",
            "method": GET[1:],
            "code": "NOT_FOUND",
            "reason": "DOMAIN_NOT_FOUND",
            "key_id": key.split("_")[1],
        }.items()
    )
    assert lines[0]["duration_ms"] > 0
    assert lines[0]["peer"].startswith("ipv4:127.0.0.1:")
    assert key not in str(logs)


@pytest.mark.parametrize(("method", "usecase"), [(DISABLE, "disable_domain"), (WATCH, "watch_status")])
def test_what_a_call_has_logged_bears_its_request_id(tmp_path: Path, method: str, usecase: str) -> None:
    """Also on the thread that answers it."""

    def note(*_arguments: object) -> Never:
        structlog.get_logger().info("noted")
        raise ServiceError(Reason.DOMAIN_NOT_FOUND, "nothing here")

    with (
        running(tmp_path, change=lambda usecases: replace(usecases, **{usecase: note})) as service,  # type: ignore[arg-type]  # stands in for the class
        captured_logs() as logs,
    ):
        service.call(method, b"", service.new_key(service.new_tenant()))
    (noted,) = [line for line in logs if line["event"] == "noted"]
    (finished,) = [line for line in logs if line["event"] == "rpc_finished"]
    assert noted["request_id"] == finished["request_id"]


# --- failures of ours --------------------------------------------------------


def test_an_unexpected_failure_tells_nothing(tmp_path: Path) -> None:
    """The caller gets INTERNAL with the request id, the log gets the traceback."""

    def fail(_wanted: Sequence[WantedDomain]) -> Sequence[Domain | ServiceError]:
        raise RuntimeError(SECRET)

    with (
        running(tmp_path, change=lambda usecases: replace(usecases, get_domain=fail)) as service,  # type: ignore[arg-type]  # stands in for the class
        captured_logs() as logs,
    ):
        answer = service.call(GET, _get("mail.example.com"), service.new_key(service.new_tenant()))
    assert isinstance(answer, Failure)
    assert (answer.code.name, answer.reason) == ("INTERNAL", "INTERNAL")
    assert list(answer.metadata) == ["request_id"]
    assert SECRET not in str(answer)
    failed = next(line for line in logs if line["event"] == "rpc_failed")
    assert failed["request_id"] == answer.metadata["request_id"]
    assert SECRET in str(failed["exc_info"])


# --- limits and deadlines ----------------------------------------------------


def test_too_many_calls_are_refused_at_once(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """One above the limit is RATE_LIMITED with a time to wait; health is not counted."""
    gate = Gate.shut()
    with running(tmp_path, config=RpcConfig(max_calls=1), change=gate.instead) as service:
        key = service.new_key(service.new_tenant())
        first = pool.submit(service.call, GET, _get("a.example.com"), key)
        assert gate.entered.acquire(timeout=10)
        with service.client(key) as client, pytest.raises(kraiter.ResourceExhausted) as caught:
            client.domains.get("b.example.com")
        assert caught.value.reason == "RATE_LIMITED"
        assert caught.value.retry_after is not None
        assert _health(service.channel) == health_pb2.HealthCheckResponse.SERVING
        gate.opened.set()
        assert isinstance(first.result(), Failure)
        answer = service.call(GET, _get("c.example.com"), key)
        assert isinstance(answer, Failure)
        assert answer.reason == "DOMAIN_NOT_FOUND"


@pytest.mark.parametrize(
    ("config", "others_may"),
    [(RpcConfig(max_streams=1), False), (RpcConfig(max_streams_per_key=1), True)],
    ids=["of the process", "of a key"],
)
def test_too_many_streams_are_refused(tmp_path: Path, config: RpcConfig, others_may: bool) -> None:
    """Streams have limits of their own, and one that has ended makes room."""
    with running(tmp_path, config=config) as service:
        tenant = service.new_tenant()
        with (
            service.client(service.new_key(tenant)) as client,
            service.client(service.new_key(tenant)) as other,
        ):
            first = client.domains.watch().messages()
            next(first)
            with pytest.raises(kraiter.ResourceExhausted, match="TOO_MANY_STREAMS"):
                next(client.domains.watch().messages())
            if others_may:
                assert next(other.domains.watch().messages()).resume_token
            assert not list(client.domains.list())
            first.close()
            assert _until(lambda: next(client.domains.watch().messages()).resume_token)


def _until(attempt: Callable[[], str]) -> str:
    """Return what an attempt gives once there is room for it."""
    while True:
        try:
            return attempt()
        except kraiter.ResourceExhausted:
            continue


@pytest.mark.parametrize("method", [GET, DISABLE])
def test_work_for_a_caller_that_has_gone_is_not_begun(
    tmp_path: Path, pool: ThreadPoolExecutor, method: str
) -> None:
    """A call whose deadline passed while it waited for a thread is dropped."""
    gate = Gate.shut()
    with running(tmp_path, config=RpcConfig(threads=1), change=gate.instead) as service:
        key = service.new_key(service.new_tenant())
        first = pool.submit(service.call, method, _get("first.example.com"), key)
        assert gate.entered.acquire(timeout=10)
        late = service.call(method, _get("late.example.com"), key, timeout=0.1)
        assert isinstance(late, Failure)
        assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.opened.set()
        first.result()
        service.call(method, _get("last.example.com"), key)
    assert gate.begun == ["first.example.com", "last.example.com"]


def test_verify_ends_before_its_callers_deadline(service: Running, client: kraiter.Client, key: str) -> None:
    """A check that outlasts the caller is answered in time, with a reason."""
    client.domains.create("slow.example.com")
    service.resolver.released.clear()
    with ThreadPoolExecutor(1) as pool:
        path = "/kraiter.domains.v1.DomainService/VerifyDomain"
        request = pb.VerifyDomainRequest(domain="slow.example.com")
        first = pool.submit(service.call, path, request, key)
        assert service.resolver.is_held.wait(10)
        late = service.call(path, request, key, timeout=1)
        service.resolver.released.set()
        assert isinstance(first.result(), bytes)
    assert isinstance(late, Failure)
    assert late.reason == "DEADLINE_EXCEEDED"


# --- health and reflection -----------------------------------------------------


def _health(channel: grpc.Channel, name: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=name)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status


def test_health_needs_no_key(service: Running) -> None:
    """The server as a whole and each service are SERVING; others are not known."""
    for name in ("", *(descriptor.full_name for descriptor in SERVICES)):
        assert _health(service.channel, name) == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        _health(service.channel, "unknown")
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_follows_the_database(tmp_path: Path) -> None:
    """While the database is away the server is NOT_SERVING, and watchers are told."""
    is_away = threading.Event()

    def ping() -> None:
        if is_away.is_set():
            raise ServiceError(Reason.DATABASE_UNAVAILABLE, "away")

    with running(tmp_path, ping=ping) as service:
        stub = health_pb2_grpc.HealthStub(service.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICES[0].full_name), timeout=20)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        is_away.set()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        is_away.clear()
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services(service: Running, version: str) -> None:
    """Tools find the contract at the server, in the old protocol and the new."""
    call = service.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="kraiter.domains.v1.Domain"),
    ]
    listed, file = call(iter(asked), timeout=5)
    names = {entry.name for entry in listed.list_services_response.service}
    assert names >= {descriptor.full_name for descriptor in SERVICES} | {"grpc.health.v1.Health"}
    assert file.file_descriptor_response.file_descriptor_proto


# --- the end -----------------------------------------------------------------


@pytest.mark.parametrize("is_on", [True, False])
def test_channelz_is_served_where_it_is_switched_on(tmp_path: Path, is_on: bool) -> None:
    """It tells of connections without a key, so that it has to be asked for."""
    with running(tmp_path, config=RpcConfig(channelz=is_on)) as service:
        stub = channelz_pb2_grpc.ChannelzStub(service.channel)
        if is_on:
            assert len(stub.GetServers(channelz_pb2.GetServersRequest()).server) >= 1
            return
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetServers(channelz_pb2.GetServersRequest())
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_orderly_stop(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """Health says NOT_SERVING, streams end with a bookmark, running calls finish, new ones are refused."""
    gate = Gate.shut()
    with running(tmp_path, change=gate.instead) as service:
        key = service.new_key(service.new_tenant())
        running_call = pool.submit(service.call, GET, _get("a.example.com"), key)
        assert gate.entered.acquire(timeout=10)
        watching = health_pb2_grpc.HealthStub(service.channel).Watch(
            health_pb2.HealthCheckRequest(), timeout=20
        )
        assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
        stream = service.channel.unary_stream(
            "/kraiter.domains.v1.DomainService/WatchStatus", None, pb.WatchStatusResponse.FromString
        )(b"", metadata=[("authorization", f"Bearer {key}")], timeout=20)
        next(stream)

        service.stopping.set_result(None)
        assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
        refused = service.call(GET, _get("b.example.com"), key)
        assert isinstance(refused, Failure)
        assert (refused.code.name, refused.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
        rest = []
        with pytest.raises(grpc.RpcError) as caught:
            deque(map(rest.append, stream))
        assert kraiter.errors.from_rpc_error(caught.value).reason == "SHUTTING_DOWN"
        assert rest[-1].resume_token
        gate.opened.set()
        answer = running_call.result()
        assert isinstance(answer, Failure)
        assert answer.reason == "DOMAIN_NOT_FOUND"
    assert gate.begun == ["a.example.com"]
