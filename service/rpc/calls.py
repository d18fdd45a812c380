"""One call as every handler sees it: who and when it was, and how it ended."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Never

import grpc
import structlog

from service.core.errors import Reason, ServiceError
from service.rpc import errors
from service.rpc.methods import Deadline
from service.usecases.caller import Caller

_log = structlog.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]

REQUEST_ID_KEY = "x-request-id"
# What a context calls its code: a number, or None before there is one.
_CODES: dict[Any, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_SANE_ID = re.compile(r"[!-~]{1,128}")


@dataclass(slots=True)
class Call:
    """A call that runs, from its first moment to its one log line.

    Unary calls return their request id in the trailing metadata, since sending
    it ahead costs a fifth of a call's time; streams in the initial metadata;
    errors in the trailing metadata always.
    """

    method: str
    context: Context
    authorization: str | None
    started: float
    _request_id: str | None
    caller: Caller | None = None

    @classmethod
    def begin(cls, method: str, context: Context) -> "Call":
        """Return the call that a handler was just entered with."""
        asked = authorization = None
        # Typed as a mapping that only its client half is: here it is a tuple of pairs.
        metadata: Any = context.invocation_metadata()
        for key, value in metadata:
            if key == "authorization":
                authorization = value
            elif key == REQUEST_ID_KEY:
                asked = value
        if asked is not None and not _SANE_ID.fullmatch(asked):
            asked = None
        return cls(method, context, authorization, time.monotonic(), asked)

    @property
    def request_id(self) -> str:
        """The id that the caller gave, or one that is made when it is first asked for."""
        if self._request_id is None:
            self._request_id = _new_id()
        return self._request_id

    @property
    def identification(self) -> tuple[tuple[str, str], ...]:
        """What tells the caller the request id."""
        return ((REQUEST_ID_KEY, self.request_id),)

    def deadline(self) -> Deadline:
        """Return until when the caller waits."""
        remaining: float | None = self.context.time_remaining()
        return Deadline(None if remaining is None else time.monotonic() + remaining)

    def succeed(self) -> None:
        """Note that the call was answered."""
        _log.info("rpc_finished", **self._fields(grpc.StatusCode.OK))

    def answer(self) -> None:
        """Send the request id with the answer to a unary call, and note that it was answered."""
        self.context.set_trailing_metadata(self.identification)
        self.succeed()

    def answer_quietly(self) -> None:
        """Answer a unary call that leaves no log line: a request id that is made now would name nothing."""
        if self._request_id is not None:
            self.context.set_trailing_metadata(self.identification)

    def answer_noted(self) -> None:
        """Send the request id with the answer to a unary call that is logged only for debugging."""
        self.context.set_trailing_metadata(self.identification)
        self.note()

    async def fail(self, error: BaseException) -> Never:
        """Answer the call with what went wrong, and leave its handler.

        A caller that has gone gets no answer. What is not meant for callers is
        logged, and they get its request id.
        """
        match error:
            case asyncio.CancelledError():
                self.abandon()
                raise error
            case ServiceError():
                known = error
            case _:
                _log.error("rpc_failed", method=self.method, request_id=self.request_id, exc_info=error)
                known = errors.internal(self.request_id)
        status = errors.to_status(known)
        _log.info("rpc_finished", **self._fields(status.code, known.reason))
        details: tuple[str, bytes] = (errors.DETAILS_KEY, status.details)
        trailing: tuple[tuple[str, str | bytes], ...] = (*self.identification, details)
        await self.context.abort(status.code, status.message, trailing)

    def abandon(self) -> None:
        """Note that the caller has gone, or that its deadline passed."""
        is_late = self.context.time_remaining() == 0
        code = grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
        _log.info("rpc_finished", **self._fields(code))

    def note(self) -> None:
        """Note the end of a call that is of interest only for debugging."""
        code = _CODES.get(self.context.code(), grpc.StatusCode.OK)
        gone = self.context.cancelled()
        _log.debug("rpc_finished", **self._fields(grpc.StatusCode.CANCELLED if gone else code))

    def _fields(self, code: grpc.StatusCode, reason: Reason | None = None) -> dict[str, Any]:
        caller = self.caller
        return {
            "method": self.method,
            "code": code.name,
            "reason": reason,
            "duration_ms": round((time.monotonic() - self.started) * 1000, 2),
            "tenant": caller and caller.tenant,
            "key_id": caller and caller.key_id,
            "request_id": self.request_id,
            "peer": self.context.peer(),
        }


def quiet_end() -> Callable[[Call], None]:
    """Return how calls end that are too many to be logged: noted only where debug events are written."""
    return Call.answer_noted if _log.is_enabled_for(logging.DEBUG) else Call.answer_quietly


def _new_id() -> str:
    # The system's randomness would cost a call of it, and every waiting thread a turn.
    return f"{random.getrandbits(64):016x}"
