"""The guard that keeps tests on this machine bites."""

import ast
import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop

from service.core.answers import Question, RecordType
from service.demo import stage
from service.demo.dns_server import DemoZone
from service.dns import DnsConfig, DnsResolver, Endpoint
from tests.support import loopback
from tests.support.loopback import OutsideError
from tests.support.server import NO_DNS, ROOT, ServerProcess

# Documentation addresses (RFC 5737): even without the guard nobody would be reached.
OUTSIDE = "192.0.2.1"
PUBLIC_RESOLVERS = re.compile(r"dns\.google|one\.one\.one\.one|opendns|quad9|cloudflare-dns", re.IGNORECASE)
LOOKING_UP = re.compile(r"\b(dig|nslookup|drill|kdig|delv)\b|\bhost -", re.IGNORECASE)


@pytest.fixture
def refused() -> Iterator[list[str]]:
    """Give what the guard has refused, for which the test is not to fail."""
    yield loopback.refused
    loopback.refused.clear()


def connect_datagrams(_: socket.socket) -> None:
    """Connect a socket as the DNS adapter does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((OUTSIDE, 53))


WAYS_OUT: list[Callable[[socket.socket], object]] = [
    connect_datagrams,
    lambda sock: sock.sendto(b"", (OUTSIDE, 53)),
    lambda sock: sock.sendmsg([b""], [], 0, (OUTSIDE, 53)),
    lambda _: socket.create_connection((OUTSIDE, 53), timeout=1),
    lambda _: socket.getaddrinfo("resolver.example", 53),
    lambda _: uvloop.run(_connected()),
    lambda _: uvloop.run(_datagrams(remote_addr=(OUTSIDE, 53))),
    lambda _: uvloop.run(_datagrams(local_addr=("127.0.0.1", 0))),
]


async def _connected() -> None:
    _, writer = await asyncio.wait_for(asyncio.open_connection(OUTSIDE, 53), 1)
    writer.close()


async def _datagrams(**where: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, **where)
    transport.close()


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_nothing_is_sent_to_another_machine(
    way_out: Callable[[socket.socket], object], refused: list[str]
) -> None:
    """Datagrams, connections and look-ups of names are refused, by Python's sockets and by uvloop."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(OutsideError):
        way_out(sock)
    assert len(refused) == 1


def test_loopback_is_reached() -> None:
    """What stays on this machine goes through, by both ways."""

    async def connect(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        uvloop.run(connect(port))


def test_a_resolver_elsewhere_is_not_asked(refused: list[str]) -> None:
    """The DNS adapter itself runs into the guard, and the test would fail for it."""
    config = DnsConfig(nameservers=(Endpoint(OUTSIDE, 53),), try_timeout=0.1, budget=0.5)
    with closing(DnsResolver(config)) as resolver, pytest.raises(OutsideError):
        resolver.resolve([Question("mail.example.com", RecordType.TXT)], every_server=False)
    assert refused


@pytest.mark.parametrize("nameservers", [None, "", OUTSIDE, f"127.0.0.1:53,{OUTSIDE}:53"])
def test_no_server_is_started_that_would_ask_elsewhere(nameservers: str | None, tmp_path: Path) -> None:
    """Where its resolvers are not all on loopback; by default they are the system's."""
    settings = {} if nameservers is None else {"KRAITER_DNS_NAMESERVERS": nameservers}
    with pytest.raises(OutsideError, match="must be on loopback"):
        ServerProcess(tmp_path, "sqlite:///unused.db", settings)


def test_no_server_is_started_that_would_read_queues_elsewhere(tmp_path: Path) -> None:
    """Nor those of the stand-in's, where one of another machine is among them."""
    settings = {**NO_DNS, "KRAITER_SES_EVENT_QUEUES": f"http://127.0.0.1:1/1/q,https://{OUTSIDE}/1/q"}
    with pytest.raises(OutsideError, match="must be on loopback"):
        ServerProcess(tmp_path, "sqlite:///unused.db", settings)


@pytest.mark.parametrize("endpoint", [None, f"https://{OUTSIDE}"])
def test_no_server_is_started_that_would_use_ses_elsewhere(endpoint: str | None, tmp_path: Path) -> None:
    """By default it is Amazon's own."""
    settings = {**NO_DNS, "KRAITER_MAIL_PROVIDER": "ses"}
    if endpoint is not None:
        settings["KRAITER_SES_ENDPOINT_URL"] = endpoint
    with pytest.raises(OutsideError, match="must be on loopback"):
        ServerProcess(tmp_path, "sqlite:///unused.db", settings)


def test_the_demo_asks_its_own_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its zone is served on loopback, and its server asks whom it is told to, in recursive mode."""
    started: list[dict[str, str]] = []

    def note(_: object, *, env: dict[str, str], **__: object) -> None:
        started.append(env)
        raise InterruptedError

    monkeypatch.setattr(stage.subprocess, "Popen", note)
    with DemoZone("example.com") as zone:
        address = zone.address
        with pytest.raises(InterruptedError), stage.running_server(address):
            raise AssertionError
    (settings,) = started
    assert settings["KRAITER_DNS_NAMESERVERS"] == address
    assert settings["KRAITER_DNS_MODE"] == "recursive"
    loopback.require_loopback(settings)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "service" / "core").glob("*.py")), ids=lambda path: str(path.stem)
)
def test_no_hint_sends_its_reader_to_a_resolver(path: Path) -> None:
    """No text that an owner may be shown names an address, a public resolver or a program to ask one with."""
    for text in _texts(path):
        assert not PUBLIC_RESOLVERS.search(text)
        assert not LOOKING_UP.search(text)
        assert not [word for word in text.split() if _is_address(word.strip("@,.:;()`'\""))]


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module, those with fields in pieces, without its docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, documented)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True
