"""The composition root: settings become adapters, a server and workers, and end in order."""

import asyncio
import gc
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import structlog
import uvloop

from service import ports
from service.assessor import HealthAssessor
from service.bootstrap import ensure_first_key
from service.clock import SystemClock
from service.core import lifecycle, schedule
from service.core.health import HealthPolicy, Threshold, Thresholds
from service.core.tokens import TokenSealer
from service.dns.config import DnsConfig, Mode
from service.dns.config import Endpoint as Nameserver
from service.dns.resolver import DnsResolver
from service.faults import guarded
from service.mailing import make_ingesters, make_mail
from service.rpc import RpcConfig, RpcServer, WatchCodec
from service.sending_memory import SendingMemory
from service.settings import Settings, SettingsError
from service.store import sql as store
from service.store.sql import SqlStore
from service.upkeep import Upkeep
from service.usecases import (
    CheckSending,
    CreateDomain,
    DeleteDomain,
    DeleteDomainUse,
    DisableDomain,
    EnableDomain,
    ExportDnsRecords,
    GetDomain,
    ListDomains,
    ListDomainUses,
    ListStatusEvents,
    PutDomainUse,
    ReportDeliveries,
    UpdateDomain,
    UseCases,
    VerifyDomain,
    WatchStatus,
)
from service.usecases.domain_uses import Holds
from service.usecases.manage_keys import ManageKeys
from service.verifier import Verifier, VerifierConfig
from service.watch import Hub, HubConfig

_log = structlog.get_logger(__name__)

_COUNT_MARGIN = timedelta(days=1)
"""What batches of deliveries and events are remembered for longer than their counts: they can come again
until then, and clocks differ."""


class _Worker(Protocol):
    """What runs beside the server."""

    def start(self) -> None:
        """Begin to work."""

    def end(self) -> None:
        """Stop, and wait until it has stopped."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then stop in order.

    Raises:
        ServiceError: the database cannot be reached, or a bootstrap key that
            belongs to another.
        store.NotMigratedError: on PostgreSQL, before `migrate`; the database is
            that of a newer program.
        OSError: the address cannot be listened on, or the key file not be written.

    """
    with opened_store(settings) as opened:
        is_sqlite = _is_sqlite(settings)
        given = settings.bootstrap_api_key
        key_file = ensure_first_key(
            ManageKeys(opened, SystemClock()),
            given=given.get_secret_value() if given else None,
            # Replicas over PostgreSQL would each write one: there an operator
            # makes the first key on the command line.
            key_file=settings.bootstrap_key_file if is_sqlite else None,
        )
        if key_file is not None:
            print(f"The first API key was written to {key_file}", flush=True)  # noqa: T201 - for whoever starts it
        uvloop.run(_serve(settings, opened))


@contextmanager
def opened_store(settings: Settings) -> Iterator[SqlStore]:
    """Open the store, on SQLite with the schema brought up to date first."""
    url = settings.database_url.get_secret_value()
    if _is_sqlite(settings):
        store.migrate(url)
    opened = store.open_store(url, clock=SystemClock(), pool_size=settings.database_pool)
    try:
        yield opened
    finally:
        opened.close()


def _is_sqlite(settings: Settings) -> bool:
    return settings.database_url.get_secret_value().startswith("sqlite")


async def _serve(settings: Settings, opened: SqlStore) -> None:
    opened = guarded(opened, "store", settings.fault_point)
    clock = SystemClock()
    policy = verification_policy(settings)
    tokens = TokenSealer(epoch=opened.identity.epoch, secret=opened.identity.secret)
    mail = make_mail(settings, opened, policy)
    resolver = make_resolver(dns_config(settings))
    verifier = Verifier(
        store=opened,
        queue=opened,
        resolver=resolver,
        provider=mail.states,
        clock=clock,
        policy=policy,
        config=VerifierConfig(
            threads=settings.verifier_threads,
            batch=settings.verifier_batch,
            lease=settings.verifier_lease,
            budget=settings.dns_budget,
            min_interval=settings.verify_min_interval,
        ),
    )
    hub = Hub(
        log=opened,
        hints=opened.hints,
        queue=opened,
        clock=clock,
        codec=WatchCodec(),
        tokens=tokens,
        intervals=policy.intervals,
        config=_hub_config(settings),
    )
    memory = SendingMemory(store=opened, log=opened, policies=opened)
    usecases = make_usecases(settings, opened, verifier=verifier, provider=mail.provider, memory=memory)
    server = RpcServer(
        usecases=usecases, hub=hub, keys=opened, clock=clock, ping=opened.ping, config=_rpc_config(settings)
    )
    workers: tuple[_Worker, ...] = (
        memory,
        HealthAssessor(
            store=opened,
            clock=clock,
            policy=health_policy(settings),
        ),
        Upkeep(
            log=opened,
            uses=opened,
            deliveries=opened,
            feedback=opened,
            clock=clock,
            retention=settings.event_retention,
            count_memory=settings.health_window + _COUNT_MARGIN,
            letter_retention=settings.dead_letter_retention,
        ),
        *mail.workers,
        *make_ingesters(settings, opened),
    )
    stopped = _stop_signal()

    await hub.start()
    verifier.start()
    for worker in workers:
        worker.start()
    try:
        port = await server.start()
        _announce(settings, port)
        _spare_collector()
        await stopped.wait()
        _log.info("server_stopping")
    finally:
        await server.stop(settings.shutdown_grace.total_seconds())
        mail.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, verifier.stop)
        with ThreadPoolExecutor(len(workers)) as ending:
            # All at once: some wait for an answer of others' servers.
            await asyncio.gather(*(loop.run_in_executor(ending, worker.end) for worker in workers))
        resolver.close()
    _log.info("server_stopped")


