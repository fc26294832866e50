"""Templates, signatures of people, mail that goes out by itself, a second look before sending, files of drafts."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    """From 0012."""
    op.create_table(
        "brake",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=320), nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("released_by", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brake")),
    )
    op.create_index(op.f("ix_brake_kind_subject"), "brake", ["kind", "subject"], unique=False)
    op.create_table(
        "draft_file",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.String(length=128), nullable=False),
        sa.Column("blob", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["blob"], ["blob.id"], name=op.f("fk_draft_file_blob_blob")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_draft_file_user_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft_file")),
    )
    op.create_index(op.f("ix_draft_file_ticket_user"), "draft_file", ["ticket", "user"], unique=False)
    op.create_table(
        "template",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("process", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["process"], ["process.id"], name=op.f("fk_template_process_process")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
    )
    op.create_index(op.f("ix_template_process"), "template", ["process"], unique=False)
    op.create_table(
        "auto_reply",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rule", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("template", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("binding", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("sender", sa.String(length=320), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outgoing", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_auto_reply_message_message")),
        sa.ForeignKeyConstraint(["template"], ["template.id"], name=op.f("fk_auto_reply_template_template")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auto_reply")),
        sa.UniqueConstraint("message", "scope", name=op.f("uq_auto_reply_message_scope")),
    )
    op.create_index(
        "ix_auto_reply_due",
        "auto_reply",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_index(op.f("ix_auto_reply_ended_at"), "auto_reply", ["ended_at"], unique=False)
    op.create_index(op.f("ix_auto_reply_sender_at"), "auto_reply", ["sender", "at"], unique=False)
    op.create_table(
        "template_text",
        sa.Column("template", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["template"], ["template.id"], name=op.f("fk_template_text_template_template")),
        sa.PrimaryKeyConstraint("template", "language", name=op.f("pk_template_text")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identity_signature",
        sa.Column("identity", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"], name=op.f("fk_identity_signature_identity_identity")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_identity_signature_user_user")),
        sa.PrimaryKeyConstraint("identity", "user", name=op.f("pk_identity_signature")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reply_setting",
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("rule", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name=op.f("fk_reply_setting_ticket_ticket")),
        sa.PrimaryKeyConstraint("ticket", "name", name=op.f("pk_reply_setting")),
        sqlite_with_rowid=False,
    )
    op.add_column("outgoing", sa.Column("automatic", sa.Boolean(), nullable=True))
    op.add_column("outgoing", sa.Column("looked_at_by", sa.String(length=32), nullable=True))
    op.add_column("outgoing", sa.Column("note", sa.Text(), nullable=True))
    op.add_column("process", sa.Column("second_look", sa.Boolean(), nullable=True))
    op.add_column("user", sa.Column("undo", sa.Integer(), nullable=True))
