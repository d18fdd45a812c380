"""Terraform configurations, for Amazon Route 53 and for Cloudflare.

The files of several domains can stand in one module: every name in them has the
domain's. They name no required providers, which a module can do only once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from service.core.answers import RecordType
from service.core.exports import zone_file
from service.core.exports.content import Content, character_strings
from service.core.records import Record

_Argument = str | int | bool | Sequence[str]


def route53(content: Content) -> str:
    """Return a resource `aws_route53_record` for each name and type: Route 53 keeps sets of records.

    https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/route53_record
    """
    sets: dict[tuple[str, RecordType], list[tuple[str, Record]]] = {}
    for label, record in _labelled(content):
        sets.setdefault((record.name.lower(), record.type), []).append((label, record))
    return (
        content.header("#", "For the provider hashicorp/aws.")
        + _zone_variable(content, "hosted zone of Route 53")
        + "".join(
            _resource(
                "aws_route53_record",
                members[0][0],
                f"var.{_zone_id(content)}",
                {
                    "name": name,
                    "type": kind.value,
                    "ttl": min(record.ttl for _, record in members),
                    "records": list(dict.fromkeys(_route53_value(record) for _, record in members)),
                },
            )
            for (name, kind), members in sets.items()
        )
    )


def cloudflare(content: Content) -> str:
    """Return a resource `cloudflare_dns_record` for each record.

    https://registry.terraform.io/providers/cloudflare/cloudflare/latest/docs/resources/dns_record
    """
    return (
        content.header("#", "For the provider cloudflare/cloudflare, version 5 or later.")
        + _zone_variable(content, "zone of Cloudflare")
        + "".join(
            _resource(
                "cloudflare_dns_record", label, f"var.{_zone_id(content)}", _cloudflare_arguments(record)
            )
            for label, record in _labelled(content)
        )
    )


def _zone_id(content: Content) -> str:
    return f"{_identifier(content.domain)}_zone_id"


def _zone_variable(content: Content, kind: str) -> str:
    description = _string(f"Id of the {kind} that has the records of {content.domain}.")
    return f'\nvariable "{_zone_id(content)}" {{\n  type        = string\n  description = {description}\n}}\n'


def _route53_value(record: Record) -> str:
    match record.type:
        case RecordType.MX:
            return f"{record.priority} {record.value}"
        case RecordType.TXT:
            # The provider puts the outer quotes; strings are joined by a pair of them.
            return '""'.join(
                "".join(map(_route53_octet, string)) for string in character_strings(record.value)
            )
        case _:
            return record.value


def _route53_octet(octet: int) -> str:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/ResourceRecordTypes.html#TXTFormat
    character = chr(octet)
    if character == '"':
        return '\\"'
    if character == "\\" or not (character.isascii() and character.isprintable()):
        return f"\\{octet:03o}"
    return character


def _cloudflare_arguments(record: Record) -> Mapping[str, _Argument]:
    arguments: dict[str, _Argument] = {
        "name": record.name,
        "type": record.type.value,
        "ttl": record.ttl,
        "content": zone_file.quoted(record.value) if record.type is RecordType.TXT else record.value,
    }
    if record.type is RecordType.MX:
        arguments["priority"] = record.priority
    if record.type is RecordType.CNAME:
        # Behind the proxy it would answer with addresses in place of the alias.
        arguments["proxied"] = False
    return arguments


def _labelled(content: Content) -> Iterator[tuple[str, Record]]:
    """Yield each record with the name of its resource."""
    domain = _identifier(content.domain)
    seen: Counter[str] = Counter()
    for record in content.records:
        kind = f"{record.purpose}_{record.type}".lower()
        seen[kind] += 1
        yield f"{domain}_{kind}_{seen[kind]}", record


def _identifier(name: str) -> str:
    """Return a canonical name as part of an identifier: no two names give the same.

    Names have no underscores, and identifiers may have hyphens. They do not
    begin with a digit, as names may.
    """
    return "sender_" + name.replace(".", "_")


def _resource(kind: str, label: str, zone_id: str, arguments: Mapping[str, _Argument]) -> str:
    lines = {"zone_id": zone_id} | {name: _value(argument) for name, argument in arguments.items()}
    width = max(map(len, lines))
    body = "".join(f"  {name:{width}} = {value}\n" for name, value in lines.items())
    return f'\nresource "{kind}" "{label}" {{\n{body}}}\n'


def _value(argument: _Argument) -> str:
    match argument:
        case bool():
            return "true" if argument else "false"
        case int():
            return str(argument)
        case str():
            return _string(argument)
        case _:
            return f"[{', '.join(map(_string, argument))}]"


def _string(text: str) -> str:
    """Return a quoted template of HCL that stands for a text.

    https://developer.hashicorp.com/terraform/language/expressions/strings
    """
    following = (*text[1:], "")
    return f'"{"".join(map(_string_character, text, following))}"'


def _string_character(character: str, following: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    # `${` begins an interpolation, `%{` a directive. Doubling the first character
    # would escape it, but not where another one stands before it.
    if character in "$%" and following == "{":
        return f"\\u{ord(character):04x}"
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"
