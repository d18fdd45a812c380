"""Which addresses of name servers may be asked.

Whoever owns a zone chooses the addresses of its name servers. Without care he
would choose ours: a service inside the network, probed through his domain.
"""

from ipaddress import IPv4Address, IPv6Network, ip_address

_UNICAST = IPv6Network("2000::/3")
"""All that is global unicast in IPv6 (RFC 4291 section 2.4); leaves out what maps to IPv4."""


def is_public(text: str) -> bool:
    """Whether an address is global unicast and does not stand for another address.

    6to4 and Teredo addresses carry an IPv4 address, which may be a private one.
    """
    address = ip_address(text)
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in _UNICAST and address.sixtofour is None and address.teredo is None
