"""`DomainService`: its unary RPCs, each one use case away from its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as service_pb

from service.core.errors import ServiceError
from service.core.keys import Scope
from service.rpc import requests, responses
from service.rpc.methods import Deadline, Gathered, Method, Pool, Unary
from service.usecases import UseCases
from service.usecases.caller import Caller
from service.usecases.read_domains import WantedDomain

NAME = service_pb.DESCRIPTOR.services_by_name["DomainService"].full_name

_PATIENCE = timedelta(seconds=15)
"""How long a check, or the mail provider, may take for a caller without a deadline."""
_MARGIN = timedelta(milliseconds=250)
"""What is left of a caller's deadline for the answer to reach it."""


def unary(usecases: UseCases) -> Mapping[str, Method]:
    """Return the unary RPCs by name."""
    read, write = Scope.DOMAINS_READ, Scope.DOMAINS_WRITE
    answers = _Answers(usecases)
    return {
        "CreateDomain": Unary(service_pb.CreateDomainRequest, write, answers.create_domain, Pool.WAITING),
        "GetDomain": Gathered(service_pb.GetDomainRequest, read, answers.get_domain),
        "ListDomains": Unary(service_pb.ListDomainsRequest, read, answers.list_domains),
        "DeleteDomain": Unary(service_pb.DeleteDomainRequest, write, answers.delete_domain),
        "VerifyDomain": Unary(service_pb.VerifyDomainRequest, write, answers.verify_domain, Pool.WAITING),
        "EnableDomain": Unary(service_pb.EnableDomainRequest, write, answers.enable_domain),
        "DisableDomain": Unary(service_pb.DisableDomainRequest, write, answers.disable_domain),
        "UpdateDomain": Unary(service_pb.UpdateDomainRequest, write, answers.update_domain),
        "ListStatusEvents": Unary(service_pb.ListStatusEventsRequest, read, answers.list_status_events),
        "ExportDnsRecords": Unary(service_pb.ExportDnsRecordsRequest, read, answers.export_dns_records),
    }


@dataclass(frozen=True, slots=True)
class _Answers:
    usecases: UseCases

    def create_domain(
        self, request: service_pb.CreateDomainRequest, caller: Caller, deadline: Deadline
    ) -> domain_pb.Domain:
        created = self.usecases.create_domain(caller, requests.new_domain(request), wait=_wait(deadline))
        return responses.domain(created)

    def get_domain(
        self, asked: Sequence[tuple[service_pb.GetDomainRequest, Caller]]
    ) -> Sequence[bytes | ServiceError]:
        found = self.usecases.get_domain(
            [WantedDomain(caller, request.domain, request.min_revision) for request, caller in asked]
        )
        return [each if isinstance(each, ServiceError) else responses.domain_octets(each) for each in found]

    def list_domains(
        self, request: service_pb.ListDomainsRequest, caller: Caller, _deadline: Deadline
    ) -> service_pb.ListDomainsResponse:
        page = self.usecases.list_domains(caller, requests.domain_query(request))
        full = request.view == domain_pb.Domain.FULL
        message = service_pb.ListDomainsResponse(
            next_page_token=page.next_page_token,
            revision=page.revision,
            resume_token=page.resume_token,
        )
        for domain in page.domains:
            responses.put_domain(message.domains.add(), domain, full=full)
        return message

    def delete_domain(
        self, request: service_pb.DeleteDomainRequest, caller: Caller, _deadline: Deadline
    ) -> service_pb.DeleteDomainResponse:
        revision = self.usecases.delete_domain(caller, request.domain)
        return service_pb.DeleteDomainResponse(revision=revision)

    def verify_domain(
        self, request: service_pb.VerifyDomainRequest, caller: Caller, deadline: Deadline
    ) -> domain_pb.Domain:
        verified = self.usecases.verify_domain(caller, request.domain, wait=_wait(deadline))
        return responses.domain(verified)

    def enable_domain(
        self, request: service_pb.EnableDomainRequest, caller: Caller, _deadline: Deadline
    ) -> domain_pb.Domain:
        return responses.domain(self.usecases.enable_domain(caller, request.domain, request.reason))

    def disable_domain(
        self, request: service_pb.DisableDomainRequest, caller: Caller, _deadline: Deadline
    ) -> domain_pb.Domain:
        return responses.domain(self.usecases.disable_domain(caller, request.domain, request.reason))

    def update_domain(
        self, request: service_pb.UpdateDomainRequest, caller: Caller, _deadline: Deadline
    ) -> domain_pb.Domain:
        return responses.domain(self.usecases.update_domain(caller, requests.domain_update(request)))

    def list_status_events(
        self, request: service_pb.ListStatusEventsRequest, caller: Caller, _deadline: Deadline
    ) -> service_pb.ListStatusEventsResponse:
        page = self.usecases.list_status_events(
            caller, domain=request.domain, page_size=request.page_size, page_token=request.page_token
        )
        message = service_pb.ListStatusEventsResponse(next_page_token=page.next_page_token)
        for event in page.events:
            responses.put_event(message.events.add(), event, full=False)
        return message

    def export_dns_records(
        self, request: service_pb.ExportDnsRecordsRequest, caller: Caller, _deadline: Deadline
    ) -> service_pb.ExportDnsRecordsResponse:
        form, wrong = requests.export_format(request)
        export = self.usecases.export_dns_records(caller, request.domain, form, violations=wrong)
        return service_pb.ExportDnsRecordsResponse(
            content=export.content, content_type=export.content_type, file_name=export.file_name
        )


def _wait(deadline: Deadline) -> timedelta:
    """Return how long whoever asks will wait."""
    remaining = deadline.remaining()
    return _PATIENCE if remaining is None else max(remaining - _MARGIN, timedelta())
