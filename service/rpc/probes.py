"""What needs no key and counts against no limit: health and reflection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeAlias

import grpc
import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio as reflection

from service.core.errors import ServiceError
from service.rpc.calls import Call, Context

_log = structlog.get_logger(__name__)

# Quoted: generic to the type checker alone.
Handlers: TypeAlias = "Mapping[str, grpc.RpcMethodHandler[Any, Any]]"

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""The messages of both versions are the same on the wire; only v1alpha has stubs."""

_PING_SECONDS = 1.0
_PATIENCE_SECONDS = 3.0
_SET_SECONDS = 1.0

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Serves `grpc.health.v1`: NOT_SERVING while the database does not answer."""

    def __init__(self, services: Sequence[str], ping: Callable[[], None]) -> None:
        """Take the names of the services, and what returns when the database answers."""
        self._names = ("", *services)
        self._ping = ping
        self._servicer = health.HealthServicer()
        # One thread: a ping that hangs keeps the next from being tried.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._pinging: Future[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._is_serving: bool | None = None

    async def start(self) -> None:
        """Ping once, and from then on."""
        await self._look()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Turn NOT_SERVING for good."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self._set(_NOT_SERVING)

    def handlers(self) -> Handlers:
        """Return the handlers of the service's RPCs."""
        read, write = health_pb2.HealthCheckRequest.FromString, _serialized
        check = _observed(f"{HEALTH}/Check", self._servicer.Check)
        watch = _observed(f"{HEALTH}/Watch", self._servicer.Watch)
        return {
            "Check": grpc.unary_unary_rpc_method_handler(check, read, write),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, read, write),
        }

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_PING_SECONDS)
            await self._look()

    async def _look(self) -> None:
        is_serving = await self._is_database_there()
        if is_serving is self._is_serving:
            return
        self._is_serving = is_serving
        _log.info("health_changed", serving=is_serving)
        status = _SERVING if is_serving else _NOT_SERVING
        await self._set(status)

    async def _set(self, status: int) -> None:
        await asyncio.gather(*(_bounded(self._servicer.set(name, status)) for name in self._names))

    async def _is_database_there(self) -> bool:
        if self._pinging is None or self._pinging.done():
            self._pinging = self._thread.submit(self._ping)
        pinging = asyncio.wrap_future(self._pinging)
        # It may fail after nobody waits for it any more: that is no news.
        pinging.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await asyncio.shield(pinging)
        except (ServiceError, TimeoutError):
            return False
        except Exception:  # noqa: BLE001 - whatever it was, the database is of no use
            _log.exception("ping_failed")
            return False
        return True


def reflection_handlers(services: Sequence[str]) -> Handlers:
    """Return the handlers of server reflection, for each of its versions."""
    servicer = reflection.ReflectionServicer((*services, HEALTH, *REFLECTIONS))

    async def answer(
        questions: AsyncIterator[reflection_pb2.ServerReflectionRequest], context: Context
    ) -> None:
        # The stubs take the generator for a coroutine.
        responses: Any = servicer.ServerReflectionInfo(questions, context)
        async for response in responses:
            await context.write(response)

    handler = grpc.stream_stream_rpc_method_handler(
        _observed("grpc.reflection/ServerReflectionInfo", answer),
        reflection_pb2.ServerReflectionRequest.FromString,
        _serialized,
    )
    return {"ServerReflectionInfo": handler}


def _observed(
    name: str, behaviour: Callable[[Any, Context], Awaitable[Any]]
) -> Callable[[Any, Context], Awaitable[Any]]:
    async def handle(request: Any, context: Context) -> Any:
        call = Call.begin(name, context)
        context.set_trailing_metadata(call.identification)
        try:
            return await behaviour(request, context)
        finally:
            call.note()

    return handle


def _serialized(message: Any) -> bytes:
    octets: bytes = message.SerializeToString()
    return octets


async def _bounded(change: Awaitable[None]) -> None:
    # The servicer holds a lock while it writes to each of its watchers, and
    # one that does not read would stop it for ever.
    with suppress(TimeoutError):
        await asyncio.wait_for(change, _SET_SECONDS)
