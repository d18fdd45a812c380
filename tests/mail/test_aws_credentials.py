"""What the doctor says of AWS's credentials, and of what cannot be asked without them."""

import socket
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from service.core.diagnosis import Diagnosis, Level
from service.mail.ses.client import connect
from service.mail.ses.examination import Examination
from service.mail.ses.probing import examine_by, examine_credentials
from service.mail.ses.queue import connect_queue
from service.mail.ses.queue_examination import examine_queue
from tests.support.moto import ENVIRONMENT
from tests.support.refuser import refuser

HERE = "eu-west-1"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in ENVIRONMENT.items():
        monkeypatch.setenv(name, text)


def credentials() -> Diagnosis:
    """Return what is said of the credentials."""
    return examine_credentials(HERE, timedelta(milliseconds=500))


@pytest.fixture
def _nothing_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")


@pytest.fixture
def _role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, _nothing_found: None) -> None:
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/kraiter")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", f"{tmp_path}/token")


def test_credentials_are_found() -> None:
    """Where boto3 looks for them; they are not shown."""
    assert credentials() == (Level.OK, "credentials", "found (env)", "")


@pytest.mark.usefixtures("_nothing_found")
def test_credentials_are_not_found() -> None:
    """What to set is told."""
    told = credentials()
    assert (told.level, told.text) == (Level.FAILURE, "none found")


def test_a_profile_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the credentials, and of whatever else they would have been used for."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    told = credentials()
    assert (told.level, told.text) == (Level.FAILURE, "cannot be read (ProfileNotFound)")
    url = f"{NOBODY}/123456789012/queue"
    (of_queue,) = examine_by(partial(connect_queue, url, region=HERE), "queue", partial(examine_queue, url))
    assert (of_queue.level, of_queue.text) == (Level.FAILURE, "cannot be asked (ProfileNotFound)")


@pytest.mark.usefixtures("_role")
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidIdentityToken"])
def test_a_role_that_may_not_be_assumed_is_told_once(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """It is a matter of the role, and of no permission of it."""
    with refuser({"AssumeRoleWithWebIdentity": code}) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        told = credentials()
        client = connect(HERE, endpoint_url=NOBODY, timeout=timedelta(seconds=5))
        assert list(Examination(HERE, client, is_ours=lambda _: False).run({})) == [told]
    assert (told.level, told.subject) == (Level.FAILURE, "credentials")
    assert told.text == f"AssumeRoleWithWebIdentity answered {code}"
    assert "trust policy" in told.advice


@pytest.mark.usefixtures("_role")
def test_a_token_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its file is read by boto3, which raises what it meets."""
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", f"{tmp_path}/none")
    assert credentials().text == "cannot be read (FileNotFoundError)"


@pytest.mark.usefixtures("_role")
@pytest.mark.parametrize(("code", "error"), [("fine", "KeyError"), ("<", "ResponseParserError")])
def test_an_answer_without_credentials_is_told(
    monkeypatch: pytest.MonkeyPatch, code: str, error: str
) -> None:
    """As something on the way gives, with its own page."""
    with refuser({"AssumeRoleWithWebIdentity": code}, status=200) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        assert credentials().text == f"cannot be read ({error})"


@pytest.mark.usefixtures("_role")
def test_credentials_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor for as long as boto3 would, which is minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert credentials().text == "cannot be read (ReadTimeoutError)"
