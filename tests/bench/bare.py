"""The baseline: a server on the same stack that does nothing.

`python -m tests.bench.bare` serves `grpc.aio` on uvloop with handlers that take
and return ready bytes, and prints its address.
"""

import asyncio

import grpc
import uvloop

NO_OP = "/bench.Bare/NoOp"
"""Answers with the bytes it got."""
WATCH = "/bench.Bare/Watch"
"""Streams what is published from now on. Begins with an empty message."""
PUBLISH = "/bench.Bare/Publish"
"""Sends the bytes it got to every open stream."""

Context = grpc.aio.ServicerContext[bytes, bytes]
Method = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
"""A unary call without parsing."""


class Board:
    """The newest message, and everyone who waits for the next."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._newest = b""

    def publish(self, message: bytes) -> None:
        """Hand a message to everyone who waits."""
        self._newest = message
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def next(self) -> bytes:
        """Wait for the next message."""
        await self._changed.wait()
        return self._newest


async def serve() -> None:
    """Serve until killed."""
    board = Board()

    async def no_op(octets: bytes, _context: Context) -> bytes:
        return octets

    async def publish(octets: bytes, _context: Context) -> bytes:
        board.publish(octets)
        return b""

    async def watch(_octets: bytes, context: Context) -> None:
        await context.write(b"")
        while True:
            await context.write(await board.next())

    server = grpc.aio.server()
    server.add_registered_method_handlers(
        "bench.Bare",
        {
            "NoOp": grpc.unary_unary_rpc_method_handler(no_op),
            "Publish": grpc.unary_unary_rpc_method_handler(publish),
            "Watch": grpc.unary_stream_rpc_method_handler(watch),
        },
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve())
