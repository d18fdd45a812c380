"""What the doctor says of queues of SES's events, of which it takes nothing."""

import pytest

from service.core.diagnosis import Level
from service.mail.ses.queue import connect_queue
from service.mail.ses.queue_examination import examine_queue
from tests.support.moto import ENVIRONMENT, MotoServer, moto
from tests.support.refuser import refuser

__all__ = ["moto"]

HERE = "eu-west-1"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in ENVIRONMENT.items():
        monkeypatch.setenv(name, text)


def test_a_queue_that_can_be_read(moto: MotoServer) -> None:
    """With what waits in it, of which nothing is taken."""
    url = moto.queue()
    moto.put(url, ["one", "two"])
    found = list(examine_queue(url, connect_queue(url, region=HERE)))
    assert all(each.level is Level.OK for each in found)
    assert [each.subject for each in found[:3]] == [
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
    ]
    assert found[-1].text == "2 messages wait, 0 are being counted"
    received = moto.sqs.receive_message(
        QueueUrl=url, MessageSystemAttributeNames=["ApproximateReceiveCount"], MaxNumberOfMessages=10
    )
    assert {each["Attributes"]["ApproximateReceiveCount"] for each in received["Messages"]} == {"1"}


def test_a_key_of_aws_needs_no_permission(moto: MotoServer) -> None:
    """Nothing is said of it."""
    url = moto.queue(KmsMasterKeyId="alias/aws/sqs")
    assert "messages wait" in list(examine_queue(url, connect_queue(url, region=HERE)))[-1].text


def test_a_queue_that_is_not_there(moto: MotoServer) -> None:
    """It is told, not raised, and nothing of it is called well."""
    url = moto.queue() + "-lost"
    (told,) = examine_queue(url, connect_queue(url, region=HERE))
    assert told.level is Level.FAILURE
    assert told.text == "GetQueueAttributes answered AWS.SimpleQueueService.NonExistentQueue"
    assert told.advice == "look at KRAITER_SES_EVENT_QUEUES"


@pytest.mark.parametrize("value", ["InvalidParameterValue", "InvalidParameterValueException"])
@pytest.mark.parametrize("receipt", ["ReceiptHandleIsInvalid", "InvalidParameterValueException"])
def test_what_a_queue_is_asked_in_vain_is_allowed(value: str, receipt: str) -> None:
    """In whatever words it says so; other answers are failures."""
    denied = {"GetQueueAttributes": "AccessDeniedException"}
    with refuser(denied | {"ReceiveMessage": value, "DeleteMessage": receipt}) as address:
        url = f"{address}/123456789012/queue"
        found = list(examine_queue(url, connect_queue(url, region=HERE)))
    assert [(each.subject, each.level) for each in found] == [
        ("sqs:GetQueueAttributes", Level.FAILURE),
        ("sqs:ReceiveMessage", Level.OK),
        ("sqs:DeleteMessage", Level.OK),
    ]
    with refuser(denied | {"ReceiveMessage": value}) as address:
        url = f"{address}/123456789012/queue"
        found = list(examine_queue(url, connect_queue(url, region=HERE)))
    assert [each.level for each in found] == [Level.FAILURE, Level.OK, Level.FAILURE]
    assert found[-1].text == "DeleteMessage answered InvalidAction"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("RequestExpired", "give others, or mend the clock"),
        ("OptInRequired", "sign the account up for the service"),
        ("InvalidAddress", "look at KRAITER_SES_EVENT_QUEUES"),
        ("InvalidSecurity", "look that up in AWS's documentation"),
    ],
)
def test_an_answer_has_its_advice(code: str, advice: str) -> None:
    """A line, which names it; nothing else is tried."""
    with refuser({"GetQueueAttributes": code}) as address:
        url = f"{address}/123456789012/queue"
        (told,) = examine_queue(url, connect_queue(url, region=HERE))
    assert (told.level, told.advice) == (Level.FAILURE, advice)
    assert code in told.text


def test_a_queue_that_nobody_answers_for(moto: MotoServer) -> None:
    """Neither is this."""
    url = "http://127.0.0.1:9/123456789012/queue"
    (told,) = examine_queue(url, connect_queue(url, region=HERE))
    assert told.text.startswith("does not answer")
