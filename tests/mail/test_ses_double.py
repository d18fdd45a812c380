"""The double of Amazon SES that other tests build on, as boto3 sees it."""

import json
import re
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.support.ses import Broken, Call, MailFrom, SesServer
from tests.support.ses.model import MisfitError, operation
from tests.support.ses.operations import OPERATIONS
from tests.support.waiting import until

HERE, THERE = "eu-west-1", "eu-south-1"
NAME = "mail.example.com"
SESSION = boto3.session.Session()
"""One for all, since it keeps the service model that it has read."""
TAGS = [{"Key": "service", "Value": "kraiter"}]


class Connect(Protocol):
    """How tests get at the server."""

    def __call__(self, region: str = HERE, *, read_timeout: float = 10) -> Any:
        """Return boto3's client for a region."""


@pytest.fixture
def ses() -> Iterator[SesServer]:
    """Run a server."""
    with SesServer() as server:
        yield server


@pytest.fixture
def connect(ses: SesServer) -> Iterator[Connect]:
    """Connect to the server with clients that never try twice."""
    clients = []

    def make(region: str = HERE, *, read_timeout: float = 10) -> Any:
        clients.append(_client(ses.url, region, read_timeout))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Connect) -> Any:
    """Connect to one region."""
    return connect()


def _client(url: str, region: str, read_timeout: float) -> Any:
    return SESSION.client(
        "sesv2",
        region_name=region,
        endpoint_url=url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="none",
        config=Config(
            retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=read_timeout, proxies={}
        ),
    )


def _arn(region: str = HERE) -> str:
    return f"arn:aws:ses:{region}:123456789012:identity/{NAME}"


REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "CreateEmailIdentity": ("create_email_identity", {"EmailIdentity": "new.example.com", "Tags": TAGS}),
    "GetEmailIdentity": ("get_email_identity", {"EmailIdentity": NAME}),
    "ListEmailIdentities": ("list_email_identities", {"PageSize": 10}),
    "DeleteEmailIdentity": ("delete_email_identity", {"EmailIdentity": NAME}),
    "PutEmailIdentityMailFromAttributes": (
        "put_email_identity_mail_from_attributes",
        {"EmailIdentity": NAME, "MailFromDomain": f"bounce.{NAME}"},
    ),
    "PutEmailIdentityDkimSigningAttributes": (
        "put_email_identity_dkim_signing_attributes",
        {"EmailIdentity": NAME, "SigningAttributesOrigin": "AWS_SES"},
    ),
    "GetAccount": ("get_account", {}),
    "TagResource": ("tag_resource", {"ResourceArn": _arn(), "Tags": TAGS}),
    "ListTagsForResource": ("list_tags_for_resource", {"ResourceArn": _arn()}),
}
"""A good request of each operation, where there is NAME."""
EACH = pytest.mark.parametrize("name", OPERATIONS)


def _ask(client: Any, name: str) -> Any:
    method, request = REQUESTS[name]
    return getattr(client, method)(**request)


def _error(call: Callable[[], object]) -> tuple[str, int]:
    """Return the name and HTTP status of the error that a call meets."""
    with pytest.raises(ClientError) as met:
        call()
    return met.value.response["Error"]["Code"], met.value.response["ResponseMetadata"]["HTTPStatusCode"]


# --- what the operations do --------------------------------------------------


def test_a_new_domain_waits_for_its_keys(ses: SesServer, client: Any) -> None:
    """It has three tokens and the zone they lead to, and may not send."""
    made = client.create_email_identity(EmailIdentity=NAME, Tags=TAGS)
    assert (made["IdentityType"], made["VerifiedForSendingStatus"]) == ("DOMAIN", False)
    dkim = made["DkimAttributes"]
    assert len(set(dkim["Tokens"])) == 3
    assert all(re.fullmatch("[a-z2-7]{32}", token) for token in dkim["Tokens"])
    assert (dkim["Status"], dkim["SigningHostedZone"]) == ("PENDING", "dkim.amazonses.com")
    assert ses.identities(HERE)[NAME].tags == {"service": "kraiter"}


