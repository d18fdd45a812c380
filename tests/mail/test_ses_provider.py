"""`MailProvider` on Amazon SES, against a server that behaves as SES does."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from service.core.errors import Reason, ServiceError
from service.mail.ses.client import connect
from service.mail.ses.provider import SesMailProvider
from service.ports import IdentityRef, ProviderState
from tests.support.logged import captured_logs
from tests.support.ses import Broken, Call, SesServer

HERE, THERE = "eu-west-1", "eu-south-1"
NAME = "mail.example.com"
REF = IdentityRef(NAME, HERE)
WAIT = timedelta(seconds=5)
TIMEOUT = timedelta(seconds=3)


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> Iterator[SesServer]:
    """A server with nothing in it, and credentials for it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with SesServer() as server:
        yield server


Make = Callable[..., SesMailProvider]


@pytest.fixture
def make(ses: SesServer) -> Iterator[Make]:
    """Give a function that makes a provider, of another database where it is told its secret."""
    made = []

    def provider(
        secret: bytes = b"ours",
        rate: float = 200.0,
        timeout: timedelta = TIMEOUT,
        before_connect: Callable[[], object] = lambda: None,
    ) -> SesMailProvider:
        def connected(region: str) -> object:
            before_connect()
            return connect(region, endpoint_url=ses.url, timeout=timeout)

        made.append(
            SesMailProvider(frozenset({HERE, THERE}), connected, secret=secret, rate=rate, timeout=timeout)
        )
        return made[-1]

    yield provider
    for each in made:
        each.close()


@pytest.fixture
def provider(make: Make) -> SesMailProvider:
    """A provider that is not held up by its rate."""
    return make()


def refused(call: Callable[[], object]) -> ServiceError:
    """Return the error of a call."""
    with pytest.raises(ServiceError) as raised:
        call()
    return raised.value


def test_an_identity_is_made_in_one_request(provider: SesMailProvider, ses: SesServer) -> None:
    """With its tokens, and the zone that SES says, which is another in some regions."""
    for region, zone in ((HERE, "dkim.amazonses.com"), (THERE, "dkim.eu-south-1.amazonses.com")):
        identity = provider.create_identity(IdentityRef(NAME, region), wait=WAIT).identity
        made = ses.identities(region)[NAME]
        assert identity.dkim_tokens == made.tokens
        assert len(identity.dkim_tokens) == 3
        assert identity.dkim_zone == zone
        assert identity.feedback_host == f"feedback-smtp.{region}.amazonses.com"
        assert ses.calls(region) == [Call("CreateEmailIdentity", NAME)]


def test_an_identity_that_there_is_is_adopted(provider: SesMailProvider, make: Make, ses: SesServer) -> None:
    """Ours is known again by its tag, also by another process; what others made is not ours."""
    first = provider.create_identity(REF, wait=WAIT)
    again = make()
    assert again.create_identity(REF, wait=WAIT) == first
    found = again.find_identity(REF)
    assert found is not None
    assert found.is_ours
    assert first.is_ours
    ses.add(HERE, "others.com", status="SUCCESS")
    others = IdentityRef("others.com", HERE)
    adopted = provider.create_identity(others, wait=WAIT)
    assert adopted == provider.find_identity(others)
    assert (adopted.state, adopted.is_ours) == (ProviderState.READY, False)
    of_another_database = make(b"theirs").find_identity(REF)
    assert of_another_database is not None
    assert not of_another_database.is_ours


def test_an_identity_with_keys_of_its_own_is_a_conflict(provider: SesMailProvider, ses: SesServer) -> None:
    """There are no records to give out for it, and whoever uses it must not be broken."""
    ses.add(HERE, NAME, origin="EXTERNAL", status="SUCCESS")
    error = refused(lambda: provider.create_identity(REF, wait=WAIT))
    assert error.reason is Reason.PROVIDER_CONFLICT
    assert "BYODKIM" in error.message
    assert [call.operation for call in ses.calls(HERE)] == ["CreateEmailIdentity", "GetEmailIdentity"]
    found = provider.find_identity(REF)
    assert found is not None
    assert found.identity.dkim_tokens == ()


