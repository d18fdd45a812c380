"""`python -m service doctor`: looks whether all that the service needs is there. Changes nothing."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from service.app import dns_config, make_resolver, opened_store
from service.core.answers import Question, RecordType
from service.core.diagnosis import Diagnosis, Level, failure, ok, warning
from service.core.errors import ServiceError
from service.dns.config import DnsConfig, Mode
from service.mailing import ses_client, ses_provider, ses_regions
from service.settings import Settings, SettingsError
from service.store import sql as store
from service.store.sql import SqlStore

_SQLITE = "sqlite:///"
_MOST_LETTERS = 1000
_STALE = timedelta(minutes=1)
"""A queue is not being read that was read last so long ago: servers note it every ten seconds, or twenty."""
_LATE = timedelta(minutes=5)
"""A lag that is more than a passing burst."""


def examine(settings: Settings, dns_name: str) -> Iterator[Diagnosis]:
    """Yield how each thing stands, as soon as it is known.

    `dns_name` is a domain whose DNS is asked, to see whether DNS can be.
    """
    yield ok("settings", "all can be used")
    database = _database(settings)
    yield database
    yield from _dns(settings, dns_name)
    with ExitStack() as stack:
        opened = None
        if database.level is Level.OK:
            opened = stack.enter_context(opened_store(settings))
        yield from _aws(settings, opened)
        if settings.ses_event_queues and opened:
            yield from _events(settings, opened)


def _database(settings: Settings) -> Diagnosis:
    url = settings.database_url.get_secret_value()
    is_sqlite = url.startswith(_SQLITE)
    subject = "database"
    if is_sqlite and not Path(url.removeprefix(_SQLITE)).exists():
        return warning(subject, "the file is not there", "the first start of the server makes it")
    try:
        level = store.level(url)
    except ServiceError as error:
        advice = "look at KRAITER_DATABASE_URL, and whether the database runs"
        return failure(subject, error.message, advice)
    kind = "SQLite" if is_sqlite else "PostgreSQL"
    text = f"{kind} {level}"
    if level.is_newer:
        advice = "run the newer version, or restore the backup from before its migration"
        return failure(subject, f"{text}: this program is older than its database", advice)
    if level.current == level.needed:
        return ok(subject, f"{kind} at migration {level.current}")
    if is_sqlite:
        return warning(subject, text, "the next start of the server migrates it")
    return failure(subject, text, "run `python -m service migrate`")


def _dns(settings: Settings, name: str) -> Iterator[Diagnosis]:
    config = dns_config(settings)
    yield _answer(replace(config, mode=Mode.RECURSIVE), name)
    if config.mode is Mode.AUTHORITATIVE:
        yield _answer(config, name)


def _answer(config: DnsConfig, name: str) -> Diagnosis:
    """Ask for the mail exchangers of a name, and say who answered: whether there are any is all the same."""
    is_authoritative = config.mode is Mode.AUTHORITATIVE
    subject = "authoritative DNS" if is_authoritative else "recursive DNS"
    try:
        resolver = make_resolver(config)
    except SettingsError as error:
        return failure(subject, str(error), "set KRAITER_DNS_NAMESERVERS")
    try:
        (answers,) = resolver.resolve([Question(name, RecordType.MX)], every_server=False)
    finally:
        resolver.close()
    answer = answers.by_server[0]
    if not answer.outcome.is_definite:
        return failure(
            subject,
            f"no answer about {name} ({answer.outcome})",
            "let UDP and TCP to port 53 out" if is_authoritative else "look at KRAITER_DNS_NAMESERVERS",
        )
    if is_authoritative and not answer.authoritative:
        return failure(
            subject,
            f"no name server of {name} answers, resolvers do",
            "let UDP and TCP to port 53 out, or set KRAITER_DNS_MODE=recursive",
        )
    return ok(subject, f"{answer.server} answers about {name} ({answer.outcome})")


def _aws(settings: Settings, opened: SqlStore | None) -> Iterator[Diagnosis]:
    is_ses = settings.mail_provider == "ses"
    if not is_ses:
        yield ok("mail provider", "local: it accepts every domain, and sends nothing")
    if not is_ses and not settings.ses_event_queues:
        return
    from service.mail.ses.probing import examine_credentials  # noqa: PLC0415 - see service.mailing

    # It logs the traceback of what is told here in a line.
    logging.getLogger("botocore.credentials").setLevel(logging.CRITICAL)
    credentials = examine_credentials(settings.region, settings.ses_timeout)
    yield credentials
    if credentials.level is not Level.OK:
        yield warning("Amazon SES and queues", "were not looked at", "mend the credentials first")
        return
    if is_ses:
        yield from _regions(settings, opened)
    yield from _queues(settings)


def _regions(settings: Settings, opened: SqlStore | None) -> Iterator[Diagnosis]:
    from service.mail.ses.examination import Examination  # noqa: PLC0415 - see service.mailing
    from service.mail.ses.probing import examine_by  # noqa: PLC0415

    regions = ses_regions(settings, opened) if opened else sorted(settings.regions or (settings.region,))
    # Without the database nobody can tell whose an identity is, and none is looked at.
    is_ours = ses_provider(settings, opened).is_ours if opened else lambda _: False

    def examine_region(region: str, client: Any) -> Iterator[Diagnosis]:
        known = opened.identity_names(region) if opened else None
        return Examination(region, client, is_ours=is_ours).run(known)

    for region in regions:
        yield from examine_by(
            partial(ses_client, settings, region), f"SES in {region}", partial(examine_region, region)
        )


def _queues(settings: Settings) -> Iterator[Diagnosis]:
    from service.mail.ses.probing import examine_by  # noqa: PLC0415 - see service.mailing
    from service.mail.ses.queue import connect_queue  # noqa: PLC0415
    from service.mail.ses.queue_examination import examine_queue  # noqa: PLC0415

    for url in settings.ses_event_queues:
        yield from examine_by(
            partial(connect_queue, url, region=settings.region), _queue(url), partial(examine_queue, url)
        )


def _events(settings: Settings, opened: SqlStore) -> Iterator[Diagnosis]:
    """Tell what the database knows of the queues."""
    for url in settings.ses_event_queues:
        yield _lag(opened, url)
    yield _letters(opened)


def _queue(url: str) -> str:
    return f"queue {url.rpartition('/')[2]}"


def _lag(opened: SqlStore, url: str) -> Diagnosis:
    subject = _queue(url)
    lag = opened.lags().get(url)
    if lag is None:
        return warning(subject, "was never read", "start a server with this queue")
    age = datetime.now(UTC) - lag.time
    text = f"{lag.lag.total_seconds():,.1f} s behind when it was read last, {age.total_seconds():,.0f} s ago"
    if age > _STALE:
        advice = "start a server with this queue, or see in its log what interrupts it (ingest_interrupted)"
        return warning(subject, text, advice)
    if lag.lag > _LATE:
        return warning(subject, text, "start more servers, or raise KRAITER_SES_EVENT_THREADS")
    return ok(subject, text)


def _letters(opened: SqlStore) -> Diagnosis:
    count = len(opened.dead_letters(_MOST_LETTERS))
    if not count:
        return ok("dead letters", "none")
    more = " or more" if count == _MOST_LETTERS else ""
    text = f"{count:,}{more} message{'s' if count > 1 else ''} could not be read"
    return warning("dead letters", text, "see `python -m service dead-letters list`")
