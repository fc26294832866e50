"""Folders whose owner is asked first, paused and disconnected ones, desks, and the journal of what was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """From 0006."""
    op.create_table(
        "preview",
        sa.Column("binding", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("oldest", sa.BigInteger(), nullable=True),
        sa.Column("newest", sa.BigInteger(), nullable=True),
        sa.Column("some", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["binding"], ["binding.id"], name=op.f("fk_preview_binding_binding")),
        sa.PrimaryKeyConstraint("binding", name=op.f("pk_preview")),
    )
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mailbox", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("binding", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("session", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("commands", sa.Integer(), nullable=False),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.Column("archived", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox"], ["mailbox.id"], name=op.f("fk_journal_mailbox_mailbox")),
        sa.ForeignKeyConstraint(["binding"], ["binding.id"], name=op.f("fk_journal_binding_binding")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    op.create_index(op.f("ix_journal_mailbox_id"), "journal", ["mailbox", "id"])
    op.create_index(op.f("ix_journal_ended_at"), "journal", ["ended_at"])
    op.add_column("delivery", sa.Column("import_mode", sa.Boolean(), nullable=True))
    number, time = sa.BigInteger(), sa.BigInteger()
    op.add_column("binding", sa.Column("before_uidnext", number, nullable=True))
    op.add_column("binding", sa.Column("began_at", time, nullable=True))
    op.add_column("binding", sa.Column("asked_at", time, nullable=True))
    op.add_column("binding", sa.Column("from_now_at", time, nullable=True))
    op.add_column("binding", sa.Column("desk_of", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
    op.add_column("binding", sa.Column("paused_at", time, nullable=True))
    op.add_column("binding", sa.Column("paused_by", sa.String(length=32), nullable=True))
    op.add_column("binding", sa.Column("ended_at", time, nullable=True))
    op.add_column("binding", sa.Column("looks", sa.Integer(), nullable=True))
    op.add_column("binding", sa.Column("looks_since", time, nullable=True))
    op.add_column("binding", sa.Column("looks_like", sa.LargeBinary(), nullable=True))
    op.execute("UPDATE binding SET began_at = succeeded_at")
