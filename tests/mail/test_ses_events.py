"""Event notifications of SES: what they say, however they arrive, and whatever else arrives."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.feedback import EventKind, FeedbackEvent, Unreadable
from service.mail.ses.events import parse
from tests.support.samples import NOON
from tests.support.ses_events import (
    RECIPIENT,
    SNS_TEST,
    as_identity_feedback,
    bounce,
    by_event_bridge,
    by_sns,
    complaint,
    delivery,
    mail,
    send,
)

TWO = (RECIPIENT, "bob@example.org")
LISTS = (
    "EmailValidationSuppressed",
    "OnAccountSuppressionList",
    "OnTenantSuppressionList",
    "Suppressed",
    "UnsubscribedRecipient",
)
AT_NOON = int(NOON.timestamp())


def read(message: object) -> tuple[FeedbackEvent, ...]:
    """Return the events of a message that can be read."""
    found = parse(json.dumps(message))
    assert not isinstance(found, Unreadable), found.problem
    return found


def problem(message: object) -> str:
    """Return what is wrong with a message that cannot be read."""
    found = parse(message if isinstance(message, str) else json.dumps(message))
    assert isinstance(found, Unreadable), found
    return found.problem


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (send(to=TWO), EventKind.SENT),
        (delivery(to=TWO), EventKind.DELIVERED),
        (bounce(to=TWO), EventKind.HARD_BOUNCE),
        (bounce(sub_type="NoEmail", to=TWO), EventKind.HARD_BOUNCE),
    ],
)
@pytest.mark.parametrize("form", [lambda event: event, as_identity_feedback], ids=["event", "feedback"])
def test_each_recipient_is_an_event(
    event: dict[str, Any], kind: EventKind, form: Callable[[Any], Any]
) -> None:
    """Of its kind, domain and time, and told apart from the other's."""
    first, second = read(form(event))
    assert first[1:] == second[1:] == (kind, "example.com", AT_NOON)
    assert first.id != second.id
    assert len(first.id) == 16


@pytest.mark.parametrize("form", [lambda event: event, as_identity_feedback], ids=["event", "feedback"])
def test_a_complaint_is_one_event(form: Callable[[Any], Any]) -> None:
    """However many recipients are named: whoever complained is among them."""
    told = [read(form(complaint(kind=kind, to=to))) for kind in ("abuse", None) for to in (TWO, TWO[:1])]
    assert len(set(told)) == 1
    ((event,), *_) = told
    assert event[1:] == (EventKind.COMPLAINT, "example.com", AT_NOON)
    assert read(form(complaint("another", to=TWO))) != told[0]


@pytest.mark.parametrize("event", [send(to=TWO), delivery(to=TWO), bounce(to=TWO), complaint()])
def test_wrapping_changes_nothing(event: dict[str, Any]) -> None:
    """An event is the same event, whichever way it came."""
    plain = read(event)
    assert plain
    for wrapped in (
        as_identity_feedback(event),
        by_sns(event),
        by_event_bridge(event),
        by_sns(by_event_bridge(event)),
        by_sns(as_identity_feedback(event)),
        by_sns(by_sns(event)),
    ):
        assert read(wrapped) == plain


def test_what_is_not_the_same_has_another_id() -> None:
    """By message, feedback, recipient and kind; not by what else changes."""
    events = [
        *read(send("m1", to=TWO)),
        *read(send("m2")),
        *read(delivery("m1", to=TWO)),
        *read(bounce("f1", to=TWO)),
        *read(bounce("f2")),
        *read(complaint("f1", to=TWO)),
    ]
    assert len({event.id for event in events}) == len(events) == 9
    assert read(bounce("f1", sub_type="NoEmail")) == read(bounce("f1", message="another"))


@pytest.mark.parametrize(
    "message",
    [
        *(bounce(kind=kind) for kind in ("Transient", "Undetermined")),
        *(bounce(sub_type=list_name) for list_name in LISTS),
        complaint(kind="not-spam"),
        *(
            {**complaint(), "complaint": complaint()["complaint"] | {"complaintSubType": list_name}}
            for list_name in LISTS
        ),
        *(
            {"eventType": name, "mail": mail()}
            for name in ("Open", "Click", "Reject", "DeliveryDelay", "Rendering Failure", "Subscription")
        ),
        {"notificationType": "Received", "mail": mail()},
        {"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have subscribed."},
        by_sns("You have chosen to subscribe to the topic.", "SubscriptionConfirmation"),
        by_sns("You have chosen to deactivate the subscription.", "UnsubscribeConfirmation"),
        by_sns(SNS_TEST),
        by_event_bridge({"eventType": "Open", "mail": mail(), "open": {}}),
        *(
            by_event_bridge(send()) | {"detail-type": name, "detail": {"version": "1.0.0", "data": "text"}}
            for name in (
                "Advisor Recommendation Status Open",
                "Sending Status Disabled",
                "AWS API Call via CloudTrail",
            )
        ),
    ],
)
def test_what_counts_for_nothing(message: object) -> None:
    """It is read, and there is nothing in it."""
    assert read(message) == ()


