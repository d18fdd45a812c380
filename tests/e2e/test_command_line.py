"""What operators do on the command line, and what they are told when it cannot be done."""

import re
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import kraiter
import pytest
from kraiter.domains.v1.domain_service_pb2 import WatchStatusRequest

from tests.e2e.conftest import Serve, sqlite_url
from tests.e2e.watcher import Watcher
from tests.support.postgres import PostgresServer
from tests.support.server import NO_DNS, ServerProcess
from tests.support.waiting import until

KEY_TEXT = re.compile(r"kr_([0-9a-z]+)_[0-9A-Za-z_-]{43}")
LOGGED = re.compile(r"\{|[IWE][0-9]{4} ")
"""How lines of the log begin, and those that gRPC's core writes beside it."""
NOWHERE = "postgresql://nobody:hunter2@127.0.0.1:1/nothing"


@pytest.fixture(scope="module")
def server(serve: Serve) -> ServerProcess:
    """Give a running server."""
    return serve()


@pytest.fixture
def empty_postgres(postgres: PostgresServer) -> Iterator[str]:
    """Give the URL of a PostgreSQL database without tables."""
    url = postgres.empty_database()
    yield url
    postgres.drop(url)


def output(server: ServerProcess, *arguments: str) -> str:
    """Run a command that has to succeed, and return what it printed."""
    done = server.command(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def refusal(server: ServerProcess, *arguments: str) -> str:
    """Run a command that has to fail, and return the one line that says why."""
    done = server.command(*arguments)
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not LOGGED.match(line)]
    return line


def new_key(server: ServerProcess, tenant: str) -> tuple[str, str]:
    """Create a key for reading, and return its id and its text."""
    text = output(server, "keys", "create", "--tenant", tenant, "--scope", "domains.read")
    match = KEY_TEXT.fullmatch(text)
    assert match is not None
    return match[1], text


def test_keys_live_and_die_on_a_running_server(server: ServerProcess) -> None:
    """A new key works at once and is listed; revoked, it ends its calls and streams within a second."""
    output(server, "tenants", "create", "acme")
    assert output(server, "tenants", "list").splitlines() == ["acme", "default"]
    key_id, text = new_key(server, "acme")
    with server.client(text) as client, Watcher(server.address, key=text) as watcher:
        assert list(client.domains.list()) == []
        until(lambda: watcher.session.is_open)
        listed = output(server, "keys", "list", "--tenant", "acme")
        assert re.search(rf"^ ?{key_id} +acme +domains.read ", listed, re.MULTILINE)
        assert text not in listed

        output(server, "keys", "revoke", key_id)
        revoked = time.monotonic()
        until(lambda: not watcher.session.is_open, within=1)
        until(lambda: _reason(client.domains.list) == "KEY_REVOKED", within=1 - (time.monotonic() - revoked))
        assert watcher.session.outcome == ("UNAUTHENTICATED", "KEY_REVOKED")
        assert watcher.session.arrivals[-1].message.resume_token


def _reason(call: Callable[[], Iterator[object]]) -> str:
    try:
        list(call())
    except kraiter.Error as error:
        return error.reason
    return ""


def test_key_limited_to_domains_and_time_says_so(server: ServerProcess) -> None:
    """Scopes, domains and lifetime given on the command line hold, and are listed."""
    with server.client() as client:
        for name in ("mine.limits.example", "theirs.limits.example"):
            client.domains.create(name)
    text = output(
        server,
        *("keys", "create", "--tenant", "default", "--scope", "domains.read", "--scope", "domains.write"),
        *("--domain", "mine.limits.example", "--expires-in", "90d", "--note", "for the newsletter"),
    )
    with server.client(text) as client:
        assert client.domains.get("mine.limits.example").domain == "mine.limits.example"
        with pytest.raises(kraiter.PermissionDenied, match="theirs"):
            client.domains.get("theirs.limits.example")
    with server.client(new_key(server, "default")[1]) as client, pytest.raises(kraiter.PermissionDenied):
        client.domains.delete("mine.limits.example")


def policy(printed: str) -> dict[str, tuple[str, str]]:
    """Return the policy of a tenant that a command printed: each value, and whose it is."""
    heading, *lines = map(str.split, printed.splitlines())
    assert heading == ["policy", "value", "whose"]
    return {name: (value, whose) for name, value, whose in lines}


