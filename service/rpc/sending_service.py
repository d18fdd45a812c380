"""`SendingService`: its RPCs, each one use case away from its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from google.protobuf import empty_pb2
from kraiter.domains.v1 import sending_service_pb2 as pb

from service.core.errors import ServiceError
from service.core.keys import Scope
from service.core.sending import SendDecision
from service.rpc import requests, responses
from service.rpc.methods import AtOnce, Deadline, Method, Unary
from service.rpc.unary import parsed
from service.usecases import UseCases
from service.usecases.caller import Caller
from service.usecases.check_sending import WantedDecisions

NAME = pb.DESCRIPTOR.services_by_name["SendingService"].full_name


def unary(usecases: UseCases) -> Mapping[str, Method]:
    """Return the RPCs by name."""
    read, write = Scope.SENDING_READ, Scope.SENDING_WRITE
    answers = _Answers(usecases)
    return {
        "CheckSending": AtOnce(
            pb.CheckSendingRequest,
            read,
            partial(usecases.check_sending.from_memory, _LANGUAGE),
            answers.check_sending,
        ),
        "PutDomainUse": Unary(pb.PutDomainUseRequest, write, answers.put_domain_use),
        "DeleteDomainUse": Unary(pb.DeleteDomainUseRequest, write, answers.delete_domain_use),
        "ListDomainUses": Unary(pb.ListDomainUsesRequest, read, answers.list_domain_uses),
        "ReportDeliveries": Unary(
            pb.ReportDeliveriesRequest, Scope.DELIVERIES_WRITE, answers.report_deliveries
        ),
    }


class _Language:
    """`service.usecases.check_sending.Language`, of the contract."""

    def understood(self, question: bytes) -> tuple[Sequence[str], int]:
        request = parsed(pb.CheckSendingRequest, question)
        return request.domains, request.min_revision

    def said(self, decisions: Sequence[SendDecision]) -> bytes:
        return responses.decisions_octets(decisions)


_LANGUAGE = _Language()


@dataclass(frozen=True, slots=True)
class _Answers:
    usecases: UseCases

    def check_sending(
        self, asked: Sequence[tuple[pb.CheckSendingRequest, Caller]]
    ) -> Sequence[bytes | ServiceError]:
        found = self.usecases.check_sending(
            [WantedDecisions(caller, request.domains, request.min_revision) for request, caller in asked]
        )
        return [
            each if isinstance(each, ServiceError) else responses.decisions_octets(each) for each in found
        ]

    def put_domain_use(
        self, request: pb.PutDomainUseRequest, caller: Caller, _deadline: Deadline
    ) -> pb.DomainUse:
        message = pb.DomainUse()
        responses.put_use(message, self.usecases.put_domain_use(caller, requests.new_use(request)))
        return message

    def delete_domain_use(
        self, request: pb.DeleteDomainUseRequest, caller: Caller, _deadline: Deadline
    ) -> empty_pb2.Empty:
        kind, wrong = requests.use_kind(request)
        self.usecases.delete_domain_use(caller, request.domain, kind, request.use_id, violations=wrong)
        return empty_pb2.Empty()

    def list_domain_uses(
        self, request: pb.ListDomainUsesRequest, caller: Caller, _deadline: Deadline
    ) -> pb.ListDomainUsesResponse:
        page = self.usecases.list_domain_uses(caller, requests.use_query(request))
        message = pb.ListDomainUsesResponse(next_page_token=page.next_page_token)
        for use in page.uses:
            responses.put_use(message.uses.add(), use)
        return message

    def report_deliveries(
        self, request: pb.ReportDeliveriesRequest, caller: Caller, _deadline: Deadline
    ) -> pb.ReportDeliveriesResponse:
        answer = self.usecases.report_deliveries(caller, request.batch_id, requests.delivery_reports(request))
        return responses.batch_answer(answer)
