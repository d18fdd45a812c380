"""Every setting of the service: read once from the environment, checked as a whole, frozen."""

import difflib
import math
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service import setting_texts
from service.core import pacing
from service.setting_kinds import (
    Address,
    ApiKeyText,
    DatabaseUrl,
    Duration,
    Endpoint,
    FaultPointText,
    HttpUrl,
    Nameservers,
    PerSecond,
    Queues,
    Rate,
    Region,
    Regions,
)

_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class SettingsError(Exception):
    """Settings that the service cannot start with; `lines` has one line for each bad one."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Settings(BaseSettings):
    """The settings. A field `x_y` is read from the variable `KRAITER_X_Y`; an empty one counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix=setting_texts.PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    listen: Address = Field(
        default=Endpoint("127.0.0.1", 50051),
        description="Where the server listens. Port 0 takes any free one.",
    )
    database_url: DatabaseUrl = Field(
        default=SecretStr("sqlite:///var/kraiter.db"),
        description="The database; its secrets are never shown.",
    )
    database_pool: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Connections to the database that one process has at most, for its work; "
        "it takes up to three more.",
    )
    mail_provider: Literal["local", "ses"] = Field(
        default="local",
        description="Who sends the mail: `ses`, Amazon SES, or `local`, which needs nothing and accepts all.",
    )
    region: Region = Field(
        default="eu-west-1", description="The provider's region for domains that are created without one."
    )
    regions: Regions = Field(
        default=(),
        description="The regions that domains may be created in. Default: with `ses` KRAITER_REGION alone, "
        "with `local` all that SES has.",
    )
    ses_endpoint_url: HttpUrl | None = Field(
        default=None, description="Another address of the SES API than Amazon's. For tests."
    )
    ses_rate: PerSecond = Field(
        default=Decimal(1),
        description="How many requests a second this process makes to SES in each region: the account's "
        "limit, divided among its processes.",
    )
    ses_timeout: Duration = Field(
        default=5 * _SECOND,
        ge=50 * _MILLISECOND,
        le=_MINUTE,
        description="How long to wait for one answer of SES.",
    )
    ses_poll_interval: Duration = Field(
        default=30 * _SECOND,
        ge=100 * _MILLISECOND,
        le=_HOUR,
        description="How often the states of all identities of a region are listed; "
        "for thousands of identities that is a request each.",
    )
    fault_point: FaultPointText | None = Field(
        default=None, description="Where the process kills itself. For tests of crashes alone."
    )

    identity_reservation: Duration = Field(
        default=10 * _MINUTE,
        ge=_SECOND,
        le=_DAY,
        description="After what time an identity is removed from the provider that CreateDomain made, "
        "but no domain with it.",
    )
    identity_lease: Duration = Field(
        default=60 * _SECOND,
        ge=_SECOND,
        le=_HOUR,
        description="How long an identity that is being made, changed or removed is kept from other "
        "processes; longer than the provider takes for it.",
    )

    dns_mode: Literal["authoritative", "recursive"] = Field(
        default="authoritative",
        description="Whom to ask: the zone's own name servers, which know a change at once, or a resolver.",
    )
    dns_nameservers: Nameservers = Field(
        default=(), description="The resolvers to ask first. Default: the system's."
    )
    dns_allow_private: bool = Field(
        default=False,
        description="Whether to ask name servers at private addresses. For tests and closed networks.",
    )
    dns_authority_port: int = Field(
        default=53,
        ge=1,
        le=65535,
        description="The port of authoritative name servers. Another than 53: for tests.",
    )
    dns_timeout: Duration = Field(
        default=_SECOND, ge=10 * _MILLISECOND, le=_MINUTE, description="How long to wait for one answer."
    )
    dns_budget: Duration = Field(
        default=8 * _SECOND,
        ge=100 * _MILLISECOND,
        le=5 * _MINUTE,
        description="How long all look-ups of one check may take.",
    )

    verifier_threads: int = Field(
        default=1,
        ge=0,
        le=256,
        description="Threads that check domains, each hundreds at a time. With 0 this process checks none.",
    )
    verifier_batch: int = Field(
        default=128, ge=1, le=1000, description="The most domains that are claimed for a check at once."
    )
    verifier_lease: Duration = Field(
        default=60 * _SECOND,
        ge=_SECOND,
        le=_HOUR,
        description="How long a claimed domain is kept from others; a process that died loses it after that.",
    )

    rpc_threads: int = Field(default=8, ge=1, le=256, description="Threads that answer unary calls.")
    rpc_max_calls: int = Field(
        default=500, ge=1, le=100_000, description="The most unary calls at a time; more are refused at once."
    )
    max_streams: int = Field(
        default=20_000, ge=1, le=1_000_000, description="The most WatchStatus streams of one process."
    )
    max_streams_per_key: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="The most WatchStatus streams of one API key in one process.",
    )

    bootstrap_api_key: ApiKeyText | None = Field(
        default=None, description="A key that is made at the start, with every scope. Default: a random one."
    )
    bootstrap_key_file: Path = Field(
        default=Path("var/bootstrap-key"),
        description="Where a random first key is written, for its owner only.",
    )

    verification_window: Duration = Field(
        default=72 * _HOUR,
        ge=_SECOND,
        le=90 * _DAY,
        description="How long a PENDING domain may take to be verified.",
    )
    grace_period: Duration = Field(
        default=72 * _HOUR,
        ge=0 * _SECOND,
        le=90 * _DAY,
        description="How long records must have been broken before a VERIFIED domain becomes FAILED.",
    )
    transfer_window: Duration = Field(
        default=72 * _HOUR,
        ge=_SECOND,
        le=90 * _DAY,
        description="How long a VERIFIED domain may take to prove ownership, "
        "once another claim to its name is proved.",
    )
    grace_checks: int = Field(
        default=3, ge=1, le=100, description="How many definite failures in a row that takes at least."
    )

    health_window: Duration = Field(
        default=7 * _DAY,
        ge=_HOUR,
        le=90 * _DAY,
        description="How far back deliveries, bounces and complaints count, in whole hours.",
    )
    bounce_warning: Rate = Field(
        default=0.05,
        description="The rate of hard bounces at which health becomes WARNING; a tenant may have its own.",
    )
    bounce_critical: Rate = Field(
        default=0.1, description="The rate of hard bounces at which health becomes CRITICAL."
    )
    complaint_warning: Rate = Field(
        default=0.001, description="The rate of complaints at which health becomes WARNING."
    )
    complaint_critical: Rate = Field(
        default=0.005, description="The rate of complaints at which health becomes CRITICAL."
    )

    ses_event_queues: Queues = Field(
        default=(), description="The queues that SES's event notifications are read from. Default: none."
    )
    ses_event_threads: int = Field(
        default=2, ge=1, le=64, description="Threads that read and count events, for each queue."
    )
    dead_letter_retention: Duration = Field(
        default=30 * _DAY,
        ge=_MINUTE,
        le=365 * _DAY,
        description="How long messages of those queues are kept that could not be read.",
    )

    check_first_delay: Duration = Field(
        default=5 * _SECOND, ge=0 * _SECOND, le=_HOUR, description="From creation to the first check."
    )
    check_pending_interval: Duration = Field(
        default=10 * _SECOND,
        ge=100 * _MILLISECOND,
        le=_DAY,
        description="PENDING: the gap between checks in the fast phase.",
    )
    check_fast_phase: Duration = Field(
        default=10 * _MINUTE,
        ge=0 * _SECOND,
        le=7 * _DAY,
        description="PENDING: how long the fast phase lasts.",
    )
    check_pending_max_interval: Duration = Field(
        default=15 * _MINUTE,
        ge=100 * _MILLISECOND,
        le=7 * _DAY,
        description="PENDING: what the gap grows to after the fast phase.",
    )
    check_verified_interval: Duration = Field(
        default=_HOUR, ge=100 * _MILLISECOND, le=7 * _DAY, description="VERIFIED: the gap between checks."
    )
    check_confirm_interval: Duration = Field(
        default=_MINUTE,
        ge=100 * _MILLISECOND,
        le=_DAY,
        description="VERIFIED: the gap before a change that was seen is looked at again.",
    )
    check_failed_interval: Duration = Field(
        default=6 * _HOUR,
        ge=100 * _MILLISECOND,
        le=30 * _DAY,
        description="FAILED: the gap between checks at first.",
    )
    check_failed_age: Duration = Field(
        default=30 * _DAY,
        ge=0 * _SECOND,
        le=3650 * _DAY,
        description="FAILED: for how long that gap is kept.",
    )
    check_failed_old_interval: Duration = Field(
        default=24 * _HOUR, ge=100 * _MILLISECOND, le=90 * _DAY, description="FAILED: the gap after that."
    )
    verify_min_interval: Duration = Field(
        default=5 * _SECOND,
        ge=0 * _SECOND,
        le=_HOUR,
        description="The least time between two checks of a domain that VerifyDomain asks for.",
    )

    watch_heartbeat: Duration = Field(
        default=5 * _SECOND,
        ge=100 * _MILLISECOND,
        le=5 * _MINUTE,
        description="The gap between bookmarks on a quiet stream.",
    )
    watch_poll: Duration = Field(
        default=_SECOND,
        ge=_MILLISECOND,
        le=_MINUTE,
        description="How often the event log is read on PostgreSQL, where a notification mostly comes first.",
    )
    watch_poll_sqlite: Duration = Field(
        default=25 * _MILLISECOND,
        ge=_MILLISECOND,
        le=_MINUTE,
        description="How often the event log is read on SQLite, which notifies nobody.",
    )
    watch_ring: int = Field(
        default=4096, ge=1, le=1_000_000, description="Events kept in memory for each tenant that is watched."
    )
    watch_gather: Duration = Field(
        default=2 * _MILLISECOND,
        ge=0 * _SECOND,
        le=_SECOND,
        description="How long events are gathered before they go out in one message.",
    )
    watch_max_age: Duration = Field(
        default=30 * _MINUTE,
        ge=_SECOND,
        le=_DAY,
        description="When a stream is ended, so that its client connects anew and load spreads.",
    )
    event_retention: Duration = Field(
        default=7 * _DAY,
        ge=_MINUTE,
        le=365 * _DAY,
        description="How long events are kept for streams that resume.",
    )
    domain_quota: int = Field(
        default=100_000, ge=0, le=10_000_000, description="The most domains of one tenant. 0: no limit."
    )
    shutdown_grace: Duration = Field(
        default=10 * _SECOND,
        ge=0 * _SECOND,
        le=10 * _MINUTE,
        description="How long running calls may take to finish at the end.",
    )
    channelz: bool = Field(
        default=False, description="Whether the server answers channelz, for debugging gRPC."
    )
    log_format: Literal["console", "json"] | None = Field(
        default=None, description="How logs are written. Default: console in a terminal, json elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important log events that are written."
    )


