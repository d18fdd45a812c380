"""Nothing leaves this machine: what a test would send elsewhere is refused, and the test fails.

Covered are Python's sockets, which the DNS adapter sends its datagrams with,
look-ups of names through the system, and what uvloop connects to without
Python's sockets. Not covered is what libraries do by themselves in C: gRPC's
channels and libpq, to which tests give loopback addresses and paths. A server
in a process of its own is held to loopback by its settings (`require_loopback`),
since all that it learns about name servers it learns from the resolver there.
"""

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import uvloop

from service.setting_kinds import parse_nameservers

_SENDING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_LOOKING_UP = {"socket.getaddrinfo", "socket.gethostbyname"}
_NAMESERVERS = "KRAITER_DNS_NAMESERVERS"
_SES_ENDPOINT = "KRAITER_SES_ENDPOINT_URL"
_QUEUES = "KRAITER_SES_EVENT_QUEUES"

refused: list[str] = []
"""What was refused. Whoever tried may have swallowed the error, or died of it in another thread."""


class OutsideError(Exception):
    """Something was to be sent to another machine."""


def is_loopback(host: str) -> bool:
    """Whether a host is an address of this machine alone, or its usual name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_outside() -> None:
    """Refuse, from now on and for good, whatever would leave this machine."""
    sys.addaudithook(_audit)
    uvloop.Loop.create_connection = _guarded(uvloop.Loop.create_connection, "host")
    uvloop.Loop.create_datagram_endpoint = _guarded(uvloop.Loop.create_datagram_endpoint, "remote_addr")


def require_loopback(settings: Mapping[str, str]) -> None:
    """Refuse settings with which a server would ask elsewhere: by default the system's resolver, and AWS.

    Raises:
        OutsideError: for such settings.

    """
    nameservers = settings.get(_NAMESERVERS, "")
    if not nameservers or not all(is_loopback(each.host) for each in parse_nameservers(nameservers)):
        raise OutsideError(f"{_NAMESERVERS}={nameservers}: must be on loopback in tests")
    endpoint = settings.get(_SES_ENDPOINT, "")
    if settings.get("KRAITER_MAIL_PROVIDER") == "ses" and not is_loopback(urlsplit(endpoint).hostname or ""):
        raise OutsideError(f"{_SES_ENDPOINT}={endpoint}: must be on loopback in tests")
    for url in filter(None, settings.get(_QUEUES, "").split(",")):
        if not is_loopback(urlsplit(url).hostname or ""):
            raise OutsideError(f"{_QUEUES}={url}: must be on loopback in tests")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """See the table of audit events in Python's documentation."""
    if event in _SENDING:
        # Neither the path of a Unix socket, nor None where the socket is connected.
        if isinstance(arguments[1], tuple):
            _require(event, arguments[1][0])
    elif event in _LOOKING_UP and arguments[0]:
        _require(event, arguments[0])


def _guarded(method: Callable[..., Any], target: str) -> Any:
    """Have a method of a loop refuse a target outside, which is its second argument or has this name."""

    @wraps(method)
    def guard(loop: uvloop.Loop, protocol: object, *arguments: Any, **options: Any) -> Any:
        told = arguments[0] if arguments else options.get(target)
        host = told[0] if isinstance(told, tuple) else told
        if host is not None or options.get("sock") is None:
            _require(method.__name__, host)
        return method(loop, protocol, *arguments, **options)

    return guard


def _require(event: str, host: object) -> None:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if not is_loopback(text):
        refused.append(f"{event} {text}")
        raise OutsideError(f"a test must not reach {text} ({event})")
