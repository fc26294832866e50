"""When it was said that nothing could be taken from a watched folder for long (`archive.post.lateness`)."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """From 0009."""
    op.add_column("binding", sa.Column("late_at", sa.BigInteger(), nullable=True))
