"""SendingService through real calls: decisions, uses, deliveries, and what they do to domains."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import kraiter
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import sending_service_pb2 as pb
from kraiter.domains.v1.domain_service_pb2 import DeleteDomainRequest, WatchStatusRequest
from kraiter.domains.v1.sending_service_pb2_grpc import SendingServiceStub

from service.core.keys import Scope
from service.core.tenants import OnCritical, TenantPolicy
from tests.rpc.running import Failure, Running
from tests.support.waiting import until

NAME = "mail.example.net"
SENDING = "/kraiter.domains.v1.SendingService"
ALLOW, THROTTLE, HOLD, REJECT = (
    pb.SendDecision.ALLOW,
    pb.SendDecision.THROTTLE,
    pb.SendDecision.HOLD,
    pb.SendDecision.REJECT,
)

Send = Callable[[str, Any], Any]


@pytest.fixture
def send(service: Running, key: str) -> Send:
    """Return a function that calls an RPC of SendingService with the tenant's key."""
    stub = SendingServiceStub(service.channel)

    def call(method: str, request: Any) -> Any:
        return getattr(stub, method)(request, metadata=(("authorization", f"Bearer {key}"),), timeout=10)

    return call


@pytest.fixture
def domain(service: Running, client: kraiter.Client, send: Send) -> Iterator[domain_pb.Domain]:
    """Give a VERIFIED domain, and leave its name to the next test."""
    service.resolver.publish(client.domains.create(NAME))
    yield client.domains.verify(NAME)
    with contextlib.suppress(kraiter.NotFound):
        client.domains.get(NAME)
        for left in send("ListDomainUses", pb.ListDomainUsesRequest(domain=NAME, page_size=1000)).uses:
            send(
                "DeleteDomainUse",
                pb.DeleteDomainUseRequest(domain=NAME, kind=left.kind, use_id=left.use_id),
            )
        client.domains.delete(NAME)


def at(time: datetime) -> Timestamp:
    """Return a time as a message."""
    message = Timestamp()
    message.FromDatetime(time)
    return message


def decision(send: Send, name: str = NAME, **asked: Any) -> tuple[int, int, int]:
    """Return decision, reason and messages per hour of a domain."""
    (found,) = send("CheckSending", pb.CheckSendingRequest(domains=[name], **asked)).decisions
    assert found.domain == name
    return found.decision, found.reason, found.messages_per_hour


def report(send: Send, batch_id: str, **counts: Any) -> pb.ReportDeliveriesResponse:
    """Report the deliveries of one domain, now."""
    one = pb.DeliveryReport(**{"domain": NAME, "time": at(datetime.now(UTC)), **counts})
    answer: pb.ReportDeliveriesResponse = send(
        "ReportDeliveries", pb.ReportDeliveriesRequest(batch_id=batch_id, reports=[one])
    )
    return answer


def use(send: Send, use_id: str, kind: int = pb.DomainUse.SCHEDULED_SEND, **fields: Any) -> pb.DomainUse:
    """Register a use."""
    put: pb.DomainUse = send(
        "PutDomainUse", pb.PutDomainUseRequest(domain=NAME, kind=kind, use_id=use_id, **fields)
    )
    return put


def test_each_row_of_the_decision_table(
    service: Running, tenant: str, client: kraiter.Client, send: Send
) -> None:
    """What a sender is told, from the creation of a domain to its deletion."""
    assert decision(send) == (REJECT, pb.SendDecision.DOMAIN_NOT_FOUND, 0)
    created = client.domains.create(NAME)
    asked = {"min_revision": created.revision}
    assert decision(send, **asked) == (REJECT, pb.SendDecision.NOT_VERIFIED, 0)
    client.domains.disable(NAME)
    assert decision(send) == (HOLD, pb.SendDecision.DOMAIN_DISABLED, 0)
    client.domains.enable(NAME)
    service.resolver.publish(created)
    verified = client.domains.verify(NAME)
    asked = {"min_revision": verified.revision}
    assert decision(send, **asked) == (ALLOW, pb.SendDecision.REASON_UNSPECIFIED, 0)
    report(send, "1", sent=1000, hard_bounces=200)
    until(lambda: client.domains.get(NAME).health == domain_pb.Domain.CRITICAL)
    asked = {"min_revision": client.domains.get(NAME).revision}
    assert decision(send, **asked) == (THROTTLE, pb.SendDecision.HEALTH_CRITICAL, 100)
    service.store.set_policy(tenant, TenantPolicy(on_critical=OnCritical.SUSPEND), datetime.now(UTC))
    until(lambda: decision(send) == (HOLD, pb.SendDecision.HEALTH_CRITICAL, 0))
    client.domains.delete(NAME)
    assert decision(send) == (REJECT, pb.SendDecision.DOMAIN_NOT_FOUND, 0)


