"""Looks whether a queue of events can be read: permissions, and how much waits in it. Takes nothing out."""

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from service.core.diagnosis import Diagnosis, ok
from service.mail.ses.probing import Asked, Stopped, ask, permission

_WAITING = "ApproximateNumberOfMessages"
_UNDER_WAY = "ApproximateNumberOfMessagesNotVisible"
_KEY = "KmsMasterKeyId"
_KEY_OF_AWS = "alias/aws/sqs"
"""The key for which nobody needs a permission (Amazon SQS Developer Guide, "Key management")."""
_TOO_MANY = 11
"""Messages of one call: SQS gives ten at most, and refuses, having looked whether we may have any."""
_NO_RECEIPT = "kraiter-doctor"
_WRONG_VALUE = frozenset({"InvalidParameterValue", "InvalidParameterValueException"})
"""What SQS answers to a value that it does not take, by its query and its JSON protocol."""
_WRONG_RECEIPT = _WRONG_VALUE | {"InvalidIdFormat", "ReceiptHandleIsInvalid"}
"""What it answers to such a receipt (Amazon SQS API Reference, "DeleteMessage")."""


def examine_queue(
    url: str, client: Any, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[Diagnosis]:
    """Yield how a queue stands, given its client."""
    subject = f"queue {url.rpartition('/')[2]}"

    def asked(action: str, *, ends: Collection[str] = (), **parameters: Any) -> Asked:
        return ask(client, action, subject, ends=ends, pause=pause, QueueUrl=url, **parameters)

    try:
        looked = asked("GetQueueAttributes", AttributeNames=[_WAITING, _UNDER_WAY, _KEY])
        yield permission("sqs:GetQueueAttributes", looked, f"on {subject}")
        reception = asked("ReceiveMessage", ends=_WRONG_VALUE, MaxNumberOfMessages=_TOO_MANY)
        yield permission("sqs:ReceiveMessage", reception, f"on {subject}")
        deletion = asked("DeleteMessage", ends=_WRONG_RECEIPT, ReceiptHandle=_NO_RECEIPT)
        yield permission("sqs:DeleteMessage", deletion, f"on {subject}")
    except Stopped as stopped:
        yield stopped.diagnosis
        return
    if looked.is_allowed:
        attributes = looked.answer["Attributes"]
        waiting, under_way = int(attributes[_WAITING]), int(attributes[_UNDER_WAY])
        yield ok(subject, f"{waiting:,} messages wait, {under_way:,} are being counted")
        key = attributes.get(_KEY) or _KEY_OF_AWS
        if key != _KEY_OF_AWS:
            # SQS asks for the key once there is a message to decrypt.
            yield ok(subject, f"encrypted with {key}: whether kms:Decrypt is allowed cannot be tried")
