"""The client for asyncio: what `kraiter.Client` has, awaited."""

from collections.abc import AsyncIterator, Collection
from typing import Self, Unpack
from weakref import WeakSet

import grpc

from kraiter import requests
from kraiter.aio.calling import Caller
from kraiter.aio.gate import SendGate
from kraiter.aio.sending import Sending
from kraiter.aio.watch import Watch
from kraiter.decision_cache import ANSWER_LIFETIME
from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub
from kraiter.transport import DEFAULT_TIMEOUT, OPTIONS, Access


class Client:
    """See `kraiter.Client`. Make it where an event loop runs."""

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
            self.channel = grpc.aio.insecure_channel(target, OPTIONS)
        else:
            self.channel = grpc.aio.secure_channel(target, access.credentials, OPTIONS)
        self.domains = Domains(self.channel, access, timeout)
        self.sending = Sending(self.channel, access, timeout)
        # For gates: an answer that came later would not count any more.
        self._checking = Sending(self.channel, access, ANSWER_LIFETIME)
        self._gates: WeakSet[SendGate] = WeakSet()

    def gate(self, domains: Collection[str] | None = None, *, max_silence: float = 2.0) -> SendGate:
        """See `kraiter.Client.gate`. Call it where the event loop runs."""
        options = requests.gate(domains)
        gate = SendGate(lambda: self.domains.watch(**options), self._checking, max_silence)
        self._gates.add(gate)
        return gate

    async def close(self) -> None:
        """Close the gates, end every call and close the connection."""
        for gate in list(self._gates):
            await gate.close()
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Domains:
    """The tenant's domains; see `kraiter.Domains`. Every method raises `kraiter.Error`."""

    def __init__(self, channel: grpc.aio.Channel, access: Access, timeout: float) -> None:
        self._stub = DomainServiceStub(channel)
        self._access = access
        self._call = Caller(access, timeout)

    async def create(self, domain: str, **options: Unpack[requests.CreateOptions]) -> domain_pb.Domain:
        """Register a domain, and return it with the records to publish."""
        return await self._call(self._stub.CreateDomain, requests.create(domain, options))

    async def get(self, domain: str, *, min_revision: int = 0) -> domain_pb.Domain:
        """Return a domain, at least as fresh as `min_revision`."""
        request = pb.GetDomainRequest(domain=domain, min_revision=min_revision)
        return await self._call(self._stub.GetDomain, request)

    async def list(self, **options: Unpack[requests.ListOptions]) -> AsyncIterator[domain_pb.Domain]:
        """Yield the domains by name, page after page."""
        request = pb.ListDomainsRequest(**options)
        while True:
            page = await self._call(self._stub.ListDomains, request)
            for domain in page.domains:
                yield domain
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def delete(self, domain: str) -> int:
        """Delete a domain, and return the revision of the deletion."""
        return (await self._call(self._stub.DeleteDomain, pb.DeleteDomainRequest(domain=domain))).revision

    async def verify(self, domain: str) -> domain_pb.Domain:
        """Look at the domain's DNS now, and return the domain with what was found."""
        return await self._call(self._stub.VerifyDomain, pb.VerifyDomainRequest(domain=domain))

    async def enable(self, domain: str, *, reason: str = "") -> domain_pb.Domain:
        """Resume sending."""
        request = pb.EnableDomainRequest(domain=domain, reason=reason)
        return await self._call(self._stub.EnableDomain, request)

    async def disable(self, domain: str, *, reason: str = "") -> domain_pb.Domain:
        """Pause sending."""
        request = pb.DisableDomainRequest(domain=domain, reason=reason)
        return await self._call(self._stub.DisableDomain, request)

    async def update(self, domain: str, **options: Unpack[requests.UpdateOptions]) -> domain_pb.Domain:
        """Change what is given of what the owner has to publish, and return the domain."""
        return await self._call(self._stub.UpdateDomain, requests.update(domain, options))

    async def export(
        self,
        domain: str,
        form: pb.ExportDnsRecordsRequest.Format.ValueType = pb.ExportDnsRecordsRequest.ZONE_FILE,
    ) -> pb.ExportDnsRecordsResponse:
        """Return the records to publish as a file, in one of the contract's formats."""
        request = pb.ExportDnsRecordsRequest(domain=domain, format=form)
        return await self._call(self._stub.ExportDnsRecords, request)

    async def events(self, **options: Unpack[requests.EventOptions]) -> AsyncIterator[domain_pb.StatusEvent]:
        """Yield what happened, newest first, page after page."""
        request = pb.ListStatusEventsRequest(**options)
        while True:
            page = await self._call(self._stub.ListStatusEvents, request)
            for event in page.events:
                yield event
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, **options: Unpack[requests.WatchOptions]) -> Watch:
        """Return the changes as they happen; see `kraiter.watch.Watch`."""
        return Watch(self._stub, self._access, requests.watch(options))
