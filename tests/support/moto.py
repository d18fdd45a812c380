"""A stand-in for SQS, SNS and EventBridge, in a process of its own on loopback."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import boto3
import pytest

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Credentials that the stand-in takes, for whoever speaks to it."""

_REGION = "eu-west-1"
_LISTENING = re.compile(r"Running on (http://127\.0\.0\.1:[0-9]+)")
_PATIENCE = 60.0
_ACCOUNT = "123456789012"


class MotoServer:
    """A running server, and what tests make in it."""

    def __init__(self, endpoint: str) -> None:
        """Take where it listens."""
        self.endpoint = endpoint
        self.sqs, self.sns, self.events = map(self._client, ("sqs", "sns", "events"))
        self._numbers = count(1)

    def close(self) -> None:
        """Close every connection."""
        for client in (self.sqs, self.sns, self.events):
            client.close()

    def queue(self, **attributes: str) -> str:
        """Make a queue, and return its URL."""
        name = f"queue{next(self._numbers)}"
        self.sqs.create_queue(QueueName=name, Attributes=attributes)
        return f"{self.endpoint}/{_ACCOUNT}/{name}"

    def put(self, url: str, bodies: list[str]) -> None:
        """Put messages into a queue."""
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies[start : start + 10])
            ]
            answer = self.sqs.send_message_batch(QueueUrl=url, Entries=entries)
            assert len(answer["Successful"]) == len(entries)

    def topic(self, url: str, *, raw: bool) -> str:
        """Make an SNS topic that delivers to a queue, and return its name."""
        topic: str = self.sns.create_topic(Name=f"topic{next(self._numbers)}")["TopicArn"]
        self.sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=self._arn(url),
            Attributes={"RawMessageDelivery": str(raw).lower()},
        )
        return topic

    def route(self, url: str, source: str) -> None:
        """Have EventBridge deliver the events of a source to a queue."""
        rule = f"rule{next(self._numbers)}"
        self.events.put_rule(Name=rule, EventPattern=json.dumps({"source": [source]}))
        self.events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": self._arn(url)}])

    def left(self, url: str) -> int:
        """Return how many messages a queue has, received ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def _arn(self, url: str) -> str:
        """Return the name that a queue has for what delivers to it."""
        return f"arn:aws:sqs:{_REGION}:{_ACCOUNT}:{url.rpartition('/')[2]}"

    def _client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,
            region_name=_REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        )


@contextmanager
def running_moto() -> Iterator[MotoServer]:
    """Run a server."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    told: list[str] = []
    listening = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        # To its end: a pipe that is full would stop the server.
        for line in process.stderr:
            if not listening.is_set():
                told.append(line)
                if _LISTENING.search(line):
                    listening.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert listening.wait(_PATIENCE), "".join(told)
        found = _LISTENING.search(told[-1])
        assert found is not None
        server = MotoServer(found[1])
        yield server
        server.close()
    finally:
        process.terminate()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    """Return the session's server; import this fixture where it is used."""
    with running_moto() as server:
        yield server
