"""One valid request for every RPC, about a domain; a new RPC has to join."""

from collections.abc import Callable, Mapping

from google.protobuf import field_mask_pb2, timestamp_pb2
from google.protobuf.message import Message
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1 import sending_service_pb2 as sending_pb
from kraiter.domains.v1.domain_pb2 import Domain

_MASK = field_mask_pb2.FieldMask(paths=["dmarc_policy"])
_SNAPSHOT = pb.WatchStatusRequest.CURRENT_STATE
_KIND = sending_pb.DomainUse.SEQUENCE


def _now() -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp()
    message.GetCurrentTime()
    return message


REQUESTS: Mapping[str, Callable[[str], Message]] = {
    "CreateDomain": lambda name: pb.CreateDomainRequest(domain=name),
    "GetDomain": lambda name: pb.GetDomainRequest(domain=name),
    "ListDomains": lambda name: pb.ListDomainsRequest(domain_prefix=name, view=Domain.FULL),
    "DeleteDomain": lambda name: pb.DeleteDomainRequest(domain=name),
    "VerifyDomain": lambda name: pb.VerifyDomainRequest(domain=name),
    "EnableDomain": lambda name: pb.EnableDomainRequest(domain=name),
    "DisableDomain": lambda name: pb.DisableDomainRequest(domain=name),
    "UpdateDomain": lambda name: pb.UpdateDomainRequest(domain=name, update_mask=_MASK),
    "WatchStatus": lambda name: pb.WatchStatusRequest(domains=[name], start=_SNAPSHOT),
    "ListStatusEvents": lambda name: pb.ListStatusEventsRequest(domain=name),
    "ExportDnsRecords": lambda name: pb.ExportDnsRecordsRequest(domain=name),
    "CheckSending": lambda name: sending_pb.CheckSendingRequest(domains=[name]),
    "PutDomainUse": lambda name: sending_pb.PutDomainUseRequest(domain=name, kind=_KIND, use_id="u"),
    "DeleteDomainUse": lambda name: sending_pb.DeleteDomainUseRequest(domain=name, kind=_KIND, use_id="u"),
    "ListDomainUses": lambda name: sending_pb.ListDomainUsesRequest(domain=name),
    "ReportDeliveries": lambda name: sending_pb.ReportDeliveriesRequest(
        # Not the same for two names: the second would be answered as the first.
        batch_id=name,
        reports=[sending_pb.DeliveryReport(domain=name, time=_now(), sent=1)],
    ),
}


def request_for(path: str, name: str) -> Message:
    """Return the request of the RPC at a path, about a domain."""
    return REQUESTS[path.rpartition("/")[2]](name)
