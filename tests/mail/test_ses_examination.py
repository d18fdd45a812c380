"""What the doctor says of Amazon SES and its queues, without changing anything there."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import pytest

from service.core.diagnosis import Diagnosis, Level
from service.mail.ses.client import connect
from service.mail.ses.examination import Examination
from service.mail.ses.queue import connect_queue
from service.mail.ses.queue_examination import examine_queue
from tests.support.moto import ENVIRONMENT, MotoServer, moto
from tests.support.server import ROOT
from tests.support.ses import SesServer

__all__ = ["moto"]

HERE = "eu-west-1"
ACTIONS = [
    "GetAccount",
    "ListEmailIdentities",
    "GetEmailIdentity",
    "CreateEmailIdentity",
    "TagResource",
    "DeleteEmailIdentity",
    "PutEmailIdentityMailFromAttributes",
    "PutEmailIdentityDkimSigningAttributes",
]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in ENVIRONMENT.items():
        monkeypatch.setenv(name, text)


@pytest.fixture
def ses() -> Iterator[SesServer]:
    """An account that is well."""
    with SesServer() as server:
        yield server


def examined(ses: SesServer, known: dict[str, bool] | None = None) -> list[Diagnosis]:
    """Return what is said of a region."""
    return list(examining(ses, known))


def examining(ses: SesServer, known: dict[str, bool] | None = None) -> Iterator[Diagnosis]:
    """Say it one by one."""
    client = connect(HERE, endpoint_url=ses.url, timeout=timedelta(seconds=5))
    examination = Examination(
        HERE, client, is_ours=lambda tags: "ours" in tags.values(), pause=lambda _: None
    )
    yield from examination.run(known)
    client.close()


def not_well(found: list[Diagnosis]) -> list[Diagnosis]:
    """Return what somebody has to do something about."""
    return [each for each in found if each.level is not Level.OK]


def test_an_account_that_is_well(ses: SesServer) -> None:
    """Each permission is named, and nothing was changed."""
    found = examined(ses, {})
    assert not_well(found) == []
    assert [each.subject for each in found[: len(ACTIONS)]] == [f"ses:{action}" for action in ACTIONS]
    assert found[-2].text == "0 of 50,000 messages of 24 hours sent, at most 14/s"
    assert found[-1].text == "0 of 10,000"
    assert not ses.identities(HERE)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_permission_that_lacks_is_named(ses: SesServer, action: str) -> None:
    """It alone, with what to do."""
    ses.add(HERE, "mail.example.com")
    ses.deny(action)
    lacking = not_well(examined(ses, {"mail.example.com": True}))
    assert [(each.subject, each.level) for each in lacking] == [(f"ses:{action}", Level.FAILURE)]
    assert lacking[0].text == "not allowed in eu-west-1"
    assert "policy" in lacking[0].advice


def test_the_readme_has_the_policy_for_just_what_is_looked_at(ses: SesServer, moto: MotoServer) -> None:
    """Whoever follows it is not told that something lacks, and grants nothing in vain."""
    text = (ROOT / "README.md").read_text()
    policy, of_key = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    granted = [action for statement in policy["Statement"] for action in statement["Action"]]
    url = moto.queue()
    found = [*examined(ses), *examine_queue(url, connect_queue(url, region=HERE))]
    assert sorted(granted) == sorted(each.subject for each in found if ":" in each.subject)
    # And one that cannot be looked at, which is told instead.
    url = moto.queue(KmsMasterKeyId="alias/own")
    told = list(examine_queue(url, connect_queue(url, region=HERE)))[-1]
    assert told.text.startswith("encrypted with alias/own")
    assert [action for action in of_key["Action"] if action in told.text] == of_key["Action"] != []


def test_what_the_account_may_not(ses: SesServer) -> None:
    """Sandbox, a pause, a review, and a quota that is nearly used."""
    ses.set_account(
        HERE,
        SendingEnabled=False,
        ProductionAccessEnabled=False,
        EnforcementStatus="PROBATION",
        SendQuota={"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 170.0},
    )
    assert [(each.level, each.text) for each in not_well(examined(ses))] == [
        (Level.FAILURE, "sending is paused for the account"),
        (Level.WARNING, "the account is PROBATION"),
        (Level.WARNING, "the account is in the sandbox"),
        (Level.WARNING, "170 of 200 messages of 24 hours sent, at most 1/s"),
    ]


def test_identities_that_do_not_fit_the_domains(ses: SesServer) -> None:
    """Those that lack, those of ours that nobody needs, and how many are others'."""
    ses.add(HERE, "known.com")
    ses.add(HERE, "orphan.com", tags={"kraiter:installation": "ours"})
    ses.add(HERE, "stranger.com", tags={"kraiter:installation": "theirs"})
    ses.add(HERE, "someone@example.com")
    found = examined(ses, {"known.com": True, "lost.com": True, "reserved.com": False})
    about = [(each.level, each.text) for each in found if each.subject == "identities in eu-west-1"]
    assert about == [
        (Level.OK, "4 of 10,000"),
        (Level.WARNING, "lost.com should be there and are not"),
        (Level.WARNING, "orphan.com were made by this installation, and no domain needs them"),
        (Level.OK, "1 are others', and left alone"),
    ]


