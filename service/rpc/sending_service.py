"""`SendingService`: its RPCs, which this version refuses."""

from collections.abc import Mapping

from kraiter.domains.v1 import sending_service_pb2 as sending_pb

from service.core.keys import Scope
from service.rpc.methods import Unary, unimplemented

NAME = sending_pb.DESCRIPTOR.services_by_name["SendingService"].full_name

UNARY: Mapping[str, Unary] = {
    "CheckSending": Unary(sending_pb.CheckSendingRequest, Scope.SENDING_READ, unimplemented),
    "PutDomainUse": Unary(sending_pb.PutDomainUseRequest, Scope.SENDING_WRITE, unimplemented),
    "DeleteDomainUse": Unary(sending_pb.DeleteDomainUseRequest, Scope.SENDING_WRITE, unimplemented),
    "ListDomainUses": Unary(sending_pb.ListDomainUsesRequest, Scope.SENDING_READ, unimplemented),
    "ReportDeliveries": Unary(sending_pb.ReportDeliveriesRequest, Scope.DELIVERIES_WRITE, unimplemented),
}
