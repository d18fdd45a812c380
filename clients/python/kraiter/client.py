"""The client for programs without asyncio."""

from collections.abc import Collection, Iterator
from typing import Self, Unpack
from weakref import WeakSet

import grpc

from kraiter import requests
from kraiter.calling import Caller
from kraiter.decision_cache import ANSWER_LIFETIME
from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub
from kraiter.gate import SendGate
from kraiter.sending import Sending
from kraiter.transport import DEFAULT_TIMEOUT, OPTIONS, Access
from kraiter.watch import Watch


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
        self.sending = Sending(self.channel, access, timeout)
        # For gates: an answer that came later would not count any more.
        self._checking = Sending(self.channel, access, ANSWER_LIFETIME)
        self._gates: WeakSet[SendGate] = WeakSet()

    def gate(self, domains: Collection[str] | None = None, *, max_silence: float = 2.0) -> SendGate:
        """Open a send gate for some domains, at most 1000 by their canonical names; all by default.

        `max_silence` is how long its stream may be silent before the service is
        asked instead, in seconds. The service breaks a silence every second.
        """
        options = requests.gate(domains)
        gate = SendGate(lambda: self.domains.watch(**options), self._checking, max_silence)
        self._gates.add(gate)
        return gate

    def close(self) -> None:
        """Close the gates, end every call and close the connection."""
        for gate in list(self._gates):
            gate.close()
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Domains:
    """The tenant's domains. Every method raises `kraiter.Error`."""

    def __init__(self, channel: grpc.Channel, access: Access, timeout: float) -> None:
        self._stub = DomainServiceStub(channel)
        self._access = access
        self._call = Caller(access, timeout)

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

    def watch(self, **options: Unpack[requests.WatchOptions]) -> Watch:
        """Return the changes as they happen; see `Watch`."""
        return Watch(self._stub, self._access, requests.watch(options))
