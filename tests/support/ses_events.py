"""Event notifications as SES, SNS and EventBridge write them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.support.samples import NOON

RECIPIENT = "ann@example.net"
SNS_TEST = "Successfully validated SNS topic for Amazon SES event publishing."

_DETAILS = {
    "Send": "Email Sent",
    "Delivery": "Email Delivered",
    "Bounce": "Email Bounced",
    "Complaint": "Email Complaint Received",
}


def stamp(time: datetime) -> str:
    """Return a time as SES writes it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def mail(
    message: str = "message-1",
    *,
    source: str = "Shop <news@example.com>",
    to: Sequence[str] = (RECIPIENT,),
    time: datetime = NOON,
    domain: str | None = "example.com",
) -> dict[str, Any]:
    """Return what every event says of its message; `domain` is in its tags, if there are any."""
    written = {
        "timestamp": stamp(time),
        "source": source,
        "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
        "sendingAccountId": "123456789012",
        "messageId": message,
        "destination": list(to),
        "headersTruncated": False,
        "headers": [{"name": "Subject", "value": "Spring"}],
        "commonHeaders": {"from": [source], "to": list(to), "messageId": message, "subject": "Spring"},
    }
    if domain is not None:
        written["tags"] = {"ses:configuration-set": ["all"], "ses:from-domain": [domain]}
    return written


def send(message: str = "message-1", **of_mail: Any) -> dict[str, Any]:
    """Return the event of a message that SES took."""
    return {"eventType": "Send", "mail": mail(message, **of_mail), "send": {}}


def delivery(message: str = "message-1", *, time: datetime = NOON, **of_mail: Any) -> dict[str, Any]:
    """Return the event of a message that was delivered to all its recipients."""
    told = mail(message, **of_mail)
    return {
        "eventType": "Delivery",
        "mail": told,
        "delivery": {
            "timestamp": stamp(time),
            "processingTimeMillis": 3942,
            "recipients": told["destination"],
            "smtpResponse": "250 ok",
            "reportingMTA": "mta.example.com",
        },
    }


def bounce(
    feedback: str = "feedback-1",
    kind: str = "Permanent",
    sub_type: str = "General",
    *,
    time: datetime = NOON,
    **of_mail: Any,
) -> dict[str, Any]:
    """Return the event of a message that bounced for all its recipients."""
    told = mail(**of_mail)
    return {
        "eventType": "Bounce",
        "mail": told,
        "bounce": {
            "bounceType": kind,
            "bounceSubType": sub_type,
            "bouncedRecipients": [
                {
                    "emailAddress": each,
                    "action": "failed",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                }
                for each in told["destination"]
            ],
            "timestamp": stamp(time),
            "feedbackId": feedback,
            "reportingMTA": "dns; mta.example.net",
        },
    }


def complaint(
    feedback: str = "feedback-2", kind: str | None = "abuse", *, time: datetime = NOON, **of_mail: Any
) -> dict[str, Any]:
    """Return the event of a message that all its recipients complained about."""
    told = mail(**of_mail)
    return {
        "eventType": "Complaint",
        "mail": told,
        "complaint": {
            "complainedRecipients": [{"emailAddress": each} for each in told["destination"]],
            "timestamp": stamp(time),
            "feedbackId": feedback,
            "complaintSubType": None,
            **({} if kind is None else {"complaintFeedbackType": kind}),
        },
    }


def as_identity_feedback(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the notification that an identity's topic gets: without tags."""
    told = {key: value for key, value in event["mail"].items() if key != "tags"}
    rest = {key: value for key, value in event.items() if key not in {"eventType", "mail"}}
    return {"notificationType": event["eventType"], "mail": told, **rest}


def by_event_bridge(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as EventBridge wraps it."""
    return {
        "version": "0",
        "id": "9a6a3a4c-1b6e-4d0e-9c4a-1f8a2f6e5d11",
        "detail-type": _DETAILS.get(event["eventType"], "Email Opened"),
        "source": "aws.ses",
        "account": "123456789012",
        "time": "2026-03-01T12:00:01Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:ses:eu-west-1:123456789012:configuration-set/all"],
        "detail": event,
    }


def by_sns(message: object, kind: str = "Notification") -> dict[str, Any]:
    """Return a message as SNS wraps it."""
    return {
        "Type": kind,
        "MessageId": "0b5b6c3e-3a63-5c1b-9a57-36a4a8d3c7f5",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:ses-events",
        "Subject": "Amazon SES Email Event Notification",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-03-01T12:00:02.000Z",
        "SignatureVersion": "1",
        "Signature": "c2lnbmF0dXJl",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/certificate.pem",
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    }