def test_decisions_come_in_the_order_asked(send: Send, domain: domain_pb.Domain) -> None:
    """Each spelling of a name is understood; the answer has the canonical one, and its revision."""
    asked = ["none.example.com", "MAIL.Example.net.", NAME, "xn--bcher-kva.example.com", "Bücher.example.com"]
    for _ in range(2):  # from the database, and from memory
        found = send("CheckSending", pb.CheckSendingRequest(domains=asked)).decisions
        assert [each.domain for each in found] == [
            "none.example.com",
            NAME,
            NAME,
            "xn--bcher-kva.example.com",
            "xn--bcher-kva.example.com",
        ]
        assert [each.decision for each in found] == [REJECT, ALLOW, ALLOW, REJECT, REJECT]
        assert {each.revision for each in found} == {domain.revision}
    assert send("CheckSending", pb.CheckSendingRequest()).decisions == []


@pytest.mark.parametrize(
    ("request_", "field", "reason"),
    [
        (pb.CheckSendingRequest(domains=[NAME] * 101), "domains", "INVALID_FIELD"),
        (pb.CheckSendingRequest(domains=[NAME, "*.example.com"]), "domains[1]", "INVALID_DOMAIN"),
        (pb.CheckSendingRequest(domains=[NAME], min_revision=-1), "min_revision", "INVALID_FIELD"),
        (pb.CheckSendingRequest(domains=[NAME], min_revision=99), "min_revision", "INVALID_FIELD"),
    ],
)
def test_wrong_questions_are_refused(
    service: Running, key: str, domain: domain_pb.Domain, request_: Any, field: str, reason: str
) -> None:
    """With the field and the reason, from memory or not."""
    for _ in range(2):
        refused = service.call(f"{SENDING}/CheckSending", request_, key)
        assert isinstance(refused, Failure)
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
        assert refused.metadata["field"] == field


def test_a_limited_key_asks_about_its_domains_only(service: Running, tenant: str) -> None:
    """Whether others exist or not, and whether memory knows them or not."""
    limited = service.new_key(tenant, frozenset({Scope.SENDING_READ}), domains=frozenset({NAME}))
    assert isinstance(
        service.call(f"{SENDING}/CheckSending", pb.CheckSendingRequest(domains=[NAME]), limited), bytes
    )
    both = pb.CheckSendingRequest(domains=[NAME, "other.example.com"])
    refused = service.call(f"{SENDING}/CheckSending", both, limited)
    assert isinstance(refused, Failure)
    assert refused.reason == "MISSING_SCOPE"


def test_health_goes_down_and_is_told(client: kraiter.Client, send: Send, domain: domain_pb.Domain) -> None:
    """A report shows within a second: warning, then critical, each with its event and figures."""
    with client.domains.watch(types=[domain_pb.StatusEvent.HEALTH_CHANGED]) as watch:
        messages = watch.messages()
        next(messages)
        events = (event for message in messages for event in message.events)
        report(send, "1", sent=1000, delivered=1000, complaints=5)
        warned = next(events)
        report(send, "2", sent=1000, delivered=1000, hard_bounces=250)
        alarmed = next(events)
    assert (warned.previous_health, warned.state.health) == (
        domain_pb.Domain.HEALTHY,
        domain_pb.Domain.WARNING,
    )
    assert (warned.reason, warned.actor) == ("COMPLAINT_RATE", "health")
    assert (alarmed.previous_health, alarmed.state.health) == (
        domain_pb.Domain.WARNING,
        domain_pb.Domain.CRITICAL,
    )
    figures = alarmed.state.health_report
    assert (figures.sent, figures.delivered, figures.hard_bounces, figures.complaints) == (2000, 2000, 250, 5)
    assert (figures.bounce_rate, figures.complaint_rate) == (0.125, 0.0025)
    assert figures.reason == domain_pb.HealthReport.BOUNCE_RATE
    assert figures.bounce_critical_threshold == 0.1
    assert figures.window_end.ToDatetime() - figures.window_start.ToDatetime() == timedelta(days=7)
    assert client.domains.get(NAME).health_report == figures
    assert [each.domain for each in client.domains.list(healths=[domain_pb.Domain.CRITICAL])] == [NAME]


