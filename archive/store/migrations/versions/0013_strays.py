"""Mail that names a conversation it was not let into; addresses whose Reply-To says which one an answer belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0014"


def upgrade() -> None:
    """From 0014."""
    op.create_table(
        "stray",
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=False),
        sa.Column("near", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=32), nullable=True),
        sa.Column("joined", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_stray_message_message")),
        sa.ForeignKeyConstraint(["near"], ["message.id"], name=op.f("fk_stray_near_message")),
        sa.PrimaryKeyConstraint("message", name=op.f("pk_stray")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_stray_near"), "stray", ["near"], unique=False)
    op.add_column("identity", sa.Column("tags", sa.Boolean(), nullable=True))
