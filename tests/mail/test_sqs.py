"""`EventQueue` on SQS, with moto in its place; SNS and EventBridge deliver as they do in earnest."""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from service.core.errors import Reason, ServiceError
from service.core.feedback import Unreadable
from service.mail.ses.events import parse
from service.mail.ses.queue import SqsQueue, connect_queue
from tests.support.moto import ENVIRONMENT, MotoServer, moto
from tests.support.ses_events import bounce, by_event_bridge, delivery, send

__all__ = ["moto"]

NO_WAIT = timedelta(0)
Opened = Callable[[str], SqsQueue]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Give a function that opens a queue by its URL."""
    for name, text in ENVIRONMENT.items():
        monkeypatch.setenv(name, text)
    with ExitStack() as stack:

        def open_one(url: str) -> SqsQueue:
            queue = SqsQueue(url, region="eu-west-1")
            stack.callback(queue.close)
            return queue

        yield open_one


def test_a_message_is_received_until_it_is_deleted(moto: MotoServer, opened: Opened) -> None:
    """With what it says, and when it was sent; whoever did not delete it gets it again."""
    url = moto.queue(VisibilityTimeout="0")
    queue = opened(url)
    body = json.dumps(send())
    moto.put(url, [body])
    (first,) = queue.receive(10, NO_WAIT)
    (again,) = queue.receive(10, NO_WAIT)
    assert first.body == again.body == body
    assert first.reading == again.reading == parse(body)
    assert abs(datetime.now(UTC) - first.sent) < timedelta(minutes=1)
    assert queue.delete([again.receipt]) == 0
    assert queue.receive(10, NO_WAIT) == []
    assert queue.name == url


def test_what_cannot_be_read_is_a_message_too(moto: MotoServer, opened: Opened) -> None:
    """It comes with its problem."""
    url = moto.queue()
    moto.put(url, ["hello"])
    (message,) = opened(url).receive(10, NO_WAIT)
    assert (message.body, message.reading) == ("hello", Unreadable("body: must be JSON"))


def test_many_are_received_and_deleted_at_once(moto: MotoServer, opened: Opened) -> None:
    """As many as are asked for, over several calls; then what is left."""
    url = moto.queue()
    queue = opened(url)
    moto.put(url, [str(number) for number in range(37)])
    first, second = queue.receive(25, NO_WAIT), queue.receive(25, NO_WAIT)
    assert (len(first), len(second)) == (25, 12)
    assert Counter(message.body for message in (*first, *second)) == Counter(map(str, range(37)))
    assert queue.delete([message.receipt for message in (*first, *second)]) == 0
    assert moto.left(url) == 0


def test_a_receiver_waits_for_the_first_message(moto: MotoServer, opened: Opened) -> None:
    """It gets it as soon as it is there."""
    url = moto.queue()
    queue = opened(url)
    with ThreadPoolExecutor(1) as pool:
        receiving = pool.submit(queue.receive, 10, timedelta(seconds=20))
        moto.put(url, ["late"])
        assert [message.body for message in receiving.result(15)] == ["late"]


def test_credentials_that_come_late_are_found(
    moto: MotoServer, opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process may be there before they are, or before the profile that it is to use."""
    url = moto.queue()
    moto.put(url, ["text"])
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    queue = opened(url)
    refused(queue)
    monkeypatch.delenv("AWS_PROFILE")
    refused(queue)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ENVIRONMENT["AWS_ACCESS_KEY_ID"])
    assert [message.body for message in queue.receive(10, NO_WAIT)] == ["text"]


def refused(queue: SqsQueue) -> None:
    """Check that the queue cannot be read now."""
    with pytest.raises(ServiceError) as raised:
        queue.receive(10, NO_WAIT)
    assert raised.value.reason is Reason.PROVIDER_UNAVAILABLE


