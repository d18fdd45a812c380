"""The way of every unary call: admitted, authenticated, answered on a thread."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from service.core.errors import Reason, ServiceError
from service.rpc.auth import Authenticator
from service.rpc.calls import Call, Context
from service.rpc.gathering import Gatherer
from service.rpc.limiter import Limiter
from service.rpc.methods import Deadline, Gathered, Pool, Unary
from service.usecases.caller import Caller

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

    def handler(self, name: str, method: Unary | Gathered) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Return the handler of the RPC with a full name.

        It takes and returns octets: gRPC's own parsing would answer a message
        that does not parse with INTERNAL, and would hold up the loop with a
        large one.
        """
        answered = self._together(method) if isinstance(method, Gathered) else self._alone(method)

        async def handle(octets: bytes, context: Context) -> bytes:
            call = Call.begin(name, context)
            try:
                with self.limiter.call():
                    caller = await self.authenticator.authenticate(call.authorization)
                    call.caller = caller
                    caller.require_scope(method.scope)
                    answer = await answered(_Asked(octets, caller, call.deadline()))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - `fail` tells them apart
                await call.fail(error)
            context.set_trailing_metadata(call.identification)
            call.succeed()
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

    def _together(self, method: Gathered) -> _Answer:
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
