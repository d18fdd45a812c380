"""Looks whether a queue of events can be read: permissions, and how much waits in it. Takes nothing out."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from service.core.diagnosis import Diagnosis, failure, ok
from service.mail.ses.probing import Asked, Stopped, ask, permission

_WAITING = "ApproximateNumberOfMessages"
_UNDER_WAY = "ApproximateNumberOfMessagesNotVisible"
_TOO_MANY = 11
"""Messages of one call: SQS gives ten at most, and refuses, having looked whether we may have any."""
_NO_RECEIPT = "kraiter-doctor"


def examine_queue(
    url: str, client: Any, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[Diagnosis]:
    """Yield how a queue stands, given its client."""
    subject = f"queue {url.rpartition('/')[2]}"

    def asked(operation: str, **parameters: Any) -> Asked:
        return ask(partial(getattr(client, operation), QueueUrl=url, **parameters), subject, pause=pause)

    try:
        looked = asked("get_queue_attributes", AttributeNames=[_WAITING, _UNDER_WAY])
        yield permission("sqs:GetQueueAttributes", looked, f"on {subject}")
        yield permission(
            "sqs:ReceiveMessage", asked("receive_message", MaxNumberOfMessages=_TOO_MANY), f"on {subject}"
        )
        deletion = asked("delete_message", ReceiptHandle=_NO_RECEIPT)
        yield permission("sqs:DeleteMessage", deletion, f"on {subject}")
    except Stopped as stopped:
        yield stopped.diagnosis
        return
    if looked.refusal and looked.is_allowed:
        yield failure(subject, f"cannot be read ({looked.refusal})", "look at KRAITER_SES_EVENT_QUEUES")
    elif looked.is_allowed:
        waiting, under_way = (int(looked.answer["Attributes"][name]) for name in (_WAITING, _UNDER_WAY))
        text = f"{waiting:,} messages wait, {under_way:,} are being counted"
        yield ok(subject, text)