def test_of_many_strangers_some_are_looked_at(ses: SesServer) -> None:
    """From all over the alphabet, as each takes a second; nothing is said of the others."""
    for number in range(1_300):
        ses.add(HERE, f"d{number:04}.com")
    for number in range(200):
        ses.add(HERE, f"orphan{number:03}.com", tags={"kraiter:installation": "ours"})
    pauses: list[float] = []
    client = connect(HERE, endpoint_url=ses.url, timeout=timedelta(seconds=5))
    examination = Examination(HERE, client, is_ours=lambda tags: "ours" in tags.values(), pause=pauses.append)
    *_, count, soon, ours, theirs, rest = examination.run({})
    client.close()
    assert count.text == "1,500 of 10,000"
    assert soon.text == "1,500 belong to no domain: 100 are looked at, one a second"
    assert pauses == [1.0] * 100
    assert ours.level is Level.WARNING
    assert ours.text.startswith("orphan005.com, orphan020.com, ")
    assert "and 8 more were made by this installation" in ours.text
    assert (theirs.level, theirs.text) == (Level.OK, "87 are others', and left alone")
    assert (rest.level, rest.text) == (Level.OK, "1,400 of no domain were not looked at")
    assert ses.counts(HERE)["GetEmailIdentity"] == 101


def test_of_strangers_that_nobody_may_look_at_nothing_is_said(ses: SesServer) -> None:
    """They may be ours."""
    ses.add(HERE, "stranger.com")
    ses.deny("GetEmailIdentity")
    assert examined(ses, {})[-1].text == "1 of no domain were not looked at"


def test_a_stranger_that_has_gone_is_nobodys(ses: SesServer) -> None:
    """It was there when identities were listed."""
    ses.add(HERE, "stranger.com")
    going_on = examining(ses, {})
    for told in going_on:
        if told.text == "1 of 10,000":
            ses.fail(HERE, "NotFoundException", operation="GetEmailIdentity")
            break
    assert list(going_on) == []


