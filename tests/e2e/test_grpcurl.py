"""The service through grpcurl, as operators use it: nothing is known of it but what reflection tells."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from kraiter.domains.v1 import domain_pb2, domain_service_pb2, sending_service_pb2
from kraiter.domains.v1.sending_service_pb2 import DomainUse, PutDomainUseRequest
from kraiter.domains.v1.sending_service_pb2_grpc import SendingServiceStub

from tests.e2e import wire
from tests.e2e.conftest import HASTE, Serve
from tests.support.server import KEY, ServerProcess
from tests.support.tools import require_tool

FILES = (domain_pb2.DESCRIPTOR, domain_service_pb2.DESCRIPTOR, sending_service_pb2.DESCRIPTOR)
SERVICES = [service for file in FILES for service in file.services_by_name.values()]
METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]

DOMAIN = "grpcurl.example.com"
NEW_DOMAIN = "new.example.com"
NOW = datetime.now(UTC).isoformat()
EXAMPLES: dict[str, dict[str, object]] = {
    "CreateDomain": {"domain": NEW_DOMAIN, "dmarcPolicy": "REJECT", "requestId": "example"},
    "GetDomain": {"domain": DOMAIN},
    "ListDomains": {"pageSize": 10, "statuses": ["PENDING"], "view": "FULL"},
    "DeleteDomain": {"domain": DOMAIN},
    "VerifyDomain": {"domain": DOMAIN},
    "EnableDomain": {"domain": DOMAIN, "reason": "reviewed"},
    "DisableDomain": {"domain": DOMAIN, "reason": "under review"},
    "UpdateDomain": {"domain": DOMAIN, "updateMask": {"paths": ["dmarc_policy"]}, "dmarcPolicy": "REJECT"},
    "WatchStatus": {"start": "CURRENT_STATE", "heartbeatInterval": "1s"},
    "ListStatusEvents": {"domain": DOMAIN},
    "ExportDnsRecords": {"domain": DOMAIN, "format": "CSV"},
    "CheckSending": {"domains": [DOMAIN]},
    "PutDomainUse": {"domain": DOMAIN, "kind": "SEQUENCE", "useId": "1", "state": "PAUSED"},
    "DeleteDomainUse": {"domain": DOMAIN, "kind": "SEQUENCE", "useId": "1"},
    "ListDomainUses": {"domain": DOMAIN},
    "ReportDeliveries": {"batchId": "1", "reports": [{"domain": DOMAIN, "time": NOW, "sent": 1}]},
}
"""A request of every RPC, as JSON."""
TOLD = {
    "CreateDomain": r'"dmarc_?[pP]olicy": "REJECT"',
    "DeleteDomain": r'"revision": "\d+"',
    "DisableDomain": r'"disable_?[rR]eason": "under review"',
    "WatchStatus": r'"snapshot_?[cC]omplete": true',
    "UpdateDomain": r'"dmarc_?[pP]olicy": "REJECT"',
    "ListStatusEvents": r'"type": "CREATED"',
    "ExportDnsRecords": r'"file_?[nN]ame": "grpcurl.example.com.csv"',
    "CheckSending": r'"reason": "NOT_VERIFIED"',
    "DeleteDomainUse": "^{}$",
    "ListDomainUses": r'"state": "PAUSED"',
    "ReportDeliveries": r'"accepted": 1',
}
"""What its answer has, as a pattern; the domain's name where nothing else is said.

Python's reflection does not tell the JSON names of fields: grpcurl shows them as the contract has them.
"""


@pytest.fixture(scope="module")
def server(serve: Serve) -> ServerProcess:
    """Give a running server."""
    return serve(**HASTE)


@pytest.fixture
def domain(server: ServerProcess) -> Iterator[str]:
    """Give a domain that was just created, beside one that was not."""
    with server.client() as client:
        client.domains.create(DOMAIN)
        use = PutDomainUseRequest(domain=DOMAIN, kind=DomainUse.SEQUENCE, use_id="1", state=DomainUse.PAUSED)
        SendingServiceStub(client.channel).PutDomainUse(use, metadata=wire.metadata(KEY))
        yield DOMAIN
        for left in list(client.domains.list()):
            client.domains.delete(left.domain)


def grpcurl(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run grpcurl; what stands before the verb are its options."""
    program = require_tool("grpcurl", "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4")
    options = [argument for argument in arguments if argument.startswith("-")]
    rest = [argument for argument in arguments if not argument.startswith("-")]
    command = [program, "-plaintext", *options, server.address, *rest]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def messages(of: list[Descriptor]) -> Iterator[Descriptor]:
    """Yield messages and those nested in them."""
    for message in of:
        yield message
        yield from messages(list(message.nested_types))


def test_services_are_listed(server: ServerProcess) -> None:
    """`list` names both services of the contract, and health and reflection beside them."""
    listed = grpcurl(server, "list").stdout.split()
    assert {service.full_name for service in SERVICES} <= set(listed)
    assert {"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= set(listed)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_services_are_described(server: ServerProcess, service: ServiceDescriptor) -> None:
    """`describe` shows every RPC of a service with its messages."""
    described = grpcurl(server, "describe", service.full_name).stdout
    for method in service.methods:
        stream = "stream " if method.server_streaming else ""
        assert (
            f"rpc {method.name} ( .{method.input_type.full_name} ) "
            f"returns ( {stream}.{method.output_type.full_name} )"
        ) in described


def test_every_message_is_described(server: ServerProcess) -> None:
    """`describe` knows every message and enum, with all its fields and values."""
    for file in FILES:
        for message in messages(list(file.message_types_by_name.values())):
            described = grpcurl(server, "describe", message.full_name).stdout
            assert f"message {message.name} {{" in described
            assert all(f" {field.name} = {field.number}" in described for field in message.fields)
            assert all(
                f" {value.name} = {value.number};" in described
                for enum in message.enum_types
                for value in enum.values
            )


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_rpc_can_be_called(server: ServerProcess, domain: str, method: MethodDescriptor) -> None:
    """Every RPC of the contract answers a request written as JSON."""
    assert method.name in EXAMPLES, f"{method.full_name} is new: give it an example request"
    done = grpcurl(
        server,
        f"-H=authorization: Bearer {KEY}",
        "-format-error",
        "-max-time=3",
        f"-d={json.dumps(EXAMPLES[method.name])}",
        f"{method.containing_service.full_name}/{method.name}",
    )
    assert re.search(TOLD.get(method.name, domain), done.stdout.strip())
    if method.server_streaming:
        # It goes on for ever: grpcurl ends it after its time.
        assert '"code": 4' in done.stderr
        assert len(re.findall(r'"resume_?[tT]oken"', done.stdout)) > 1
    else:
        assert done.returncode == 0


def test_calls_need_a_key(server: ServerProcess) -> None:
    """Without a key a call is refused, with the code that says so."""
    done = grpcurl(server, "kraiter.domains.v1.DomainService/ListDomains")
    assert done.returncode != 0
    assert "Unauthenticated" in done.stderr
    assert "MISSING_KEY" in done.stderr