def test_what_is_read_is_what_was_made(client: Any) -> None:
    """Reading tells tokens, tags and statuses; nothing of a MAIL FROM domain there is not."""
    made = client.create_email_identity(EmailIdentity=NAME.upper(), Tags=TAGS)
    read = client.get_email_identity(EmailIdentity=NAME)
    assert read["DkimAttributes"] == made["DkimAttributes"]
    assert (read["VerificationStatus"], read["VerifiedForSendingStatus"]) == ("PENDING", False)
    assert read["Tags"] == TAGS
    assert read["MailFromAttributes"] == {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}


def test_statuses_move_when_told(ses: SesServer, client: Any) -> None:
    """All that tells of a status moves together, with the reason."""
    client.create_email_identity(EmailIdentity=NAME)
    ses.set_status(HERE, NAME, "SUCCESS")
    read = client.get_email_identity(EmailIdentity=NAME)
    assert (read["VerificationStatus"], read["VerifiedForSendingStatus"]) == ("SUCCESS", True)
    assert read["DkimAttributes"]["Status"] == "SUCCESS"
    ses.set_status(HERE, NAME, "TEMPORARY_FAILURE", verified=True, error="HOST_NOT_FOUND")
    read = client.get_email_identity(EmailIdentity=NAME)
    assert (read["VerificationStatus"], read["VerifiedForSendingStatus"]) == ("TEMPORARY_FAILURE", True)
    assert read["VerificationInfo"] == {"ErrorType": "HOST_NOT_FOUND"}


def test_tokens_are_those_of_a_name_in_a_region(client: Any, connect: Connect) -> None:
    """A domain has them again after it was deleted; elsewhere, or under another name, there are others."""
    there = connect(THERE)

    def tokens(client: Any, name: str) -> set[str]:
        made = client.create_email_identity(EmailIdentity=name)
        client.delete_email_identity(EmailIdentity=name)
        return set(made["DkimAttributes"]["Tokens"])

    mine = tokens(client, NAME)
    assert tokens(client, NAME) == mine
    assert not mine & (tokens(there, NAME) | tokens(client, f"x{NAME}"))


def test_regions_know_nothing_of_each_other(ses: SesServer, client: Any, connect: Connect) -> None:
    """Identities, zones, calls and faults are those of the region in the credentials' scope."""
    ses.throttle(HERE, 5)
    made = connect(THERE).create_email_identity(EmailIdentity=NAME)
    assert made["DkimAttributes"]["SigningHostedZone"] == f"dkim.{THERE}.amazonses.com"
    assert (list(ses.identities(HERE)), list(ses.identities(THERE))) == ([], [NAME])
    assert (ses.calls(HERE), ses.calls(THERE)) == ([], [Call("CreateEmailIdentity", NAME)])
    assert _error(client.get_account) == ("TooManyRequestsException", 429)


def test_the_zone_of_keys_can_be_told(ses: SesServer, client: Any) -> None:
    """What was created before keeps its own."""
    client.create_email_identity(EmailIdentity=f"old.{NAME}")
    ses.set_zone(HERE, "dkim.elsewhere.example")
    made = client.create_email_identity(EmailIdentity=NAME)
    assert made["DkimAttributes"]["SigningHostedZone"] == "dkim.elsewhere.example"
    assert ses.identities(HERE)[f"old.{NAME}"].zone == "dkim.amazonses.com"


def test_a_mail_from_domain_is_put_checked_and_removed(ses: SesServer, client: Any) -> None:
    """It begins as PENDING each time it is put, and goes with a request that names none."""
    client.create_email_identity(EmailIdentity=NAME)
    put = client.put_email_identity_mail_from_attributes
    put(EmailIdentity=NAME, MailFromDomain=f"bounce.{NAME}", BehaviorOnMxFailure="USE_DEFAULT_VALUE")
    ses.set_mail_from_status(HERE, NAME, "FAILED")
    assert client.get_email_identity(EmailIdentity=NAME)["MailFromAttributes"] == {
        "MailFromDomain": f"bounce.{NAME}",
        "MailFromDomainStatus": "FAILED",
        "BehaviorOnMxFailure": "USE_DEFAULT_VALUE",
    }
    put(EmailIdentity=NAME, MailFromDomain=f"bounce.{NAME}")
    assert ses.identities(HERE)[NAME].mail_from == MailFrom(f"bounce.{NAME}")
    put(EmailIdentity=NAME)
    assert ses.identities(HERE)[NAME].mail_from is None


