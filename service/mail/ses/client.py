"""The SES v2 API of one region: paced, bounded in time, its errors made ours."""

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from service.core.errors import Reason, ServiceError
from service.core.pacing import patience
from service.mail.ses.breaker import Breaker
from service.mail.ses.bucket import Bucket, FullError
from service.mail.ses.codes import NOT_ALLOWED, NOT_KNOWN, THROTTLED, code_of, is_trouble_of_aws
from service.mail.ses.connection import Connection, NotConnectedError

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_ANSWERS = frozenset({"AlreadyExistsException", "BadRequestException", "NotFoundException"})
"""Refusals that say how things stand: their caller knows what to make of them."""
_MARGIN = 1.05
"""How much slower requests are made than they may: not all take the same time to get there."""
_ATTEMPTS = 3
"""How often a caller's request is made where SES does not answer it."""
_LEAST_TIME = 0.25
"""For an answer, in seconds. With less a request would only be sent to be given up."""
_THREADS = 4
"""For requests under way in one region. They seldom overlap; where the region hangs, others wait in vain."""


class RefusedError(Exception):
    """SES has refused a request for a reason that says how things stand."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _NoAnswerError(Exception):
    """SES did not answer, or not understandably. Whether it has done what was asked is not known."""

    def __init__(self, text: str, *, had_time: bool = True) -> None:
        super().__init__(text)
        self.had_time = had_time
        """Whether it was given the time to: not by callers that are in a hurry."""


def connect(region: str, *, endpoint_url: str | None, timeout: timedelta) -> Any:
    """Return boto3's client of a region, which asks once, and waits `timeout` for an answer.

    Credentials are found as boto3 finds them (Boto3 documentation, "Credentials").
    """
    seconds = timeout.total_seconds()
    config = Config(
        connect_timeout=seconds,
        read_timeout=seconds,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=_THREADS,
    )
    return boto3.Session().client("sesv2", region_name=region, endpoint_url=endpoint_url, config=config)


class RegionClient:
    """Calls the API of one region."""

    def __init__(
        self, region: str, connect: Callable[[str], Any], *, rate: float, timeout: timedelta
    ) -> None:
        """Take the region, what makes its client, and how many requests a second it takes.

        A request is given up after `timeout`. Nothing is connected yet.
        """
        self._region = region
        self._connection = Connection(partial(connect, region))
        self._bucket = Bucket(rate / _MARGIN)
        self._breaker = Breaker()
        self._timeout = timeout.total_seconds()
        self._patience = patience(rate, timeout).total_seconds()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"ses-{region}")

    def call(
        self,
        operation: str,
        read: Callable[[Mapping[str, Any]], T],
        *,
        until: float | None,
        **parameters: Any,
    ) -> T:
        """Make a request and return what `read` makes of the answer.

        `operation` is a method of boto3's client. `until` is a moment of the
        monotonic clock until when somebody waits; None where nobody does: then
        it is tried once, soon. It is not made without the time for an answer.

        Raises:
            RefusedError: SES says how things stand instead.
            ServiceError: PROVIDER_LIMIT, PROVIDER_UNAVAILABLE.

        """
        in_background = until is None
        if until is None:
            turn_by = time.monotonic() + self._patience
            deadline, attempts = turn_by + self._timeout, 1
        else:
            turn_by = until - min(_LEAST_TIME, self._timeout)
            deadline, attempts = until, _ATTEMPTS
        request = partial(self._connection.ask, operation, parameters)
        while True:
            try:
                self._wait_for_turn(turn_by, in_background=in_background)
                answer = self._ask(request, read, deadline)
            except FullError as full:
                raise self._limit(full.retry_after) from full
            except NotConnectedError as error:
                _log.error("ses_not_connected", region=self._region, operation=operation, error=str(error))
                raise self._unavailable() from error
            except ClientError as error:
                self._breaker.note_answer()
                self._judge(operation, code_of(error), error, in_background=in_background)
            except _NoAnswerError as error:
                _log.warning("ses_silent", region=self._region, operation=operation, error=str(error))
                if error.had_time:
                    self._breaker.note_silence()
                attempts -= 1
                pause = random.uniform(0.05, 0.3)  # noqa: S311 - jitter, no secret
                if not attempts or time.monotonic() + pause >= turn_by:
                    raise self._unavailable() from error
                time.sleep(pause)  # what made it stumble may be over by then
            else:
                self._breaker.note_answer()
                self._bucket.speed_up()
                return answer

    def _wait_for_turn(self, until: float, *, in_background: bool) -> None:
        """Wait until a request may be made.

        Work in the background tries also while the region is believed to be
        down: it is how that is found to be over.

        Raises:
            FullError: it may not be made in time.
            ServiceError: PROVIDER_UNAVAILABLE.

        """
        if self._breaker.is_open and not in_background:
            raise self._unavailable()
        self._bucket.take(until, background=in_background)
        # Others may have found out meanwhile.
        if self._breaker.is_open and not in_background:
            raise self._unavailable()

    def close(self) -> None:
        """Send away who waits for a turn; requests under way end by themselves."""
        self._bucket.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(
        self,
        request: Callable[..., Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], T],
        deadline: float,
    ) -> T:
        """Make a request in another thread: boto3 cannot be told that its time is up."""
        now = time.monotonic()
        patience = min(deadline - now, 2 * self._timeout)
        asked = self._threads.submit(_answer, partial(request, until=now + patience), read)
        try:
            return asked.result(patience)
        except LateError as late:
            asked.cancel()
            raise _NoAnswerError("in time", had_time=patience > self._timeout) from late

    def _judge(self, operation: str, code: str, error: ClientError, *, in_background: bool) -> None:
        """Return where the request is to be made again; raise what it came to otherwise."""
        if code in _ANSWERS:
            raise RefusedError(code) from error
        if code in THROTTLED:
            self._bucket.slow_down()
            if in_background:
                raise self._limit(timedelta(seconds=1)) from error
            return
        if code == "LimitExceededException":
            raise ServiceError(
                Reason.PROVIDER_LIMIT,
                f"Amazon SES in {self._region} has no room for another identity",
                metadata={"region": self._region},
                retry_after=timedelta(hours=1),
            ) from error
        if code in NOT_ALLOWED | NOT_KNOWN:
            _log.error("ses_refuses_credentials", region=self._region, operation=operation, code=code)
        else:
            _log.warning("ses_refused", region=self._region, operation=operation, code=code)
        raise self._unavailable() from error

    def _limit(self, retry_after: timedelta) -> ServiceError:
        return ServiceError(
            Reason.PROVIDER_LIMIT,
            f"Amazon SES in {self._region} takes no more requests for now",
            metadata={"region": self._region},
            retry_after=retry_after,
        )

    def _unavailable(self) -> ServiceError:
        return ServiceError(
            Reason.PROVIDER_UNAVAILABLE,
            f"Amazon SES in {self._region} cannot be asked now",
            metadata={"region": self._region},
        )


def _answer(request: Callable[[], Mapping[str, Any]], read: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return read(request())
    except ClientError as error:
        if is_trouble_of_aws(error):
            raise _NoAnswerError(code_of(error)) from error
        raise
    except (BotoCoreError, ResponseParserError, LookupError, TimeoutError, TypeError, ValueError) as error:
        # An answer without what it has to have comes here, too.
        raise _NoAnswerError(type(error).__name__) from error
