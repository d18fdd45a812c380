"""Events that were counted, messages that could not be read, and how far behind queues are."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_identifier = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_moment = sa.BigInteger()


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "counted_events",
        sa.Column("hour", _moment, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "digest", name="counted_events_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", _identifier, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("time", _moment, nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="dead_letters_pk"),
    )
    op.create_index("dead_letters_time_index", "dead_letters", ["time"])
    op.create_table(
        "queue_lags",
        sa.Column("queue", _identifier, nullable=False),
        sa.Column("time", _moment, nullable=False),
        sa.Column("lag", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("queue", name="queue_lags_pk"),
    )