def test_a_failed_domain_begins_again(ses: SesServer, client: Any) -> None:
    """Signing by SES, put once more, verifies a failed domain anew and leaves a good one alone."""
    made = client.create_email_identity(EmailIdentity=NAME)
    expected = {
        "DkimTokens": made["DkimAttributes"]["Tokens"],
        "SigningHostedZone": "dkim.amazonses.com",
    }
    for status, then in (("FAILED", "PENDING"), ("SUCCESS", "SUCCESS")):
        ses.set_status(HERE, NAME, status)
        answer = client.put_email_identity_dkim_signing_attributes(
            EmailIdentity=NAME, SigningAttributesOrigin="AWS_SES"
        )
        del answer["ResponseMetadata"]
        assert answer == {"DkimStatus": then, **expected}
        assert ses.identities(HERE)[NAME].status == then


def test_keys_of_ones_own(ses: SesServer, client: Any) -> None:
    """A domain may bring its key, and go over to those of SES."""
    keys = {"DomainSigningSelector": "own", "DomainSigningPrivateKey": "aaaa"}
    made = client.create_email_identity(EmailIdentity=NAME, DkimSigningAttributes=keys)
    assert made["DkimAttributes"]["Tokens"] == ["own"]
    assert "SigningHostedZone" not in made["DkimAttributes"]
    ses.set_status(HERE, NAME, "SUCCESS")
    put = client.put_email_identity_dkim_signing_attributes
    answer = put(EmailIdentity=NAME, SigningAttributesOrigin="AWS_SES")
    assert (answer["DkimStatus"], len(answer["DkimTokens"])) == ("PENDING", 3)
    put(EmailIdentity=NAME, SigningAttributesOrigin="EXTERNAL", SigningAttributes=keys)
    assert ses.identities(HERE)[NAME].origin == "EXTERNAL"


def test_identities_that_others_made(ses: SesServer, client: Any) -> None:
    """They are there with whatever a test says of them."""
    ses.add(HERE, NAME, status="SUCCESS", tags={"team": "billing"}, origin="EXTERNAL")
    ses.add(HERE, "someone@example.com", status="SUCCESS")
    ses.add(HERE, "managed.example.com", type="MANAGED_DOMAIN")
    read = client.get_email_identity(EmailIdentity=NAME)
    assert read["VerifiedForSendingStatus"] is True
    assert read["DkimAttributes"]["SigningAttributesOrigin"] == "EXTERNAL"
    assert read["Tags"] == [{"Key": "team", "Value": "billing"}]
    address = client.get_email_identity(EmailIdentity="someone@example.com")
    assert address["IdentityType"] == "EMAIL_ADDRESS"
    assert "Tokens" not in address["DkimAttributes"]
    listed = client.list_email_identities()["EmailIdentities"]
    assert {each["IdentityName"]: each["IdentityType"] for each in listed} == {
        NAME: "DOMAIN",
        "managed.example.com": "MANAGED_DOMAIN",
        "someone@example.com": "EMAIL_ADDRESS",
    }


def test_pages_of_a_list(ses: SesServer, client: Any) -> None:
    """2,500 identities are three pages, in order, with statuses, though some go in between."""
    names = [f"d{number:04}.example.com" for number in range(2_500)]
    for name in reversed(names):
        ses.add(HERE, name)
    ses.set_status(HERE, names[7], "FAILED")
    pages = [client.list_email_identities(PageSize=1000)]
    client.delete_email_identity(EmailIdentity=names[0])
    while "NextToken" in pages[-1]:
        pages.append(client.list_email_identities(PageSize=1000, NextToken=pages[-1]["NextToken"]))
    assert [len(page["EmailIdentities"]) for page in pages] == [1000, 1000, 500]
    listed = [each for page in pages for each in page["EmailIdentities"]]
    assert [each["IdentityName"] for each in listed] == names
    assert [each["IdentityName"] for each in listed if each["VerificationStatus"] == "FAILED"] == [names[7]]


