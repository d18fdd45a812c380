"""The records that a domain has to publish."""

import pytest

from service.core import matching, records
from service.core.records import DmarcPolicy
from tests.unit.core.zones import IDENTITY, domain


def table(name: str, challenge: str | None = None) -> list[tuple[str, str, str, str, bool]]:
    """Return a domain's records as the table of the documentation has them."""
    return [
        (record.purpose, record.type, record.name, matching.as_published(record), record.required)
        for record in domain(name, challenge=challenge).records
    ]


def test_a_subdomain_carries_its_own_envelope_sender() -> None:
    """MX and SPF stand at the name, DMARC at the organisational domain."""
    assert table("mail.example.com") == [
        ("DKIM", "CNAME", "aaa._domainkey.mail.example.com", "aaa.dkim.amazonses.com", True),
        ("DKIM", "CNAME", "bbb._domainkey.mail.example.com", "bbb.dkim.amazonses.com", True),
        ("DKIM", "CNAME", "ccc._domainkey.mail.example.com", "ccc.dkim.amazonses.com", True),
        ("SPF", "MX", "mail.example.com", "10 feedback-smtp.eu-west-1.amazonses.com", True),
        ("SPF", "TXT", "mail.example.com", "v=spf1 include:amazonses.com ~all", False),
        ("DMARC", "TXT", "_dmarc.example.com", "v=DMARC1; p=none; rua=mailto:dmarc@example.com", True),
    ]


def test_an_organisational_domain_keeps_its_inbound_mail() -> None:
    """Its MX and SPF records go to a host below it, never to the name itself."""
    places = {name for purpose, _, name, _, _ in table("example.com") if purpose == "SPF"}
    assert places == {"bounce.example.com"}


def test_a_contested_name_proves_its_owner() -> None:
    """The challenge makes one more required record."""
    assert table("mail.example.com", "s3cret")[-1] == (
        "OWNERSHIP",
        "TXT",
        "_kraiter-challenge.mail.example.com",
        "kraiter-verification=s3cret",
        True,
    )


def test_the_policy_asked_for_is_offered() -> None:
    """The DMARC record has the policy and the address of the request."""
    *_, offered = records.required_for(
        "mail.example.com",
        IDENTITY,
        mail_from="mail.example.com",
        dmarc_policy=DmarcPolicy.QUARANTINE,
        dmarc_report_address="x@example.net",
        challenge=None,
    )
    assert offered.value == "v=DMARC1; p=quarantine; rua=mailto:x@example.net"


@pytest.mark.parametrize(
    ("name", "subdomain", "host"),
    [
        ("mail.example.com", "", "mail.example.com"),
        ("mail.example.com", "ret.urn", "ret.urn.mail.example.com"),
        ("example.com", "", "bounce.example.com"),
        ("example.com", "return", "return.example.com"),
        ("foo.github.io", "", "bounce.foo.github.io"),
    ],
)
def test_the_envelope_senders_host(name: str, subdomain: str, host: str) -> None:
    """The label asked for goes below the name; without one only an organisation gets one."""
    assert records.mail_from_host(name, subdomain) == host
