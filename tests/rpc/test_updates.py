"""UpdateDomain, through the real client."""

from concurrent.futures import ThreadPoolExecutor

import kraiter
import pytest
from google.protobuf import field_mask_pb2
from kraiter.domains.v1 import domain_pb2 as pb
from kraiter.domains.v1 import domain_service_pb2 as service_pb

from tests.rpc.running import Failure, Running

Domain = pb.Domain
UPDATE = "/kraiter.domains.v1.DomainService/UpdateDomain"
NAME = "mail.example.com"


def of(domain: pb.Domain, purpose: "pb.DnsRecord.Purpose.ValueType") -> list[pb.DnsRecord]:
    """Return the records of a purpose."""
    return [record for record in domain.dns_records if record.purpose == purpose]


def test_what_is_given_is_changed_and_told(client: kraiter.Client, key: str) -> None:
    """The rest stays, the DKIM records among it; the event says who and what."""
    created = client.domains.create(NAME)
    updated = client.domains.update(NAME, dmarc_policy=Domain.REJECT, mail_from_subdomain="Return")
    assert updated.dmarc_policy == Domain.REJECT
    assert updated.mail_from_domain == "return.mail.example.com"
    assert updated.dmarc_report_address == created.dmarc_report_address
    assert of(updated, pb.DnsRecord.DKIM) == of(created, pb.DnsRecord.DKIM)
    assert {record.name for record in of(updated, pb.DnsRecord.SPF)} == {"return.mail.example.com"}
    assert "p=reject" in of(updated, pb.DnsRecord.DMARC)[0].value
    assert client.domains.get(NAME) == updated
    event = next(client.domains.events(domain=NAME))
    assert (event.type, event.revision) == (pb.StatusEvent.RECORDS_CHANGED, updated.revision)
    assert event.actor == f"key:{key.split('_')[1]}"
    assert event.reason == (
        "mail_from_domain from mail.example.com to return.mail.example.com; dmarc_policy from NONE to REJECT"
    )


def test_a_named_empty_field_goes_back_to_its_default(client: kraiter.Client) -> None:
    """Which is what CreateDomain would have taken."""
    created = client.domains.create(NAME)
    client.domains.update(
        NAME, dmarc_policy=Domain.QUARANTINE, dmarc_report_address="x@example.net", mail_from_subdomain="m"
    )
    reset = client.domains.update(
        NAME, dmarc_policy=Domain.DMARC_POLICY_UNSPECIFIED, dmarc_report_address="", mail_from_subdomain=""
    )
    for field in ("dmarc_policy", "dmarc_report_address", "mail_from_domain", "dns_records"):
        assert getattr(reset, field) == getattr(created, field)


def test_an_organisational_domain_keeps_its_inbound_mail(client: kraiter.Client) -> None:
    """Its default host is below it, after an update too."""
    client.domains.create("example.com", mail_from_subdomain="m")
    assert (
        client.domains.update("example.com", mail_from_subdomain="").mail_from_domain == "bounce.example.com"
    )


def test_without_a_change_there_is_no_event(client: kraiter.Client) -> None:
    """The same values, given again."""
    client.domains.create(NAME)
    first = client.domains.update(NAME, dmarc_policy=Domain.REJECT)
    assert client.domains.update(NAME, dmarc_policy=Domain.REJECT) == first


def test_a_verified_domain_stays_so_and_is_broken_until_the_new_records_are_there(
    service: Running, client: kraiter.Client
) -> None:
    """Records that changed are PENDING, then missing, then found; the others stay FOUND throughout."""
    name = "mail.moved.test"
    service.resolver.publish(client.domains.create(name))
    assert client.domains.verify(name).status == Domain.VERIFIED
    updated = client.domains.update(name, mail_from_subdomain="m")
    assert updated.status == Domain.VERIFIED
    states = {record.purpose: record.state for record in updated.dns_records}
    assert states == {
        pb.DnsRecord.DKIM: pb.DnsRecord.FOUND,
        pb.DnsRecord.SPF: pb.DnsRecord.PENDING,
        pb.DnsRecord.DMARC: pb.DnsRecord.FOUND,
    }
    assert client.domains.verify(name).status == Domain.VERIFIED
    service.resolver.publish(updated)
    restored = client.domains.verify(name)
    assert {record.state for record in restored.dns_records} == {pb.DnsRecord.FOUND}
    types = [pb.StatusEvent.Type.Name(event.type) for event in client.domains.events(domain=name)]
    assert types == ["RECORDS_RESTORED", "RECORDS_BROKEN", "RECORDS_CHANGED", "STATUS_CHANGED", "CREATED"]


def test_changes_at_the_same_time_all_count(service: Running, client: kraiter.Client) -> None:
    """Each caller changes its own field; none is lost, and the records have them all."""
    client.domains.create(NAME)
    changes = [
        {"dmarc_policy": Domain.REJECT},
        {"dmarc_report_address": "x@example.net"},
        {"mail_from_subdomain": "m"},
    ]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda change: client.domains.update(NAME, **change), changes))
    after = client.domains.get(NAME)
    assert of(after, pb.DnsRecord.DMARC)[0].value == "v=DMARC1; p=reject; rua=mailto:x@example.net"
    assert of(after, pb.DnsRecord.SPF)[0].name == "m.mail.example.com"


@pytest.mark.parametrize(
    ("fields", "paths", "wrong"),
    [
        ({}, [], ["update_mask"]),
        ({}, ["*"], ["update_mask.paths[0]"]),
        ({}, ["dmarc_policy", "region", "dmarc_policy"], ["update_mask.paths[1]", "update_mask.paths[2]"]),
        ({}, ["dmarc_policy"] * 101, ["update_mask"]),
        (
            {"dmarc_policy": 77, "dmarc_report_address": "nobody", "mail_from_subdomain": "-"},
            ["dmarc_policy", "dmarc_report_address", "mail_from_subdomain", ""],
            ["update_mask.paths[3]", "dmarc_policy", "dmarc_report_address", "mail_from_subdomain"],
        ),
    ],
)
def test_every_wrong_field_is_told(
    service: Running, key: str, fields: dict[str, object], paths: list[str], wrong: list[str]
) -> None:
    """The paths of the mask by their places, then the values that they name."""
    request = service_pb.UpdateDomainRequest(
        domain=NAME,
        update_mask=field_mask_pb2.FieldMask(paths=paths),
        **fields,  # type: ignore[arg-type]  # fields by name
    )
    answer = service.call(UPDATE, request, key)
    assert isinstance(answer, Failure)
    assert (answer.code.name, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert [violation.field for violation in answer.violations] == wrong


@pytest.mark.parametrize("path", ["dmarc_policy", "dmarc_report_address", "mail_from_subdomain"])
def test_fields_that_the_mask_does_not_name_are_not_looked_at(
    service: Running, key: str, client: kraiter.Client, path: str
) -> None:
    """However wrong they are."""
    created = client.domains.create(NAME)
    wrong = {"dmarc_policy": 77, "dmarc_report_address": "nobody", "mail_from_subdomain": "-"}
    del wrong[path]
    request = service_pb.UpdateDomainRequest(
        domain=NAME,
        update_mask=field_mask_pb2.FieldMask(paths=[path]),
        **wrong,  # type: ignore[arg-type]  # fields by name
    )
    answer = service.call(UPDATE, request, key)
    assert isinstance(answer, bytes)
    assert pb.Domain.FromString(answer) == created
