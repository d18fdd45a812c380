"""The gRPC server of a process: put together, started, and stopped in order."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_channelz.v1 import channelz

from service import ports
from service.rpc import domain_service, probes, sending_service
from service.rpc.auth import Authenticator
from service.rpc.limiter import Limiter
from service.rpc.methods import Method, Pool
from service.rpc.unary import UnaryCalls
from service.rpc.watching import WatchCalls
from service.usecases import UseCases
from service.watch import Hub

LARGEST_REQUEST = 4 * 1024 * 1024
"""In octets; gRPC itself refuses more, with RESOURCE_EXHAUSTED."""

SERVICES = (domain_service.NAME, sending_service.NAME)

_FLUSH_SECONDS = 0.25
"""For what was answered last to leave; then health watchers are cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcConfig:
    """Where and how the server serves. Times in seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any free one."""
    threads: int = 8
    """Threads that answer unary calls."""
    waiting_threads: int = 64
    """Threads for VerifyDomain, which mostly waits."""
    max_calls: int = 500
    """Unary calls at once. gRPC's core queues 1,000 and then cancels."""
    max_streams: int = 20_000
    max_streams_per_key: int = 10_000
    channelz: bool = False
    """Whether to answer questions about connections, which need no key."""
    keepalive: float = 30.0
    """How often a quiet connection is pinged."""
    min_ping_interval: float = 10.0
    """How often a client may ping."""
    max_connection_age: float = 1800.0
    """When clients are asked to connect anew, and find new replicas; gRPC adds 10 % jitter."""
    max_connection_grace: float = 2400.0
    """How long calls on an old connection may go on: longer than streams live, so that none is cut."""


class RpcServer:
    """Serves the contract, health and reflection. Lives on the event loop."""

    def __init__(
        self,
        *,
        usecases: UseCases,
        hub: Hub,
        keys: ports.KeyStore,
        clock: ports.Clock,
        ping: Callable[[], None],
        config: RpcConfig,
    ) -> None:
        """Take what it serves. Called on the event loop; `ping` returns when the database answers."""
        self._config = config
        self._hub = hub
        self._limiter = Limiter(
            calls=config.max_calls, streams=config.max_streams, streams_per_key=config.max_streams_per_key
        )
        self._authenticator = Authenticator(keys, clock)
        self._executors = {
            Pool.CALLS: ThreadPoolExecutor(config.threads, thread_name_prefix="rpc"),
            Pool.WAITING: ThreadPoolExecutor(config.waiting_threads, thread_name_prefix="rpc-wait"),
        }
        self._health = probes.Health(SERVICES, ping)
        self._server = grpc.aio.server(options=_options(config))
        self._add_services(usecases)
        if config.channelz:
            channelz.add_channelz_servicer(self._server)

    async def start(self) -> int:
        """Begin to serve, and return the port.

        Raises:
            OSError: the address cannot be listened on.

        """
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        address = f"{host}:{self._config.port}"
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}") from error
        self._authenticator.start()
        await self._health.start()
        await self._server.start()
        return port

    async def stop(self, grace: float) -> None:
        """Stop in order, within about `grace` seconds and a few for the streams.

        Health says NOT_SERVING, new calls are refused with SHUTTING_DOWN,
        streams end with a last bookmark, running calls finish.
        """
        deadline = time.monotonic() + grace
        self._limiter.close()
        await self._health.stop()
        await self._hub.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._limiter.idle(), max(deadline - time.monotonic(), 0.0))
        await self._server.stop(_FLUSH_SECONDS)
        await self._authenticator.stop()
        await self._end_threads(max(deadline - time.monotonic(), 0.0))

    def _add_services(self, usecases: UseCases) -> None:
        unary = UnaryCalls(self._limiter, self._authenticator, self._executors)
        watch = WatchCalls(
            self._limiter,
            self._authenticator,
            self._executors[Pool.CALLS],
            usecases.watch_status,
            self._hub,
        )
        watch_status = {"WatchStatus": watch.handler(f"{domain_service.NAME}/WatchStatus")}
        # Looked through in this order for every call: what is called most stands first.
        self._add(sending_service.NAME, _unary(unary, sending_service.NAME, sending_service.unary(usecases)))
        self._add(domain_service.NAME, _unary(unary, domain_service.NAME, domain_service.unary(usecases)))
        self._add(domain_service.NAME, watch_status)
        self._add(probes.HEALTH, self._health.handlers())
        for name in probes.REFLECTIONS:
            self._add(name, probes.reflection_handlers(SERVICES))

    def _add(self, service: str, handlers: probes.Handlers) -> None:
        # Not as registered methods: on asyncio every call would pass by the tasks that wait for all of them.
        handler = grpc.method_handlers_generic_handler(service, dict(handlers))
        self._server.add_generic_rpc_handlers((handler,))

    async def _end_threads(self, patience: float) -> None:
        """Wait for work whose callers have gone: what it began it also ends."""

        def end() -> None:
            for executor in self._executors.values():
                executor.shutdown(cancel_futures=True)

        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(end), patience)


def _unary(calls: UnaryCalls, service: str, methods: Mapping[str, Method]) -> probes.Handlers:
    return {name: calls.handler(f"{service}/{name}", method) for name, method in methods.items()}


def _options(config: RpcConfig) -> list[tuple[str, Any]]:
    return [
        # Or a second server would take half of the first one's connections.
        ("grpc.so_reuseport", 0),
        ("grpc.enable_channelz", int(config.channelz)),
        ("grpc.max_receive_message_length", LARGEST_REQUEST),
        ("grpc.keepalive_time_ms", _milliseconds(config.keepalive)),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(config.min_ping_interval)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_age_ms", _milliseconds(config.max_connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(config.max_connection_grace)),
    ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