def test_the_account(ses: SesServer, client: Any) -> None:
    """It may send, unless told otherwise."""
    assert client.get_account()["SendingEnabled"] is True
    ses.set_account(HERE, SendingEnabled=False, EnforcementStatus="SHUTDOWN")
    account = client.get_account()
    assert (account["SendingEnabled"], account["EnforcementStatus"]) == (False, "SHUTDOWN")


def test_tags_of_a_resource(ses: SesServer, client: Any) -> None:
    """They are added to those there are."""
    ses.add(HERE, NAME, tags={"team": "billing"})
    client.tag_resource(ResourceArn=_arn(), Tags=TAGS)
    tags = client.list_tags_for_resource(ResourceArn=_arn())["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "billing", "service": "kraiter"}


# --- what they refuse ---------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "example",
        "-a.example.com",
        "a_b.example.com",
        "a..example.com",
        "a.example.com.",
        "1.2.3.4",
        "@a.example",
        "ü.example.com",
        "a b.example.com",
        f"{'a' * 64}.example.com",
        ".".join(["a" * 50] * 6),
    ],
)
def test_names_that_are_none(client: Any, name: str) -> None:
    """They are refused."""
    assert _error(lambda: client.create_email_identity(EmailIdentity=name)) == ("BadRequestException", 400)


@pytest.mark.parametrize("domain", [NAME, "bounce.example.com", f"bounce{NAME}", f"-.{NAME}", ""])
def test_mail_from_domains_that_are_none_of_the_identity(ses: SesServer, client: Any, domain: str) -> None:
    """Only domains below the identity's own are taken."""
    ses.add(HERE, NAME)
    put = client.put_email_identity_mail_from_attributes
    assert _error(lambda: put(EmailIdentity=NAME, MailFromDomain=domain)) == ("BadRequestException", 400)


@pytest.mark.parametrize(
    "request_", [{"PageSize": 1001}, {"PageSize": -1}, {"NextToken": "é"}, {"NextToken": "a"}]
)
def test_pages_that_are_none(client: Any, request_: dict[str, Any]) -> None:
    """A size beyond the limits and a token that was never given out are refused."""
    assert _error(lambda: client.list_email_identities(**request_)) == ("BadRequestException", 400)


def test_keys_that_do_not_do(ses: SesServer, client: Any) -> None:
    """Addresses sign nothing, and a key of one's own has to be brought."""
    ses.add(HERE, NAME)
    ses.add(HERE, "someone@example.com")
    put = client.put_email_identity_dkim_signing_attributes
    of_address = _error(lambda: put(EmailIdentity="someone@example.com", SigningAttributesOrigin="AWS_SES"))
    without_key = _error(lambda: put(EmailIdentity=NAME, SigningAttributesOrigin="EXTERNAL"))
    assert of_address == without_key == ("BadRequestException", 400)


def test_no_identity_is_made_twice(client: Any) -> None:
    """The second request is refused, in capitals too."""
    client.create_email_identity(EmailIdentity=NAME)
    again = _error(lambda: client.create_email_identity(EmailIdentity=NAME.upper()))
    assert again == ("AlreadyExistsException", 400)


def test_of_many_requests_at_once_one_gets_through(ses: SesServer, request: pytest.FixtureRequest) -> None:
    """Threads that take turns all the time do not make an identity twice."""
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)

    def create(number: int) -> int:
        body = json.dumps({"EmailIdentity": f"d{number // 4}.example.com"}).encode()
        return ses.answer("POST", "/v2/email/identities", _authorization(HERE), body).status

    with ThreadPoolExecutor(4) as pool:
        assert Counter(pool.map(create, range(400))) == {200: 100, 400: 300}


def test_a_region_is_full(ses: SesServer, client: Any) -> None:
    """Beyond its limit nothing is created, until something goes."""
    ses.set_limit(HERE, 1)
    ses.add(HERE, "first.example.com")
    full = _error(lambda: client.create_email_identity(EmailIdentity=NAME))
    assert full == ("LimitExceededException", 400)
    client.delete_email_identity(EmailIdentity="first.example.com")
    client.create_email_identity(EmailIdentity=NAME)


