"""Why the text of an attachment is not searchable, or not all of it (`archive.search.limited`)."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """From 0007."""
    op.add_column("enclosed_text", sa.Column("limited", sa.String(length=16), nullable=True))
    op.create_table(
        "limited",
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("path", sa.String(length=64).with_variant(sa.Text(), "postgresql"), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_limited_message_message")),
        sa.PrimaryKeyConstraint("message", "path", name=op.f("pk_limited")),
        sqlite_with_rowid=False,
    )
