"""Checks by the verifier, beside a bare loop that sends the same DNS queries."""

import asyncio
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from unittest import mock

import dns.message

from service import ports
from service.clock import SystemClock
from service.core import lifecycle, records, schedule
from service.core.domain import Domain, Status, StatusReason
from service.core.records import DmarcPolicy
from service.dns import DnsConfig, DnsResolver, Endpoint, wire
from service.dns.message import UDP_PAYLOAD
from service.mail.local import LocalMailProvider
from service.store.sql import SqlStore, open_store
from service.verifier import Checks, Verifier, VerifierConfig
from tests.bench import name_server
from tests.bench.databases import SQLITE, Databases
from tests.bench.figures import AtLeast, Figure, Rate, compared, side_by_side
from tests.bench.scale import Scale
from tests.support.samples import sample_domain

_TENANT = "acme"
_GOAL = AtLeast(0.6)
_BATCH = VerifierConfig().batch
_IN_FLIGHT = DnsConfig().in_flight_per_server
_LEASE = timedelta(minutes=1)
_ALWAYS_DUE = lifecycle.Policy(intervals=schedule.Intervals(verified=timedelta()))
_LARGEST = 4096
_PATIENCE = 5.0

Query = tuple[str, str]


class CountingProvider(LocalMailProvider):
    """The provider without a provider, which knows how many domains it was asked about."""

    asked = 0

    def states(self, refs: Sequence[ports.IdentityRef]) -> Mapping[ports.IdentityRef, ports.ProviderState]:
        """Return READY for every identity."""
        self.asked += len(refs)
        return super().states(refs)


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure verified domains whose records are as they should be, on SQLite."""
    provider = CountingProvider(b"bench")
    domains = [_domain(provider, f"d{number}") for number in range(scale.checked_domains)]
    published = [record for domain in domains for record in domain.records]
    with (
        databases.new(SQLITE) as url,
        name_server.serving(published) as server,
        closing(DnsResolver(_config(server))) as resolver,
        closing(open_store(url, clock=SystemClock())) as store,
    ):
        store.create_tenant(_TENANT)
        for domain in domains:
            store.create(domain, actor="bench", request=None)
        queries = _queries_of_a_batch(store, resolver, provider)
        pairs = [
            (
                _verified(store, resolver, provider, scale.seconds),
                asyncio.run(_looped(server.authority, queries, scale.seconds)),
            )
            for _ in range(scale.rounds)
        ]
    own, base, ratio = compared(pairs)
    queried = f", {len(queries) / _BATCH:.1f} queries a check"
    yield Figure("checks sqlite", ratio, "of its queries alone", _GOAL, side_by_side(own, base) + queried)


def _domain(provider: LocalMailProvider, label: str) -> Domain:
    name = f"{label}.{name_server.ZONE}"
    draft = sample_domain(_TENANT, name, mail_from=name)
    identity = provider.create_identity(ports.IdentityRef(name, draft.region), name)
    return sample_domain(
        _TENANT,
        name,
        mail_from=name,
        status=Status.VERIFIED,
        status_reason=StatusReason.RECORDS_FOUND,
        verification_deadline=None,
        records=records.required_for(
            name,
            identity,
            mail_from=name,
            dmarc_policy=DmarcPolicy.NONE,
            dmarc_report_address=draft.dmarc_report_address,
            challenge=None,
        ),
    )


def _config(server: name_server.NameServer) -> DnsConfig:
    return DnsConfig(nameservers=(server.resolver,), allow_private=True, authority_port=server.authority.port)


def _queries_of_a_batch(
    store: SqlStore, resolver: DnsResolver, provider: CountingProvider
) -> Sequence[Query]:
    """Check a batch twice, and return the queries of the second time, when the zone is known."""
    clock = SystemClock()
    checks = Checks(resolver, provider, clock, _ALWAYS_DUE)
    claims = store.claim_due(clock.now(), _BATCH, _LEASE)
    assert len(claims) == _BATCH
    checks.run(claims, requested=False)
    with mock.patch.object(wire, "build_query", wraps=wire.build_query) as sent:
        saved = store.save(checks.run(claims, requested=False))
    assert all(domain is not None and domain.status is Status.VERIFIED for domain in saved)
    return [(call.args[0], call.args[1]) for call in sent.call_args_list]


def _verified(store: SqlStore, resolver: DnsResolver, provider: CountingProvider, seconds: float) -> Rate:
    """Return how fast the verifier checks; it has this process to itself."""
    verifier = Verifier(
        store=store,
        queue=store,
        resolver=resolver,
        provider=provider,
        clock=SystemClock(),
        policy=_ALWAYS_DUE,
        config=VerifierConfig(),
    )
    before, used, started = provider.asked, time.process_time(), time.monotonic()
    verifier.start()
    time.sleep(seconds)  # how long it is measured
    verifier.stop()
    checked = provider.asked - before
    return Rate(checked / (time.monotonic() - started), (time.process_time() - used) / checked)


async def _looped(authority: Endpoint, queries: Sequence[Query], seconds: float) -> Rate:
    """Return how fast the queries of a check are answered with the same codec and nothing else."""
    used, started = time.process_time(), time.monotonic()
    batches = 0
    while time.monotonic() < started + seconds:
        waiting = iter(queries)
        await asyncio.gather(*(_ask(authority, waiting) for _ in range(_IN_FLIGHT)))
        batches += 1
    checks = batches * _BATCH
    return Rate(checks / (time.monotonic() - started), (time.process_time() - used) / checks)


async def _ask(authority: Endpoint, waiting: Iterator[Query]) -> None:
    """Send queries one after the other, as long as there are any."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(authority)
        for name, rdtype in waiting:
            query = dns.message.make_query(name, rdtype, use_edns=0, payload=UDP_PAYLOAD, flags=0)
            await loop.sock_sendall(sock, query.to_wire())
            reply = await asyncio.wait_for(loop.sock_recv(sock, _LARGEST), _PATIENCE)
            assert query.is_response(dns.message.from_wire(reply))