@EACH
def test_what_is_not_there(client: Any, name: str) -> None:
    """Every operation on one identity tells that there is none."""
    if name in {"CreateEmailIdentity", "ListEmailIdentities", "GetAccount"}:
        _ask(client, name)
    else:
        assert _error(lambda: _ask(client, name)) == ("NotFoundException", 404)


def test_configuration_sets(ses: SesServer, client: Any) -> None:
    """An identity is created with one that there is."""
    request = {"EmailIdentity": NAME, "ConfigurationSetName": "events"}
    assert _error(lambda: client.create_email_identity(**request)) == ("NotFoundException", 404)
    ses.add_configuration_set(HERE, "events")
    client.create_email_identity(**request)
    assert client.get_email_identity(EmailIdentity=NAME)["ConfigurationSetName"] == "events"


@EACH
def test_permissions_are_looked_at_first(ses: SesServer, client: Any, name: str) -> None:
    """Without one nothing happens, and nobody learns whether the request was good; others stay."""
    ses.add(HERE, NAME)
    before = ses.identities(HERE)
    ses.deny(name)
    assert _error(lambda: _ask(client, name)) == ("AccessDeniedException", 403)
    if "EmailIdentity" in REQUESTS[name][1]:
        method, request = REQUESTS[name]
        bad = {**request, "EmailIdentity": "none"}
        assert _error(lambda: getattr(client, method)(**bad)) == ("AccessDeniedException", 403)
    assert ses.identities(HERE) == before
    other = "GetAccount" if name != "GetAccount" else "GetEmailIdentity"
    _ask(client, other)
    ses.allow(name)
    _ask(client, name)


def test_requests_that_boto_would_not_make(ses: SesServer) -> None:
    """Members, types and values that the model does not have are refused."""
    bad = [b"", b"[]", b"{", b'{"EmailIdentity": 1}', b'{"EmailIdentity": ""}']
    bad += [
        b'{"EmailIdentity": "a.example", "More": 1}',
        b'{"EmailIdentity": "a.example", "Tags": [{"Key": "a"}]}',
    ]
    for body in bad:
        answer = ses.answer("POST", "/v2/email/identities", _authorization(HERE), body)
        assert (answer.status, answer.error) == (400, "BadRequestException"), body
    assert ses.identities(HERE) == {}
    assert ses.answer("POST", "/v2/email/identities", "", b"").status == 403
    ses.deny("CreateEmailIdentity")
    denied = ses.answer("POST", "/v2/email/identities", _authorization(HERE), bad[0])
    assert denied.error == "AccessDeniedException"


# --- what goes wrong ----------------------------------------------------------


@EACH
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("TooManyRequestsException", 429),
        ("ConcurrentModificationException", 500),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
    ],
)
def test_errors_as_told(ses: SesServer, client: Any, name: str, code: str, status: int) -> None:
    """The next requests meet the error and have no effect, then all is well; other operations are spared."""
    ses.add(HERE, NAME)
    before = ses.identities(HERE)
    ses.fail(HERE, code, 2, operation=name)
    _ask(client, "GetAccount" if name != "GetAccount" else "GetEmailIdentity")
    assert [_error(lambda: _ask(client, name)) for _ in range(2)] == [(code, status)] * 2
    assert ses.identities(HERE) == before
    _ask(client, name)


def test_throttling(ses: SesServer, client: Any) -> None:
    """As many requests as told are too many, of whatever operation."""
    ses.throttle(HERE, 2)
    codes = [_error(client.get_account), _error(client.list_email_identities)]
    assert codes == [("TooManyRequestsException", 429)] * 2
    client.get_account()
    assert ses.errors(HERE) == {"TooManyRequestsException": 2}


