"""The client for programs without asyncio."""

import threading
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from kraiter import errors, requests
from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub
from kraiter.resumption import Resumption
from kraiter.transport import DEFAULT_TIMEOUT, OPTIONS, Access

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Client:
    """A connection to the service, safe to share between threads.

    `timeout` is how long each call may take, in seconds. Calls that can be
    repeated without harm are, while the service is unavailable.
    """

    def __init__(
        self,
        target: str,
        key: str,
        *,
        secure: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        access = Access.of(target, key, secure=secure, credentials=credentials)
        if access.credentials is None:
            self.channel = grpc.insecure_channel(target, OPTIONS)
        else:
            self.channel = grpc.secure_channel(target, access.credentials, OPTIONS)
        self.domains = Domains(self.channel, access, timeout)

    def close(self) -> None:
        """End every call and close the connection."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Domains:
    """The tenant's domains. Every method raises `kraiter.Error`."""

    def __init__(self, channel: grpc.Channel, access: Access, timeout: float) -> None:
        self._stub = DomainServiceStub(channel)
        self._access = access
        self._timeout = timeout

    def create(self, domain: str, **options: Unpack[requests.CreateOptions]) -> domain_pb.Domain:
        """Register a domain, and return it with the records to publish."""
        return self._call(self._stub.CreateDomain, requests.create(domain, options))

    def get(self, domain: str, *, min_revision: int = 0) -> domain_pb.Domain:
        """Return a domain, at least as fresh as `min_revision`."""
        request = pb.GetDomainRequest(domain=domain, min_revision=min_revision)
        return self._call(self._stub.GetDomain, request)

    def list(self, **options: Unpack[requests.ListOptions]) -> Iterator[domain_pb.Domain]:
        """Yield the domains by name, page after page."""
        request = pb.ListDomainsRequest(**options)
        while True:
            page = self._call(self._stub.ListDomains, request)
            yield from page.domains
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def delete(self, domain: str) -> int:
        """Delete a domain, and return the revision of the deletion."""
        return self._call(self._stub.DeleteDomain, pb.DeleteDomainRequest(domain=domain)).revision

    def verify(self, domain: str) -> domain_pb.Domain:
        """Look at the domain's DNS now, and return the domain with what was found."""
        return self._call(self._stub.VerifyDomain, pb.VerifyDomainRequest(domain=domain))

    def enable(self, domain: str, *, reason: str = "") -> domain_pb.Domain:
        """Resume sending."""
        return self._call(self._stub.EnableDomain, pb.EnableDomainRequest(domain=domain, reason=reason))

    def disable(self, domain: str, *, reason: str = "") -> domain_pb.Domain:
        """Pause sending."""
        return self._call(self._stub.DisableDomain, pb.DisableDomainRequest(domain=domain, reason=reason))

    def update(self, domain: str, **options: Unpack[requests.UpdateOptions]) -> domain_pb.Domain:
        """Change what is given of what the owner has to publish, and return the domain."""
        return self._call(self._stub.UpdateDomain, requests.update(domain, options))

    def export(
        self,
        domain: str,
        form: pb.ExportDnsRecordsRequest.Format.ValueType = pb.ExportDnsRecordsRequest.ZONE_FILE,
    ) -> pb.ExportDnsRecordsResponse:
        """Return the records to publish as a file, in one of the contract's formats."""
        request = pb.ExportDnsRecordsRequest(domain=domain, format=form)
        return self._call(self._stub.ExportDnsRecords, request)

    def events(self, **options: Unpack[requests.EventOptions]) -> Iterator[domain_pb.StatusEvent]:
        """Yield what happened, newest first, page after page."""
        request = pb.ListStatusEventsRequest(**options)
        while True:
            page = self._call(self._stub.ListStatusEvents, request)
            yield from page.events
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, **options: Unpack[requests.WatchOptions]) -> "Watch":
        """Return the changes as they happen; see `Watch`."""
        return Watch(self._stub, self._access, requests.watch(options))

    def _call(
        self, method: "grpc.UnaryUnaryMultiCallable[_Request, _Response]", request: _Request
    ) -> _Response:
        try:
            return method(request, timeout=self._timeout, metadata=self._access.metadata)
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error) from error


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
        while not self._closed.is_set():
            failure: errors.Error | None = None
            try:
                for message in self._open():
                    yield message
                    self._resumption.note(message)
            except grpc.RpcError as error:
                if self._closed.is_set():
                    return
                failure = errors.from_rpc_error(error)
            finally:
                self._call.cancel()
            self._closed.wait(self._resumption.pause_after(failure))

    def _open(self) -> Iterator[pb.WatchStatusResponse]:
        self._call = self._stub.WatchStatus(self._resumption.request, metadata=self._access.metadata)
        return iter(self._call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
