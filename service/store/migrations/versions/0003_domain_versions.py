"""How often each domain was written, so that a check knows whether it was meanwhile."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the count."""
    op.add_column("checks", sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"))