def test_a_rate(ses: SesServer, client: Any) -> None:
    """Requests beyond the rate are refused, and let through when time has passed."""
    now = 100.0
    ses.limit_rate(HERE, 2, burst=2, clock=lambda: now)

    def through() -> int:
        before = ses.errors(HERE).total()
        for _ in range(4):
            try:
                client.get_account()
            except ClientError:
                continue
        return 4 - (ses.errors(HERE).total() - before)

    assert through() == 2
    now += 0.5
    assert through() == 1
    now += 100
    assert through() == 2


def test_a_region_is_down(ses: SesServer, client: Any, connect: Connect) -> None:
    """Connections are closed without an answer or an effect, until it is mended; calls are counted."""
    ses.take_down(HERE)
    with pytest.raises(ConnectionClosedError):
        client.create_email_identity(EmailIdentity=NAME)
    connect(THERE).get_account()
    assert ses.identities(HERE) == {}
    ses.mend(HERE)
    client.create_email_identity(EmailIdentity=NAME)
    assert ses.calls(HERE) == [Call("CreateEmailIdentity", NAME)] * 2


def test_a_lost_answer(ses: SesServer, client: Any) -> None:
    """The identity is there though its maker was never told."""
    ses.lose_answers(HERE, operation="CreateEmailIdentity")
    client.get_account()
    with pytest.raises(ConnectionClosedError):
        client.create_email_identity(EmailIdentity=NAME)
    again = _error(lambda: client.create_email_identity(EmailIdentity=NAME))
    assert again == ("AlreadyExistsException", 400)


def test_broken_answers(ses: SesServer, client: Any) -> None:
    """Half of the JSON, half of the answer and a page of HTML are what they are on the wire."""
    for broken in (Broken.TRUNCATED, Broken.CUT, Broken.HTML):
        ses.break_answers(HERE, broken)
    for _ in (Broken.TRUNCATED, Broken.CUT):
        # botocore takes what it cannot read for an answer without members.
        assert client.get_account().keys() == {"ResponseMetadata"}
    assert _error(client.get_account) == ("502", 502)
    assert client.get_account()["SendingEnabled"] is True


@pytest.mark.parametrize("after_effect", [False, True])
def test_hanging(ses: SesServer, client: Any, connect: Connect, after_effect: bool) -> None:
    """A request that hangs goes on when it may, before or after its effect, though nobody waits for it."""
    over = ses.hang(HERE, operation="CreateEmailIdentity", after_effect=after_effect)
    with pytest.raises(ReadTimeoutError):
        connect(read_timeout=0.1).create_email_identity(EmailIdentity=NAME)
    assert (NAME in ses.identities(HERE)) is after_effect
    client.get_account()
    over.set()
    until(lambda: NAME in ses.identities(HERE))
    client.create_email_identity(EmailIdentity="more.example.com")


def test_what_hangs_in_the_end_is_let_go() -> None:
    """Neither a request that hangs nor an idle connection keeps the server from ending."""
    with ThreadPoolExecutor(1) as pool:
        with SesServer() as ses:
            idle, hanging = _client(ses.url, THERE, 10), _client(ses.url, HERE, 10)
            idle.get_account()
            ses.hang(HERE)
            waiting = pool.submit(hanging.get_account)
            until(lambda: ses.calls(HERE))
        assert isinstance(waiting.exception(10), ConnectionClosedError)
    idle.close()
    hanging.close()


