"""The tables, the same on SQLite and PostgreSQL.

Migrations make them; a test proves that both say the same. Columns hold what is
searched or compared, documents hold the rest.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(time: datetime) -> int:
    """Return an aware time as microseconds since 1970 in UTC, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """Return the time, aware and in UTC, that `to_microseconds` was given."""
    return _EPOCH + timedelta(microseconds=count)


def optional_time(count: int | None) -> datetime | None:
    """Return the time of a column that may be empty."""
    return None if count is None else from_microseconds(count)


class Moment(TypeDecorator[datetime]):
    """A time as microseconds since 1970: both databases order it alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        """Return what the database keeps."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        """Return what was kept."""
        return optional_time(value)


def comparable(text: str) -> str:
    """Return an identifier as databases can compare it: no column holds a NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Identifier(TypeDecorator[str]):
    """Text that is told apart and ordered by its octets, on both databases.

    PostgreSQL would order by the language of its cluster, and cannot hold NUL.
    No identifier has a NUL; what a caller searches for may, and matches nothing.
    """

    impl = Text().with_variant(Text(collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Return what the database compares."""
        return value and comparable(value)


metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ix": "%(table_name)s_%(column_0_name)s_index",
    }
)

identity = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),
)
"""One row: see `ports.DatabaseIdentity`."""

tenants = Table(
    "tenants",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("change_time", Moment, nullable=False),
    Column("trimmed", BigInteger, nullable=False),
    Column("policy", Text),
)
"""`revision` and `change_time` are of the last change; neither ever falls.

`policy` is what the tenant has otherwise than by default, if anything.
"""

keys = Table(
    "keys",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("tenant", Identifier, ForeignKey("tenants.id"), nullable=False, index=True),
    Column("create_time", Moment, nullable=False),
    Column("revoke_time", Moment),
    Column("document", Text, nullable=False),
)

domains = Table(
    "domains",
    metadata,
    Column("tenant", Identifier, primary_key=True),
    Column("name", Identifier, primary_key=True),
    Column("generation", Identifier, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("health", Text, nullable=False),
    Column("sending_enabled", Boolean, nullable=False),
    Column("document", Text, nullable=False),
)
Index(
    "domains_one_verified",
    domains.c.name,
    unique=True,
    sqlite_where=text("status = 'VERIFIED'"),
    postgresql_where=text("status = 'VERIFIED'"),
)

checks = Table(
    "checks",
    metadata,
    Column("generation", Identifier, ForeignKey("domains.generation", ondelete="CASCADE"), primary_key=True),
    Column("claim_time", Moment, nullable=False, index=True),
    Column("lease", Text),
    Column("next_check_time", Moment, nullable=False),
    Column("last_check_time", Moment),
    Column("fast_since", Moment, nullable=False),
    Column("gap", Double, nullable=False),
    Column("unknown_checks", Integer, nullable=False),
    Column("failing_since", Moment),
    Column("failed_checks", Integer, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
"""The schedule of each domain, narrow because every check writes it.

Its row is also the domain's lock: whoever changes a domain locks it first.
`claim_time` is `next_check_time`, or the end of the lease while there is one.
`version` is how often the domain or its schedule was written by anything but its checks'
ends: whoever has claimed it knows by that whether it is still so.
"""

names_held = Table(
    "names_held",
    metadata,
    Column("name", Identifier, primary_key=True),
    Column("tenant", Identifier, primary_key=True),
    Column("proof_time", Moment),
    sqlite_with_rowid=False,
)
"""Which tenants have, or ever had, a name. Nothing is ever deleted here.

`proof_time` is when the tenant was last VERIFIED by its OWNERSHIP record.
"""

provider_identities = Table(
    "provider_identities",
    metadata,
    Column("name", Identifier, primary_key=True),
    Column("region", Identifier, primary_key=True),
    Column("reservation", Text, nullable=False),
    Column("reserved_until", Moment),
    Column("due", Moment, index=True),
    Column("lease", Text),
    Column("is_removing", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("state", Text),
    Column("version", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Identities that the provider has, or may have: see `ports.IdentityStore`.

`reservation` changes whenever a removal begins: a creation that began before cannot
go on. `due` is when the identity has to be seen to, or the end of the lease while
there is one. `version` counts what was written; `state` is what the provider last
said of it, none where it has not yet.
"""

provider_polls = Table(
    "provider_polls",
    metadata,
    Column("region", Identifier, primary_key=True),
    Column("due", Moment, nullable=False),
    Column("lease", Text),
    Column("fresh_until", Moment),
)
"""When each region's identities are to be listed again, and until when the states are fresh."""

create_requests = Table(
    "create_requests",
    metadata,
    Column("tenant", Identifier, primary_key=True),
    Column("request", LargeBinary, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("create_time", Moment, nullable=False, index=True),
    Column("document", Text, nullable=False),
)
"""First answers to creations that a caller named; `request` is a digest."""

uses = Table(
    "uses",
    metadata,
    Column("generation", Identifier, ForeignKey("domains.generation", ondelete="CASCADE"), primary_key=True),
    Column("kind", Identifier, primary_key=True),
    Column("use_id", Identifier, primary_key=True),
    Column("state", Text, nullable=False),
    Column("application", Identifier, nullable=False),
    Column("scheduled_time", Moment),
    Column("expire_time", Moment),
    Column("create_time", Moment, nullable=False),
    Column("update_time", Moment, nullable=False),
    sqlite_with_rowid=False,
)
"""What uses a domain. HELD is no state that is kept: it follows from the domain's."""
_expires = text("state = 'ACTIVE' AND expire_time IS NOT NULL")
Index("uses_expiring", uses.c.expire_time, sqlite_where=_expires, postgresql_where=_expires)
Index(
    "uses_expiring_of_domain",
    uses.c.generation,
    uses.c.expire_time,
    sqlite_where=_expires,
    postgresql_where=_expires,
)

active_uses = Table(
    "active_uses",
    metadata,
    Column("generation", Identifier, ForeignKey("domains.generation", ondelete="CASCADE"), primary_key=True),
    Column("kind", Identifier, primary_key=True),
    Column("application", Identifier, primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many uses of a domain are kept as ACTIVE: counting them would take longer the more there are."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("tenant", Identifier, primary_key=True),
    Column("name", Identifier, primary_key=True),
    Column("hour", Moment, primary_key=True),
    Column("sent", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("hard_bounces", BigInteger, nullable=False),
    Column("complaints", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Counts of what became of a domain's messages, for each hour (its start).

They are of the name: whoever deletes a domain and creates it again keeps its reputation.
"""

delivery_batches = Table(
    "delivery_batches",
    metadata,
    Column("tenant", Identifier, primary_key=True),
    Column("batch", LargeBinary, primary_key=True),
    Column("create_time", Moment, nullable=False, index=True),
    Column("document", Text, nullable=False),
)
"""Answers to batches of reports that were counted; `batch` is a digest of the caller's id."""

counted_events = Table(
    "counted_events",
    metadata,
    Column("hour", Moment, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    sqlite_with_rowid=False,
)
"""The ids of events that are in `deliveries`, by the hour that they count in."""

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("time", Moment, nullable=False, index=True),
    Column("problem", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""Messages about events that could not be read. A body may have characters that no text column takes."""

queue_lags = Table(
    "queue_lags",
    metadata,
    Column("queue", Identifier, primary_key=True),
    Column("time", Moment, nullable=False),
    Column("lag", BigInteger, nullable=False),
)
"""How long, in microseconds, the oldest message of each queue had waited when it was read last."""

assessments = Table(
    "assessments",
    metadata,
    Column("tenant", Identifier, primary_key=True),
    Column("name", Identifier, primary_key=True),
    Column("due", Moment, index=True),
    Column("document", Text),
    sqlite_with_rowid=False,
)
"""The health of each domain that was ever VERIFIED or has counts, as it was last assessed.

`due` is when it has to be assessed again; none where only new counts can change it.
"""

events = Table(
    "events",
    metadata,
    Column("tenant", Identifier, primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("time", Moment, nullable=False),
    Column("domain", Identifier, nullable=False),
    Column("document", Text, nullable=False),
)
Index("events_by_domain", events.c.tenant, events.c.domain, events.c.revision)
Index("events_by_time", events.c.time, events.c.tenant, events.c.revision)
