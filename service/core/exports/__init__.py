"""A domain's records as files that DNS software imports."""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from service.core import offer
from service.core.domain import Domain
from service.core.exports import spreadsheet, terraform, zone_file
from service.core.exports.content import Content

__all__ = ["Export", "Format", "render"]


class Format(Enum):
    """The form of an export."""

    ZONE_FILE = "ZONE_FILE"
    TERRAFORM_ROUTE53 = "TERRAFORM_ROUTE53"
    TERRAFORM_CLOUDFLARE = "TERRAFORM_CLOUDFLARE"
    CSV = "CSV"


@dataclass(frozen=True, slots=True)
class Export:
    """A file."""

    content: str
    content_type: str
    """Its media type. The text is to be encoded as UTF-8."""
    file_name: str


def render(domain: Domain, form: Format) -> Export:
    """Return the records that a domain has to publish, as a file.

    That is without those that are met by a record of the owner's own. Equal
    domains give equal files.
    """
    content = _content(domain)
    match form:
        case Format.ZONE_FILE:
            return Export(zone_file.render(content), "text/dns", f"{domain.name}.zone")
        case Format.TERRAFORM_ROUTE53:
            return Export(terraform.route53(content), "text/plain", f"{domain.name}.route53.tf")
        case Format.TERRAFORM_CLOUDFLARE:
            return Export(terraform.cloudflare(content), "text/plain", f"{domain.name}.cloudflare.tf")
        case Format.CSV:
            return Export(spreadsheet.render(content), "text/csv", f"{domain.name}.csv")
        case _:
            assert_never(form)


def _content(domain: Domain) -> Content:
    each_once = {record.content: record for record in domain.records}.values()
    return Content(
        domain=domain.name,
        records=tuple(record for record in each_once if not offer.is_met_otherwise(record)),
        met_otherwise=tuple(record for record in each_once if offer.is_met_otherwise(record)),
    )
