"""Event notifications of Amazon SES: what a message of a queue says.

The forms: events of a configuration set (`eventType`), feedback notifications of an identity
(`notificationType`); either as they are, inside an SNS notification, inside an EventBridge
event, or inside both.
"""

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

from service.core import names, quoting
from service.core.errors import ServiceError
from service.core.feedback import EventKind, FeedbackEvent, Reading, Unreadable

_Object = dict[str, Any]

_TEST_TEXT = "Successfully validated SNS topic for Amazon SES event publishing."
_NOTHING_TOLD = frozenset(
    {
        "AmazonSnsSubscriptionSucceeded",
        "Click",
        "DeliveryDelay",
        "Open",
        "Received",
        "Reject",
        "Rendering Failure",
        "Subscription",
    }
)
"""Types of events that say nothing of a message's fate, or only what a later one will."""
_SUBSCRIPTIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_SUPPRESSED = frozenset(
    {
        "EmailValidationSuppressed",
        "OnAccountSuppressionList",
        "OnTenantSuppressionList",
        "Suppressed",
        "UnsubscribedRecipient",
    }
)
"""Sub-types of what SES has not sent, by a list of its own or ours: no mailbox has refused anything."""
_ABOUT_EMAIL = "Email "
"""How EventBridge's names begin of what is told here. Others are about accounts, or calls of the API."""
_SIMULATOR = "simulator.amazonses.com"
_MOST_WRAPPINGS = 3
_LONGEST_SHOWN = 60
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)", re.ASCII)
_EARLIEST, _LATEST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2000, 2100))
_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+", re.ASCII)
_ID_LENGTH = 16


class _Refused(Exception):  # noqa: N818 - not an error of ours: what is wrong with the message, in a sentence
    pass


def parse(body: str) -> Reading:
    """Return the events of a message, none where it says nothing that counts, or why it cannot be read.

    There is one for each recipient, told apart by what SES names the message or the feedback by; of a
    complaint there is one.
    """
    if body.strip() == _TEST_TEXT:
        return ()
    try:
        return tuple(_events(_decoded(body, "body")))
    except _Refused as refused:
        return Unreadable(str(refused))


def _events(message: _Object) -> Iterator[FeedbackEvent]:
    for _ in range(_MOST_WRAPPINGS):
        if message.get("Type") in _SUBSCRIPTIONS:
            return
        if message.get("Type") == "Notification":
            text = _text(message, "Message")
            if text.strip() == _TEST_TEXT:
                return
            message = _decoded(text, "Message")
        elif "detail" in message:
            if not (_optional(message, "detail-type", "") or _ABOUT_EMAIL).startswith(_ABOUT_EMAIL):
                return
            message = _object(message, "detail")
        else:
            break
    yield from _told(message)


def _told(event: _Object) -> Iterator[FeedbackEvent]:
    field = "eventType" if "eventType" in event else "notificationType"
    if field not in event:
        _refuse("eventType", "must be set, or notificationType")
    name = _text(event, field)
    if name in _NOTHING_TOLD:
        return
    reader = _READERS.get(name)
    if reader is None:
        _refuse(field, f'is none that is known: "{_shown(name)}"')
    yield from reader(event, _object(event, "mail"))


def _sends(_event: _Object, mail: _Object) -> Iterator[FeedbackEvent]:
    recipients = _texts(mail, "destination", "mail.")
    return _each(EventKind.SENT, mail, mail, "mail.", _text(mail, "messageId", "mail."), recipients)


def _deliveries(event: _Object, mail: _Object) -> Iterator[FeedbackEvent]:
    delivery = _object(event, "delivery")
    recipients = _texts(delivery, "recipients", "delivery.")
    message = _text(mail, "messageId", "mail.")
    return _each(EventKind.DELIVERED, mail, delivery, "delivery.", message, recipients)


def _bounces(event: _Object, mail: _Object) -> Iterator[FeedbackEvent]:
    bounce = _object(event, "bounce")
    is_hard = _text(bounce, "bounceType", "bounce.") == "Permanent"
    if not is_hard or _optional(bounce, "bounceSubType", "bounce.") in _SUPPRESSED:
        return iter(())
    recipients = _addresses(bounce, "bouncedRecipients", "bounce.")
    feedback = _text(bounce, "feedbackId", "bounce.")
    return _each(EventKind.HARD_BOUNCE, mail, bounce, "bounce.", feedback, recipients)


def _complaints(event: _Object, mail: _Object) -> Iterator[FeedbackEvent]:
    complaint = _object(event, "complaint")
    is_praise = _optional(complaint, "complaintFeedbackType", "complaint.") == "not-spam"
    if is_praise or _optional(complaint, "complaintSubType", "complaint.") in _SUPPRESSED:
        return iter(())
    recipients = _addresses(complaint, "complainedRecipients", "complaint.")
    feedback = _text(complaint, "feedbackId", "complaint.")
    # One of them has complained. Mailbox providers seldom say who: then all of theirs are named.
    somebody = [""] if any(map(_is_real, recipients)) else []
    return _each(EventKind.COMPLAINT, mail, complaint, "complaint.", feedback, somebody)


