"""Changes as they happen, for asyncio."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import grpc

from kraiter import errors
from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.resumption import Resumption
from kraiter.transport import Access

if TYPE_CHECKING:
    # Of the stubs' types alone: at run time there is one class for both.
    from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceAsyncStub


class Watch:
    """See `kraiter.watch.Watch`. Ends when its task is cancelled."""

    def __init__(
        self, stub: "DomainServiceAsyncStub", access: Access, request: pb.WatchStatusRequest
    ) -> None:
        self._stub = stub
        self._access = access
        self._resumption = Resumption(request)
        self._failure: errors.Error | None = None

    @property
    def resume_token(self) -> str:
        """See `kraiter.watch.Watch.resume_token`."""
        return self._resumption.request.resume_token

    async def __aiter__(self) -> AsyncGenerator[domain_pb.StatusEvent, None]:
        async with aclosing(self.messages()) as messages:
            async for message in messages:
                for event in message.events:
                    yield event

    async def messages(self) -> AsyncGenerator[pb.WatchStatusResponse, None]:
        """Yield whole messages, bookmarks and the end of the initial state too."""
        async for stream in self.streams():
            # A generator that is left alone ends some time later, and its call with it.
            async with aclosing(stream):
                async for message in stream:
                    yield message

    async def streams(self) -> AsyncGenerator[AsyncGenerator[pb.WatchStatusResponse, None], None]:
        """See `kraiter.watch.Watch.streams`."""
        while True:
            self._failure = None
            yield self._stream()
            await asyncio.sleep(self._resumption.pause_after(self._failure))

    async def _stream(self) -> AsyncGenerator[pb.WatchStatusResponse, None]:
        call = self._stub.WatchStatus(self._resumption.request, metadata=self._access.metadata)
        try:
            async for message in call:
                yield message
                self._resumption.note(message)
        except grpc.aio.AioRpcError as error:
            self._failure = errors.from_rpc_error(error)
        finally:
            call.cancel()
