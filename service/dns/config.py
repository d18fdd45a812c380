"""What the DNS adapter is told: whom to ask, and how long to wait."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import NamedTuple


class Mode(StrEnum):
    """Whose answers are wanted."""

    AUTHORITATIVE = "authoritative"
    """The zone's own name servers; a recursive resolver only where none answers."""
    RECURSIVE = "recursive"
    """Recursive resolvers alone, for networks that let nothing else through."""


class Endpoint(NamedTuple):
    """Where a DNS server listens, over UDP and TCP alike."""

    address: str
    """An IP address as text, without brackets or scope."""
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """Settings of the adapter. All durations are in seconds."""

    mode: Mode = Mode.AUTHORITATIVE
    nameservers: tuple[Endpoint, ...] = ()
    """Recursive resolvers, in order of preference; empty for the system's own."""
    allow_private: bool = False
    """Whether name servers of zones may have loopback and private addresses."""
    authority_port: int = 53
    """Where the name servers of zones listen; tests use another port."""
    try_timeout: float = 1.0
    """How long one server is waited for, once."""
    budget: float = 8.0
    """How long one look-up may take altogether."""
    octets: int = 262_144
    """How much one look-up may receive: several times what thirteen servers say about a domain."""
    in_flight: int = 32_768
    """Queries under way at once, to authorities and as many to resolvers: each costs an entry in a
    table, and whoever has to wait for a slot waits for the slowest of all zones."""
    connections: int = 256
    """Over TCP, at once: each takes a descriptor, of which a process may have no more than a thousand."""
    in_flight_per_server: int = 512
    """Of the queries to authorities, how many may wait for one address."""
    cool_down_after: int = 8
    """Timeouts in a row, after which an address is left alone for a while."""
    cool_down: float = 15.0
    """How long an address is left alone."""
    delegation_ttl_limit: float = 300.0
    """How long name servers of a zone are remembered at most, so that a move to others is noticed."""

    def __post_init__(self) -> None:
        """Refuse a resolver that is not an IP address: looking it up would need a resolver.

        Raises:
            ValueError: for such an address.

        """
        for nameserver in self.nameservers:
            ip_address(nameserver.address)
