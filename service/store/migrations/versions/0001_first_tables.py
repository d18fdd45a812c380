"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_identifier = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_moment = sa.BigInteger()
_verified = sa.text("status = 'VERIFIED'")


def upgrade() -> None:
    """Make every table of the first release."""
    op.create_table(
        "identity",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="identity_pk"),
    )
    op.create_table(
        "tenants",
        sa.Column("id", _identifier, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("change_time", _moment, nullable=False),
        sa.Column("trimmed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="tenants_pk"),
    )
    op.create_table(
        "keys",
        sa.Column("id", _identifier, nullable=False),
        sa.Column("tenant", _identifier, nullable=False),
        sa.Column("create_time", _moment, nullable=False),
        sa.Column("revoke_time", _moment, nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="keys_tenant_fk"),
        sa.PrimaryKeyConstraint("id", name="keys_pk"),
    )
    op.create_index("keys_tenant_index", "keys", ["tenant"])
    _create_domains()
    _create_events()


def _create_domains() -> None:
    op.create_table(
        "domains",
        sa.Column("tenant", _identifier, nullable=False),
        sa.Column("name", _identifier, nullable=False),
        sa.Column("generation", _identifier, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("health", sa.Text(), nullable=False),
        sa.Column("sending_enabled", sa.Boolean(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name="domains_pk"),
        sa.UniqueConstraint("generation", name="domains_generation_key"),
    )
    op.create_index(
        "domains_one_verified",
        "domains",
        ["name"],
        unique=True,
        sqlite_where=_verified,
        postgresql_where=_verified,
    )
    op.create_table(
        "checks",
        sa.Column("generation", _identifier, nullable=False),
        sa.Column("claim_time", _moment, nullable=False),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("next_check_time", _moment, nullable=False),
        sa.Column("last_check_time", _moment, nullable=True),
        sa.Column("fast_since", _moment, nullable=False),
        sa.Column("gap", sa.Double(), nullable=False),
        sa.Column("unknown_checks", sa.Integer(), nullable=False),
        sa.Column("failing_since", _moment, nullable=True),
        sa.Column("failed_checks", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation"], ["domains.generation"], name="checks_generation_fk", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("generation", name="checks_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("checks_claim_time_index", "checks", ["claim_time"])
    op.create_table(
        "names_held",
        sa.Column("name", _identifier, nullable=False),
        sa.Column("tenant", _identifier, nullable=False),
        sa.PrimaryKeyConstraint("name", "tenant", name="names_held_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "create_requests",
        sa.Column("tenant", _identifier, nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("create_time", _moment, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "request", name="create_requests_pk"),
    )
    op.create_index("create_requests_create_time_index", "create_requests", ["create_time"])


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("tenant", _identifier, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("time", _moment, nullable=False),
        sa.Column("domain", _identifier, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "revision", name="events_pk"),
    )
    op.create_index("events_by_domain", "events", ["tenant", "domain", "revision"])
    op.create_index("events_by_time", "events", ["time", "tenant", "revision"])
