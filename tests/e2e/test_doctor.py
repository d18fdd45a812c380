"""`python -m service doctor`: a line for each thing that the service needs, and an exit code."""

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.clock import SystemClock
from service.ports import QueueLag
from service.store.sql import open_store
from tests.e2e.conftest import Serve, sqlite_url
from tests.e2e.ses_settings import HERE, THERE, settings
from tests.support.authority import LoopbackDns
from tests.support.moto import MotoServer, moto
from tests.support.postgres import PostgresServer
from tests.support.refuser import refuser
from tests.support.server import NO_DNS, ServerProcess
from tests.support.ses import SesServer
from tests.support.waiting import until

__all__ = ["moto"]

PATIENT = {
    "KRAITER_DNS_TIMEOUT": "2s",
    "KRAITER_DNS_BUDGET": "10s",
    "KRAITER_SES_TIMEOUT": "10s",
    "KRAITER_IDENTITY_LEASE": "40s",
}
"""The doctor asks once: a busy machine is no failure of what it asks."""
NOBODY = "http://127.0.0.1:9"
LINE = re.compile(r"(ok|warning|failure) +([^:]+(?::[A-Z]\w+)?): (.+?)(?: -> (.+))?")


@pytest.fixture
def ses() -> Iterator[SesServer]:
    """The double of SES, empty."""
    with SesServer() as running:
        yield running


def lines(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str, str, str]]:
    """Return level, subject, text and advice of each line."""
    found = [LINE.fullmatch(line) for line in done.stdout.splitlines()]
    assert all(found), done.stdout + done.stderr
    return [(each[1], each[2], each[3], each[4] or "") for each in found if each]


def seen(done: subprocess.CompletedProcess[str], level: str) -> dict[str, str]:
    """Return what is of a level, by subject."""
    return {subject: text for found, subject, text, _ in lines(done) if found == level}


def test_all_is_well(serve: Serve, ses: SesServer, moto: MotoServer, dns: LoopbackDns) -> None:
    """Of a server that runs: every line is ok, and so is the exit code."""
    queue = moto.queue()
    server = serve(**settings(ses, KRAITER_SES_EVENT_QUEUES=queue, **PATIENT))
    with server.client() as client:
        client.domains.create("well.example.com")
    until(lambda: "GetEmailIdentity" in ses.counts(HERE))
    # That of the queue is noted every ten seconds.
    until(lambda: "behind when it was read" in server.command("doctor").stdout, within=30)
    done = server.command("doctor")
    assert done.returncode == 0
    assert seen(done, "failure") == {}
    fine = [(subject, text) for level, subject, text, _ in lines(done) if level == "ok"]
    texts = dict(fine)
    assert texts["settings"] == "all can be used"
    assert texts["database"] == "SQLite at migration 0006"
    assert "answers about example.com" in texts["recursive DNS"]
    assert re.match(r"ns[12]\.example\.com \(127\.0\.0\.", texts["authoritative DNS"])
    assert texts["credentials"] == "found (env)"
    for region in (HERE, THERE):
        assert ("ses:PutEmailIdentityDkimSigningAttributes", f"allowed in {region}") in fine
    assert texts[f"identities in {HERE}"] == "1 of 10,000"
    assert ("sqs:DeleteMessage", f"allowed on queue {queue.rpartition('/')[2]}") in fine
    assert texts["dead letters"] == "none"


def test_what_is_not_well(serve: Serve, ses: SesServer, moto: MotoServer) -> None:
    """Each is named with what to do, and the exit code is 1."""
    queue = moto.queue()
    server = serve(**settings(ses, KRAITER_SES_EVENT_QUEUES=queue, **PATIENT))
    moto.put(queue, ["nonsense"])
    until(lambda: letters(server))
    ses.deny("DeleteEmailIdentity")
    ses.set_account(THERE, ProductionAccessEnabled=False)
    ses.add(HERE, "stranger.com")
    done = server.command("doctor")
    assert done.returncode == 1
    assert seen(done, "failure") == {"ses:DeleteEmailIdentity": f"not allowed in {HERE}"}
    warnings = seen(done, "warning")
    assert warnings["dead letters"] == "1 message could not be read"
    assert warnings[f"SES in {THERE}"] == "the account is in the sandbox"
    assert ("ok", f"identities in {HERE}", "1 are others', and left alone", "") in lines(done)
    advice = {subject: advice for _, subject, _, advice in lines(done)}
    assert advice["ses:DeleteEmailIdentity"] == "allow it: the README has the policy"
    assert advice["dead letters"] == "see `python -m service dead-letters list`"


def letters(server: ServerProcess) -> list[str]:
    """Return the lines of the dead letters that there are."""
    return server.command("dead-letters", "list").stdout.splitlines()[1:]


