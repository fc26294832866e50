"""Sending: addresses mail goes out from, who may use them, and the mails that wait to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """From 0011."""
    op.create_table(
        "identity",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("mailbox", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sent_folder", sa.Text(), nullable=True),
        sa.Column("process", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("languages", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["mailbox"], ["mailbox.id"], name=op.f("fk_identity_mailbox_mailbox")),
        sa.ForeignKeyConstraint(["process"], ["process.id"], name=op.f("fk_identity_process_process")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_identity_user_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("address", name=op.f("uq_identity_address")),
    )
    op.create_table(
        "identity_right",
        sa.Column("identity", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"], name=op.f("fk_identity_right_identity_identity")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_identity_right_user_user")),
        sa.PrimaryKeyConstraint("identity", "user", name=op.f("pk_identity_right")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_identity_right_user"), "identity_right", ["user"], unique=False)
    op.create_table(
        "outgoing",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("identity", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("author", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("answers", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("conversation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("message_id", sa.String(length=320), nullable=False),
        sa.Column("sender", sa.String(length=320), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("blob", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("written", sa.Text(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("unless_answered", sa.Boolean(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("began_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("claim", sa.LargeBinary(length=16), nullable=True),
        sa.Column("trouble_kind", sa.String(length=32), nullable=True),
        sa.Column("trouble_values", sa.Text(), nullable=True),
        sa.Column("sent_copy", sa.String(length=16), nullable=True),
        sa.Column("copy_at", sa.BigInteger(), nullable=True),
        sa.Column("copy_tries", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["answers"], ["message.id"], name=op.f("fk_outgoing_answers_message")),
        sa.ForeignKeyConstraint(["blob"], ["blob.id"], name=op.f("fk_outgoing_blob_blob")),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"], name=op.f("fk_outgoing_identity_identity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outgoing_message_id")),
    )
    op.create_index(op.f("ix_outgoing_answers"), "outgoing", ["answers"], unique=False)
    op.create_index(op.f("ix_outgoing_conversation"), "outgoing", ["conversation"], unique=False)
    op.create_index(
        "ix_outgoing_copy",
        "outgoing",
        ["copy_at"],
        unique=False,
        sqlite_where=sa.text("copy_at IS NOT NULL"),
        postgresql_where=sa.text("copy_at IS NOT NULL"),
    )
    op.create_index(
        "ix_outgoing_next",
        "outgoing",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_outgoing_scope_id"), "outgoing", ["scope", "id"], unique=False)
    op.create_table(
        "outgoing_recipient",
        sa.Column("outgoing", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["outgoing"], ["outgoing.id"], name=op.f("fk_outgoing_recipient_outgoing_outgoing")),
        sa.PrimaryKeyConstraint("outgoing", "address", name=op.f("pk_outgoing_recipient")),
        sqlite_with_rowid=False,
    )
