"""How somebody wants the pages: theme, density, and the keys that were changed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From 0002."""
    op.add_column("user", sa.Column("theme", sa.String(length=16), nullable=True))
    op.add_column("user", sa.Column("density", sa.String(length=16), nullable=True))
    op.add_column("user", sa.Column("shortcuts", sa.Text(), nullable=True))
