"""The client itself: asyncio, retries, and how a watch goes on."""

import asyncio
from datetime import timedelta

import grpc
import kraiter
import kraiter.aio
import pytest
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.errors import Details
from kraiter.resumption import Resumption

from tests.rpc.running import Running


def test_the_asyncio_client_does_the_same(service: Running, key: str) -> None:
    """Every method, awaited."""

    async def use() -> None:
        async with kraiter.aio.Client(service.target, key) as client:
            domains = client.domains
            created = await domains.create("aio.example.com")
            assert await domains.get("aio.example.com", min_revision=created.revision) == created
            await domains.create("other.example.com")
            names = [domain.domain async for domain in domains.list(page_size=1)]
            assert names == ["aio.example.com", "other.example.com"]
            watch = domains.watch(start=pb.WatchStatusRequest.EARLIEST)
            events = aiter(watch)
            assert (await anext(events)).domain == "aio.example.com"
            await domains.disable("aio.example.com", reason="holiday")
            await domains.enable("aio.example.com")
            assert [(await anext(events)).revision for _ in range(3)] == [2, 3, 4]
            assert (await domains.verify("aio.example.com")).HasField("last_check_time")
            updated = await domains.update("aio.example.com", mail_from_subdomain="m")
            assert updated.mail_from_domain == "m.aio.example.com"
            assert updated.mail_from_domain in (await domains.export("aio.example.com")).content
            revisions = [event.revision async for event in domains.events(page_size=2)]
            assert revisions == sorted(revisions, reverse=True)
            assert revisions[-4:] == [4, 3, 2, 1]
            await domains.delete("aio.example.com")
            with pytest.raises(kraiter.NotFound, match="DOMAIN_NOT_FOUND"):
                await domains.get("aio.example.com")
            await events.aclose()

    # grpc.aio serves one loop of a process well, and the server has it.
    asyncio.run_coroutine_threadsafe(use(), service.loop).result(30)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """The error is typed also where it did not come from the service."""
    nowhere = kraiter.Client("127.0.0.1:1", "kr_none", timeout=2)
    with nowhere as client, pytest.raises(kraiter.Unavailable) as caught:
        client.domains.get("mail.example.com")
    assert caught.value.reason == ""


def test_a_call_takes_no_longer_than_its_timeout(service: Running, key: str) -> None:
    """The client's timeout is every call's deadline."""
    with kraiter.Client(service.target, key, timeout=0) as client, pytest.raises(kraiter.DeadlineExceeded):
        client.domains.get("mail.example.com")


def test_errors_read_well(client: kraiter.Client) -> None:
    """The text of an error begins with its reason; the request id is at hand."""
    with pytest.raises(kraiter.Error) as caught:
        client.domains.get("nowhere.example.com")
    assert str(caught.value) == "DOMAIN_NOT_FOUND: no domain nowhere.example.com in this tenant"
    assert caught.value.request_id


def _unavailable(retry_after: timedelta | None = None) -> kraiter.Unavailable:
    return kraiter.Unavailable(
        "away", grpc.StatusCode.UNAVAILABLE, Details(metadata={}, retry_after=retry_after)
    )


def test_pauses_grow_and_begin_anew() -> None:
    """Each end in a row may wait twice as long, up to ten seconds; a message ends the row."""
    resumption = Resumption(pb.WatchStatusRequest())
    for failures in range(20):
        assert 0 <= resumption.pause_after(_unavailable()) <= min(0.1 * 2**failures, 10)
    resumption.note(pb.WatchStatusResponse(resume_token="there"))
    assert resumption.pause_after(None) <= 0.1
    assert resumption.request.resume_token == "there"


def test_a_pause_is_as_long_as_the_server_asks() -> None:
    """RetryInfo is the least that is waited."""
    resumption = Resumption(pb.WatchStatusRequest())
    assert resumption.pause_after(_unavailable(timedelta(seconds=3))) >= 3


def test_a_snapshot_that_was_cut_off_begins_anew() -> None:
    """Until it is complete there is no token, and the start stays as it was asked for."""
    start = pb.WatchStatusRequest.CURRENT_STATE
    resumption = Resumption(pb.WatchStatusRequest(start=start))
    resumption.note(pb.WatchStatusResponse())
    assert resumption.request.start == start
    resumption.note(pb.WatchStatusResponse(resume_token="there", snapshot_complete=True))
    assert resumption.request.start == pb.WatchStatusRequest.START_UNSPECIFIED
