"""A queue of Amazon SQS that SES's event notifications arrive on."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.core.errors import Reason, ServiceError
from service.mail.ses.connection import Connection, NotConnectedError
from service.mail.ses.events import parse
from service.ports import QueuedMessage

_MOST_AT_ONCE = 10
"""Messages that SQS gives, and deletes, in one call."""
_LONGEST_WAIT = timedelta(seconds=2)
"""For a message to arrive. SQS would wait for twenty seconds; but so long it keeps a stop waiting."""
_PATIENCE = 5
"""How long SQS may take to answer, in seconds, beside a wait that it was asked for."""
_REGION = r"([a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})"
_ENDPOINT = re.compile(rf"(?:[a-z0-9-]+\.)?sqs(?:-fips)?\.{_REGION}\..+", re.ASCII)
"""Plain, by FIPS, with IPv6, or behind a VPC endpoint (AWS General Reference, "Amazon SQS endpoints")."""
_OLD_ENDPOINT = re.compile(rf"(?:{_REGION}\.)?queue\.amazonaws\.com(?:\.cn)?", re.ASCII)
_OLD_REGION = "us-east-1"
"""Where the old endpoint without a region is."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def connect_queue(url: str, *, region: str, connections: int = 1) -> Any:
    """Return boto3's client for a queue, in the region that its URL says, else in `region`."""
    parts = urlsplit(url)
    # A session of its own: the default one may not be used by several threads at once.
    return boto3.session.Session().client(
        "sqs",
        region_name=_region(parts.hostname or "") or region,
        endpoint_url=f"{parts.scheme}://{parts.netloc}",
        config=Config(
            connect_timeout=_PATIENCE,
            read_timeout=_LONGEST_WAIT.total_seconds() + _PATIENCE,
            max_pool_connections=connections,
            # Whoever reads a queue comes again by itself.
            retries={"mode": "standard", "total_max_attempts": 1},
        ),
    )


class SqsQueue:
    """`EventQueue` on SQS. Its credentials are found as boto3 finds them."""

    def __init__(self, url: str, *, region: str, connections: int = 10) -> None:
        """Take the queue's URL, and the region where the URL does not say it."""
        self.name = url
        self._connection = Connection(partial(connect_queue, url, region=region, connections=connections))

    def receive(self, most: int, wait: timedelta) -> Sequence[QueuedMessage]:
        """See `EventQueue.receive`."""
        messages = self._receive(min(most, _MOST_AT_ONCE), wait)
        received = len(messages)
        # As long as calls come back full there is more.
        while received == _MOST_AT_ONCE and len(messages) < most:
            try:
                more = self._receive(min(most - len(messages), _MOST_AT_ONCE), timedelta(0))
            except ServiceError:
                break  # what was received is to be counted now
            messages += more
            received = len(more)
        return messages

    def delete(self, receipts: Sequence[str]) -> int:
        """See `EventQueue.delete`."""
        failed = 0
        for start in range(0, len(receipts), _MOST_AT_ONCE):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt}
                for number, receipt in enumerate(receipts[start : start + _MOST_AT_ONCE])
            ]
            failed += len(self._ask("delete_message_batch", Entries=entries).get("Failed", ()))
        return failed

    def close(self) -> None:
        """See `EventQueue.close`."""
        self._connection.close()

    def _receive(self, most: int, wait: timedelta) -> list[QueuedMessage]:
        answer = self._ask(
            "receive_message",
            MaxNumberOfMessages=most,
            WaitTimeSeconds=int(min(wait, _LONGEST_WAIT).total_seconds()),
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return [_message(each) for each in answer.get("Messages", ())]

    def _ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        try:
            return self._connection.ask(operation, {"QueueUrl": self.name, **parameters})
        except (BotoCoreError, ClientError, NotConnectedError) as error:
            raise ServiceError(
                Reason.PROVIDER_UNAVAILABLE,
                "the queue cannot be read now",
                retry_after=timedelta(seconds=1),
            ) from error


def _region(host: str) -> str | None:
    """Return the region that a host's name says, if it does."""
    if told := _ENDPOINT.fullmatch(host):
        return told[1]
    if told := _OLD_ENDPOINT.fullmatch(host):
        return told[1] or _OLD_REGION
    return None


def _message(received: dict[str, Any]) -> QueuedMessage:
    sent = _EPOCH + timedelta(milliseconds=int(received["Attributes"]["SentTimestamp"]))
    return QueuedMessage(received["ReceiptHandle"], received["Body"], parse(received["Body"]), sent)