def test_wrong_reports_are_refused_one_by_one(
    service: Running, client: kraiter.Client, send: Send, domain: domain_pb.Domain
) -> None:
    """The rest of the batch is taken, and the answer says which and why."""
    service.client(service.new_key(service.new_tenant())).domains.create("theirs.example.com")
    now = datetime.now(UTC)
    good = {"domain": NAME, "time": at(now), "sent": 1}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"sent": -1}, "sent: must not be negative, and is -1"),
        ({"complaints": -7}, "complaints: must not be negative, and is -7"),
        ({"hard_bounces": 2**40}, f"hard_bounces: must be at most 1000000000, and is {2**40}"),
        ({"time": at(now + timedelta(minutes=11))}, "time: must be at most 10 minutes in the future"),
        ({"time": at(now - timedelta(days=8))}, "time: must not be before "),
        ({"time": None}, "time: must be set"),
        ({"time": Timestamp(seconds=2**60)}, "time: must be at most 10 minutes in the future"),
        ({"time": Timestamp(seconds=-(2**60))}, "time: must not be before "),
        ({"domain": "theirs.example.com"}, "domain: no domain theirs.example.com in this tenant"),
        ({"domain": "none.example.com"}, "domain: no domain none.example.com in this tenant"),
        ({"domain": "*.example.com"}, 'domain: "*.example.com" is a wildcard'),
    ]
    near = {**good, "time": at(now + timedelta(minutes=9)), "domain": "MAIL.example.net."}
    reports = [pb.DeliveryReport(**good), pb.DeliveryReport(**near)]
    reports += [pb.DeliveryReport(**{**good, **fields}) for fields, _ in wrong]
    answer = send("ReportDeliveries", pb.ReportDeliveriesRequest(batch_id="1", reports=reports))
    assert answer.accepted == 2
    assert [each.index for each in answer.rejected] == list(range(2, len(reports)))
    for each, (_, reason) in zip(answer.rejected, wrong, strict=True):
        assert each.reason.startswith(reason)
    again = send("ReportDeliveries", pb.ReportDeliveriesRequest(batch_id="1"))
    assert again == answer
    report(send, "2", sent=0)
    until(lambda: client.domains.get(NAME).health_report.sent >= 1)


def test_a_limited_key_reports_its_domains_only(
    service: Running, tenant: str, send: Send, domain: domain_pb.Domain
) -> None:
    """Others are refused one by one, as those that do not exist are."""
    limited = service.new_key(tenant, frozenset({Scope.DELIVERIES_WRITE}), domains=frozenset({"a.com"}))
    one = pb.DeliveryReport(domain=NAME, time=at(datetime.now(UTC)), sent=1)
    octets = service.call(
        f"{SENDING}/ReportDeliveries", pb.ReportDeliveriesRequest(batch_id="1", reports=[one]), limited
    )
    assert isinstance(octets, bytes)
    (rejected,) = pb.ReportDeliveriesResponse.FromString(octets).rejected
    assert rejected.reason == f"domain: this key does not have the scope deliveries.write for {NAME}"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ReportDeliveriesRequest(), "batch_id"),
        (pb.ReportDeliveriesRequest(batch_id="x" * 129), "batch_id"),
        (pb.ReportDeliveriesRequest(batch_id="1", reports=[pb.DeliveryReport()] * 10_001), "reports"),
    ],
)
def test_wrong_batches_are_refused_whole(service: Running, key: str, request_: Any, field: str) -> None:
    """Without an id it could not be told from others; too many reports are no batch."""
    refused = service.call(f"{SENDING}/ReportDeliveries", request_, key)
    assert isinstance(refused, Failure)
    assert (refused.reason, refused.metadata["field"]) == ("INVALID_FIELD", field)


