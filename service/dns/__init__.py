"""The Resolver port on dnspython: asks the name servers of a zone themselves."""

from service.dns.config import DnsConfig, Endpoint, Mode
from service.dns.resolver import DnsResolver

__all__ = ["DnsConfig", "DnsResolver", "Endpoint", "Mode"]
