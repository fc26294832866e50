"""Originals of answered mails that are to be marked on their server; whether a binding allows it."""

import sqlalchemy as sa
from alembic import op

revision = "0015b"
down_revision = "0015"


def upgrade() -> None:
    """From 0015."""
    op.add_column("binding", sa.Column("answered", sa.Boolean(), nullable=True))
    op.create_table(
        "answered_mark",
        sa.Column("receipt", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["receipt"], ["receipt.id"], name=op.f("fk_answered_mark_receipt_receipt")),
        sa.PrimaryKeyConstraint("receipt", name=op.f("pk_answered_mark")),
    )
    op.create_index(
        "ix_answered_mark_next",
        "answered_mark",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
