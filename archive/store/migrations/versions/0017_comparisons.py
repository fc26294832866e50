"""Ledgers compared with their servers at a page."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From 0016."""
    op.create_table(
        "comparison",
        sa.Column("binding", _ID, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("found", sa.Text(), nullable=True),
        sa.Column("trouble_kind", sa.String(length=32), nullable=True),
        sa.Column("trouble_values", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["binding"], ["binding.id"], name=op.f("fk_comparison_binding_binding")),
        sa.PrimaryKeyConstraint("binding", name=op.f("pk_comparison")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_comparison_state"), "comparison", ["state"], unique=False)
