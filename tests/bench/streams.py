"""Many streams that are read and counted, without parsing what they bring."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc

from tests.bench.processes import AUTHORIZATION

_STREAMS_A_CONNECTION = 100
_PATIENCE = 60.0

Method = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]


@dataclass(slots=True)
class Streams:
    """Open streams, and how many messages have come on all of them together."""

    channels: list[grpc.aio.Channel]
    received: int = 0
    newest: bytes = b""
    newest_time: float = 0.0
    """When it came, by `time.perf_counter`."""
    _awaited: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, received: int) -> None:
        """Wait until so many messages have come."""
        self._awaited = received
        if self.received < received:
            self._reached.clear()
            await asyncio.wait_for(self._reached.wait(), _PATIENCE)

    async def read(self, call: "grpc.aio.UnaryStreamCall[bytes, bytes]") -> None:
        """Read a stream to its end."""
        async for message in call:
            self.newest, self.newest_time = message, time.perf_counter()
            self.received += 1
            if self.received == self._awaited:
                self._reached.set()


@asynccontextmanager
async def opened(address: str, path: str, request: bytes, count: int) -> AsyncIterator[Streams]:
    """Open streams over several connections. Each begins with one message, which has come."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
            )
            for _ in range(0, count, _STREAMS_A_CONNECTION)
        ]
        streams = Streams(channels)
        readers = []
        for number in range(count):
            method: Method = channels[number // _STREAMS_A_CONNECTION].unary_stream(path)
            readers.append(asyncio.create_task(streams.read(method(request, metadata=AUTHORIZATION))))
            if number % _STREAMS_A_CONNECTION == 0:
                # A few at a time: the server takes only so many calls at once.
                await streams.until(number)
        await streams.until(count)
        yield streams
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