def test_an_identity_that_does_not_sign_yet_is_told_to(provider: SesMailProvider, ses: SesServer) -> None:
    """It was verified long ago by another record than DKIM's."""
    ses.add(HERE, NAME, tokens=(), status="NOT_STARTED")
    assert len(provider.create_identity(REF, wait=WAIT).identity.dkim_tokens) == 3


def test_what_is_found(provider: SesMailProvider, ses: SesServer) -> None:
    """The state and the envelope sender's host, as SES has them."""
    assert provider.find_identity(REF) is None
    provider.create_identity(REF)
    for status, state in (
        ("SUCCESS", ProviderState.READY),
        ("TEMPORARY_FAILURE", ProviderState.FALTERING),
        ("NOT_STARTED", ProviderState.PENDING),
        ("FAILED", ProviderState.REVOKED),
        ("PENDING", ProviderState.PENDING),
    ):
        ses.set_status(HERE, NAME, status)
        found = provider.find_identity(REF)
        assert found is not None
        assert (found.state, found.mail_from, found.mail_from_failed) == (state, NAME, False)
    provider.set_mail_from(REF, f"bounce.{NAME}")
    ses.set_mail_from_status(HERE, NAME, "FAILED")
    found = provider.find_identity(REF)
    assert found is not None
    assert (found.mail_from, found.mail_from_failed) == (f"bounce.{NAME}", True)


def test_what_may_not_send_is_not_ready(provider: SesMailProvider, ses: SesServer) -> None:
    """Though its records were found: a list and a look at one agree."""
    provider.create_identity(REF)
    ses.set_status(HERE, NAME, "SUCCESS", verified=False)
    found = provider.find_identity(REF)
    assert found is not None
    assert found.state is ProviderState.FALTERING
    assert provider.list_states(HERE).states == {NAME: ProviderState.FALTERING}


def test_the_envelope_sender_is_set_and_taken_back(provider: SesMailProvider, ses: SesServer) -> None:
    """SES falls back to its own host while the MX record is not there; a name is no host below itself."""
    provider.create_identity(REF)
    provider.set_mail_from(REF, f"bounce.{NAME}")
    made = ses.identities(HERE)[NAME].mail_from
    assert made is not None
    assert (made.domain, made.behavior) == (f"bounce.{NAME}", "USE_DEFAULT_VALUE")
    provider.set_mail_from(REF, NAME)
    assert ses.identities(HERE)[NAME].mail_from is None


def test_an_identity_that_failed_is_started_again(provider: SesMailProvider, ses: SesServer) -> None:
    """Without deleting it: its tokens stay."""
    before = provider.create_identity(REF).identity
    ses.set_status(HERE, NAME, "FAILED")
    assert provider.restart_identity(REF) == before
    assert ses.identities(HERE)[NAME].status == "PENDING"


def test_an_identity_is_deleted_once(provider: SesMailProvider, ses: SesServer) -> None:
    """And nobody minds where there is none."""
    provider.create_identity(REF)
    provider.delete_identity(REF)
    assert not ses.identities(HERE)
    provider.delete_identity(REF)


def test_ten_thousand_identities_are_listed_in_ten_calls(make: Make, ses: SesServer) -> None:
    """Whoever made them; addresses are no domains."""
    for number in range(9_999):
        ses.add(HERE, f"d{number}.example.com", status="SUCCESS" if number % 2 else "PENDING")
    ses.add(HERE, "someone@example.com")
    provider = make(rate=1000.0)
    states: dict[str, ProviderState] = {}
    page = None
    while (listed := provider.list_states(HERE, page)).next_page is not None:
        states |= listed.states
        page = listed.next_page
    states |= listed.states
    assert len(states) == 9_999
    assert states["d1.example.com"] is ProviderState.READY
    assert states["d2.example.com"] is ProviderState.PENDING
    assert ses.counts(HERE) == {"ListEmailIdentities": 10}