def test_ten_thousand_reports_are_a_batch(send: Send, domain: domain_pb.Domain) -> None:
    """All are taken, in one call."""
    now = at(datetime.now(UTC))
    reports = [pb.DeliveryReport(domain=NAME, time=now, sent=1)] * 10_000
    answer = send("ReportDeliveries", pb.ReportDeliveriesRequest(batch_id="1", reports=reports))
    assert (answer.accepted, len(answer.rejected)) == (10_000, 0)


def test_a_use_says_what_it_was_given(send: Send, domain: domain_pb.Domain) -> None:
    """And when it was registered and last changed; repeated, it stays as it is."""
    now = datetime.now(UTC).replace(microsecond=123_456)
    given = {
        "application": "crm",
        "scheduled_time": at(now + timedelta(hours=1)),
        "expire_time": at(now + timedelta(days=1)),
    }
    put = use(send, "1", **given)
    assert (put.domain, put.use_id, put.application, put.state) == (NAME, "1", "crm", pb.DomainUse.ACTIVE)
    assert (put.scheduled_time, put.expire_time) == (given["scheduled_time"], given["expire_time"])
    assert put.create_time == put.update_time
    assert use(send, "1", **given) == put
    changed = use(send, "1", state=pb.DomainUse.PAUSED)
    assert changed.create_time == put.create_time
    assert changed.update_time.ToNanoseconds() > put.update_time.ToNanoseconds()
    assert not changed.HasField("scheduled_time")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": 0}, "kind"),
        ({"kind": 9}, "kind"),
        ({"use_id": ""}, "use_id"),
        ({"use_id": "x" * 129}, "use_id"),
        ({"use_id": "a\nb"}, "use_id"),
        ({"application": "x" * 129}, "application"),
        ({"state": pb.DomainUse.HELD}, "state"),
        ({"kind": pb.DomainUse.SEQUENCE, "scheduled_time": Timestamp(seconds=1)}, "scheduled_time"),
        ({"scheduled_time": Timestamp(seconds=2**60)}, "scheduled_time"),
        ({"expire_time": Timestamp(nanos=-1)}, "expire_time"),
    ],
)
def test_wrong_uses_are_refused(
    service: Running, key: str, domain: domain_pb.Domain, fields: Any, field: str
) -> None:
    """With the field and the reason."""
    request = {"domain": NAME, "kind": pb.DomainUse.SCHEDULED_SEND, "use_id": "1", **fields}
    refused = service.call(f"{SENDING}/PutDomainUse", pb.PutDomainUseRequest(**request), key)
    assert isinstance(refused, Failure)
    assert (refused.reason, [each.field for each in refused.violations]) == ("INVALID_FIELD", [field])


def test_every_wrong_field_of_a_use_is_told(service: Running, key: str) -> None:
    """Also before it is known whether the domain exists."""
    request = pb.PutDomainUseRequest(domain=NAME, kind=9, application="x" * 129)  # type: ignore[arg-type]
    refused = service.call(f"{SENDING}/PutDomainUse", request, key)
    assert isinstance(refused, Failure)
    assert [each.field for each in refused.violations] == ["kind", "application", "use_id"]


def test_sends_are_held_and_released(client: kraiter.Client, send: Send, domain: domain_pb.Domain) -> None:
    """The state in effect follows the domain; the events say how many sends that is about."""
    for number in range(3):
        use(send, str(number))
    use(send, "3", pb.DomainUse.SEQUENCE)
    client.domains.disable(NAME)
    held = send("ListDomainUses", pb.ListDomainUsesRequest(domain=NAME, states=[pb.DomainUse.HELD])).uses
    assert [each.use_id for each in held] == ["0", "1", "2"]
    assert use(send, "4").state == pb.DomainUse.HELD
    client.domains.enable(NAME)
    found = send("ListDomainUses", pb.ListDomainUsesRequest(domain=NAME)).uses
    assert {each.state for each in found} == {pb.DomainUse.ACTIVE}
    enabled, disabled = list(client.domains.events())[:2]
    assert (disabled.held_sends, enabled.held_sends) == (3, 4)


