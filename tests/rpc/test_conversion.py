"""Between core types and messages nothing is lost and nothing invented."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from kraiter.domains.v1 import domain_pb2 as pb
from kraiter.domains.v1 import domain_service_pb2 as service_pb

from service.core.domain import Event, EventType, Status
from service.core.health import Health
from service.core.records import Finding, Problem, RecordState
from service.rpc import enums, responses
from service.rpc.watch_codec import WatchCodec
from tests.support.samples import NOON, sample_domain

PAIRS = [
    (enums.STATUS, pb.Domain.Status),
    (enums.STATUS_REASON, pb.Domain.StatusReason),
    (enums.HEALTH, pb.Domain.Health),
    (enums.DMARC_POLICY, pb.Domain.DmarcPolicy),
    (enums.EVENT_TYPE, pb.StatusEvent.Type),
    (enums.PURPOSE, pb.DnsRecord.Purpose),
    (enums.RECORD_TYPE, pb.DnsRecord.Type),
    (enums.RECORD_STATE, pb.DnsRecord.State),
    (enums.PROBLEM, pb.DnsRecord.Problem),
    (enums.ADVICE_CODE, pb.Advice.Code),
    (enums.START, service_pb.WatchStatusRequest.Start),
]


@pytest.mark.parametrize(("pairs", "contract"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_enums_are_the_same_on_both_sides(pairs: dict[object, int], contract: EnumTypeWrapper) -> None:
    """Every value of the contract but the unspecified one has its member, and only one."""
    assert sorted({*pairs.values()} | {0}) == sorted(contract.values())
    assert len(set(pairs.values())) == len(pairs)


def test_a_domain_in_full() -> None:
    """Every field of the message tells what the domain has."""
    domain = sample_domain()
    finding = Finding(RecordState.MISMATCH, ("wrong",), Problem.WRONG_VALUE, "Do this.", "ns1 (192.0.2.1)")
    looked_at = NOON + timedelta(minutes=1)
    message = responses.domain(
        replace(
            domain,
            status=Status.VERIFIED,
            health=Health.WARNING,
            sending_enabled=False,
            disable_reason="holiday",
            records=(replace(domain.records[0], finding=finding), *domain.records[1:]),
            verify_time=NOON,
            verification_deadline=None,
            checks=replace(domain.checks, last_check_time=looked_at),
            revision=7,
        )
    )
    # False and absent look alike; advice and the report depend on more than is here.
    not_set = {
        "sending_enabled",
        "health_report",
        "dns_provider",
        "contested",
        "advice",
        "verification_deadline",
    }
    present = {field.name for field, _ in message.ListFields()} - {"advice"}
    assert present == {field.name for field in pb.Domain.DESCRIPTOR.fields} - not_set
    assert message.create_time.ToDatetime(UTC) == NOON
    assert message.last_check_time.ToDatetime(UTC) == looked_at
    first, second = message.dns_records[:2]
    assert first.state == pb.DnsRecord.MISMATCH
    assert first.problem == pb.DnsRecord.WRONG_VALUE
    assert (list(first.observed), first.hint, first.checked_server) == (
        ["wrong"],
        "Do this.",
        "ns1 (192.0.2.1)",
    )
    assert first.check_time.ToDatetime(UTC) == looked_at
    assert not second.HasField("check_time")


@pytest.mark.parametrize(
    "moment",
    [datetime(1969, 12, 31, 23, 59, 59, 1, UTC), NOON, datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)],
)
def test_times_keep_their_microseconds(moment: datetime) -> None:
    """Also before 1970 and at the end of time."""
    message = responses.domain(sample_domain(create_time=moment))
    assert message.create_time.ToDatetime(UTC) == moment


def test_joined_entries_make_one_message() -> None:
    """The codec's octets parse as the message that the contract describes."""
    codec = WatchCodec()
    domain = sample_domain()
    events = [
        Event(
            tenant="acme",
            revision=revision,
            time=NOON,
            type=EventType.CREATED,
            domain=domain.name,
            previous_status=None,
            previous_health=None,
            reason="",
            actor="verifier",
            state=domain,
        )
        for revision in (1, 2)
    ]
    joined = b"".join(codec.event(event, full=False) for event in events)
    octets = codec.message(joined, resume_token="token", snapshot_complete=True)
    expected = service_pb.WatchStatusResponse(resume_token="token", snapshot_complete=True)
    for event in events:
        responses.put_event(expected.events.add(), event, full=False)
    assert service_pb.WatchStatusResponse.FromString(octets) == expected
    full = service_pb.WatchStatusResponse.FromString(codec.event(events[0], full=True))
    assert len(full.events[0].state.dns_records) == 6
