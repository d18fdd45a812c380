"""DNS providers, by their name servers."""

import pytest

from service.core import dns_providers


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("amy.ns.cloudflare.com (192.0.2.1)", "Cloudflare"),
        ("ns-2048.awsdns-64.com (192.0.2.1)", "Amazon Route 53"),
        ("ns-1536.awsdns-00.co.uk (2001:db8::1)", "Amazon Route 53"),
        ("ns01.domaincontrol.com", "GoDaddy"),
        ("dns1.registrar-servers.com", "Namecheap"),
        ("ns-cloud-a1.googledomains.com", "Google Cloud DNS or Squarespace"),
        ("ns01.squarespacedns.com", "Squarespace"),
        ("ns1-07.azure-dns.com", "Azure DNS"),
        ("dns104.ovh.net", "OVHcloud"),
        ("dns200.anycast.me", "OVHcloud"),
        ("hydrogen.ns.hetzner.com", "Hetzner"),
        ("ns1.digitalocean.com", "DigitalOcean"),
        ("ns-12-b.gandi.net", "Gandi"),
        ("ns1045.ui-dns.biz", "IONOS"),
        ("ns1.vercel-dns.com", "Vercel"),
        ("dns1.p01.nsone.net", "NS1 or Netlify"),
        ("f1g1ns1.dnspod.net", "Tencent DNSPod"),
        ("NS1.DESEC.IO", "deSEC"),
    ],
)
def test_a_provider_is_known_by_its_name_servers(server: str, name: str) -> None:
    """Whatever numbers they have, and with or without their address."""
    provider = dns_providers.of_server(server)
    assert provider is not None
    assert provider.name == name


@pytest.mark.parametrize(
    "server",
    ["", "192.0.2.1", "ns1.example.com (192.0.2.1)", "ns1.notgandi.net", "gandi.net.example.com", "com"],
)
def test_others_are_nobody(server: str) -> None:
    """Patterns are whole labels at the end of a host name."""
    assert dns_providers.of_server(server) is None


def test_where_the_proxy_switch_is() -> None:
    """Known for the provider that has one."""
    provider = dns_providers.of_server("amy.ns.cloudflare.com")
    assert provider is not None
    assert "DNS only" in provider.proxy_switch