def test_killed_clients_go_unnoticed(ses: SesServer, client: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Clients that vanish within a request or before the answer leave no trace, and others are served."""
    over = ses.hang(HERE, operation="ListEmailIdentities")
    head = f"POST /v2/email/list-identities HTTP/1.1\r\nAuthorization: {_authorization(HERE)}\r\n"
    for rest in ("Content-Length: 2\r\n\r\n{}", "Content-Length: 10\r\n\r\n{", ""):
        vanishing = socket.create_connection(("127.0.0.1", int(ses.url.rpartition(":")[2])))
        vanishing.sendall(f"{head}{rest}".encode())
        if rest.endswith("{}"):
            until(lambda: ses.calls(HERE))
        # As the end of its process would, with what it has not read.
        vanishing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        vanishing.close()
    over.set()
    client.list_email_identities()
    assert ses.counts(HERE) == {"ListEmailIdentities": 2}
    assert capfd.readouterr() == ("", "")


# --- what it knows of itself --------------------------------------------------


def test_calls_are_counted(ses: SesServer, client: Any) -> None:
    """They are told in order with their identity, whatever was answered, until they are forgotten."""
    client.get_account()
    for _ in range(2):
        _error(lambda: client.get_email_identity(EmailIdentity="someone+x@example.com"))
    lost = Call("GetEmailIdentity", "someone+x@example.com")
    assert ses.calls(HERE) == [Call("GetAccount", ""), lost, lost]
    assert ses.counts(HERE) == {"GetAccount": 1, "GetEmailIdentity": 2}
    ses.reset_calls()
    assert (ses.calls(HERE), ses.errors(HERE)) == ([], {})


def test_connections_are_kept(ses: SesServer, client: Any) -> None:
    """Requests that follow one another share one connection, errors among them."""
    for _ in range(3):
        client.get_account()
        _error(lambda: client.get_email_identity(EmailIdentity=NAME))
    assert len(ses._http._open) == 1


@EACH
def test_every_response_is_validated(ses: SesServer, client: Any, name: str) -> None:
    """A good one is counted; one with a member too many would not pass."""
    ses.add(HERE, NAME)
    answer = _ask(client, name)
    assert ses.validated == {name: 1}
    del answer["ResponseMetadata"]
    asked = operation(name)
    asked.check_output(answer)
    with pytest.raises(MisfitError):
        asked.check_output({**answer, "Surprise": 1})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("GetEmailIdentity", {"VerifiedForSendingStatus": "false"}),
        ("GetEmailIdentity", {"DkimAttributes": {"Tokens": "abc"}}),
        ("GetEmailIdentity", {"DkimAttributes": {"Tokens": [1]}}),
        ("GetEmailIdentity", {"MailFromAttributes": {}}),
        ("GetEmailIdentity", {"Policies": {"a": 1}}),
        ("GetEmailIdentity", {"VerificationInfo": {"LastCheckedTimestamp": "now"}}),
        ("ListEmailIdentities", {"EmailIdentities": [{"VerificationStatus": "VERIFIED"}]}),
        ("ListEmailIdentities", {"EmailIdentities": [{"IdentityName": ""}]}),
        ("GetAccount", {"SendQuota": {"MaxSendRate": True}}),
        ("ListTagsForResource", {}),
        ("DeleteEmailIdentity", None),
    ],
)
def test_responses_that_are_wrong(name: str, wrong: object) -> None:
    """Types, values, lengths and members that must be there are looked at, at any depth."""
    with pytest.raises(MisfitError):
        operation(name).check_output(wrong)


def test_a_wrong_response_fails_the_test() -> None:
    """Who leaves the server is told of what it got wrong, and the client gets an error."""
    with pytest.raises(AssertionError, match="VERIFIED"):
        _expect_internal_error("list_email_identities")


def test_an_unknown_operation_fails_the_test() -> None:
    """So does a request that this server cannot answer as the service would."""
    with pytest.raises(AssertionError, match="no such operation"):
        _expect_internal_error("list_configuration_sets")


def test_a_full_region_is_listed_fast(ses: SesServer, client: Any) -> None:
    """10,000 identities are ten pages, each well within a second."""
    for number in range(10_000):
        ses.add(HERE, f"d{number}.example.com")
    times, pages = [time.perf_counter()], [client.list_email_identities(PageSize=1000)]
    while "NextToken" in pages[-1]:
        times.append(time.perf_counter())
        pages.append(client.list_email_identities(PageSize=1000, NextToken=pages[-1]["NextToken"]))
    times.append(time.perf_counter())
    assert len(pages) == 10
    assert max(after - before for before, after in pairwise(times)) < 1


def _expect_internal_error(method: str) -> None:
    """Call a server that has an identity of a status that there is not."""
    with SesServer() as ses, closing(_client(ses.url, HERE, 10)) as client:
        ses.add(HERE, NAME, status="VERIFIED")
        assert _error(getattr(client, method)) == ("InternalServerError", 500)


def _authorization(region: str) -> str:
    scope = f"AKIDEXAMPLE/20260101/{region}/ses/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
