"""Calls of services that send, for asyncio."""

from collections.abc import AsyncIterator, Iterable
from typing import Unpack

import grpc

from kraiter import requests
from kraiter.aio.calling import Caller
from kraiter.domains.v1 import sending_service_pb2 as pb
from kraiter.domains.v1.sending_service_pb2_grpc import SendingServiceStub
from kraiter.transport import Access


class Sending:
    """See `kraiter.Sending`. Every method raises `kraiter.Error`."""

    def __init__(self, channel: grpc.aio.Channel, access: Access, timeout: float) -> None:
        self._stub = SendingServiceStub(channel)
        self._call = Caller(access, timeout)

    async def check(self, *domains: str, min_revision: int = 0) -> list[pb.SendDecision]:
        """See `kraiter.Sending.check`."""
        return [
            decision
            for request in requests.check(domains, min_revision)
            for decision in (await self._call(self._stub.CheckSending, request)).decisions
        ]

    async def put_use(
        self,
        domain: str,
        kind: pb.DomainUse.Kind.ValueType,
        use_id: str,
        **options: Unpack[requests.UseOptions],
    ) -> pb.DomainUse:
        """Register something that uses a domain, or change it, and return it."""
        return await self._call(self._stub.PutDomainUse, requests.put_use(domain, kind, use_id, options))

    async def delete_use(self, domain: str, kind: pb.DomainUse.Kind.ValueType, use_id: str) -> None:
        """Remove a use of a domain."""
        request = pb.DeleteDomainUseRequest(domain=domain, kind=kind, use_id=use_id)
        await self._call(self._stub.DeleteDomainUse, request)

    async def uses(
        self, domain: str, **options: Unpack[requests.UseListOptions]
    ) -> AsyncIterator[pb.DomainUse]:
        """Yield what uses a domain by kind and id, page after page."""
        request = pb.ListDomainUsesRequest(domain=domain, **options)
        while True:
            page = await self._call(self._stub.ListDomainUses, request)
            for use in page.uses:
                yield use
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def report(
        self, reports: Iterable[pb.DeliveryReport], batch_id: str | None = None
    ) -> pb.ReportDeliveriesResponse:
        """See `kraiter.Sending.report`."""
        return await self._call(self._stub.ReportDeliveries, requests.report(reports, batch_id))