def test_the_test_message_of_ses_counts_for_nothing() -> None:
    """It is plain text where SNS delivers raw."""
    assert parse(SNS_TEST) == parse(f" {SNS_TEST}\n") == ()


def test_the_simulator_counts_for_nothing() -> None:
    """Its addresses, in any case; other recipients of the same message do."""
    for address in ("bounce@simulator.amazonses.com", "Success+1@SIMULATOR.amazonSES.com"):
        assert read(bounce(to=(address,))) == read(send(to=(address,))) == ()
        assert len(read(complaint(to=(address, RECIPIENT)))) == 1
    assert len(read(bounce(to=("a@notsimulator.amazonses.com",)))) == 1


@pytest.mark.parametrize(
    ("of_mail", "host"),
    [
        ({"domain": "Mail.Example.COM"}, "mail.example.com"),
        ({"domain": "bücher.example"}, "xn--bcher-kva.example"),
        ({"domain": "example.com", "source": "a@other.com"}, "example.com"),
        ({"domain": None, "source": "a@Example.com"}, "example.com"),
        ({"domain": None, "source": "Shop <a@example.com>"}, "example.com"),
        ({"domain": None, "source": '"a@b <c@d.com>" <"odd@part"@example.com>'}, "example.com"),
        ({"domain": None, "source": "a@bounce_1.example.com."}, "bounce_1.example.com"),
        ({"domain": None, "source": "=?UTF-8?Q?B=C3=BCcher?= <a@bücher.example>"}, "xn--bcher-kva.example"),
    ],
)
def test_the_host_it_was_sent_from(of_mail: dict[str, Any], host: str) -> None:
    """The tags say it, else the address of its source, in its canonical form."""
    (event,) = read(send(**of_mail))
    assert event.host == host


@pytest.mark.parametrize("tags", [None, {}, {"ses:from-domain": []}, {"campaign": ["spring"]}])
def test_without_a_tag_the_source_says_it(tags: object) -> None:
    """Tags need not be there, nor name the domain."""
    event = send(source="a@other.example.com")
    event["mail"]["tags"] = tags
    assert read(event)[0].host == "other.example.com"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.999Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.123456789Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.5+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T12:00:00-0700", datetime(2026, 3, 1, 19, tzinfo=UTC)),
    ],
)
def test_the_time_is_the_events_own(text: str, time: datetime) -> None:
    """Not that of the message, but for the event that it was sent."""
    for event, part in (
        (delivery(), "delivery"),
        (bounce(), "bounce"),
        (complaint(), "complaint"),
        (send(), "mail"),
    ):
        event[part]["timestamp"] = text
        assert read(event)[0].time == int(time.timestamp())


