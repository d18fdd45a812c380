"""Asks AWS for something in order to see whether it may be asked."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from service.core.diagnosis import Diagnosis, failure, ok, warning
from service.mail.ses.codes import NOT_ALLOWED, NOT_KNOWN, THROTTLED

_TRIES = 5
_PAUSE = 1.0


class Stopped(Exception):  # noqa: N818 - no error: the rest cannot be looked at
    """Whoever cannot be asked cannot be asked for more."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__()
        self.diagnosis = diagnosis


class Asked(NamedTuple):
    """What came of a request."""

    answer: Mapping[str, Any]
    refusal: str = ""
    """The code of the error, where there was one."""

    @property
    def is_allowed(self) -> bool:
        """Whether it was let through, whatever came of it then."""
        return self.refusal not in NOT_ALLOWED


def permission(action: str, asked: Asked, where: str) -> Diagnosis:
    """Return whether an action was allowed, given what came of it."""
    if asked.is_allowed:
        return ok(action, f"allowed {where}")
    return failure(action, f"not allowed {where}", "allow it: the README has the policy")


def examine_credentials() -> Diagnosis:
    """Return whether boto3 finds any."""
    try:
        found = boto3.Session().get_credentials()
    except BotoCoreError as error:
        return failure(
            "credentials", f"cannot be read ({type(error).__name__})", "mend the AWS configuration"
        )
    if found is None:
        return failure(
            "credentials", "none found", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a role"
        )
    return ok("credentials", f"found ({found.method})")


def ask(
    request: Callable[[], Mapping[str, Any]], subject: str, *, pause: Callable[[float], None] = time.sleep
) -> Asked:
    """Make a request to AWS, again and again while there are too many.

    Raises:
        Stopped: nobody answers, or does not know us.

    """
    for _ in range(_TRIES):
        try:
            return Asked(request())
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in NOT_KNOWN:
                raise Stopped(
                    failure(subject, f"refuses the credentials ({code})", "give others, or mend the clock")
                ) from error
            if code not in THROTTLED:
                return Asked({}, code)
            pause(_PAUSE)
        except BotoCoreError as error:
            raise Stopped(
                failure(
                    subject, f"does not answer ({type(error).__name__})", "look at the network and region"
                )
            ) from error
    raise Stopped(warning(subject, "takes no more requests for now", "try again in a minute"))
