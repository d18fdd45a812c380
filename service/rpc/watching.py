"""The way of a WatchStatus call: admitted, authenticated, then fed by the hub."""

import asyncio
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass

import grpc
from kraiter.domains.v1 import domain_service_pb2 as pb
from structlog.contextvars import bind_contextvars

from service.core.errors import ServiceError
from service.core.keys import Scope
from service.rpc import requests
from service.rpc.auth import Authenticator
from service.rpc.calls import Call, Context
from service.rpc.limiter import Limiter
from service.rpc.unary import parsed
from service.usecases.caller import Caller
from service.usecases.watch_status import Subscription, WatchStatus
from service.watch import Hub

_END_PATIENCE = 0.25
"""Seconds that a stream has for its last messages once its key is invalid."""


@dataclass(frozen=True, slots=True)
class WatchCalls:
    """Makes the handler of WatchStatus."""

    limiter: Limiter
    authenticator: Authenticator
    executor: Executor
    watch_status: WatchStatus
    hub: Hub

    def handler(self, name: str) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Return the handler of the RPC with a full name. It passes octets through."""

        async def handle(octets: bytes, context: Context) -> None:
            call = Call.begin(name, context)
            bind_contextvars(request_id=call.request_id)
            try:
                with self.limiter.stream():
                    caller = await self.authenticator.authenticate(call.authorization)
                    call.caller = caller
                    caller.require_scope(Scope.DOMAINS_READ)
                    with self.limiter.stream_of(caller.key_id):
                        await self._deliver(octets, call, caller)
            except grpc.aio.InternalError as error:
                # A cancel that meets a blocked write shows as this.
                call.abandon()
                raise asyncio.CancelledError from error
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - `fail` tells them apart
                await call.fail(error)
            call.succeed()

        return grpc.unary_stream_rpc_method_handler(handle)

    async def _deliver(self, octets: bytes, call: Call, caller: Caller) -> None:
        def subscribe() -> Subscription:
            return self.watch_status(caller, requests.watch_query(parsed(pb.WatchStatusRequest, octets)))

        loop = asyncio.get_running_loop()
        subscription = await loop.run_in_executor(self.executor, copy_context().run, subscribe)
        stream = self.hub.stream(subscription)
        handler = asyncio.current_task()

        def end(error: ServiceError) -> None:
            stream.end(error)
            # A reader that has stalled would never be told.
            if handler is not None:
                loop.call_later(_END_PATIENCE, handler.cancel)

        await call.context.send_initial_metadata(call.identification)
        with self.authenticator.watching(caller.key_id, end):
            await stream.deliver(call.context.write)
