"""The kind of a binding's trouble and what stands in its sentences, so that pages can say it in other languages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From 0003."""
    op.add_column("binding", sa.Column("trouble_kind", sa.String(length=32), nullable=True))
    op.add_column("binding", sa.Column("trouble_values", sa.Text(), nullable=True))
