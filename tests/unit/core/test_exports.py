"""Records as files: read back by programs that are not ours, or by a strict reader."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import replace

import dns.rdatatype
import dns.zone
import pytest
from dns.rdtypes.ANY.TXT import TXT
from hypothesis import given
from hypothesis import strategies as st

from service.core import exports, matching, records
from service.core.answers import RecordType
from service.core.case import observed
from service.core.domain import Domain
from service.core.exports import Format
from service.core.records import DmarcPolicy, Finding, Purpose, Record, RecordState
from tests.support import hcl
from tests.unit.core import zones

_LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(_LABELS, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "example.com"]))
_AWKWARD = ("${", "%{", "$", "{x}", "\\", '"', ";", "(", "\n", "\r\n", "\0", "\x7f", "é", "€", "x" * 254)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.lists(
    st.sampled_from(_AWKWARD), max_size=8
).map("".join)


def text(domain: Domain, form: Format) -> str:
    """Return the content of an export."""
    return exports.render(domain, form).content


def with_values(*values: str) -> Domain:
    """Return a domain whose records are TXT records with these values."""
    made = tuple(
        Record(Purpose.OWNERSHIP, RecordType.TXT, f"v{number}.example.com", value, required=True)
        for number, value in enumerate(values)
    )
    return replace(zones.domain(), records=made)


def found(record: Record, *values: str) -> Record:
    """Return a record that was found with these values."""
    return replace(record, finding=Finding(RecordState.FOUND, observed(values)))


def loaded(content: str) -> dns.zone.Zone:
    """Return what dnspython makes of a zone file, below the root."""
    return dns.zone.from_text(content, origin=".", relativize=False, check_origin=False)


def parsed_zone(content: str) -> list[tuple[str, str, int, object]]:
    """Return name, type, TTL and data of what dnspython reads, of TXT the joined octets."""
    return [
        (
            name.to_text(omit_final_dot=True),
            dns.rdatatype.to_text(rdata.rdtype),
            ttl,
            b"".join(rdata.strings) if isinstance(rdata, TXT) else rdata.to_text(),
        )
        for name, ttl, rdata in loaded(content).iterate_rdatas()
    ]


# --- zone file ---------------------------------------------------------------


def test_a_zone_file_has_every_record_with_an_absolute_name() -> None:
    """What dnspython reads of it is what has to be published."""
    domain = zones.domain("mail.example.com", challenge="s3cret")
    expected = [
        (
            record.name,
            record.type.value,
            record.ttl,
            {
                RecordType.CNAME: f"{record.value}.",
                RecordType.MX: f"{record.priority} {record.value}.",
                RecordType.TXT: record.value.encode(),
            }[record.type],
        )
        for record in domain.records
    ]
    assert parsed_zone(text(domain, Format.ZONE_FILE)) == expected


@given(values=st.lists(ANY_TEXT, min_size=1, max_size=3))
def test_any_text_survives_a_zone_file(values: list[str]) -> None:
    """Quotes, backslashes, line ends and foreign letters; in strings of at most 255 octets."""
    domain = with_values(*values)
    read = parsed_zone(text(domain, Format.ZONE_FILE))
    assert [data for *_, data in read] == [value.encode() for value in values]


@given(
    label=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15).map(
        lambda t: t.replace(".", "")
    )
)
def test_any_name_survives_a_zone_file(label: str) -> None:
    """What is special in master files is escaped in names, too."""
    record = Record(Purpose.OWNERSHIP, RecordType.TXT, f"a{label}.example.com", "v", required=True)
    domain = replace(zones.domain(), records=(record,))
    (name,) = loaded(text(domain, Format.ZONE_FILE))
    assert name.labels == (f"a{label}".encode(), b"example", b"com", b"")


@pytest.mark.parametrize("form", [Format.ZONE_FILE, Format.TERRAFORM_ROUTE53, Format.TERRAFORM_CLOUDFLARE])
@pytest.mark.parametrize("name", ["a.example\n@ IN A 192.0.2.1", "a\r\nresource", "a\x85b\u2028c", "x" * 999])
def test_no_name_breaks_out_of_the_header(form: Format, name: str) -> None:
    """The comment that names the domain stays a comment."""
    content = text(replace(zones.domain(), name=name, records=()), form)
    introducer, rest = (";", "$TTL") if form is Format.ZONE_FILE else ("#", "\nvariable")
    header = content.partition(rest)[0].splitlines()
    assert header[0].startswith(f"{introducer} DNS records of {name[:1]}")
    assert all(line.startswith(introducer) for line in header)


# --- Terraform ---------------------------------------------------------------


def resources(content: str, kind: str) -> dict[str, hcl.Block]:
    """Return the resources of a file by their names, after a look at the rest of it."""
    (variable, *blocks) = hcl.parse(content)
    assert variable.kind == "variable"
    assert variable.attributes["type"] == hcl.Reference("string")
    for block in blocks:
        assert (block.kind, block.labels[0]) == ("resource", kind)
        assert block.attributes["zone_id"] == hcl.Reference(f"var.{variable.labels[0]}")
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", block.labels[1])
    return {block.labels[1]: block for block in blocks}


def route53_txt(value: str) -> bytes:
    """Return the octets that Route 53 makes of a TXT value of Terraform, which it puts in quotes."""
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', f'"{value}"')
    assert '"' + '""'.join(strings) + '"' == f'"{value}"'
    octets = [
        re.sub(r'\\(?:([0-7]{3})|(["]))', _route53_octet, string).encode("latin-1") for string in strings
    ]
    assert all(len(string) <= 255 for string in octets)
    return b"".join(octets)


def _route53_octet(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 8)) if escape[1] else escape[2]


def test_route_53_gets_a_resource_for_each_set() -> None:
    """Values are as Route 53 takes them: MX with its preference, TXT without the outer quotes."""
    domain = zones.domain("mail.example.com")
    found = resources(text(domain, Format.TERRAFORM_ROUTE53), "aws_route53_record")
    read = [
        (each.attributes["name"], each.attributes["type"], each.attributes["ttl"], each.attributes["records"])
        for each in found.values()
    ]
    assert read == [
        (each.name, each.type.value, each.ttl, [matching.as_published(each)]) for each in domain.records
    ]


def test_records_that_share_name_and_type_are_one_set_of_route_53() -> None:
    """Two resources for one set would overwrite each other; equal records are one value."""
    domain = with_values("one", "two", "one")
    at_one_name = tuple(replace(record, name="Same.example.com") for record in domain.records)
    (block,) = resources(
        text(replace(domain, records=at_one_name), Format.TERRAFORM_ROUTE53), "aws_route53_record"
    ).values()
    assert sorted(block.attributes["records"]) == ["one", "two"]  # type: ignore[arg-type, type-var]


@given(values=st.lists(ANY_TEXT, min_size=1, max_size=3))
def test_any_text_survives_route_53(values: list[str]) -> None:
    """Interpolations and directives too, which stay text."""
    blocks = resources(text(with_values(*values), Format.TERRAFORM_ROUTE53), "aws_route53_record").values()
    read = [route53_txt(str(value)) for block in blocks for value in _listed(block.attributes["records"])]
    assert read == [value.encode() for value in values]


def test_long_text_is_joined_as_route_53_wants_it() -> None:
    """A pair of quotes between strings of 255 (AWS provider, argument `records`)."""
    content = text(with_values("x" * 300), Format.TERRAFORM_ROUTE53)
    assert 'records = ["' + "x" * 255 + r"\"\"" + "x" * 45 + '"]' in content


def test_cloudflare_gets_a_resource_for_each_record() -> None:
    """The preference of MX stands apart, aliases are not proxied, TXT is in quotes."""
    domain = zones.domain("mail.example.com")
    found = resources(text(domain, Format.TERRAFORM_CLOUDFLARE), "cloudflare_dns_record")
    assert len(found) == len(domain.records)
    for record, block in zip(domain.records, found.values(), strict=True):
        expected = {
            "zone_id": block.attributes["zone_id"],
            "name": record.name,
            "type": record.type.value,
            "ttl": record.ttl,
            "content": f'"{record.value}"' if record.type is RecordType.TXT else record.value,
        }
        if record.type is RecordType.MX:
            expected["priority"] = record.priority
        if record.type is RecordType.CNAME:
            expected["proxied"] = False
        assert block.attributes == expected


@given(values=st.lists(ANY_TEXT, min_size=1, max_size=3))
def test_any_text_survives_cloudflare(values: list[str]) -> None:
    """Its content is character strings as in a master file."""
    found = resources(text(with_values(*values), Format.TERRAFORM_CLOUDFLARE), "cloudflare_dns_record")
    for block, value in zip(found.values(), values, strict=True):
        content = block.attributes["content"]
        ((*_, data),) = parsed_zone(f"x.example. 60 IN TXT {content}\n")
        assert data == value.encode()


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        (Format.TERRAFORM_ROUTE53, "aws_route53_record"),
        (Format.TERRAFORM_CLOUDFLARE, "cloudflare_dns_record"),
    ],
)
@given(names=st.lists(NAMES, min_size=2, max_size=6, unique=True))
def test_files_of_several_domains_stand_in_one_module(form: Format, kind: str, names: list[str]) -> None:
    """No two resources or variables have the same name, whatever the domains are called."""
    contents = [
        text(zones.domain(name, challenge="c"), form)
        for name in (*names, "a-b.example.com", "a.b.example.com")
    ]
    each_once = dict.fromkeys(contents)
    assert hcl.parse("".join(each_once))
    for content in each_once:
        resources(content, kind)


# --- CSV ---------------------------------------------------------------------


def test_csv_reads_back() -> None:
    """A header, then a line for each record, each ended by CRLF (RFC 4180)."""
    domain = zones.domain("mail.example.com")
    content = text(domain, Format.CSV)
    assert content.count("\r\n") == len(domain.records) + 1
    assert "\n" not in content.replace("\r\n", "")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert rows == [
        {
            "name": record.name,
            "type": record.type.value,
            "value": record.value,
            "priority": "10" if record.type is RecordType.MX else "",
            "ttl": "3600",
            "purpose": record.purpose.value,
            "required": "true" if record.required else "false",
        }
        for record in domain.records
    ]


@given(values=st.lists(ANY_TEXT, min_size=1, max_size=3))
def test_any_text_survives_csv(values: list[str]) -> None:
    """Commas, quotes and line ends among it."""
    rows = csv.DictReader(io.StringIO(text(with_values(*values), Format.CSV), newline=""))
    assert [row["value"] for row in rows] == values


@given(
    name=NAMES,
    subdomain=st.just("") | _LABELS,
    policy=st.sampled_from(DmarcPolicy),
    address=st.from_regex(r"[A-Za-z0-9_+~'*$-]{1,9}@example\.net", fullmatch=True),
)
def test_no_cell_is_taken_for_a_formula(name: str, subdomain: str, policy: DmarcPolicy, address: str) -> None:
    """Whatever a caller may choose, no cell begins as a formula does."""
    required = records.required_for(
        name,
        zones.IDENTITY,
        mail_from=records.mail_from_host(name, subdomain),
        dmarc_policy=policy,
        dmarc_report_address=address,
        challenge="c",
    )
    content = text(replace(zones.domain(name), records=required), Format.CSV)
    cells = [cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


# --- what is in it -----------------------------------------------------------


def names_and_types(content: str) -> set[tuple[str, str]]:
    """Return what a zone file has."""
    return {(name, kind) for name, kind, *_ in parsed_zone(content)}


def _with(domain: Domain, changed: Iterable[Record]) -> Domain:
    by_place = {(record.name, record.type): record for record in changed}
    return replace(
        domain, records=tuple(by_place.get((record.name, record.type), record) for record in domain.records)
    )


@pytest.mark.parametrize("form", Format)
def test_what_an_owners_own_record_does_is_left_out(form: Format) -> None:
    """A stricter DMARC policy must not be replaced, a wider SPF record not be doubled."""
    domain = zones.domain("mail.example.com")
    *_, spf, dmarc = domain.records
    own = _with(
        domain,
        [
            found(dmarc, "v=DMARC1; p=reject"),
            found(spf, "v=spf1 include:amazonses.com include:other.test -all"),
        ],
    )
    content = text(own, form)
    assert "p=none" not in content
    assert "v=spf1" not in content
    assert domain.records[3].value in content
    if form is not Format.CSV:
        assert (
            "Left out, since a record that stands there already does its work: TXT _dmarc.example.com"
            in content
        )


def test_what_is_published_as_offered_stays_in() -> None:
    """Or whoever applies a newer file would withdraw the record, also where the finding had to be cut."""
    long = "a@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + "." + "e" * 60 + ".test"
    domain = zones.domain("mail.example.com")
    *_, dmarc = domain.records
    dmarc = replace(dmarc, value=records.dmarc_value(DmarcPolicy.QUARANTINE, long))
    assert len(dmarc.value) > 255
    everything = _with(
        domain, [*(found(each, each.value) for each in domain.records), found(dmarc, dmarc.value)]
    )
    assert len(parsed_zone(text(everything, Format.ZONE_FILE))) == len(domain.records)


@pytest.mark.parametrize(
    "state", [RecordState.PENDING, RecordState.MISSING, RecordState.MISMATCH, RecordState.UNKNOWN]
)
def test_what_is_not_found_is_in_it(state: RecordState) -> None:
    """Whatever stands there."""
    domain = zones.domain("mail.example.com")
    *_, dmarc = domain.records
    wrong = _with(domain, [replace(dmarc, finding=Finding(state, ("v=DMARC1; p=refuse",)))])
    assert (dmarc.name, "TXT") in names_and_types(text(wrong, Format.ZONE_FILE))


@pytest.mark.parametrize("form", Format)
def test_equal_records_are_exported_once(form: Format) -> None:
    """Also where they were found in different states."""
    domain = zones.domain("mail.example.com")
    twice = replace(
        domain,
        records=domain.records
        + tuple(found(each, matching.as_published(each)) for each in domain.records[:4]),
    )
    assert text(twice, form) == text(domain, form)


@pytest.mark.parametrize(
    ("form", "content_type", "file_name"),
    [
        (Format.ZONE_FILE, "text/dns", "mail.example.com.zone"),
        (Format.TERRAFORM_ROUTE53, "text/plain", "mail.example.com.route53.tf"),
        (Format.TERRAFORM_CLOUDFLARE, "text/plain", "mail.example.com.cloudflare.tf"),
        (Format.CSV, "text/csv", "mail.example.com.csv"),
    ],
)
def test_a_file_says_what_it_is(form: Format, content_type: str, file_name: str) -> None:
    """With a name to save it under, and its media type."""
    export = exports.render(zones.domain("mail.example.com"), form)
    assert (export.content_type, export.file_name) == (content_type, file_name)


def _listed(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