def test_a_receiver_of_a_silent_queue_gives_up(opened: Opened) -> None:
    """Soon enough for a stop to wait for it, whatever wait it was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        queue = opened(f"http://127.0.0.1:{silent.getsockname()[1]}/1/queue")
        began = time.monotonic()
        with pytest.raises(ServiceError) as raised:
            queue.receive(10, timedelta(minutes=1))
        assert time.monotonic() - began < 10
    assert raised.value.reason is Reason.PROVIDER_UNAVAILABLE


def test_what_could_not_be_deleted_is_counted(moto: MotoServer, opened: Opened) -> None:
    """The others are deleted none the less."""
    url = moto.queue()
    queue = opened(url)
    moto.put(url, ["1", "2"])
    one, two = queue.receive(10, NO_WAIT)
    assert queue.delete([one.receipt, "nonsense", two.receipt]) == 1
    assert moto.left(url) == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/123456789012/nobody", "{endpoint}/123456789012/none"])
def test_a_queue_that_cannot_be_read_is_an_error_of_ours(moto: MotoServer, opened: Opened, url: str) -> None:
    """Nobody listens, or there is no such queue: told alike, with the driver's error as its cause."""
    queue = opened(url.format(endpoint=moto.endpoint))
    for call in (lambda: queue.receive(10, NO_WAIT), lambda: queue.delete(["receipt"])):
        with pytest.raises(ServiceError) as failed:
            call()
        assert failed.value.reason is Reason.PROVIDER_UNAVAILABLE
        assert failed.value.__cause__ is not None


def test_an_interrupted_reception_gives_what_it_has(
    moto: MotoServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that were received are not left behind because the next call fails."""
    url = moto.queue()
    queue = opened(url)
    moto.put(url, [str(number) for number in range(15)])
    ask, calls = queue._connection.ask, count()

    def called(operation: str, parameters: Mapping[str, object]) -> Mapping[str, object]:
        elsewhere = {"QueueUrl": f"{moto.endpoint}/123456789012/none"} if next(calls) else {}
        return ask(operation, {**parameters, **elsewhere})

    monkeypatch.setattr(queue._connection, "ask", called)
    assert len(queue.receive(200, NO_WAIT)) == 10


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("https://sqs.us-east-2.amazonaws.com", "us-east-2"),
        ("https://sqs.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://sqs.us-west-2.api.aws", "us-west-2"),
        ("https://sqs-fips.us-west-2.amazonaws.com", "us-west-2"),
        ("https://sqs-fips.us-west-2.api.aws", "us-west-2"),
        ("https://vpce-0a1b2c-3d4e5f.sqs.us-west-2.vpce.amazonaws.com", "us-west-2"),
        ("https://vpce-0a1b2c-3d4e5f-us-west-2a.sqs.us-west-2.vpce.amazonaws.com", "us-west-2"),
        ("https://us-west-2.queue.amazonaws.com", "us-west-2"),
        ("https://queue.amazonaws.com", "us-east-1"),
        ("http://127.0.0.1:4566", "eu-west-1"),
        ("https://sqs.example.com", "eu-west-1"),
        ("https://queue.example.com", "eu-west-1"),
    ],
)
@pytest.mark.usefixtures("opened")
def test_the_url_says_where_the_queue_is(address: str, region: str) -> None:
    """Its region too, in every form of address that AWS has; else it is the one of the settings."""
    told = connect_queue(f"{address}/123456789012/queue", region="eu-west-1").meta
    assert (told.region_name, told.endpoint_url) == (region, address)


@pytest.mark.parametrize("raw", [True, False])
def test_events_by_sns(moto: MotoServer, opened: Opened, *, raw: bool) -> None:
    """Delivered raw or wrapped, they are the same events."""
    url = moto.queue()
    topic = moto.topic(url, raw=raw)
    body = json.dumps(bounce(to=("a@example.net", "b@example.net")))
    moto.sns.publish(TopicArn=topic, Message=body)
    (message,) = opened(url).receive(10, timedelta(seconds=5))
    assert (message.body == body) is raw
    assert message.reading == parse(body)


def test_events_by_event_bridge(moto: MotoServer, opened: Opened) -> None:
    """They come in the detail of its own events."""
    url = moto.queue()
    moto.route(url, "aws.ses")
    body = json.dumps(delivery())
    entry = {"Source": "aws.ses", "DetailType": "Email Delivered", "Detail": body}
    assert moto.events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    (message,) = opened(url).receive(10, timedelta(seconds=5))
    assert message.body != body
    assert message.reading == parse(body)


def test_events_by_event_bridge_through_sns(moto: MotoServer, opened: Opened) -> None:
    """They are wrapped twice."""
    url = moto.queue()
    event = delivery()
    moto.sns.publish(TopicArn=moto.topic(url, raw=False), Message=json.dumps(by_event_bridge(event)))
    (message,) = opened(url).receive(10, timedelta(seconds=5))
    assert message.reading == parse(json.dumps(event))