def test_a_tenants_policy_is_set_field_by_field(tmp_path: Path) -> None:
    """What is not given stays, `default` takes an own value away; beside it stands what the settings say."""
    service = unstarted(tmp_path, {"KRAITER_BOUNCE_WARNING": "6%"})
    for tenant in ("acme", "rival"):
        output(service, "tenants", "create", tenant)
    default = {
        "bounce-warning": ("6%", "default"),
        "bounce-critical": ("10%", "default"),
        "complaint-warning": ("0.1%", "default"),
        "complaint-critical": ("0.5%", "default"),
        "on-critical": ("throttle", "default"),
        "messages-per-hour": ("100", "default"),
    }
    assert policy(output(service, "tenants", "show", "acme")) == default

    rates = ("--bounce-warning", "4%", "--complaint-warning", "0.0007", "--complaint-critical", "0.4%")
    set_first = output(service, "tenants", "set", "acme", *rates, "--messages-per-hour", "50")
    own = default | {
        "bounce-warning": ("4%", "own"),
        "complaint-warning": ("0.07%", "own"),
        "complaint-critical": ("0.4%", "own"),
        "messages-per-hour": ("50", "own"),
    }
    assert policy(set_first) == policy(output(service, "tenants", "show", "acme")) == own

    changes = ("--bounce-critical", "8%", "--on-critical", "suspend", "--complaint-warning", "default")
    own |= {
        "bounce-critical": ("8%", "own"),
        "on-critical": ("suspend", "own"),
        "complaint-warning": ("0.1%", "default"),
    }
    assert policy(output(service, "tenants", "set", "acme", *changes)) == own

    options = [argument for name in default for argument in (f"--{name}", "default")]
    assert policy(output(service, "tenants", "set", "acme", *options)) == default
    assert policy(output(service, "tenants", "show", "rival")) == default


def test_every_wrong_value_of_a_policy_is_told_in_one_line(tmp_path: Path) -> None:
    """And nothing of the policy changes."""
    service = unstarted(tmp_path, {"KRAITER_COMPLAINT_CRITICAL": "0.3%"})
    output(service, "tenants", "create", "acme")
    before = output(service, "tenants", "show", "acme")
    wrong = ("--bounce-critical", "101%", "--complaint-warning", "0.4%", "--messages-per-hour", "0")
    assert refusal(service, "tenants", "set", "acme", *wrong, "--on-critical", "suspend") == (
        "bounce-critical: must be above 0% and at most 100%, and is 101%; "
        "complaint-warning: must not be above complaint-critical=0.3%, and is 0.4%; "
        "messages-per-hour: must be from 1 to 1000000, and is 0"
    )
    assert output(service, "tenants", "show", "acme") == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("tenants", "create", "default"), "default"),
        (("tenants", "create", "No Tenant"), "tenant"),
        (("keys", "create", "--tenant", "nobody", "--scope", "domains.read"), "nobody"),
        (("keys", "create", "--tenant", "default", "--scope", "everything"), "everything"),
        (
            ("keys", "create", "--tenant", "default", "--scope", "domains.read", "--expires-in", "soon"),
            "soon",
        ),
        (("keys", "revoke", "abcdef"), "abcdef"),
        (("tenants", "show", "nobody"), "nobody"),
        (("tenants", "set", "nobody"), "nobody"),
        (("tenants", "set", "default", "--bounce-warning", "much"), "--bounce-warning"),
        (("tenants", "set", "default", "--complaint-critical", "5 %"), "--complaint-critical"),
        (("tenants", "set", "default", "--messages-per-hour", "few"), "--messages-per-hour"),
        (("tenants", "set", "default", "--on-critical", "ignore"), "ignore"),
        (("doctor", "--dns-name", "a..b"), "--dns-name"),
        (("doctor", "--dns-name", f"{'x' * 300}.com"), "--dns-name"),
        (("doctor", "--dns-name", ""), "--dns-name"),
    ],
    ids=lambda value: "-".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_wrong_arguments_are_refused(server: ServerProcess, arguments: tuple[str, ...], told: str) -> None:
    """A command that cannot be done fails, names what was wrong, and shows no traceback."""
    done = server.command(*arguments)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_first_start_writes_a_key(serve: Serve, tmp_path: Path) -> None:
    """On an empty database a key is made, in a file for its owner only, and printed is where; once."""
    key_file = tmp_path / "keys" / "first"
    settings = {"KRAITER_BOOTSTRAP_API_KEY": "", "KRAITER_BOOTSTRAP_KEY_FILE": str(key_file)}
    server = serve(sqlite_url(tmp_path), **settings)
    announcement = f"The first API key was written to {key_file}"
    assert server.output.count(announcement) == 1
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    text = key_file.read_text().strip()
    assert text not in server.log.read_text()
    with server.client(text) as client:
        client.domains.create("first.example.com")

    server.stop()
    server.start()
    assert server.output.count(announcement) == 1
    assert key_file.read_text().strip() == text
    with server.client(text) as client:
        assert client.domains.get("first.example.com").revision == 1


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("KRAITER_GRACE_PERIOD", "three days", "72h"),
        ("KRAITER_LISTEN", "everywhere", "HOST:PORT"),
        ("KRAITER_RPC_THREADS", "0", "1"),
        ("KRAITER_DNS_MODE", "magic", "authoritative"),
        ("KRAITER_DATABASE_URL", "mysql://root:hunter2@db/x", "postgresql://"),
        ("KRAITER_GRACE_PERIODS", "72h", "KRAITER_GRACE_PERIOD"),
    ],
)
def test_bad_setting_stops_the_start(tmp_path: Path, name: str, value: str, allowed: str) -> None:
    """A bad setting: one line with variable, value and what is allowed, without secrets."""
    line = refusal(unstarted(tmp_path, {name: value}), "serve")
    assert name in line
    assert allowed in line.replace(name, "", 1)
    assert "hunter2" not in line
    if "_URL" not in name and name != "KRAITER_GRACE_PERIODS":
        assert value in line


