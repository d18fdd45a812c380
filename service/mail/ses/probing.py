"""Asks AWS for something in order to see whether it may be asked."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any, NamedTuple

import boto3
import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from service.core.diagnosis import Diagnosis, failure, ok, warning
from service.mail.ses.codes import NOT_ALLOWED, NOT_KNOWN, THROTTLED, code_of, is_trouble_of_aws

_TRIES = 5
_PAUSE = 1.0
_CREDENTIALS = "credentials"
_CREDENTIAL_TRIES = 2
_ADVICE = {
    "AWS.SimpleQueueService.NonExistentQueue": "look at KRAITER_SES_EVENT_QUEUES",
    "QueueDoesNotExist": "look at KRAITER_SES_EVENT_QUEUES",
    "InvalidAddress": "look at KRAITER_SES_EVENT_QUEUES",
    "OptInRequired": "sign the account up for the service",
    "SubscriptionRequiredException": "sign the account up for the service",
}


class Stopped(Exception):  # noqa: N818 - no error: the rest cannot be looked at
    """Whoever cannot be asked cannot be asked for more."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__()
        self.diagnosis = diagnosis


class Asked(NamedTuple):
    """What came of a request."""

    answer: Mapping[str, Any]
    """Empty where it was no success."""
    is_allowed: bool = True
    """Whether it was let through, whatever came of it then."""


def permission(action: str, asked: Asked, where: str) -> Diagnosis:
    """Return whether an action was allowed, given what came of it."""
    if asked.is_allowed:
        return ok(action, f"allowed {where}")
    return failure(action, f"not allowed {where}", "allow it: the README has the policy")


def examine_credentials(region: str, timeout: timedelta) -> Diagnosis:
    """Return whether boto3 finds any, and is given them where it has to ask: those of a role, say.

    It asks in `region`, and waits `timeout` for an answer.
    """
    seconds = timeout.total_seconds()
    session = botocore.session.get_session()
    session.set_default_client_config(
        Config(
            connect_timeout=seconds,
            read_timeout=seconds,
            retries={"mode": "standard", "total_max_attempts": _CREDENTIAL_TRIES},
        )
    )
    try:
        found = boto3.Session(botocore_session=session, region_name=region).get_credentials()
        if found is not None:
            found.get_frozen_credentials()
    except ClientError as error:
        return _withheld(error)
    except (BotoCoreError, ResponseParserError, OSError, LookupError, ValueError) as error:
        # Of files that are not there, too, and of nonsense in them or in answers.
        return failure(
            _CREDENTIALS,
            f"cannot be read ({type(error).__name__})",
            "mend the AWS configuration, or the network to where it gets them",
        )
    if found is None:
        return failure(
            _CREDENTIALS, "none found", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a role"
        )
    return ok(_CREDENTIALS, f"found ({found.method})")


def examine_by(
    connect: Callable[[], Any], subject: str, examine: Callable[[Any], Iterator[Diagnosis]]
) -> Iterator[Diagnosis]:
    """Yield what an examination by a client says, or why there is no client."""
    try:
        client = connect()
    except (BotoCoreError, ValueError) as error:
        yield failure(subject, f"cannot be asked ({type(error).__name__})", "mend the AWS configuration")
        return
    with closing(client):
        yield from examine(client)


def ask(
    client: Any,
    action: str,
    subject: str,
    *,
    ends: Collection[str] = (),
    pause: Callable[[float], None] = time.sleep,
    **parameters: Any,
) -> Asked:
    """Make a request to AWS, again and again while there are too many.

    `ends` are the codes that it may end with, beside success, where it is allowed.

    Raises:
        Stopped: it came to anything else than these and a lack of permission.

    """
    for _ in range(_TRIES):
        try:
            return Asked(getattr(client, xform_name(action))(**parameters))
        except ClientError as error:
            code = code_of(error)
            if error.operation_name != action:
                raise Stopped(_withheld(error)) from error
            if code in NOT_ALLOWED:
                return Asked({}, is_allowed=False)
            if code in ends:
                return Asked({})
            if code not in THROTTLED:
                raise Stopped(_unexpected(subject, error)) from error
            pause(_PAUSE)
        except (BotoCoreError, ResponseParserError) as error:
            raise Stopped(
                failure(
                    subject, f"does not answer ({type(error).__name__})", "look at the network and region"
                )
            ) from error
    raise Stopped(warning(subject, "takes no more requests for now", "try again in a minute"))


def _withheld(error: ClientError) -> Diagnosis:
    """Return that credentials were asked for and not given: by STS or SSO."""
    is_role = error.operation_name.startswith("AssumeRole")
    advice = "look at the role's trust policy, and at what it is assumed with" if is_role else "log in again"
    return _answered(_CREDENTIALS, error, advice)


def _unexpected(subject: str, error: ClientError) -> Diagnosis:
    code = code_of(error)
    if code in NOT_KNOWN:
        return failure(subject, f"refuses the credentials ({code})", "give others, or mend the clock")
    return _answered(subject, error, _ADVICE.get(code, "look that up in AWS's documentation"))


def _answered(subject: str, error: ClientError, advice: str) -> Diagnosis:
    return failure(
        subject,
        f"{error.operation_name} answered {code_of(error)}",
        "the trouble is at AWS: try again in some minutes" if is_trouble_of_aws(error) else advice,
    )
