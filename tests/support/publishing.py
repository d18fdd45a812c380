"""What the owner of a domain does: copy its records into a zone."""

from collections.abc import Iterable

from kraiter.domains.v1.domain_pb2 import DnsRecord, Domain

from tests.support.authority import Authority, LoopbackDns


def publish(domain: Domain, at: LoopbackDns | Authority) -> None:
    """Publish all records of a domain, on all servers of its zone or on one of them."""
    for record in domain.dns_records:
        put(record, at)


def put(record: DnsRecord, at: LoopbackDns | Authority) -> None:
    """Publish one record."""
    at.put(record.name, DnsRecord.Type.Name(record.type), _value(record))


def master_file_lines(records: Iterable[DnsRecord]) -> str:
    """Return records as lines of a master file (RFC 1035, section 5)."""
    return "".join(
        f"{record.name}. 60 {DnsRecord.Type.Name(record.type)} {_master_value(record)}\n"
        for record in records
    )


def _value(record: DnsRecord) -> str:
    return f"{record.priority} {record.value}" if record.type == DnsRecord.MX else record.value


def _master_value(record: DnsRecord) -> str:
    return f'"{record.value}"' if record.type == DnsRecord.TXT else f"{_value(record)}."
