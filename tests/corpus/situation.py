"""Zone situations: what stands in the DNS of a domain, and what is to be said of it.

Each file in `situations/` is one, in TOML:

    teaches = "One sentence: what goes wrong, or right, in the world."
    domain = "mail.name.test"           # the file is name.toml; as the user typed it

    contested = true                    # optional from here
    mail_from_subdomain = "bounce"
    tokens = ["aaa", "bbb", "ccc"]
    dkim_zone = "dkim.amazonses.com"
    provider = "PENDING"                # a ProviderState; READY by default

    [[zones]]
    name = "name.test"
    servers = ["ns1", "ns2"]            # relative to the zone, or ending in a dot
    faults = { ns2 = "SILENT" }         # a Fault by server
    resolver = "BOGUS"                  # a Recursion: KNOWS_THE_WAY by default
    text = '''...'''                    # master file, without SOA, NS, glue and delegations
    text_at = { ns2 = '''...''' }       # of a server that has another one

    [expected]
    outcome = "FAILED"
    confirmed = true
    dns_provider = ""

    [expected.dkim1]                    # or dkim2, dkim3, mx, spf, dmarc, ownership
    state = "MISSING"
    problem = "NOT_PUBLISHED"
    hint = "the exact sentence"         # or hint_has = ["parts", "of it"]
    observed = ["only where it matters"]

    [expected.others]                   # what holds for every record that is not named

Without `expected.others` all other records are FOUND and nothing is said of them.
In texts `{dkim1}` stands for the line of a record as it should be, `{dkim1.name}`
and `{dkim1.value}` for its parts, `{dkim}` for all DKIM lines and `{right}` for
everything that the domain has to publish.
"""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from service import ports
from service.core import names, records, verdict
from service.core.answers import RecordType
from service.core.domain import Domain
from service.core.records import DmarcPolicy, Identity, Problem, Record, RecordState
from tests.support.samples import sample_domain

FOLDER = Path(__file__).parent / "situations"
COMMON = Path(__file__).parent / "common.toml"
CHALLENGE = "t0ken"
_CHUNK = 255


class Fault(StrEnum):
    """What is wrong with a name server."""

    SILENT = "SILENT"
    TOO_SLOW = "TOO_SLOW"
    """It answers when nobody waits any longer."""
    SLOW = "SLOW"
    """It takes its time, and is waited for."""
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    NOTAUTH = "NOTAUTH"
    NOT_AUTHORITATIVE = "NOT_AUTHORITATIVE"
    """It answers from a cache, without the AA bit."""
    REFERS_UP = "REFERS_UP"
    """It refers to the root."""
    MALFORMED = "MALFORMED"
    NO_TCP = "NO_TCP"
    """Answers that do not fit a datagram never arrive."""
    NO_EDNS = "NO_EDNS"
    """It knows only the DNS of 1987."""
    NO_ADDRESS = "NO_ADDRESS"
    """Its host name does not exist."""


class Recursion(StrEnum):
    """What a recursive resolver makes of a zone."""

    KNOWS_THE_WAY = "KNOWS_THE_WAY"
    """It says which name servers there are, and SERVFAIL to all else: only they can tell."""
    ANSWERS = "ANSWERS"
    SILENT = "SILENT"
    SERVFAIL = "SERVFAIL"
    UNREACHABLE = "UNREACHABLE"
    """SERVFAIL with the extended error 22, No Reachable Authority (RFC 8914)."""
    BOGUS = "BOGUS"
    """SERVFAIL with the extended error 6, DNSSEC Bogus."""
    SIGNATURE_EXPIRED = "SIGNATURE_EXPIRED"
    """SERVFAIL with the extended error 7."""


@dataclass(frozen=True, kw_only=True)
class ZoneFile:
    """A zone and its name servers. Host names are full, without final dot."""

    name: str
    servers: tuple[str, ...]
    faults: Mapping[str, Fault]
    resolver: Recursion
    texts: Mapping[str, str]
    """By server."""


