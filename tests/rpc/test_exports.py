"""ExportDnsRecords, through the real client."""

import csv
import io

import kraiter
import pytest
from kraiter.domains.v1 import domain_pb2 as pb
from kraiter.domains.v1.domain_service_pb2 import ExportDnsRecordsRequest as Request

from tests.rpc.running import Failure, Running

NAME = "mail.example.com"


@pytest.mark.parametrize(
    ("form", "file_name", "content_type", "sign"),
    [
        (Request.FORMAT_UNSPECIFIED, f"{NAME}.zone", "text/dns", "$TTL 3600"),
        (Request.ZONE_FILE, f"{NAME}.zone", "text/dns", "$TTL 3600"),
        (Request.TERRAFORM_ROUTE53, f"{NAME}.route53.tf", "text/plain", 'resource "aws_route53_record"'),
        (
            Request.TERRAFORM_CLOUDFLARE,
            f"{NAME}.cloudflare.tf",
            "text/plain",
            'resource "cloudflare_dns_record"',
        ),
        (Request.CSV, f"{NAME}.csv", "text/csv", "name,type,value,priority,ttl,purpose,required\r\n"),
    ],
)
def test_every_format_has_every_record(
    client: kraiter.Client, form: "Request.Format.ValueType", file_name: str, content_type: str, sign: str
) -> None:
    """A zone file unless another is asked for."""
    domain = client.domains.create(NAME)
    export = client.domains.export("MAIL.example.com.", form)
    assert (export.file_name, export.content_type) == (file_name, content_type)
    assert sign in export.content
    assert all(record.name in export.content for record in domain.dns_records)
    assert all(record.value in export.content for record in domain.dns_records)


def test_the_export_follows_the_domain(service: Running, client: kraiter.Client) -> None:
    """After an update it has the new records; what is published as it should be stays in it."""
    name = "mail.exported.test"
    client.domains.create(name)
    service.resolver.publish(client.domains.update(name, mail_from_subdomain="m"))
    assert client.domains.verify(name).status == pb.Domain.VERIFIED
    rows = list(csv.DictReader(io.StringIO(client.domains.export(name, Request.CSV).content, newline="")))
    assert [row["name"] for row in rows if row["type"] == "MX"] == ["m.mail.exported.test"]
    assert [row["type"] for row in rows] == ["CNAME", "CNAME", "CNAME", "MX", "TXT", "TXT"]


def test_an_owners_own_policy_is_not_to_be_replaced(service: Running, client: kraiter.Client) -> None:
    """A DMARC record that is found with another value is left out."""
    domain = client.domains.create("strict.example.net")
    service.resolver.publish(domain)
    (question,) = (each for each in service.resolver.published if each.name == "_dmarc.example.net")
    service.resolver.published[question] = ("v=DMARC1; p=reject",)
    assert client.domains.verify(domain.domain).status == pb.Domain.VERIFIED
    assert "v=DMARC1" not in client.domains.export(domain.domain).content


def test_what_cannot_be_exported_is_explained(service: Running, key: str, client: kraiter.Client) -> None:
    """A format that there is not, and a domain that there is not."""
    client.domains.create(NAME)
    path = "/kraiter.domains.v1.DomainService/ExportDnsRecords"
    answer = service.call(path, Request(domain=NAME, format=Request.Format.ValueType(9)), key)
    assert isinstance(answer, Failure)
    assert [violation.field for violation in answer.violations] == ["format"]
    with pytest.raises(kraiter.NotFound, match="DOMAIN_NOT_FOUND"):
        client.domains.export("nowhere.example.com")
