"""Who has proved a contested name, and identities that no domain may need."""

import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_identifier = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_moment = sa.BigInteger()
_names_held = sa.table("names_held", sa.column("name"), sa.column("tenant"), sa.column("proof_time", _moment))
_domains = sa.table("domains", sa.column("name"), sa.column("tenant"), sa.column("document"))


def upgrade() -> None:
    """Add both, with the proofs that are known."""
    op.add_column("names_held", sa.Column("proof_time", _moment, nullable=True))
    op.create_table(
        "loose_identities",
        sa.Column("name", _identifier, nullable=False),
        sa.Column("region", _identifier, nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("due", _moment, nullable=False),
        sa.Column("is_removing", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", "region", name="loose_identities_pk"),
    )
    op.create_index("loose_identities_due_index", "loose_identities", ["due"])
    _note_proofs()


def _note_proofs() -> None:
    connection = op.get_bind()
    proofs = [
        {"of_name": row.name, "of_tenant": row.tenant, "time": _microseconds(document["verify_time"])}
        for row in connection.execute(
            # Few are: the text is read only where it says so.
            sa.select(_domains).where(_domains.c.document.contains('"contested":true', autoescape=True))
        )
        for document in [json.loads(row.document)]
        if document["verify_time"]
    ]
    if proofs:
        connection.execute(
            sa.update(_names_held)
            .where(
                _names_held.c.name == sa.bindparam("of_name"),
                _names_held.c.tenant == sa.bindparam("of_tenant"),
            )
            .values(proof_time=sa.bindparam("time", type_=_moment)),
            proofs,
        )


def _microseconds(time: str) -> int:
    return (datetime.fromisoformat(time) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