def test_a_page_is_read_whole_or_not_at_all(provider: SesMailProvider, ses: SesServer) -> None:
    """Identities that were not read must not look as if they were gone."""
    ses.add(HERE, NAME)
    for spoil in (
        lambda: ses.fail(HERE, "InternalServerError", operation="ListEmailIdentities"),
        lambda: ses.break_answers(HERE, Broken.TRUNCATED),
        lambda: ses.break_answers(HERE, Broken.CUT),
        lambda: ses.break_answers(HERE, Broken.HTML),
        lambda: ses.lose_answers(HERE),
        lambda: ses.throttle(HERE),
    ):
        spoil()
        error = refused(lambda: provider.list_states(HERE))
        assert error.reason in {Reason.PROVIDER_UNAVAILABLE, Reason.PROVIDER_LIMIT}


def test_an_identity_that_is_found_but_may_not_send_is_not_ready(
    provider: SesMailProvider, ses: SesServer
) -> None:
    """SES says both, and means both."""
    ses.add(HERE, NAME, status="SUCCESS", verified=False)
    assert provider.list_states(HERE).states == {NAME: ProviderState.FALTERING}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("LimitExceededException", Reason.PROVIDER_LIMIT),
        ("BadRequestException", Reason.INVALID_FIELD),
        ("AccessDeniedException", Reason.PROVIDER_UNAVAILABLE),
        ("NotFoundException", Reason.PROVIDER_UNAVAILABLE),
    ],
)
def test_refusals_are_told_at_once(
    provider: SesMailProvider, ses: SesServer, code: str, reason: Reason
) -> None:
    """Asking again would not help. None has the driver's text."""
    ses.fail(HERE, code)
    error = refused(lambda: provider.create_identity(REF, wait=WAIT))
    assert error.reason is reason
    assert "A test wants it so" not in error.message
    assert ses.counts(HERE)["CreateEmailIdentity"] == 1


def test_what_ses_does_not_take_as_a_name_is_the_callers_to_mend(
    provider: SesMailProvider, ses: SesServer
) -> None:
    """The field is named."""
    error = refused(lambda: provider.create_identity(IdentityRef("not_a_domain", HERE), wait=WAIT))
    assert error.reason is Reason.INVALID_FIELD
    assert error.violations[0].field == "domain"


@pytest.mark.parametrize("code", ["InternalServerError", "ConcurrentModificationException"])
def test_a_caller_is_served_though_ses_stumbles(provider: SesMailProvider, ses: SesServer, code: str) -> None:
    """Twice, that is; work that nobody waits for is put off instead."""
    ses.fail(HERE, code, 2)
    assert provider.create_identity(REF, wait=WAIT).identity.dkim_tokens
    ses.fail(HERE, code)
    assert refused(lambda: provider.find_identity(REF)).reason is Reason.PROVIDER_UNAVAILABLE
    assert provider.find_identity(REF) is not None


@pytest.mark.parametrize("broken", list(Broken))
def test_an_answer_that_is_lost_or_broken_is_asked_for_again(
    provider: SesMailProvider, ses: SesServer, broken: Broken
) -> None:
    """The identity was made, and is adopted."""
    ses.break_answers(HERE, broken)
    identity = provider.create_identity(REF, wait=WAIT).identity
    assert identity.dkim_tokens == ses.identities(HERE)[NAME].tokens


def test_a_region_that_hangs_is_given_up_within_the_deadline(make: Make, ses: SesServer) -> None:
    """Though it might still answer a caller with more time. Others answer meanwhile."""
    provider = make(timeout=timedelta(seconds=5))
    over = ses.hang(HERE)
    begun = time.monotonic()
    error = refused(lambda: provider.create_identity(REF, wait=timedelta(seconds=0.8)))
    assert error.reason in {Reason.PROVIDER_UNAVAILABLE, Reason.PROVIDER_LIMIT}
    assert time.monotonic() - begun < 2
    assert provider.create_identity(IdentityRef(NAME, THERE), wait=WAIT).identity.dkim_tokens
    over.set()