_NOT_ABOVE = (
    ("dns_timeout", "dns_budget"),
    ("dns_budget", "verifier_lease"),
    ("check_pending_interval", "check_pending_max_interval"),
    ("bounce_warning", "bounce_critical"),
    ("complaint_warning", "complaint_critical"),
)
"""Settings of which the first must not be above the second: alone each may be well."""

_FOR_TESTS = f"{setting_texts.PREFIX}TEST_"
"""Variables of the test suite, which are no settings."""

_LINKED = re.compile(
    r"KRAITER_(\w+_)?((SERVICE_HOST|SERVICE_PORT\w*|PORT_[0-9]+_(TCP|UDP)\w*)=.*|PORT=(tcp|udp)://.*)",
    re.ASCII,
)
"""What Kubernetes puts into every container about a Service named `kraiter...`: not meant for us."""


def load() -> Settings:
    """Return the settings of the environment.

    Raises:
        SettingsError: with a line for each variable that is wrong or that no setting has.

    """
    lines = list(_unknown_variables())
    try:
        settings = Settings()
    except ValidationError as error:
        # Not chained: pydantic's text quotes the values, secret ones too.
        raise SettingsError([*lines, *_bad_values(error)]) from None
    lines += _conflicts(settings)
    if lines:
        raise SettingsError(lines)
    return settings


