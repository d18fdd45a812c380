"""The part of the composition root that is about the mail provider."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from service import ports
from service.clock import SystemClock
from service.core import lifecycle
from service.faults import guarded
from service.identity_keeper import IdentityKeeper
from service.ingest import EventIngester
from service.mail.local import SES_REGIONS, LocalMailProvider
from service.settings import Settings
from service.state_poller import StatePoller
from service.store.sql import SqlStore
from service.usecases.count_events import CountEvents

if TYPE_CHECKING:
    from service.mail.ses.provider import SesMailProvider


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail provider, and what works for it."""

    provider: ports.MailProvider
    states: ports.ProviderStates
    workers: Sequence[IdentityKeeper | StatePoller]
    close: Callable[[], None]
    """Before the workers are ended: sends away who waits for the provider."""


def make_mail(settings: Settings, opened: SqlStore, policy: lifecycle.Policy) -> Mail:
    """Return the mail provider that the settings name, with its workers not yet started."""
    keeper = partial(
        IdentityKeeper,
        identities=opened,
        domains=opened,
        clock=SystemClock(),
        policy=policy,
        lease=settings.identity_lease,
    )
    match settings.mail_provider:
        case "local":
            local = LocalMailProvider(opened.identity.secret, frozenset(settings.regions) or SES_REGIONS)
            return Mail(local, local, [keeper(provider=local)], close=lambda: None)
        case "ses":
            return _ses(settings, opened, keeper)


def _ses(settings: Settings, opened: SqlStore, keeper: "partial[IdentityKeeper]") -> Mail:
    provider = ses_provider(settings, opened)
    regions = ses_regions(settings, opened)
    keepers = [keeper(provider=provider, region=region) for region in regions]
    pollers = [
        StatePoller(
            region=region,
            identities=opened,
            lister=provider,
            clock=SystemClock(),
            interval=settings.ses_poll_interval,
            lease=max(settings.ses_poll_interval, settings.identity_lease),
        )
        for region in regions
    ]
    return Mail(provider, opened, [*keepers, *pollers], close=provider.close)


# Boto3 takes a tenth of a second, and memory: it is imported only where it is needed.


def ses_provider(settings: Settings, opened: SqlStore) -> "SesMailProvider":
    """Return Amazon SES as mail provider."""
    from service.mail.ses.provider import SesMailProvider  # noqa: PLC0415

    return SesMailProvider(
        frozenset(settings.regions or (settings.region,)),
        partial(ses_client, settings),
        secret=opened.identity.secret,
        rate=float(settings.ses_rate),
        timeout=settings.ses_timeout,
    )


def ses_client(settings: Settings, region: str) -> Any:
    """Return boto3's client of a region."""
    from service.mail.ses.client import connect  # noqa: PLC0415

    client = connect(region, endpoint_url=settings.ses_endpoint_url, timeout=settings.ses_timeout)
    return guarded(client, "ses", settings.fault_point)


def ses_regions(settings: Settings, opened: SqlStore) -> list[str]:
    """Return the regions that are seen to: what was created where domains may be created no more, too."""
    return sorted({*(settings.regions or (settings.region,)), *opened.regions()})


def make_ingesters(settings: Settings, opened: SqlStore) -> Iterator[EventIngester]:
    """Yield what reads each queue of events, not yet started."""
    if not settings.ses_event_queues:
        return
    from service.mail.ses.queue import SqsQueue  # noqa: PLC0415 - boto3 is large: only who has queues needs it

    count = CountEvents(opened, SystemClock(), settings.health_window)
    for url in settings.ses_event_queues:
        queue = SqsQueue(url, region=settings.region, connections=settings.ses_event_threads)
        yield EventIngester(
            queue=queue, store=opened, count=count, clock=SystemClock(), threads=settings.ses_event_threads
        )
