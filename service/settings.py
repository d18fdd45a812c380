"""Every setting of the service, with what it allows; `service.environment` reads them."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from service import setting_texts
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


def table() -> str:
    """Return all settings as a Markdown table, for the README."""
    return setting_texts.table(Settings.model_fields)
