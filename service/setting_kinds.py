"""The kinds of value that settings have: how each is written, read and described."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from service.core import keys
from service.faults import FaultPoint, parse_fault_point

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_RATE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)(%?)", re.ASCII)
_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}", re.ASCII)
_QUEUE = re.compile(r"https?://[0-9A-Za-z][0-9A-Za-z.-]{0,252}(:[0-9]{1,5})?(/[0-9A-Za-z_.-]+)+", re.ASCII)
_DNS_PORT = 53
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Allowed:
    """Says in a setting's type which values it takes, after the words "must be"."""

    text: str


class Endpoint(NamedTuple):
    """A host, by name or address, and a port; written `HOST:PORT`, an IPv6 address in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_duration(text: str) -> timedelta:
    """Return the duration written as a whole number and a unit: `250ms`, `10s`, `5m`, `72h`, `7d`.

    Raises:
        ValueError: it is not written like that.

    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def format_duration(duration: timedelta) -> str:
    """Return a duration as it is written in a setting, in the largest unit that divides it.

    Up to three days are written in hours, as people do: 24h, 72h, but 7d.
    """
    units = ("h", "m", "s") if duration <= timedelta(days=3) else ("d", "h", "m", "s")
    for unit in units:
        if duration and duration % _UNITS[unit] == timedelta(0):
            return f"{duration // _UNITS[unit]}{unit}"
    return f"{duration // _UNITS['ms']}ms"


def parse_rate(text: str) -> float:
    """Return the rate written as a percentage, `5%` or `0.1%`, or as a fraction, `0.05`: 1 is all.

    Raises:
        ValueError: it is not written like that.

    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    # In decimals: 0.7 / 100 is not 0.007.
    return float(Decimal(match[1]) / (100 if match[2] else 1))


def format_rate(rate: float) -> str:
    """Return a rate as it is written in a setting, as a percentage: 5%, 0.1%."""
    return f"{(Decimal(repr(rate)) * 100).normalize():f}%"


def parse_endpoint(text: str) -> Endpoint:
    """Return the host and port of `HOST:PORT`.

    Raises:
        ValueError: it is not written like that.

    """
    host, separator, port = text.strip().rpartition(":")
    if not separator or not (port.isascii() and port.isdecimal()) or int(port) > _HIGHEST_PORT:
        raise ValueError(text)
    if host.startswith("[") and host.endswith("]"):
        return Endpoint(str(ipaddress.IPv6Address(host[1:-1])), int(port))
    if not _HOST.fullmatch(host):
        raise ValueError(text)
    return Endpoint(host, int(port))


def parse_nameservers(text: str) -> tuple[Endpoint, ...]:
    """Return the name servers of a comma-separated list of addresses, each with a port or 53.

    Raises:
        ValueError: one of them is no address.

    """
    return tuple(_parse_nameserver(part.strip()) for part in text.split(","))


def _parse_nameserver(text: str) -> Endpoint:
    try:
        return Endpoint(str(ipaddress.ip_address(text.strip("[]"))), _DNS_PORT)
    except ValueError:
        server = parse_endpoint(text)
    # A name would have to be looked up by the very servers that it names.
    return Endpoint(str(ipaddress.ip_address(server.host)), server.port)


def parse_queues(text: str) -> tuple[str, ...]:
    """Return the URLs of a comma-separated list of queues, each once.

    Raises:
        ValueError: one of them is no URL of a queue.

    """
    urls = [part.strip() for part in text.split(",")]
    if not all(map(_QUEUE.fullmatch, urls)):
        raise ValueError(text)
    return tuple(dict.fromkeys(urls))


def _written(parse: Callable[[str], object]) -> BeforeValidator:
    """Return what reads a setting's text, and leaves alone what is no text."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _require_region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError
    return text


def _require_database_url(url: SecretStr) -> SecretStr:
    if not re.match(r"sqlite:///.|postgresql://.", url.get_secret_value()):
        raise ValueError
    return url


def _require_key(text: SecretStr) -> SecretStr:
    if keys.split(text.get_secret_value()) is None:
        raise ValueError
    return text


Duration = Annotated[timedelta, _written(parse_duration)]
Rate = Annotated[
    float,
    _written(parse_rate),
    Field(gt=0, le=1),
    Allowed("a rate above 0% and at most 100%, such as 5%, 0.1% or 0.05"),
]
Address = Annotated[
    Endpoint, _written(parse_endpoint), NoDecode, Allowed("HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051")
]
Nameservers = Annotated[
    tuple[Endpoint, ...],
    _written(parse_nameservers),
    NoDecode,
    Allowed("addresses of name servers, comma-separated, such as 9.9.9.9,127.0.0.1:5353"),
]
Queues = Annotated[
    tuple[str, ...],
    _written(parse_queues),
    NoDecode,
    Allowed(
        "URLs of SQS queues, comma-separated, such as "
        "https://sqs.eu-west-1.amazonaws.com/123456789012/ses-events"
    ),
]
Region = Annotated[str, AfterValidator(_require_region), Allowed("an AWS region, such as eu-west-1")]
Regions = Annotated[
    tuple[Region, ...],
    _written(_split),
    NoDecode,
    Allowed("AWS regions, comma-separated, such as eu-west-1,us-east-1"),
]
HttpUrl = Annotated[
    str,
    Field(pattern=r"^https?://[^\s/]+(/\S*)?$"),
    Allowed("an address that begins with http:// or https://"),
]
PerSecond = Annotated[
    Decimal, Field(gt=0, le=100), Allowed("a number above 0 and at most 100, such as 1 or 0.5")
]
FaultPointText = Annotated[
    FaultPoint,
    _written(parse_fault_point),
    NoDecode,
    Allowed("before or after and a call, such as before ses.create_email_identity"),
]
DatabaseUrl = Annotated[
    SecretStr,
    AfterValidator(_require_database_url),
    Allowed("sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME"),
]
ApiKeyText = Annotated[SecretStr, AfterValidator(_require_key), Allowed("an API key, kr_ID_SECRET")]