_READERS: dict[str, Callable[[_Object, _Object], Iterator[FeedbackEvent]]] = {
    "Send": _sends,
    "Delivery": _deliveries,
    "Bounce": _bounces,
    "Complaint": _complaints,
}


def _each(
    kind: EventKind, mail: _Object, told: _Object, path: str, reference: str, recipients: list[str]
) -> Iterator[FeedbackEvent]:
    """Yield an event of each recipient; `reference` is what SES tells it from others by."""
    time, host = _time(told, path), _host_of(mail)
    for recipient in recipients:
        if _is_real(recipient):
            yield FeedbackEvent(_id(kind, reference, recipient), kind, host, time)


def _is_real(recipient: str) -> bool:
    return _domain(recipient).lower() != _SIMULATOR


def _id(kind: EventKind, reference: str, recipient: str) -> bytes:
    # As JSON, in which no two lists are written alike.
    subject = json.dumps((kind, reference, recipient))
    return hashlib.blake2b(subject.encode(), digest_size=_ID_LENGTH).digest()


def _time(told: _Object, path: str) -> int:
    text = _text(told, "timestamp", path)
    field = f"{path}timestamp"
    if not _TIME.fullmatch(text):
        _refuse(field, f'must be a time such as 2026-03-01T12:00:00.000Z, and is "{_shown(text)}"')
    try:
        time = int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        _refuse(field, f'is no time that there is: "{_shown(text)}"')
    if not _EARLIEST <= time < _LATEST:
        _refuse(field, f'must be of this century, and is "{_shown(text)}"')
    return time


def _host_of(mail: _Object) -> str:
    """Return where a message was sent from. Its tags say it where there are any."""
    tags = mail.get("tags")
    if isinstance(tags, dict) and tags.get("ses:from-domain"):
        field, text = "mail.tags", _texts(tags, "ses:from-domain", "mail.tags.")[0]
    else:
        field, text = "mail.source", _domain(_text(mail, "source", "mail."))
    host = _canonical(text)
    if host is None:
        _refuse(field, f'names no domain that mail can be sent from: "{_shown(text)}"')
    return host


@functools.lru_cache(4096)
def _canonical(host: str) -> str | None:
    """Return a host in lower-case A-labels; None for what is none."""
    try:
        return names.parse(host)
    except ServiceError:
        # Envelope senders have hosts that are no sending domains themselves.
        lower = host.lower().removesuffix(".")
        return lower if len(lower) <= names.LONGEST_HOST and _HOST.fullmatch(lower) else None


def _domain(address: str) -> str:
    """Return what follows the @ in an address, which may stand in angle brackets after a name."""
    bare = address.rpartition("<")[2].partition(">")[0]
    return bare.rpartition("@")[2].strip() if "@" in bare else ""


def _decoded(text: str, field: str) -> _Object:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        _refuse(field, "must be JSON")
    if not isinstance(value, dict):
        _refuse(field, "must be a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _addresses(within: _Object, field: str, path: str) -> list[str]:
    listed = _list(within, field, path)
    if not all(isinstance(each, dict) and isinstance(each.get("emailAddress"), str) for each in listed):
        _refuse(f"{path}{field}", "must each have a text emailAddress")
    return [each["emailAddress"] for each in listed]


def _texts(within: _Object, field: str, path: str) -> list[str]:
    listed = _list(within, field, path)
    if not all(isinstance(each, str) for each in listed):
        _refuse(f"{path}{field}", "must each be a text")
    return listed


def _list(within: _Object, field: str, path: str) -> list[Any]:
    value = within.get(field)
    if not isinstance(value, list) or not value:
        _refuse(f"{path}{field}", "must be a list of at least one")
    return value


def _object(within: _Object, field: str) -> _Object:
    value = within.get(field)
    if not isinstance(value, dict):
        _refuse(field, "must be an object")
    return value


def _text(within: _Object, field: str, path: str = "") -> str:
    value = within.get(field)
    if not isinstance(value, str) or not value:
        _refuse(f"{path}{field}", "must be a text that is not empty")
    return value


def _optional(within: _Object, field: str, path: str) -> str | None:
    value = within.get(field)
    if value is not None and not isinstance(value, str):
        _refuse(f"{path}{field}", "must be a text")
    return value


def _shown(text: str) -> str:
    return quoting.escaped(text, _LONGEST_SHOWN)


def _refuse(field: str, problem: str) -> NoReturn:
    raise _Refused(f"{field}: {problem}")