@pytest.mark.parametrize("is_denied", [True, False])
def test_what_was_found_before_nobody_could_look_any_more_is_told(ses: SesServer, *, is_denied: bool) -> None:
    """Together with why."""
    for name in ("orphan.com", "stranger.com", "unknown.com"):
        ses.add(HERE, name, tags={"kraiter:installation": "ours" if name == "orphan.com" else "theirs"})
    pauses: list[float] = []
    third = 3

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == third and is_denied:
            ses.deny("GetEmailIdentity")
        elif len(pauses) == third:
            ses.throttle(HERE, 5, operation="GetEmailIdentity")

    client = connect(HERE, endpoint_url=ses.url, timeout=timedelta(seconds=5))
    examination = Examination(HERE, client, is_ours=lambda tags: "ours" in tags.values(), pause=pause)
    *_, count, why, ours, theirs, rest = examination.run({})
    client.close()
    assert count.text == "3 of 10,000"
    assert why.text == ("not allowed in eu-west-1" if is_denied else "takes no more requests for now")
    assert ours.text.startswith("orphan.com were made")
    assert theirs.text == "1 are others', and left alone"
    assert rest.text == "1 of no domain were not looked at"


def test_addresses_count_for_the_quota(ses: SesServer) -> None:
    """It is of identities of all kinds."""
    ses.add(HERE, "known.com")
    for number in range(7_999):
        ses.add(HERE, f"{number}@known.com")
    told = examined(ses, {"known.com": True})[-1]
    assert (told.level, told.text) == (Level.WARNING, "8,000 of 10,000")


def test_throttling_is_waited_out(ses: SesServer) -> None:
    """For a while."""
    ses.throttle(HERE, 4)
    assert not_well(examined(ses)) == []
    ses.throttle(HERE, 5)
    (told,) = examined(ses)
    assert (told.level, told.text) == (Level.WARNING, "takes no more requests for now")


def test_a_region_that_does_not_answer_is_told_once(ses: SesServer) -> None:
    """All else would be said of nobody."""
    ses.take_down(HERE)
    (told,) = examined(ses)
    assert (told.level, told.subject) == (Level.FAILURE, "SES in eu-west-1")
    assert told.text.startswith("does not answer")


def test_credentials_that_aws_does_not_know_are_told_once(ses: SesServer) -> None:
    """It is no matter of permissions."""
    ses.fail(HERE, "UnrecognizedClientException", 9)
    (told,) = examined(ses)
    assert told.text == "refuses the credentials (UnrecognizedClientException)"


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "TagResource"])
@pytest.mark.parametrize(
    ("code", "advice"),
    [("AccountSuspendedException", "documentation"), ("ServiceUnavailable", "try again")],
)
def test_an_answer_that_says_nothing_of_a_permission_is_a_failure(
    ses: SesServer, action: str, code: str, advice: str
) -> None:
    """Nothing that would have come after it is called well."""
    ses.fail(HERE, code, operation=action)
    *before, told = examined(ses, {})
    assert [each.subject for each in before] == [f"ses:{each}" for each in ACTIONS[: ACTIONS.index(action)]]
    assert not_well(before) == []
    assert (told.level, told.subject) == (Level.FAILURE, "SES in eu-west-1")
    assert told.text == f"{action} answered {code}"
    assert advice in told.advice


@pytest.mark.parametrize("action", ["GetAccount", "ListEmailIdentities"])
def test_what_has_to_succeed_is_not_allowed_by_a_refusal(ses: SesServer, action: str) -> None:
    """Only of a name that is none are wrong requests expected."""
    ses.fail(HERE, "BadRequestException", operation=action)
    assert examined(ses)[-1].text == f"{action} answered BadRequestException"


def test_a_region_that_is_full_is_no_lack_of_permission(ses: SesServer) -> None:
    """How full it is is told elsewhere."""
    ses.fail(HERE, "LimitExceededException", 2, operation="CreateEmailIdentity")
    assert not_well(examined(ses, {})) == []


@pytest.mark.parametrize("action", ["GetAccount", "ListEmailIdentities"])
def test_what_is_refused_after_it_was_allowed_is_told(ses: SesServer, action: str) -> None:
    """No refusal ends in silence."""
    going_on = examining(ses, {})
    assert not_well(list(islice(going_on, len(ACTIONS)))) == []
    ses.deny(action)
    assert [(each.subject, each.text) for each in not_well(list(going_on))] == [
        (f"ses:{action}", "not allowed in eu-west-1")
    ]