def test_what_is_away(tmp_path: Path, empty_postgres: str) -> None:
    """Nothing of it keeps the rest from being looked at."""
    wrong = {**NO_DNS, "KRAITER_DNS_TIMEOUT": "100ms", "KRAITER_DNS_BUDGET": "200ms"}
    server = ServerProcess(tmp_path, empty_postgres, wrong)
    done = server.command("doctor")
    assert done.returncode == 1
    failures = seen(done, "failure")
    assert failures["database"].startswith("PostgreSQL at migration none, and this program needs")
    assert failures["recursive DNS"].startswith("no answer about example.com")
    assert failures["authoritative DNS"].startswith("no answer about example.com")
    assert seen(done, "ok")["mail provider"].startswith("local")
    server.change_settings(KRAITER_DATABASE_URL="postgresql://nobody:hunter2@127.0.0.1:1/nothing")
    done = server.command("doctor")
    assert "database" in seen(done, "failure")
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("provider", "wrong", "told"),
    [
        ("ses", {"AWS_PROFILE": "nobody"}, "cannot be read (ProfileNotFound)"),
        ("local", {"AWS_EC2_METADATA_DISABLED": "true"}, "none found"),
    ],
)
def test_without_credentials(
    tmp_path: Path, dns_settings: dict[str, str], provider: str, wrong: dict[str, str], told: str
) -> None:
    """That is told once, also of queues alone, and what needs them is not looked at; the rest is."""
    nowhere = {"AWS_CONFIG_FILE": f"{tmp_path}/none", "AWS_SHARED_CREDENTIALS_FILE": f"{tmp_path}/none"}
    mail = {
        "KRAITER_MAIL_PROVIDER": provider,
        "KRAITER_SES_ENDPOINT_URL": NOBODY,
        "KRAITER_SES_EVENT_QUEUES": f"{NOBODY}/123456789012/events",
    }
    server = ServerProcess(tmp_path, sqlite_url(tmp_path), {**dns_settings, **nowhere, **mail, **wrong})
    server.command("migrate").check_returncode()
    done = server.command("doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert seen(done, "failure") == {"credentials": told}
    assert seen(done, "warning") == {
        "Amazon SES and queues": "were not looked at",
        "queue events": "was never read",
    }
    assert seen(done, "ok")["dead letters"] == "none"


def test_how_far_behind_queues_are_read(tmp_path: Path, dns_settings: dict[str, str]) -> None:
    """It is well as long as they are read, and soon."""
    queues = {name: f"{NOBODY}/123456789012/{name}" for name in ("fine", "dead", "late", "never")}
    server = ServerProcess(
        tmp_path,
        sqlite_url(tmp_path),
        {**dns_settings, "KRAITER_SES_EVENT_QUEUES": ",".join(queues.values())},
    )
    server.command("migrate").check_returncode()
    now = datetime.now(UTC)
    with closing(open_store(server.database_url, clock=SystemClock())) as store:
        store.note_lag(queues["fine"], QueueLag(now, timedelta(minutes=4)))
        store.note_lag(queues["dead"], QueueLag(now - timedelta(hours=1), timedelta(0)))
        store.note_lag(queues["late"], QueueLag(now, timedelta(minutes=6)))
    about = {
        subject: (level, text, advice)
        for level, subject, text, advice in lines(server.command("doctor"))
        if subject.startswith("queue") and level != "failure"
    }
    assert about["queue fine"][0] == "ok"
    assert about["queue never"][:2] == ("warning", "was never read")
    level, text, advice = about["queue dead"]
    assert level == "warning"
    assert re.fullmatch(r"0\.0 s behind when it was read last, 3,6\d\d s ago", text)
    assert "start a server" in advice
    level, text, advice = about["queue late"]
    assert (level, text.partition(",")[0]) == ("warning", "360.0 s behind when it was read last")
    assert "start more servers" in advice


def test_a_role_that_may_not_be_assumed(tmp_path: Path, dns_settings: dict[str, str]) -> None:
    """What STS answers is told in a line, and nowhere else."""
    (tmp_path / "token").write_text("token")
    with refuser({"AssumeRoleWithWebIdentity": "AccessDenied"}) as address:
        role = {
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/kraiter",
            "AWS_WEB_IDENTITY_TOKEN_FILE": f"{tmp_path}/token",
            "AWS_ENDPOINT_URL_STS": address,
        }
        mail = {"KRAITER_MAIL_PROVIDER": "ses", "KRAITER_SES_ENDPOINT_URL": NOBODY}
        server = ServerProcess(tmp_path, sqlite_url(tmp_path), {**dns_settings, **role, **mail})
        done = server.command("doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert seen(done, "failure") == {"credentials": "AssumeRoleWithWebIdentity answered AccessDenied"}


@pytest.fixture
def empty_postgres(postgres: PostgresServer) -> Iterator[str]:
    """Give the URL of a PostgreSQL database without tables."""
    url = postgres.empty_database()
    yield url
    postgres.drop(url)


def test_a_database_that_is_not_there_yet(tmp_path: Path, dns_settings: dict[str, str]) -> None:
    """The doctor does not make it."""
    server = ServerProcess(tmp_path, sqlite_url(tmp_path), dns_settings)
    done = server.command("doctor")
    assert done.returncode == 0
    assert seen(done, "warning") == {"database": "the file is not there"}
    assert not (tmp_path / "kraiter.db").exists()


def test_a_database_of_a_newer_version(tmp_path: Path, dns_settings: dict[str, str]) -> None:
    """After a rollback no migration helps: the doctor says what does, and the server does not start."""
    server = ServerProcess(tmp_path, sqlite_url(tmp_path), dns_settings)
    server.command("migrate").check_returncode()
    with closing(sqlite3.connect(tmp_path / "kraiter.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0099'")
    done = server.command("doctor")
    assert done.returncode == 1
    assert seen(done, "failure") == {
        "database": "SQLite at migration 0099, and this program needs 0006: "
        "this program is older than its database"
    }
    for command in ("serve", "migrate"):
        done = server.command(command)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith("this program is older than its database, at migration 0099")


def test_settings_that_cannot_be_used(tmp_path: Path) -> None:
    """A line for each, and nothing else is looked at."""
    server = ServerProcess(
        tmp_path, sqlite_url(tmp_path), {**NO_DNS, "KRAITER_REGION": "x", "KRAITER_QQ": "y"}
    )
    done = server.command("doctor")
    assert done.returncode == 1
    assert [(level, subject) for level, subject, _, _ in lines(done)] == [("failure", "settings")] * 2
