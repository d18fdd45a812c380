"""Counts of deliveries, health, uses of domains, and policies of tenants."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_identifier = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_moment = sa.BigInteger()
_expires = sa.text("state = 'ACTIVE' AND expire_time IS NOT NULL")


def upgrade() -> None:
    """Add all of it, and have the health of every domain assessed."""
    op.add_column("tenants", sa.Column("policy", sa.Text(), nullable=True))
    _create_uses()
    _create_deliveries()
    op.execute(
        "INSERT INTO assessments (tenant, name, due) "
        "SELECT tenant, name, 0 FROM domains WHERE health <> 'UNSPECIFIED'"
    )


def _create_uses() -> None:
    op.create_table(
        "uses",
        sa.Column("generation", _identifier, nullable=False),
        sa.Column("kind", _identifier, nullable=False),
        sa.Column("use_id", _identifier, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("application", _identifier, nullable=False),
        sa.Column("scheduled_time", _moment, nullable=True),
        sa.Column("expire_time", _moment, nullable=True),
        sa.Column("create_time", _moment, nullable=False),
        sa.Column("update_time", _moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["generation"], ["domains.generation"], name="uses_generation_fk", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("generation", "kind", "use_id", name="uses_pk"),
        sqlite_with_rowid=False,
    )
    for name, columns in (
        ("uses_expiring", ["expire_time"]),
        ("uses_expiring_of_domain", ["generation", "expire_time"]),
    ):
        op.create_index(name, "uses", columns, sqlite_where=_expires, postgresql_where=_expires)
    op.create_table(
        "active_uses",
        sa.Column("generation", _identifier, nullable=False),
        sa.Column("kind", _identifier, nullable=False),
        sa.Column("application", _identifier, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation"], ["domains.generation"], name="active_uses_generation_fk", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("generation", "kind", "application", name="active_uses_pk"),
        sqlite_with_rowid=False,
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("tenant", _identifier, nullable=False),
        sa.Column("name", _identifier, nullable=False),
        sa.Column("hour", _moment, nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("hard_bounces", sa.BigInteger(), nullable=False),
        sa.Column("complaints", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", "hour", name="deliveries_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "delivery_batches",
        sa.Column("tenant", _identifier, nullable=False),
        sa.Column("batch", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", _moment, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "batch", name="delivery_batches_pk"),
    )
    op.create_index("delivery_batches_create_time_index", "delivery_batches", ["create_time"])
    op.create_table(
        "assessments",
        sa.Column("tenant", _identifier, nullable=False),
        sa.Column("name", _identifier, nullable=False),
        sa.Column("due", _moment, nullable=True),
        sa.Column("document", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "name", name="assessments_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("assessments_due_index", "assessments", ["due"])
