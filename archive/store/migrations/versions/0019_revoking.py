"""Where a provider is told that consent was taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """From 0018."""
    op.add_column("provider", sa.Column("revoke", sa.Text(), nullable=True))