@pytest.mark.parametrize("command", ["serve", "migrate", "keys list"])
def test_unreachable_database_is_told_in_a_line(tmp_path: Path, command: str) -> None:
    """A database that is not there: one line that says so, without its password."""
    unreachable = unstarted(tmp_path, {"KRAITER_DATABASE_URL": NOWHERE})
    assert refusal(unreachable, *command.split()) == "the database cannot be reached now"
    assert "hunter2" not in unreachable.command(*command.split()).stderr


def test_postgres_is_migrated_by_command(serve: Serve, tmp_path: Path, empty_postgres: str) -> None:
    """On PostgreSQL nothing starts before `migrate`, and everything does after it."""
    unmigrated = unstarted(tmp_path, {"KRAITER_DATABASE_URL": empty_postgres})
    for command in ("serve", "tenants list"):
        assert refusal(unmigrated, *command.split()).endswith("run `migrate`")
    for _ in range(2):
        assert output(unmigrated, "migrate") == "the database is at this version's schema"
    server = serve(empty_postgres)
    with server.client() as client:
        client.domains.create("migrated.example.com")
    server.stop()


def test_new_epoch_refuses_tokens_from_before(serve: Serve) -> None:
    """After `migrate --new-epoch` a resume token of the time before is INVALID_RESUME_TOKEN."""
    server = serve()
    with Watcher(server.address) as watcher:
        until(lambda: watcher.session.is_open)
        token = watcher.session.arrivals[-1].message.resume_token
    server.stop()
    output(server, "migrate", "--new-epoch")
    server.start()
    with Watcher(server.address, WatchStatusRequest(resume_token=token)) as watcher:
        until(lambda: watcher.session.outcome)
        assert watcher.session.outcome == ("INVALID_ARGUMENT", "INVALID_RESUME_TOKEN")


def test_port_in_use_is_told_in_a_line(tmp_path: Path) -> None:
    """A port that another program has: one line that names the address, and no process that stays."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert address in refusal(unstarted(tmp_path, {"KRAITER_LISTEN": address}), "serve")


def unstarted(folder: Path, settings: Mapping[str, str]) -> ServerProcess:
    """Return a server that was not started, whose commands can be run."""
    return ServerProcess(folder, sqlite_url(folder), {**NO_DNS, **settings})
