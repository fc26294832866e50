"""What somebody has got becomes a message of the archive after that was written down."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"


def upgrade() -> None:
    """From 0013."""
    op.add_column("outgoing", sa.Column("file_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_outgoing_file",
        "outgoing",
        ["file_at"],
        unique=False,
        sqlite_where=sa.text("file_at IS NOT NULL"),
        postgresql_where=sa.text("file_at IS NOT NULL"),
    )
