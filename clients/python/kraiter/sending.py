"""Calls of services that send."""

from collections.abc import Iterable, Iterator
from typing import Unpack

import grpc

from kraiter import requests
from kraiter.calling import Caller
from kraiter.domains.v1 import sending_service_pb2 as pb
from kraiter.domains.v1.sending_service_pb2_grpc import SendingServiceStub
from kraiter.transport import Access


class Sending:
    """Whether domains may send, what uses them, and how their mail fared.

    Every method raises `kraiter.Error`.
    """

    def __init__(self, channel: grpc.Channel, access: Access, timeout: float) -> None:
        self._stub = SendingServiceStub(channel)
        self._call = Caller(access, timeout)

    def check(self, *domains: str, min_revision: int = 0) -> list[pb.SendDecision]:
        """Return for each domain whether it may send now, in the order asked about.

        The decisions are at least as fresh as `min_revision`. More than 100
        domains are asked about in several calls.
        """
        return [
            decision
            for request in requests.check(domains, min_revision)
            for decision in self._call(self._stub.CheckSending, request).decisions
        ]

    def put_use(
        self,
        domain: str,
        kind: pb.DomainUse.Kind.ValueType,
        use_id: str,
        **options: Unpack[requests.UseOptions],
    ) -> pb.DomainUse:
        """Register something that uses a domain, or change it, and return it."""
        return self._call(self._stub.PutDomainUse, requests.put_use(domain, kind, use_id, options))

    def delete_use(self, domain: str, kind: pb.DomainUse.Kind.ValueType, use_id: str) -> None:
        """Remove a use of a domain."""
        request = pb.DeleteDomainUseRequest(domain=domain, kind=kind, use_id=use_id)
        self._call(self._stub.DeleteDomainUse, request)

    def uses(self, domain: str, **options: Unpack[requests.UseListOptions]) -> Iterator[pb.DomainUse]:
        """Yield what uses a domain by kind and id, page after page."""
        request = pb.ListDomainUsesRequest(domain=domain, **options)
        while True:
            page = self._call(self._stub.ListDomainUses, request)
            yield from page.uses
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def report(
        self, reports: Iterable[pb.DeliveryReport], batch_id: str | None = None
    ) -> pb.ReportDeliveriesResponse:
        """Report counts of messages, at most 10,000 reports: more are the caller's to divide.

        A batch id seen before changes nothing. Without one the batch gets a
        random one, which makes the retries of this call safe; pass your own to
        be able to repeat the call.
        """
        return self._call(self._stub.ReportDeliveries, requests.report(reports, batch_id))
