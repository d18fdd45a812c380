"""The way of every unary call: admitted, authenticated, answered on a thread."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from structlog.contextvars import bind_contextvars

from service.core.errors import Reason, ServiceError
from service.rpc.auth import Authenticator
from service.rpc.calls import Call, Context, quiet_end
from service.rpc.gathering import Gatherer
from service.rpc.limiter import Limiter
from service.rpc.methods import AtOnce, Deadline, Gathered, Method, Pool, Unary
from service.usecases.caller import Caller

_LARGEST_ON_LOOP = 32 * 1024
"""Octets of a request that the event loop looks at: parsing a larger one would hold up all others."""

_Request = TypeVar("_Request", bound=Message)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An admitted call that waits for its answer."""

    octets: bytes
    caller: Caller
    deadline: Deadline


_Answer = Callable[[_Asked], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class UnaryCalls:
    """Makes handlers of unary RPCs."""

    limiter: Limiter
    authenticator: Authenticator
    executors: Mapping[Pool, Executor]

    def handler(self, name: str, method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Return the handler of the RPC with a full name.

        It takes and returns octets: gRPC's own parsing would answer a message
        that does not parse with INTERNAL, and would hold up the loop with a
        large one.
        """
        from_memory = method.from_memory if isinstance(method, AtOnce) else None
        answered = self._alone(method) if isinstance(method, Unary) else self._together(method)
        finish = Call.answer if from_memory is None else quiet_end()
        counted = self.limiter.call()

        async def handle(octets: bytes, context: Context) -> bytes:
            call = Call.begin(name, context)
            try:
                with counted:
                    key = call.authorization
                    caller = self.authenticator.known(key) or await self.authenticator.authenticate(key)
                    call.caller = caller
                    caller.require_scope(method.scope)
                    answer = None
                    if from_memory is not None and len(octets) <= _LARGEST_ON_LOOP:
                        answer = from_memory(octets, caller)
                    if answer is None:
                        bind_contextvars(request_id=call.request_id)  # for what is logged on the way
                        answer = await answered(_Asked(octets, caller, call.deadline()))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - `fail` tells them apart
                await call.fail(error)
            finish(call)
            return answer

        return grpc.unary_unary_rpc_method_handler(handle)

    def _alone(self, method: Unary) -> _Answer:
        def work(asked: _Asked) -> bytes:
            request = _begun(method.request, asked)
            return method.answer(request, asked.caller, asked.deadline).SerializeToString()

        async def answer(asked: _Asked) -> bytes:
            # Work that waits for a thread is dropped when the call is cancelled.
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.executors[method.pool], copy_context().run, work, asked)

        return answer

    def _together(self, method: Gathered | AtOnce) -> _Answer:
        def work(batch: Sequence[_Asked]) -> Sequence[bytes | ServiceError]:
            requests = [_begun_or_refused(method.request, asked) for asked in batch]
            begun = [
                (request, asked.caller)
                for request, asked in zip(requests, batch, strict=True)
                if not isinstance(request, ServiceError)
            ]
            answers = iter(method.answer(begun))
            return [request if isinstance(request, ServiceError) else next(answers) for request in requests]

        return Gatherer(self.executors[Pool.CALLS], work).answer


def _begun(kind: type[_Request], asked: _Asked) -> _Request:
    asked.deadline.require_time()
    return parsed(kind, asked.octets)


def _begun_or_refused(kind: type[_Request], asked: _Asked) -> _Request | ServiceError:
    try:
        return _begun(kind, asked)
    except ServiceError as error:
        return error


def parsed(kind: type[_Request], octets: bytes) -> _Request:
    """Return the message that octets stand for.

    Raises:
        ServiceError: INVALID_FIELD for octets that are none, also for strings
            in other than UTF-8.

    """
    try:
        return kind.FromString(octets)
    except DecodeError as error:
        name = kind.DESCRIPTOR.full_name
        raise ServiceError(
            Reason.INVALID_FIELD, f"the request is not a well-formed {name}", metadata={"message": name}
        ) from error