def test_nobody_waits_for_a_region_that_is_down(provider: SesMailProvider, ses: SesServer) -> None:
    """After three silences callers are told at once, until work in the background finds it up again."""
    provider.list_states(HERE)
    ses.take_down(HERE)
    assert refused(lambda: provider.create_identity(REF, wait=WAIT)).reason is Reason.PROVIDER_UNAVAILABLE
    ses.reset_calls()
    assert refused(lambda: provider.create_identity(REF, wait=WAIT)).reason is Reason.PROVIDER_UNAVAILABLE
    assert ses.calls(HERE) == []
    ses.mend(HERE)
    provider.list_states(HERE)
    assert provider.create_identity(REF, wait=WAIT).identity.dkim_tokens


def test_callers_in_a_hurry_do_not_make_a_region_look_down(make: Make, ses: SesServer) -> None:
    """Others would be kept from it for nothing."""
    provider = make(timeout=timedelta(seconds=5))
    over = ses.hang(HERE)
    for _ in range(4):
        refused(lambda: provider.create_identity(REF, wait=timedelta(milliseconds=400)))
    over.set()
    assert provider.create_identity(REF, wait=WAIT).identity.dkim_tokens


def test_a_region_that_is_down_is_none_of_the_others(provider: SesMailProvider, ses: SesServer) -> None:
    """Nobody there can be served, everybody elsewhere is."""
    ses.take_down(HERE)
    assert refused(lambda: provider.create_identity(REF, wait=WAIT)).reason is Reason.PROVIDER_UNAVAILABLE
    assert refused(lambda: provider.list_states(HERE)).reason is Reason.PROVIDER_UNAVAILABLE
    assert provider.create_identity(IdentityRef(NAME, THERE), wait=WAIT).identity.dkim_tokens
    ses.mend(HERE)
    assert provider.list_states(HERE).states == {}


def test_a_caller_waits_while_ses_throttles(make: Make, ses: SesServer) -> None:
    """The rate is lowered each time, and the request made again."""
    ses.throttle(HERE, 2)
    provider = make(rate=50.0)
    assert provider.create_identity(REF, wait=WAIT).identity.dkim_tokens
    assert provider._client(HERE)._bucket._rate < 40
    assert ses.counts(HERE)["CreateEmailIdentity"] == 3


def test_work_that_nobody_waits_for_is_put_off_when_ses_throttles(
    provider: SesMailProvider, ses: SesServer
) -> None:
    """Its turn comes later."""
    ses.throttle(HERE)
    assert refused(lambda: provider.find_identity(REF)).reason is Reason.PROVIDER_LIMIT


def test_no_request_is_made_without_time_for_its_answer(make: Make, ses: SesServer) -> None:
    """Though its turn would come just in time. Callers are told so at once, and others later."""
    provider = make(rate=15.0, timeout=timedelta(milliseconds=800))
    for _ in range(10):
        provider._client(HERE)._bucket.slow_down()
    # The next turn is in 1.4 seconds. Work in the background has 0.8 for that, and as long for the answer.
    hurried = refused(lambda: provider.create_identity(REF, wait=timedelta(seconds=1.5)))
    assert hurried.reason is Reason.PROVIDER_LIMIT
    assert hurried.retry_after is not None
    assert refused(lambda: provider.find_identity(REF)).reason is Reason.PROVIDER_LIMIT
    assert ses.calls(HERE) == []
    assert provider.create_identity(REF, wait=WAIT).identity.dkim_tokens


def test_two_in_the_background_both_get_on(make: Make, ses: SesServer) -> None:
    """Though callers never let up: each has its turn before its patience is at an end."""
    provider = make(rate=10.0)
    done = threading.Event()
    ses.add(HERE, NAME, status="SUCCESS")

    def call() -> None:
        while not done.is_set():
            with contextlib.suppress(ServiceError):
                provider.create_identity(REF, wait=WAIT)

    def work() -> None:
        for _ in range(4):
            provider.list_states(HERE)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(6):
            pool.submit(call)
        working = [pool.submit(work) for _ in range(2)]
        errors = [each.exception() for each in working]
        done.set()
    assert errors == [None, None]


