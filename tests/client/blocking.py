"""The asyncio client, used as the other one is: the same tests hold for both."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import kraiter.aio

_PATIENCE = 30.0


class Blocking:
    """An object of the asyncio client whose methods wait for what they would have awaited."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.inner = inner
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return Blocking(found, self._loop)

        def call(*args: Any, **options: Any) -> Any:
            async def run() -> Any:
                result = found(*args, **options)
                if inspect.isasyncgen(result):
                    return iter([item async for item in result])
                return await result if inspect.isawaitable(result) else result

            result = asyncio.run_coroutine_threadsafe(run(), self._loop).result(_PATIENCE)
            return Blocking(result, self._loop) if isinstance(result, kraiter.aio.SendGate) else result

        return call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give a loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="client-loop")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def aio_client(address: str, key: str, loop: asyncio.AbstractEventLoop, **options: Any) -> Blocking:
    """Return a client that lives on the loop."""

    async def make() -> kraiter.aio.Client:
        return kraiter.aio.Client(address, key, **options)

    return Blocking(asyncio.run_coroutine_threadsafe(make(), loop).result(_PATIENCE), loop)