def test_uses_are_paged(service: Running, key: str, send: Send, domain: domain_pb.Domain) -> None:
    """Each once, by kind and id; a token is good for the same question only."""
    for number in range(5):
        use(send, f"\N{GRINNING FACE}{number}" * 16)
    use(send, "a/b", pb.DomainUse.SEQUENCE)
    query = pb.ListDomainUsesRequest(domain=NAME, page_size=2)
    found = []
    while True:
        page = send("ListDomainUses", query)
        found += [each.use_id for each in page.uses]
        if not page.next_page_token:
            break
        query.page_token = page.next_page_token
    assert found == [f"\N{GRINNING FACE}{number}" * 16 for number in range(5)] + ["a/b"]
    query.kinds.append(pb.DomainUse.SEQUENCE)
    refused = service.call(f"{SENDING}/ListDomainUses", query, key)
    assert isinstance(refused, Failure)
    assert refused.reason == "INVALID_PAGE_TOKEN"


def test_a_domain_in_use_is_protected(
    service: Running, key: str, client: kraiter.Client, send: Send, domain: domain_pb.Domain
) -> None:
    """The refusal says by what; without its uses the domain can be deleted, and they are gone with it."""
    long = "\N{GRINNING FACE}" * 128
    for number in range(11):
        use(send, f"{number:02}{long}"[:128], pb.DomainUse.SEQUENCE, application=long)
    with pytest.raises(kraiter.FailedPrecondition) as caught:
        client.domains.delete(NAME)
    assert caught.value.reason == "DOMAIN_IN_USE"
    assert caught.value.metadata == {
        "domain": NAME,
        "active_sequences": "11",
        "active_scheduled_sends": "0",
    }
    refused = service.call(
        "/kraiter.domains.v1.DomainService/DeleteDomain", DeleteDomainRequest(domain=NAME), key
    )
    assert isinstance(refused, Failure)
    assert len(refused.details) * 4 / 3 < 7_500
    stands = _precondition(refused.details)
    assert len(stands) == 10
    assert stands[0].type == "DOMAIN_IN_USE"
    assert stands[0].subject.startswith(f"domains/{NAME}/uses/SEQUENCE/00")
    for number in range(10):
        use(send, f"{number:02}{long}"[:128], pb.DomainUse.SEQUENCE, state=pb.DomainUse.ARCHIVED)
    send(
        "DeleteDomainUse",
        pb.DeleteDomainUseRequest(domain=NAME, kind=pb.DomainUse.SEQUENCE, use_id=f"10{long}"[:128]),
    )
    client.domains.delete(NAME)
    listing = service.call(f"{SENDING}/ListDomainUses", pb.ListDomainUsesRequest(domain=NAME), key)
    assert isinstance(listing, Failure)
    assert listing.reason == "DOMAIN_NOT_FOUND"


def _precondition(details: bytes) -> Any:
    found = error_details_pb2.PreconditionFailure()
    for detail in status_pb2.Status.FromString(details).details:
        if detail.Unpack(found):
            return list(found.violations)
    return []


def test_a_shared_domain_is_advised_of(client: kraiter.Client, send: Send, domain: domain_pb.Domain) -> None:
    """As soon as ACTIVE uses of two applications share it."""
    use(send, "1", application="crm")
    assert domain_pb.Advice.SHARED_BY_APPLICATIONS not in _advice(client)
    use(send, "2", application="shop")
    assert domain_pb.Advice.SHARED_BY_APPLICATIONS in _advice(client)


def _advice(client: kraiter.Client) -> list[int]:
    return [advice.code for advice in client.domains.get(NAME).advice]


def test_a_snapshot_has_health_and_uses(client: kraiter.Client, send: Send, domain: domain_pb.Domain) -> None:
    """A subscriber that begins with the current state sees what GetDomain shows."""
    report(send, "1", sent=10)
    until(lambda: client.domains.get(NAME).health_report.sent)
    with client.domains.watch(start=WatchStatusRequest.CURRENT_STATE) as watch:
        snapshot = next(iter(watch))
    assert snapshot.state.health_report == client.domains.get(NAME).health_report
