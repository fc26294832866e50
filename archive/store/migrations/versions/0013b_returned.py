"""What was reported about a recipient after a server had taken a mail."""

import sqlalchemy as sa
from alembic import op

revision = "0013b"
down_revision = "0015b"


def upgrade() -> None:
    """From 0015b."""
    for column in (
        sa.Column("returned", sa.String(length=16), nullable=True),
        sa.Column("returned_at", sa.BigInteger(), nullable=True),
        sa.Column("returned_says", sa.Text(), nullable=True),
        sa.Column("returned_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
    ):
        op.add_column("outgoing_recipient", column)
    op.create_index(op.f("ix_outgoing_recipient_address"), "outgoing_recipient", ["address"], unique=False)
