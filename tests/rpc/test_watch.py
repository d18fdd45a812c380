"""WatchStatus over the wire, through the client that resumes by itself."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import kraiter
import pytest
from google.protobuf import duration_pb2
from kraiter.domains.v1 import domain_pb2 as pb
from kraiter.domains.v1 import domain_service_pb2 as service_pb

from tests.rpc.running import Failure, Running, running

WATCH = "/kraiter.domains.v1.DomainService/WatchStatus"
Start = service_pb.WatchStatusRequest


def _types(events: Iterator[pb.StatusEvent], count: int) -> list[str]:
    return [pb.StatusEvent.Type.Name(next(events).type) for _ in range(count)]


def test_changes_arrive_in_order(client: kraiter.Client) -> None:
    """A stream from now brings every change made after it was opened."""
    with client.domains.watch() as watch:
        messages = watch.messages()
        opened = next(messages)
        assert opened.resume_token
        assert not opened.events
        client.domains.create("mail.example.com")
        client.domains.disable("mail.example.com", reason="holiday")
        events = (event for message in messages for event in message.events)
        first, second = next(events), next(events)
    assert (first.revision, second.revision) == (1, 2)
    assert first.type == pb.StatusEvent.CREATED
    assert second.reason == "holiday"
    assert not second.state.sending_enabled
    assert not second.state.dns_records


def test_the_current_state_comes_first(client: kraiter.Client) -> None:
    """A snapshot of every domain, its end, then what changes: nothing twice, nothing left out."""
    for name in ("a.example.com", "b.example.com"):
        client.domains.create(name)
    with client.domains.watch(start=Start.CURRENT_STATE, view=pb.Domain.FULL) as watch:
        messages = watch.messages()
        snapshot: list[pb.StatusEvent] = []
        for message in messages:
            snapshot += message.events
            if message.snapshot_complete:
                break
        client.domains.disable("a.example.com")
        change = next(event for message in messages for event in message.events)
    assert [(event.type, event.domain) for event in snapshot] == [
        (pb.StatusEvent.SNAPSHOT, "a.example.com"),
        (pb.StatusEvent.SNAPSHOT, "b.example.com"),
    ]
    assert all(len(event.state.dns_records) >= 6 for event in snapshot)
    assert (change.type, change.revision) == (pb.StatusEvent.SENDING_DISABLED, 3)


def test_a_token_continues_strictly_after(client: kraiter.Client) -> None:
    """ListDomains and each message say where a stream may start."""
    client.domains.create("a.example.com")
    stub, metadata = client.domains._stub, client.domains._access.metadata
    token = stub.ListDomains(service_pb.ListDomainsRequest(), metadata=metadata).resume_token
    client.domains.create("b.example.com")
    with client.domains.watch(resume_token=token) as watch:
        assert next(iter(watch)).domain == "b.example.com"


def test_filters_by_domain_and_kind(client: kraiter.Client) -> None:
    """Only what was asked for is sent, from the earliest kept on."""
    client.domains.create("a.example.com")
    client.domains.create("b.example.com")
    client.domains.disable("b.example.com")
    with client.domains.watch(start=Start.EARLIEST, domains=["B.example.com"]) as watch:
        assert _types(iter(watch), 2) == ["CREATED", "SENDING_DISABLED"]
    with client.domains.watch(start=Start.EARLIEST, types=[pb.StatusEvent.SENDING_DISABLED]) as watch:
        assert next(iter(watch)).domain == "b.example.com"


def test_silence_is_bounded(client: kraiter.Client) -> None:
    """A quiet stream brings bookmarks as often as its subscriber asked."""
    with client.domains.watch(heartbeat_interval=timedelta(seconds=1)) as watch:
        messages = watch.messages()
        for _ in range(2):
            assert next(messages).resume_token


def test_a_client_resumes_by_itself(tmp_path: Path) -> None:
    """When a server stops, the watch goes on with another, without gap or duplicate."""
    with running(tmp_path) as first:
        key = first.new_key(first.new_tenant())
        port = first.target.rpartition(":")[2]
        client = first.client(key)
        client.domains.create("a.example.com")
        watch = client.domains.watch(start=Start.EARLIEST)
        events = iter(watch)
        assert next(events).domain == "a.example.com"
    with running(tmp_path, port=int(port)):
        client.domains.create("b.example.com")
        assert next(events).domain == "b.example.com"
        watch.close()
        assert not list(events)
        client.close()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Start(start=Start.Start.ValueType(9)), "start"),
        (Start(types=[pb.StatusEvent.Type.ValueType(99)]), "types[0]"),
        (Start(start=Start.NOW, resume_token="x"), "start"),
        (Start(heartbeat_interval=duration_pb2.Duration(seconds=2**62)), "heartbeat_interval"),
        (Start(heartbeat_interval=duration_pb2.Duration(nanos=-1)), "heartbeat_interval"),
        (Start(view=pb.Domain.View.ValueType(7)), "view"),
        (Start(domains=["x.example.com"] * 1001), "domains"),
        (Start(domains=["a.example.com", "no domain"]), "domains[1]"),
    ],
)
def test_a_bad_request_is_explained(
    service: Running, key: str, request_: service_pb.WatchStatusRequest, field: str
) -> None:
    """The wrong field is named, and no stream is opened."""
    answer = service.call(WATCH, request_, key)
    assert isinstance(answer, Failure)
    assert answer.code.name == "INVALID_ARGUMENT"
    assert [violation.field for violation in answer.violations] == [field]


def test_a_forged_token_is_refused(service: Running, key: str) -> None:
    """Not retried for ever: the client raises."""
    with service.client(key) as client, pytest.raises(kraiter.InvalidArgument, match="INVALID_RESUME_TOKEN"):
        next(iter(client.domains.watch(resume_token="forged")))
