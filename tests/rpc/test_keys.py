"""Keys and scopes: who may call what, and until when."""

import re
import time
from datetime import timedelta
from pathlib import Path

import grpc
import kraiter
import pytest
from kraiter import errors
from kraiter.domains.v1.domain_service_pb2 import WatchStatusRequest

from service.clock import SystemClock
from service.core.keys import Scope
from service.rpc import RpcConfig
from tests.rpc.contract_requests import request_for
from tests.rpc.running import METHODS, Failure, Running, running
from tests.support.samples import sample_domain
from tests.support.waiting import until

PROTOS = Path(__file__).parents[2] / "protos/kraiter/domains/v1"
GET = "/kraiter.domains.v1.DomainService/GetDomain"
WATCH = "/kraiter.domains.v1.DomainService/WatchStatus"


def _documented_scopes() -> dict[str, Scope]:
    text = "".join(path.read_text() for path in sorted(PROTOS.glob("*_service.proto")))
    found = re.findall(r"Scope: ([a-z.]+)\.(?:\s*//|\s)[^{}]*?rpc (\w+)\(", text)
    return {name: Scope(scope) for scope, name in found}


SCOPES = _documented_scopes()


@pytest.mark.parametrize("path", METHODS)
def test_each_rpc_needs_the_scope_that_the_contract_says(service: Running, tenant: str, path: str) -> None:
    """Every other scope is not enough, before anything is looked at; that one is."""
    scope = SCOPES[path.rpartition("/")[2]]
    lacking = service.new_key(tenant, frozenset(Scope) - {scope})
    for request in (request_for(path, "mail.example.com"), b"\xff"):
        refused = service.call(path, request, lacking)
        assert isinstance(refused, Failure)
        assert (refused.code.name, refused.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE")
        assert refused.metadata == {"scope": scope}
    allowed = service.call(
        path, request_for(path, "mail.example.com"), service.new_key(tenant, frozenset({scope}))
    )
    assert not isinstance(allowed, Failure) or allowed.reason == "DOMAIN_NOT_FOUND"


@pytest.mark.parametrize("path", METHODS)
def test_every_rpc_needs_a_key(service: Running, path: str) -> None:
    """Without a key there is no answer, and not a word about the request."""
    refused = service.call(path, b"\xff", None)
    assert isinstance(refused, Failure)
    assert (refused.code.name, refused.reason) == ("UNAUTHENTICATED", "MISSING_KEY")


def test_unknown_keys_and_wrong_secrets_look_alike(service: Running, key: str) -> None:
    """A caller cannot find out which key ids exist."""
    _, key_id, secret = key.split("_", 2)
    wrong_secret = f"kr_{key_id}_{secret[::-1]}"
    unknown = f"kr_{key_id[::-1]}0_{secret}"
    answers = [service.call(GET, b"", text) for text in (wrong_secret, unknown, "kr_", "nonsense", "")]
    assert all(isinstance(answer, Failure) and answer.reason == "INVALID_KEY" for answer in answers)
    assert all(answer == answers[0] for answer in answers)


def test_only_bearer_is_understood(service: Running, key: str) -> None:
    """Another scheme is refused; the scheme's case does not matter (RFC 9110, section 11.1)."""
    octets = request_for(GET, "mail.example.com").SerializeToString()
    call = service.channel.unary_unary(GET)
    for scheme, reason in (("Basic", "INVALID_KEY"), ("bEARER", "DOMAIN_NOT_FOUND")):
        with pytest.raises(grpc.RpcError) as caught:
            call(octets, metadata=[("authorization", f"{scheme} {key}")], timeout=5)
        assert errors.from_rpc_error(caught.value).reason == reason


def test_an_expired_key_is_told_so(service: Running, tenant: str) -> None:
    """A key works until its time has come."""
    now = SystemClock().now()
    late = service.new_key(tenant, expire_time=now - timedelta(seconds=1))
    answer = service.call(GET, b"", late)
    assert isinstance(answer, Failure)
    assert answer.reason == "KEY_EXPIRED"
    early = service.new_key(tenant, expire_time=now + timedelta(minutes=1))
    answer = service.call(GET, b"", early)
    assert isinstance(answer, Failure)
    assert answer.reason == "INVALID_DOMAIN"


def test_a_revoked_key_stops_working_within_a_second(service: Running, key: str) -> None:
    """Also where it was used a moment ago."""
    assert isinstance(service.call(GET, b"", key), Failure)
    service.revoke(key)
    revoked = time.monotonic()
    while (answer := service.call(GET, b"", key)) and isinstance(answer, Failure):
        if answer.reason == "KEY_REVOKED":
            break
        assert time.monotonic() - revoked < 1
    assert answer.code.name == "UNAUTHENTICATED"


def test_a_revoked_key_ends_its_streams_within_a_second(
    service: Running, tenant: str, client: kraiter.Client, key: str
) -> None:
    """The stream ends with UNAUTHENTICATED; another key's goes on."""
    other = service.client(service.new_key(tenant)).domains.watch()
    others = other.messages()
    next(others)
    messages = client.domains.watch().messages()
    next(messages)
    service.revoke(key)
    revoked = time.monotonic()
    with pytest.raises(kraiter.Unauthenticated, match="KEY_REVOKED"):
        for _ in messages:
            pass
    assert time.monotonic() - revoked < 1
    assert next(others).resume_token
    other.close()


def test_an_expiring_key_ends_its_streams(service: Running, tenant: str) -> None:
    """A stream outlives its key by no more than a second."""
    expiry = SystemClock().now() + timedelta(milliseconds=300)
    client = service.client(service.new_key(tenant, expire_time=expiry))
    with pytest.raises(kraiter.Unauthenticated, match="KEY_EXPIRED"):
        list(client.domains.watch())
    assert SystemClock().now() - expiry < timedelta(seconds=1)


def test_a_stream_that_is_not_read_ends_too_when_its_key_is_revoked(tmp_path: Path) -> None:
    """A subscriber that stalls does not keep its place on the server."""
    with running(tmp_path, config=RpcConfig(max_streams=1)) as service:
        tenant = service.new_tenant()
        revoked, valid = service.new_key(tenant), service.new_key(tenant)
        for number in range(300):
            name = f"d{number}.example.com"
            domain = sample_domain(tenant=tenant, name=name, disable_reason="x" * 4000)
            service.store.create(domain, actor="key:test", request=None)
        options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]
        with grpc.insecure_channel(service.target, options) as channel:
            request = WatchStatusRequest(start=WatchStatusRequest.EARLIEST)
            stalled = channel.unary_stream(WATCH)(
                request.SerializeToString(), metadata=[("authorization", f"Bearer {revoked}")]
            )
            next(iter(stalled))
            refused = service.call(WATCH, b"", valid)
            assert isinstance(refused, Failure)
            assert refused.reason == "TOO_MANY_STREAMS"
            service.revoke(revoked)
            until(lambda: not isinstance(service.call(WATCH, b"", valid), Failure), within=2)