@dataclass(frozen=True, kw_only=True)
class ExpectedRecord:
    """What is to be said of one record."""

    state: RecordState = RecordState.FOUND
    problem: Problem | None = None
    hint: str | None = None
    """All of it. None where `hint_has` says enough."""
    hint_has: tuple[str, ...] = ()
    observed: tuple[str, ...] | None = None
    """None where it does not matter."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is to be said of a domain."""

    outcome: verdict.Outcome
    confirmed: bool
    dns_provider: str | None
    records: Mapping[str, ExpectedRecord]
    """By key, one for each record of the domain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Situation:
    """One situation, read from its file."""

    name: str
    teaches: str
    domain: Domain
    zones: tuple[ZoneFile, ...]
    provider: ports.ProviderState
    expected: Expected


@functools.cache
def every_situation() -> tuple[Situation, ...]:
    """Return the corpus, by name."""
    return tuple(_read(path) for path in sorted(FOLDER.iterdir()))


@functools.cache
def common_zones() -> tuple[ZoneFile, ...]:
    """Return the zones that are there in every situation."""
    tables = tomllib.loads(COMMON.read_text())["zones"]
    return tuple(_Zone(**table).filled({}) for table in tables)


def keyed(wanted: tuple[Record, ...]) -> dict[str, Record]:
    """Return the records of a domain by the keys that the files use."""
    keys = ["dkim1", "dkim2", "dkim3", "mx", "spf", "dmarc", "ownership"][: len(wanted)]
    return dict(zip(keys, wanted, strict=True))


# --- files -------------------------------------------------------------------


def _read(path: Path) -> Situation:
    table = _File(**tomllib.loads(path.read_text()))
    domain = table.sending_domain()
    lines = _lines(domain.records)
    return Situation(
        name=path.stem,
        teaches=table.teaches,
        domain=domain,
        zones=tuple(_Zone(**zone).filled(lines) for zone in table.zones),
        provider=ports.ProviderState(table.provider),
        expected=_expected(domain, **table.expected),
    )


@dataclass(frozen=True, kw_only=True)
class _File:
    """The keys of a file: others are refused."""

    teaches: str
    domain: str
    zones: list[dict[str, Any]]
    expected: dict[str, Any]
    contested: bool = False
    mail_from_subdomain: str = ""
    tokens: tuple[str, ...] = ("aaa", "bbb", "ccc")
    dkim_zone: str = "dkim.amazonses.com"
    provider: str = "READY"

    def sending_domain(self) -> Domain:
        name = names.parse(self.domain)
        mail_from = records.mail_from_host(name, self.mail_from_subdomain)
        reports = f"dmarc@{names.organisational(name)}"
        wanted = records.required_for(
            name,
            Identity(
                tuple(self.tokens), self.dkim_zone, "feedback-smtp.eu-west-1.amazonses.com", "amazonses.com"
            ),
            mail_from=mail_from,
            dmarc_policy=DmarcPolicy.NONE,
            dmarc_report_address=reports,
            challenge=CHALLENGE if self.contested else None,
        )
        return sample_domain(
            name=name,
            mail_from=mail_from,
            dmarc_report_address=reports,
            records=wanted,
            contested=self.contested,
        )


@dataclass(frozen=True, kw_only=True)
class _Zone:
    """The keys of a zone in a file."""

    name: str
    servers: tuple[str, ...] = ("ns1", "ns2")
    faults: dict[str, str] = field(default_factory=dict)
    resolver: str = "KNOWS_THE_WAY"
    text: str = ""
    text_at: dict[str, str] = field(default_factory=dict)

    def filled(self, lines: Mapping[str, object]) -> ZoneFile:
        strange = {*self.faults, *self.text_at} - {*self.servers}
        if strange:
            raise ValueError(f"{self.name} has no name server {strange}")
        hosts = {server: self._host(server) for server in self.servers}
        return ZoneFile(
            name=self.name,
            servers=tuple(hosts.values()),
            faults={hosts[server]: Fault(fault) for server, fault in self.faults.items()},
            resolver=Recursion(self.resolver),
            texts={
                host: self.text_at.get(server, self.text).format_map(lines) for server, host in hosts.items()
            },
        )

    def _host(self, server: str) -> str:
        return server.removesuffix(".") if server.endswith(".") else f"{server}.{self.name}"


def _expected(
    domain: Domain,
    *,
    outcome: str,
    confirmed: bool,
    dns_provider: str | None = None,
    others: dict[str, Any] | None = None,
    **named: dict[str, Any],
) -> Expected:
    keys = keyed(domain.records)
    if strange := named.keys() - keys.keys():
        raise ValueError(f"{domain.name} has no record {strange}")
    return Expected(
        outcome=verdict.Outcome(outcome),
        confirmed=confirmed,
        dns_provider=dns_provider,
        records={key: _expected_record(**named.get(key, others or {})) for key in keys},
    )


def _expected_record(
    *,
    state: str = "FOUND",
    problem: str = "",
    hint: str | None = None,
    hint_has: tuple[str, ...] = (),
    observed: tuple[str, ...] | None = None,
) -> ExpectedRecord:
    if hint is None and not hint_has:
        if problem:
            raise ValueError(f"{problem} has no hint")
        hint = ""
    return ExpectedRecord(
        state=RecordState(state),
        problem=Problem(problem) if problem else None,
        hint=hint,
        hint_has=tuple(hint_has),
        observed=None if observed is None else tuple(observed),
    )


# --- placeholders ------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """A record in a master file."""

    name: str
    type: RecordType
    value: str

    def __str__(self) -> str:
        return f"{self.name} {self.type} {self.value}"


def _lines(wanted: tuple[Record, ...]) -> dict[str, object]:
    lines = {key: _line(record) for key, record in keyed(wanted).items()}
    dkim = "\n".join(str(line) for key, line in lines.items() if key.startswith("dkim"))
    return {**lines, "dkim": dkim, "right": "\n".join(map(str, lines.values()))}


def _line(record: Record) -> _Line:
    match record.type:
        case RecordType.MX:
            value = f"{record.priority} {record.value}."
        case RecordType.TXT:
            value = quoted(record.value)
        case _:
            value = f"{record.value}."
    return _Line(f"{record.name}.", record.type, value)


def quoted(text: str) -> str:
    """Return a text as the chunks of a TXT record in a master file."""
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    return " ".join(f'"{chunk}"' for chunk in chunks)
