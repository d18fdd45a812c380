"""Every identity at the provider, not only those that no domain may need."""

import json
import secrets
from itertools import islice

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BATCH = 1000

_identifier = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_moment = sa.BigInteger()
_domains = sa.table("domains", sa.column("name"), sa.column("document"))
_loose = sa.table(
    "loose_identities",
    *(sa.column(name) for name in ("name", "region", "token", "due", "failures")),
)


def upgrade() -> None:
    """Make the tables, with a row for each name and region that there is."""
    identities = op.create_table(
        "provider_identities",
        sa.Column("name", _identifier, nullable=False),
        sa.Column("region", _identifier, nullable=False),
        sa.Column("reservation", sa.Text(), nullable=False),
        sa.Column("reserved_until", _moment),
        sa.Column("due", _moment),
        sa.Column("lease", sa.Text()),
        sa.Column("is_removing", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "region", name="provider_identities_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("provider_identities_due_index", "provider_identities", ["due"])
    op.create_table(
        "provider_polls",
        sa.Column("region", _identifier, nullable=False),
        sa.Column("due", _moment, nullable=False),
        sa.Column("lease", sa.Text()),
        sa.Column("fresh_until", _moment),
        sa.PrimaryKeyConstraint("region", name="provider_polls_pk"),
    )
    connection = op.get_bind()
    known = {
        (row.name, row.region): {"reservation": row.token, "due": row.due, "failures": row.failures}
        for row in connection.execute(sa.select(_loose))
    }
    # Some at a time: their documents are large, and there may be many.
    for row in connection.execute(sa.select(_domains), execution_options={"yield_per": _BATCH}):
        region = json.loads(row.document)["region"]
        known.setdefault(
            (row.name, region), {"reservation": secrets.token_hex(16), "due": None, "failures": 0}
        )
    rows = iter(known.items())
    while batch := list(islice(rows, _BATCH)):
        op.bulk_insert(
            identities,
            [
                {"name": name, "region": region, "is_removing": False, "version": 0, **values}
                for (name, region), values in batch
            ],
        )
    op.drop_table("loose_identities")