def _changed(event: dict[str, Any], path: str, *value: object) -> dict[str, Any]:
    """Return an event with another value at a path, or without what is there."""
    changed = copy.deepcopy(event)
    *parents, last = path.split(".")
    within = changed
    for parent in parents:
        within = within[parent]
    if value:
        within[last] = value[0]
    else:
        del within[last]
    return changed


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("", "body: must be JSON"),
        ("hello", "body: must be JSON"),
        ("NaN", "body: must be JSON"),
        ('{"a": Infinity}', "body: must be JSON"),
        ("9" * 10_000, "body: must be JSON"),
        ("[" * 100_000, "body: must be JSON"),
        ('{"detail":' * 100_000, "body: must be JSON"),
        ([], "body: must be a JSON object"),
        ({}, "eventType: must be set, or notificationType"),
        (by_sns("hello"), "Message: must be JSON"),
        ({"Type": "Notification"}, "Message: must be a text that is not empty"),
        ({"detail": 1}, "detail: must be an object"),
        (by_sns(by_sns(by_sns(by_sns(send())))), "eventType: must be set, or notificationType"),
        (_changed(send(), "eventType", 5), "eventType: must be a text that is not empty"),
        (
            _changed(send(), "eventType", "Se\u202end\0"),
            r'eventType: is none that is known: "Se\u202end\x00"',
        ),
        (_changed(send(), "mail"), "mail: must be an object"),
        (_changed(send(), "mail.messageId"), "mail.messageId: must be a text that is not empty"),
        (_changed(send(), "mail.destination", []), "mail.destination: must be a list of at least one"),
        (_changed(send(), "mail.destination", [1]), "mail.destination: must each be a text"),
        (_changed(send(), "mail.timestamp"), "mail.timestamp: must be a text that is not empty"),
        (_changed(send(), "mail.timestamp", "soon"), "mail.timestamp: must be a time such as "),
        (_changed(send(), "mail.timestamp", "2026-02-30T12:00:00Z"), "mail.timestamp: is no time that there"),
        (_changed(send(), "mail.timestamp", "9999-12-31T23:59:59-23:59"), "mail.timestamp: must be of this"),
        (_changed(send(), "mail.timestamp", "0001-01-01T00:00:00+23:59"), "mail.timestamp: must be of this"),
        (send(domain=None, source="nobody"), "mail.source: names no domain that mail can be sent from"),
        (send(domain="localhost"), "mail.tags: names no domain that mail can be sent from"),
        (send(domain="\ud800.com"), "mail.tags: names no domain that mail can be sent from"),
        (send(domain="a\0.com"), "mail.tags: names no domain that mail can be sent from"),
        (_changed(send(), "mail.tags", {"ses:from-domain": [1]}), "mail.tags.ses:from-domain: must each"),
        (_changed(delivery(), "delivery"), "delivery: must be an object"),
        (_changed(delivery(), "delivery.recipients", "all"), "delivery.recipients: must be a list"),
        (_changed(bounce(), "bounce.bounceType"), "bounce.bounceType: must be a text"),
        (_changed(bounce(), "bounce.bounceSubType", []), "bounce.bounceSubType: must be a text"),
        (_changed(bounce(), "bounce.feedbackId"), "bounce.feedbackId: must be a text"),
        (_changed(bounce(), "bounce.bouncedRecipients", [{}]), "bounce.bouncedRecipients: must each have"),
        (_changed(complaint(), "complaint.feedbackId", 7), "complaint.feedbackId: must be a text"),
        (_changed(complaint(), "complaint.complaintFeedbackType", {}), "complaint.complaintFeedbackType: m"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_field(message: object, told: str) -> None:
    """In one sentence that can be shown, never by an exception."""
    found = problem(message)
    assert found.startswith(told)
    assert found.isprintable()


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["Notification", "Bounce", "Send", "\ud800", "\0", "2026-03-01T12:00:00Z", 10**400]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Type", "Message", "detail", "eventType", "mail", "bounce", "tags"]) | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
_VALID = [
    send(to=TWO),
    delivery(),
    bounce(to=TWO),
    complaint(),
    as_identity_feedback(bounce()),
    by_event_bridge(delivery()),
    by_sns(by_event_bridge(bounce())),
]


def _paths(value: object) -> list[tuple[object, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else [])
    return [(), *((key, *rest) for key, inner in pairs for rest in _paths(inner))]


@st.composite
def mutated(draw: st.DrawFn) -> object:
    """Return a valid message of which some parts are something else, or gone."""
    message: Any = copy.deepcopy(draw(st.sampled_from(_VALID)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_paths(message)))
        if not path:
            message = draw(_JSON)
            continue
        within = message
        for key in path[:-1]:
            within = within[key]
        if draw(st.booleans()):
            within[path[-1]] = draw(_JSON)
        else:
            del within[path[-1]]
    return draw(st.sampled_from([lambda it: it, by_sns]))(message)


@given(mutated() | _JSON)
def test_nothing_that_is_json_raises(message: object) -> None:
    """It is events that can be kept, or a problem that can be shown."""
    _require_kept_or_told(parse(json.dumps(message)))


@given(st.text() | st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape")))
def test_nothing_at_all_raises(body: str) -> None:
    """Not even what no queue would carry."""
    _require_kept_or_told(parse(body))


def _require_kept_or_told(found: tuple[FeedbackEvent, ...] | Unreadable) -> None:
    if isinstance(found, Unreadable):
        assert found.problem.isprintable()
        field, separator, told = found.problem.partition(": ")
        assert field
        assert separator
        assert told
        return
    for event in found:
        assert len(event.id) == 16
        assert event.host.isascii()
        assert "." in event.host
        assert abs(timedelta(seconds=event.time)) < timedelta(days=365 * 150)
