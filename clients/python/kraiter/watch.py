"""Changes as they happen: streams of WatchStatus, one after the other."""

import threading
from collections.abc import Generator, Iterator
from typing import Any, Self

import grpc

from kraiter import errors
from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub
from kraiter.resumption import Resumption
from kraiter.transport import Access


class Watch:
    """Changes as they happen, in order, without gaps or duplicates, until closed.

    It resumes by itself after every end that resuming helps against. Keep
    `resume_token` to go on after a restart. Raises `OutOfRange` with the reason
    RESUME_TOKEN_EXPIRED when the changes since then are gone: watch again from
    the current state. A start with the current state that is cut off begins anew.
    """

    def __init__(self, stub: DomainServiceStub, access: Access, request: pb.WatchStatusRequest) -> None:
        self._stub = stub
        self._access = access
        self._resumption = Resumption(request)
        self._closed = threading.Event()
        self._call: Any = None
        self._failure: errors.Error | None = None

    @property
    def resume_token(self) -> str:
        """Where a later watch may go on: after every message whose successor was asked for."""
        return self._resumption.request.resume_token

    def close(self) -> None:
        """End the watch, also from another thread."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def __iter__(self) -> Generator[domain_pb.StatusEvent, None, None]:
        for message in self.messages():
            yield from message.events

    def messages(self) -> Generator[pb.WatchStatusResponse, None, None]:
        """Yield whole messages, bookmarks and the end of the initial state too."""
        for stream in self.streams():
            yield from stream

    def streams(self) -> Iterator[Generator[pb.WatchStatusResponse, None, None]]:
        """Yield each stream, to be read to its end; it is opened when its first message is asked for."""
        while not self._closed.is_set():
            self._failure = None
            yield self._stream()
            self._closed.wait(self._resumption.pause_after(self._failure))

    def _stream(self) -> Generator[pb.WatchStatusResponse, None, None]:
        self._call = self._stub.WatchStatus(self._resumption.request, metadata=self._access.metadata)
        try:
            # `close` may have come before there was a call to cancel.
            if self._closed.is_set():
                return
            for message in self._call:
                yield message
                self._resumption.note(message)
        except grpc.RpcError as error:
            if not self._closed.is_set():
                self._failure = errors.from_rpc_error(error)
        finally:
            self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