def make_usecases(
    settings: Settings,
    opened: SqlStore,
    *,
    verifier: Verifier,
    provider: ports.MailProvider,
    memory: SendingMemory,
) -> UseCases:
    """Return everything that the service can be asked to do, over one store."""
    clock = SystemClock()
    policy = verification_policy(settings)
    tokens = TokenSealer(epoch=opened.identity.epoch, secret=opened.identity.secret)
    holds = Holds(opened, opened)
    return UseCases(
        create_domain=CreateDomain(
            store=opened,
            identities=opened,
            provider=provider,
            clock=clock,
            policy=policy,
            region=settings.region,
            quota=settings.domain_quota,
            reservation=settings.identity_reservation,
        ),
        get_domain=GetDomain(opened),
        list_domains=ListDomains(opened, tokens),
        delete_domain=DeleteDomain(opened, memory),
        verify_domain=VerifyDomain(opened, opened, verifier, clock, policy),
        enable_domain=EnableDomain(opened, memory),
        disable_domain=DisableDomain(opened, memory),
        update_domain=UpdateDomain(opened, clock, policy),
        watch_status=WatchStatus(opened, opened, clock, tokens, policy.intervals, settings.watch_heartbeat),
        list_status_events=ListStatusEvents(opened, tokens),
        export_dns_records=ExportDnsRecords(opened),
        check_sending=CheckSending(memory),
        put_domain_use=PutDomainUse(opened, holds, clock),
        delete_domain_use=DeleteDomainUse(opened),
        list_domain_uses=ListDomainUses(opened, holds, clock, tokens),
        report_deliveries=ReportDeliveries(opened, clock, settings.health_window),
    )


def _spare_collector() -> None:
    """Have the garbage collector pass over what lives as long as the process, and come seldom.

    Ten thousand streams are millions of objects that are no garbage: by default
    a fifth of the time of a fan-out would go into looking at them again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def verification_policy(settings: Settings) -> lifecycle.Policy:
    """Return the rules of verification that the settings make."""
    return lifecycle.Policy(
        window=settings.verification_window,
        grace=settings.grace_period,
        grace_checks=settings.grace_checks,
        transfer=settings.transfer_window,
        intervals=schedule.Intervals(
            first_delay=settings.check_first_delay,
            pending=settings.check_pending_interval,
            fast_phase=settings.check_fast_phase,
            pending_max=settings.check_pending_max_interval,
            verified=settings.check_verified_interval,
            confirm=settings.check_confirm_interval,
            failed=settings.check_failed_interval,
            failed_age=settings.check_failed_age,
            failed_old=settings.check_failed_old_interval,
        ),
    )


def health_policy(settings: Settings) -> HealthPolicy:
    """Return the rules of health that the settings make, for tenants without rules of their own."""
    return HealthPolicy(
        window=settings.health_window,
        thresholds=Thresholds(
            Threshold(settings.bounce_warning, settings.bounce_critical),
            Threshold(settings.complaint_warning, settings.complaint_critical),
        ),
    )


def dns_config(settings: Settings) -> DnsConfig:
    """Return how the settings have DNS asked."""
    return DnsConfig(
        mode=Mode(settings.dns_mode),
        nameservers=tuple(Nameserver(each.host, each.port) for each in settings.dns_nameservers),
        allow_private=settings.dns_allow_private,
        authority_port=settings.dns_authority_port,
        try_timeout=settings.dns_timeout.total_seconds(),
        budget=settings.dns_budget.total_seconds(),
    )


def make_resolver(config: DnsConfig) -> DnsResolver:
    """Return a resolver.

    Raises:
        SettingsError: it knows nobody whom to ask.

    """
    try:
        return DnsResolver(config)
    except ValueError as error:
        raise SettingsError([f"KRAITER_DNS_NAMESERVERS is not set, and {error}"]) from error


def _hub_config(settings: Settings) -> HubConfig:
    poll = settings.watch_poll_sqlite if _is_sqlite(settings) else settings.watch_poll
    return HubConfig(
        poll=poll.total_seconds(),
        gather=settings.watch_gather.total_seconds(),
        ring=settings.watch_ring,
        max_age=settings.watch_max_age.total_seconds(),
        stale_after=max(3.0, 2 * poll.total_seconds()),
    )


def _rpc_config(settings: Settings) -> RpcConfig:
    return RpcConfig(
        host=settings.listen.host,
        port=settings.listen.port,
        threads=settings.rpc_threads,
        max_calls=settings.rpc_max_calls,
        max_streams=settings.max_streams,
        max_streams_per_key=settings.max_streams_per_key,
        channelz=settings.channelz,
    )


def _stop_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def _announce(settings: Settings, port: int) -> None:
    address = str(settings.listen._replace(port=port))
    _log.info("server_started", address=address)
    print(  # noqa: T201 - for whoever starts it
        f"Listening on {address}. Call it, for example, with\n"
        f'  grpcurl -plaintext -H "authorization: Bearer $KEY" {address} '
        "kraiter.domains.v1.DomainService/ListDomains",
        flush=True,
    )
