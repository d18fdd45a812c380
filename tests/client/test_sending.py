"""`client.sending`, for threads and for asyncio."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import kraiter
import pytest
from google.rpc import code_pb2
from kraiter.domains.v1.sending_service_pb2 import DeliveryReport, DomainUse, SendDecision

from tests.client.scripted import UNAVAILABLE, Fault, Script

NAME = "mail.example.com"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_decisions_come_in_the_order_asked_about(script: Script, client: Any) -> None:
    """More than 100 domains take several calls, each as fresh as asked for; none takes none."""
    names = [f"d{number:03}.example.com" for number in range(250)]
    for name in names[::2]:
        script.put(name)
    decisions = client.sending.check(*names, min_revision=7)
    assert [decision.domain for decision in decisions] == names
    assert [decision.decision for decision in decisions] == [SendDecision.ALLOW, SendDecision.REJECT] * 125
    asked = script.requests["CheckSending"]
    assert [len(request.domains) for request in asked] == [100, 100, 50]
    assert [request.min_revision for request in asked] == [7, 7, 7]
    assert client.sending.check() == []
    assert script.asked("CheckSending") == 3


def test_a_use_is_put_with_all_its_options(script: Script, client: Any) -> None:
    """Times of any zone arrive as the same moment; one without is taken for UTC."""
    script.put(NAME)
    tokyo = timezone(timedelta(hours=9))
    put = client.sending.put_use(
        NAME,
        DomainUse.SCHEDULED_SEND,
        "u1",
        state=DomainUse.PAUSED,
        application="newsletter",
        scheduled_time=NOON.astimezone(tokyo),
        expire_time=NOON.replace(tzinfo=None),
    )
    assert put.scheduled_time.ToDatetime(UTC) == put.expire_time.ToDatetime(UTC) == NOON
    assert (put.kind, put.use_id, put.state) == (DomainUse.SCHEDULED_SEND, "u1", DomainUse.PAUSED)
    assert put.application == "newsletter"


def test_a_use_needs_no_options(script: Script, client: Any) -> None:
    """What is not given is not set."""
    script.put(NAME)
    put = client.sending.put_use(NAME, DomainUse.SEQUENCE, "s1")
    assert put == DomainUse(domain=NAME, kind=DomainUse.SEQUENCE, use_id="s1", state=DomainUse.ACTIVE)


def test_uses_come_page_after_page(script: Script, client: Any) -> None:
    """All of them, whatever the size of a page."""
    script.put(NAME)
    for number in range(5):
        client.sending.put_use(NAME, DomainUse.SEQUENCE, f"s{number}")
    expected = [f"s{number}" for number in range(5)]
    assert [use.use_id for use in client.sending.uses(NAME)] == expected
    assert script.asked("ListDomainUses") == 3
    kinds = [DomainUse.SEQUENCE]
    assert [use.use_id for use in client.sending.uses(NAME, page_size=1000, kinds=kinds)] == expected
    (*_, last) = script.requests["ListDomainUses"]
    assert (last.page_size, list(last.kinds)) == (1000, kinds)


def test_a_use_is_deleted_once(script: Script, client: Any) -> None:
    """The second deletion has nothing to delete."""
    script.put(NAME)
    client.sending.put_use(NAME, DomainUse.SEQUENCE, "s1")
    client.sending.delete_use(NAME, DomainUse.SEQUENCE, "s1")
    with pytest.raises(kraiter.NotFound, match="USE_NOT_FOUND"):
        client.sending.delete_use(NAME, DomainUse.SEQUENCE, "s1")


def test_each_report_without_a_batch_id_is_a_batch_of_its_own(script: Script, client: Any) -> None:
    """A batch id that is given is kept."""
    reports = [DeliveryReport(domain=NAME, sent=2, delivered=1)]
    assert client.sending.report(iter(reports)).accepted == 1
    client.sending.report(reports)
    client.sending.report(reports, "b1")
    batches = script.requests["ReportDeliveries"]
    assert all(list(batch.reports) == reports for batch in batches)
    first, second, third = (batch.batch_id for batch in batches)
    assert first
    assert second
    assert first != second
    assert third == "b1"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("check", ("CheckSending", NAME)),
        ("put_use", ("PutDomainUse", NAME, DomainUse.SEQUENCE, "s1")),
        ("uses", ("ListDomainUses", NAME)),
        ("report", ("ReportDeliveries", [DeliveryReport(domain=NAME, sent=1)])),
    ],
)
def test_what_can_be_repeated_is(
    script: Script, client: Any, method: str, arguments: tuple[Any, ...]
) -> None:
    """A service that is away for a moment is not noticed, and is asked the same again."""
    rpc, *given = arguments
    script.put(NAME)
    script.fail(rpc, UNAVAILABLE)
    result = getattr(client.sending, method)(*given)
    if method == "uses":
        assert list(result) == []
    first, second = script.requests[rpc]
    assert first == second


def test_a_deletion_is_not_repeated(script: Script, client: Any) -> None:
    """A retry of one that succeeded would say that there is no such use."""
    script.fail("DeleteDomainUse", UNAVAILABLE)
    with pytest.raises(kraiter.Unavailable):
        client.sending.delete_use(NAME, DomainUse.SEQUENCE, "s1")
    assert script.asked("DeleteDomainUse") == 1


def test_errors_are_typed(script: Script, client: Any) -> None:
    """As those of every other call."""
    script.fail("CheckSending", Fault(code_pb2.PERMISSION_DENIED, "MISSING_SCOPE"))
    with pytest.raises(kraiter.PermissionDenied, match="MISSING_SCOPE"):
        client.sending.check(NAME)