def table() -> str:
    """Return all settings as a Markdown table, for the README."""
    return setting_texts.table(Settings.model_fields)


def _unknown_variables() -> Iterator[str]:
    known = {setting_texts.variable(name) for name in Settings.model_fields}
    for name, value in sorted(os.environ.items()):
        # In capitals only: on another spelling people would differ from one system to the next.
        ours = name.upper().startswith(setting_texts.PREFIX) and not name.startswith(_FOR_TESTS)
        if ours and name not in known and not _LINKED.fullmatch(f"{name}={value}"):
            # Without the prefix, which would make all of them alike.
            wanted = name[len(setting_texts.PREFIX) :].lower()
            near = difflib.get_close_matches(wanted, Settings.model_fields, n=1)
            guess = f"; did you mean {setting_texts.variable(near[0])}?" if near else ""
            yield f"{name}: there is no such setting{guess}"


def _bad_values(error: ValidationError) -> Iterator[str]:
    for name in dict.fromkeys(str(item["loc"][0]) for item in error.errors(include_input=False)):
        # pydantic reads other spellings too: those were complained of as unknown.
        written = os.environ.get(setting_texts.variable(name))
        if written:
            yield setting_texts.complaint(name, Settings.model_fields[name], written)


def _conflicts(settings: Settings) -> Iterator[str]:
    if settings.regions and settings.region not in settings.regions:
        yield (
            f"{setting_texts.variable('region')}={settings.region}: must be one of "
            f"{setting_texts.variable('regions')}={','.join(settings.regions)}"
        )
    if settings.mail_provider == "ses":
        yield from _too_brief_leases(settings)
    for lesser, greater in _NOT_ABOVE:
        low, high = getattr(settings, lesser), getattr(settings, greater)
        if low > high:
            yield (
                f"{setting_texts.variable(lesser)}={setting_texts.written(low)}: must not be above "
                f"{setting_texts.variable(greater)}={setting_texts.written(high)}"
            )


def _too_brief_leases(settings: Settings) -> Iterator[str]:
    """Demand that an identity is not taken by another process while a request may still change it.

    What makes or deletes it is the second request of whoever has it, at most.
    """
    turn = pacing.patience(float(settings.ses_rate), settings.ses_timeout)
    least = 2 * (turn + settings.ses_timeout)
    if settings.identity_lease < least:
        lease, rate, timeout = (
            f"{setting_texts.variable(name)}={setting_texts.written(getattr(settings, name))}"
            for name in ("identity_lease", "ses_rate", "ses_timeout")
        )
        yield (
            f"{lease}: must be at least {math.ceil(least.total_seconds())}s, "
            f"which two requests take at {rate} and {timeout}"
        )