def test_fifty_callers_at_once_each_know_in_time(make: Make, ses: SesServer) -> None:
    """At ten requests a second and two seconds' patience: served, or told when to come back."""
    ses.limit_rate(HERE, 10.0)
    provider = make(rate=10.0)
    at_once = threading.Barrier(50)

    def create(number: int) -> tuple[Reason | None, timedelta | None, float]:
        at_once.wait()
        begun = time.monotonic()
        try:
            provider.create_identity(IdentityRef(f"d{number}.example.com", HERE), wait=timedelta(seconds=2))
        except ServiceError as error:
            return error.reason, error.retry_after, time.monotonic() - begun
        return None, None, time.monotonic() - begun

    with ThreadPoolExecutor(50) as pool:
        ended = list(pool.map(create, range(50)))
    reasons = [reason for reason, _, _ in ended]
    assert set(reasons) == {None, Reason.PROVIDER_LIMIT}
    assert reasons.count(None) == len(ses.identities(HERE))
    assert reasons.count(None) >= 8
    assert all(retry_after for reason, retry_after, _ in ended if reason)
    assert max(took for _, _, took in ended) < 3


@pytest.fixture
def _no_credentials(ses: SesServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nowhere."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")


@pytest.mark.usefixtures("_no_credentials")
def test_without_credentials_nothing_is_said_of_them(provider: SesMailProvider) -> None:
    """It is the operator's to mend, and in the log."""
    with captured_logs() as logs:
        error = refused(lambda: provider.create_identity(REF, wait=WAIT))
    assert error.reason is Reason.PROVIDER_UNAVAILABLE
    assert "credential" not in error.message.lower()
    assert [(each["log_level"], each["event"], each["error"]) for each in logs] == [
        ("error", "ses_not_connected", "NoCredentialsError")
    ]


@pytest.mark.usefixtures("_no_credentials")
def test_credentials_that_come_late_are_found(
    provider: SesMailProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may be there before they are. The region did not fail to answer: nobody is kept from it."""
    for _ in range(4):
        assert refused(lambda: provider.list_states(HERE)).reason is Reason.PROVIDER_UNAVAILABLE
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    assert refused(lambda: provider.list_states(HERE)).reason is Reason.PROVIDER_UNAVAILABLE
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    assert provider.create_identity(REF, wait=WAIT).identity.dkim_tokens


@pytest.mark.usefixtures("_no_credentials")
def test_credentials_that_can_no_longer_be_read_are_found_again(
    provider: SesMailProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of a role are read again and again, from a file that may not be there for a moment."""
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/kraiter")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    assert refused(lambda: provider.list_states(HERE)).reason is Reason.PROVIDER_UNAVAILABLE
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    assert provider.list_states(HERE).states == {}


def test_a_client_that_cannot_be_made_is_made_later(
    provider: SesMailProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What boto3 minds is the operator's to mend, and no caller's."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    for _ in range(4):
        assert refused(lambda: provider.list_states(HERE)).reason is Reason.PROVIDER_UNAVAILABLE
    monkeypatch.delenv("AWS_PROFILE")
    assert provider.create_identity(REF, wait=WAIT).identity.dkim_tokens


def test_a_client_that_takes_long_to_make_keeps_nobody_past_the_deadline(make: Make, ses: SesServer) -> None:
    """Whoever gives the credentials may hang. Nothing is asked later on behalf of those who have gone."""
    over = threading.Event()
    provider = make(timeout=timedelta(seconds=5), before_connect=over.wait)

    def create(number: int) -> tuple[Reason, bool]:
        begun = time.monotonic()
        ref = IdentityRef(f"d{number}.example.com", HERE)
        error = refused(lambda: provider.create_identity(ref, wait=timedelta(seconds=0.8)))
        return error.reason, time.monotonic() - begun < 2

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(create, range(8))) == {(Reason.PROVIDER_UNAVAILABLE, True)}
    over.set()
    assert provider.create_identity(REF, wait=WAIT).identity.dkim_tokens
    assert ses.identities(HERE).keys() == {NAME}


def test_a_provider_that_is_closed_keeps_nobody_waiting(make: Make, ses: SesServer) -> None:
    """At the end of the process."""
    provider = make(rate=0.05)
    provider.create_identity(REF)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(provider.find_identity, REF)
        provider.close()
        assert isinstance(waiting.exception(10), ServiceError)
