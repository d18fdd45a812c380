"""One small class for each RPC: rules and the narrowest ports, in core types."""

from dataclasses import dataclass

from service.usecases.change_domain import DeleteDomain, DisableDomain, EnableDomain
from service.usecases.check_sending import CheckSending
from service.usecases.create_domain import CreateDomain
from service.usecases.domain_uses import DeleteDomainUse, ListDomainUses, PutDomainUse
from service.usecases.export_records import ExportDnsRecords
from service.usecases.read_domains import GetDomain, ListDomains, ListStatusEvents
from service.usecases.report_deliveries import ReportDeliveries
from service.usecases.update_domain import UpdateDomain
from service.usecases.verify_domain import VerifyDomain
from service.usecases.watch_status import WatchStatus

__all__ = [
    "CheckSending",
    "CreateDomain",
    "DeleteDomain",
    "DeleteDomainUse",
    "DisableDomain",
    "EnableDomain",
    "ExportDnsRecords",
    "GetDomain",
    "ListDomainUses",
    "ListDomains",
    "ListStatusEvents",
    "PutDomainUse",
    "ReportDeliveries",
    "UpdateDomain",
    "UseCases",
    "VerifyDomain",
    "WatchStatus",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """Everything that the service can be asked to do."""

    create_domain: CreateDomain
    get_domain: GetDomain
    list_domains: ListDomains
    delete_domain: DeleteDomain
    verify_domain: VerifyDomain
    enable_domain: EnableDomain
    disable_domain: DisableDomain
    update_domain: UpdateDomain
    watch_status: WatchStatus
    list_status_events: ListStatusEvents
    export_dns_records: ExportDnsRecords
    check_sending: CheckSending
    put_domain_use: PutDomainUse
    delete_domain_use: DeleteDomainUse
    list_domain_uses: ListDomainUses
    report_deliveries: ReportDeliveries
