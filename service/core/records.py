"""The DNS records that a domain must publish."""

from dataclasses import dataclass
from enum import StrEnum

from service.core import names
from service.core.answers import RecordType


class Purpose(StrEnum):
    """What a record is for."""

    DKIM = "DKIM"
    SPF = "SPF"
    DMARC = "DMARC"
    OWNERSHIP = "OWNERSHIP"


class RecordState(StrEnum):
    """What was seen of a record at the last check."""

    PENDING = "PENDING"
    FOUND = "FOUND"
    MISSING = "MISSING"
    MISMATCH = "MISMATCH"
    UNKNOWN = "UNKNOWN"


class Problem(StrEnum):
    """What is wrong with a record, in a code."""

    NOT_PUBLISHED = "NOT_PUBLISHED"
    DOUBLED_ZONE_NAME = "DOUBLED_ZONE_NAME"
    WRONG_TYPE = "WRONG_TYPE"
    WRONG_VALUE = "WRONG_VALUE"
    QUOTED_VALUE = "QUOTED_VALUE"
    PROXIED = "PROXIED"
    WILDCARD = "WILDCARD"
    MULTIPLE_RECORDS = "MULTIPLE_RECORDS"
    EXTRA_MX = "EXTRA_MX"
    WRONG_PRIORITY = "WRONG_PRIORITY"
    INVALID_SYNTAX = "INVALID_SYNTAX"
    WRONG_PLACE = "WRONG_PLACE"
    DOMAIN_NOT_FOUND = "DOMAIN_NOT_FOUND"
    SERVER_FAILURE = "SERVER_FAILURE"
    TIMEOUT = "TIMEOUT"
    REFUSED = "REFUSED"
    LAME_DELEGATION = "LAME_DELEGATION"
    DNSSEC_BOGUS = "DNSSEC_BOGUS"


class DmarcPolicy(StrEnum):
    """The policy of an offered DMARC record (RFC 9989)."""

    NONE = "NONE"
    QUARANTINE = "QUARANTINE"
    REJECT = "REJECT"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw of one record."""

    state: RecordState = RecordState.PENDING
    observed: tuple[str, ...] = ()
    """At most 10 values of 255 characters, control characters escaped."""
    problem: Problem | None = None
    hint: str = ""
    """What to change, in one sentence; of a record that is found, what could be
    better. Empty where there is nothing to say."""
    server: str = ""
    """Who said so first."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish, and what was last found of it."""

    purpose: Purpose
    type: RecordType
    name: str
    value: str
    """As published; of an MX record the exchanger alone."""
    required: bool
    priority: int = 0
    ttl: int = 3600
    finding: Finding = Finding()

    @property
    def content(self) -> tuple[str, RecordType, str, int]:
        """What DNS has to say, whatever was found: records alike in it are one."""
        return self.name.lower(), self.type, self.value, self.priority


@dataclass(frozen=True, slots=True)
class Identity:
    """What the mail provider gives for a domain: the source of its records."""

    dkim_tokens: tuple[str, ...]
    dkim_zone: str
    """CNAME target zone of the tokens, such as `dkim.amazonses.com`."""
    feedback_host: str
    """Exchanger for bounces, such as `feedback-smtp.eu-west-1.amazonses.com`."""
    spf_include: str
    """Domain that SPF includes, such as `amazonses.com`."""


MX_PRIORITY = 10
"""Preference of the bounce exchanger: it is the only one, so any would do."""
CHALLENGE_OCTETS = 20
"""Of a random challenge: 160 bits."""
CHALLENGE_PREFIX = "kraiter-verification="


def mail_from_host(name: str, subdomain: str) -> str:
    """Return the envelope sender's host for a canonical name.

    That is the name itself, or a host below it where `subdomain` names one. On
    an organisational domain it is `bounce.NAME` by default: an MX record at the
    name itself would take over the owner's inbound mail.
    """
    if not subdomain and names.is_organisational(name):
        subdomain = "bounce"
    return f"{subdomain}.{name}" if subdomain else name


def report_address(name: str, chosen: str) -> str:
    """Return where DMARC reports about a canonical name go: by default to its organisation."""
    return chosen or f"dmarc@{names.organisational(name)}"


def dmarc_value(policy: DmarcPolicy, reports_to: str) -> str:
    """Return the text of a DMARC record (RFC 9989, section 4.7)."""
    return f"v=DMARC1; p={policy.lower()}; rua=mailto:{reports_to}"


def required_for(
    name: str,
    identity: Identity,
    *,
    mail_from: str,
    dmarc_policy: DmarcPolicy,
    dmarc_report_address: str,
    challenge: str | None,
) -> tuple[Record, ...]:
    """Return the records that the owner of a canonical name has to publish.

    `mail_from` is the host of the envelope sender; `challenge` is the token of
    a contested name's OWNERSHIP record, None where the name is not contested.
    """
    return (
        *dkim(name, identity),
        Record(
            Purpose.SPF,
            RecordType.MX,
            mail_from,
            identity.feedback_host,
            required=True,
            priority=MX_PRIORITY,
        ),
        Record(
            Purpose.SPF,
            RecordType.TXT,
            mail_from,
            f"v=spf1 include:{identity.spf_include} ~all",
            required=False,
        ),
        Record(
            Purpose.DMARC,
            RecordType.TXT,
            f"_dmarc.{names.organisational(name)}",
            dmarc_value(dmarc_policy, dmarc_report_address),
            required=True,
        ),
        *(() if challenge is None else (ownership(name, challenge, required=True),)),
    )


def challenge_host(name: str) -> str:
    """Return where the tenants that claim a name publish their challenges."""
    return f"_kraiter-challenge.{name}"


def ownership(name: str, challenge: str, *, required: bool) -> Record:
    """Return the record by which a tenant proves that it controls a name."""
    return Record(
        Purpose.OWNERSHIP,
        RecordType.TXT,
        challenge_host(name),
        f"{CHALLENGE_PREFIX}{challenge}",
        required=required,
    )


def dkim(name: str, identity: Identity) -> tuple[Record, ...]:
    """Return the records by which receivers find the keys that the provider signs with."""
    return tuple(
        Record(
            Purpose.DKIM,
            RecordType.CNAME,
            f"{token}._domainkey.{name}",
            f"{token}.{identity.dkim_zone}",
            required=True,
        )
        for token in identity.dkim_tokens
    )
