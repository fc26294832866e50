"""Test mails of addresses to themselves, and how often they are sent."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0013b"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = sa.text("arrived_at IS NULL AND failed_at IS NULL AND taken_at IS NULL")


def upgrade() -> None:
    """From 0013b."""
    op.add_column("identity", sa.Column("canary_every", sa.BigInteger(), nullable=True))
    op.create_table(
        "canary",
        sa.Column("id", _ID, nullable=False),
        sa.Column("identity", _ID, nullable=False),
        sa.Column("message_id", sa.String(length=320), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.String(length=32), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("taken_at", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble_kind", sa.String(length=32), nullable=True),
        sa.Column("trouble_values", sa.Text(), nullable=True),
        sa.Column("late_at", sa.BigInteger(), nullable=True),
        sa.Column("arrived_at", sa.BigInteger(), nullable=True),
        sa.Column("binding", _ID, nullable=True),
        sa.Column("message", _ID, nullable=True),
        sa.Column("came_from", sa.String(length=320), nullable=True),
        sa.Column("rewritten", sa.Boolean(), nullable=True),
        sa.Column("spf", sa.String(length=64), nullable=True),
        sa.Column("dkim", sa.String(length=64), nullable=True),
        sa.Column("dmarc", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"], name=op.f("fk_canary_identity_identity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canary")),
        sa.UniqueConstraint("message_id", name=op.f("uq_canary_message_id")),
    )
    op.create_index(op.f("ix_canary_identity_id"), "canary", ["identity", "id"], unique=False)
    op.create_index("ix_canary_open", "canary", ["id"], unique=False, sqlite_where=_OPEN, postgresql_where=_OPEN)
