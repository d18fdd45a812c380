"""DNS providers, known by the host names of their name servers, and how their panels work.

A provider is one line of `_KNOWN`. Its patterns are ends of host names, in
whole labels, with `#` for any digits.
"""

import functools
import re
from dataclasses import dataclass

_MOST_REMEMBERED = 4096
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class DnsProvider:
    """Who runs a zone's name servers."""

    name: str
    """As it calls itself."""
    hosts: tuple[str, ...]
    """Patterns of the host names of its name servers."""
    appends_zone: bool = True
    """Whether its panel appends the zone to the name of a record that is entered."""
    proxy_switch: str = ""
    """How to have a record answered as it is and not by a proxy. Empty where there is none."""


# Every check asks, of the servers of few zones that are the same from check to check.
@functools.lru_cache(_MOST_REMEMBERED)
def of_server(server: str) -> DnsProvider | None:
    """Return whose name server it is, from `name (address)`; None where that is not known."""
    host = _DIGITS.sub("#", server.partition(" ")[0].lower())
    while host:
        if provider := _BY_HOST.get(host):
            return provider
        host = host.partition(".")[2]
    return None


_CLOUDFLARE_SWITCH = 'edit it under DNS, Records and set its proxy status to "DNS only" (the grey cloud)'

_KNOWN = (
    DnsProvider("Akamai", ("akam.net",), appends_zone=False),
    DnsProvider("Alibaba Cloud", ("alidns.com", "hichina.com")),
    DnsProvider("Amazon Route 53", tuple(f"awsdns-#.{suffix}" for suffix in ("com", "net", "org", "co.uk"))),
    DnsProvider("Aruba", ("technorail.com",)),
    DnsProvider("Azure DNS", tuple(f"azure-dns.{suffix}" for suffix in ("com", "net", "org", "info"))),
    DnsProvider("Bluehost", ("bluehost.com",)),
    DnsProvider("bunny.net", ("bunny.net",)),
    DnsProvider(
        "Cloudflare", ("ns.cloudflare.com", "secondary.cloudflare.com"), proxy_switch=_CLOUDFLARE_SWITCH
    ),
    DnsProvider("ClouDNS", ("cloudns.net",)),
    DnsProvider("Constellix", ("constellix.com",)),
    DnsProvider("CSC", ("cscdns.net", "cscdns.uk"), appends_zone=False),
    DnsProvider("deSEC", ("desec.io", "desec.org")),
    DnsProvider("DigitalOcean", ("digitalocean.com",)),
    DnsProvider("DNS Made Easy", ("dnsmadeeasy.com",)),
    DnsProvider("DNSimple", ("dnsimple.com", "dnsimple-edge.net", "dnsimple-edge.org")),
    DnsProvider("DreamHost", ("dreamhost.com",)),
    DnsProvider("Dynadot", ("dyna-ns.net",)),
    DnsProvider("Dyn", ("dynect.net",)),
    DnsProvider("easyDNS", ("easydns.com", "easydns.net", "easydns.org", "easydns.ca")),
    DnsProvider("Enom", ("name-services.com",)),
    DnsProvider("Gandi", ("gandi.net",)),
    DnsProvider("Gcore", ("gcorelabs.net", "gcdn.services")),
    DnsProvider("GoDaddy", ("domaincontrol.com",)),
    # The domains of the former Google Domains, too, which are at Squarespace now.
    DnsProvider("Google Cloud DNS or Squarespace", ("googledomains.com",)),
    DnsProvider(
        "Hetzner", ("ns.hetzner.com", "ns.hetzner.de", "first-ns.de", "second-ns.de", "second-ns.com")
    ),
    DnsProvider("HostGator", ("hostgator.com", "websitewelcome.com")),
    DnsProvider("Hostinger", ("dns-parking.com",)),
    DnsProvider("Hover", ("hover.com",)),
    DnsProvider("Hurricane Electric", ("he.net",), appends_zone=False),
    DnsProvider("Infomaniak", ("infomaniak.ch", "infomaniak.com")),
    DnsProvider("INWX", ("inwx.de", "inwx.eu", "inwx.com", "inwx.net")),
    DnsProvider("IONOS", tuple(f"ui-dns.{suffix}" for suffix in ("com", "de", "org", "biz"))),
    DnsProvider("Linode", ("linode.com",)),
    DnsProvider("Loopia", ("loopia.se",)),
    DnsProvider("MarkMonitor", ("markmonitor.com",), appends_zone=False),
    DnsProvider("Name.com", ("name.com",)),
    DnsProvider("Namecheap", ("registrar-servers.com", "namecheaphosting.com")),
    DnsProvider("NameSilo", ("dnsowl.com",)),
    DnsProvider("Network Solutions", ("worldnic.com",)),
    # Netlify's DNS is served by NS1, under the same host names.
    DnsProvider("NS1 or Netlify", ("nsone.net",)),
    DnsProvider("one.com", ("one.com",)),
    DnsProvider("Oracle Cloud", ("dns.oraclecloud.net",), appends_zone=False),
    DnsProvider("OVHcloud", ("ovh.net", "ovh.ca", "anycast.me")),
    DnsProvider("Porkbun", ("ns.porkbun.com",)),
    DnsProvider("Rackspace", ("rackspace.com", "stabletransit.com"), appends_zone=False),
    DnsProvider("Scaleway", ("dom.scw.cloud",)),
    DnsProvider("SiteGround", ("siteground.net",)),
    DnsProvider("Squarespace", ("squarespacedns.com",)),
    DnsProvider("Strato", ("rzone.de",)),
    DnsProvider("Tencent DNSPod", ("dnspod.net", "dnsv#.com")),
    DnsProvider("TransIP", ("transip.net", "transip.nl", "transip.eu")),
    DnsProvider(
        "UltraDNS",
        tuple(f"ultradns.{suffix}" for suffix in ("com", "net", "org", "info", "biz", "co.uk")),
        appends_zone=False,
    ),
    DnsProvider("united-domains", ("udag.de", "udag.net", "udag.org")),
    DnsProvider("Vercel", ("vercel-dns.com",)),
    DnsProvider("Vultr", ("vultr.com",)),
    DnsProvider("Wix", ("wixdns.net",)),
    DnsProvider("WordPress.com", ("wordpress.com",)),
)

_BY_HOST = {host: provider for provider in _KNOWN for host in provider.hosts}
