"""The first form of every table, and the search index."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SEARCH = (
    "CREATE VIRTUAL TABLE search USING fts5(subject, people, body, names, scope, content='', "
    "tokenize='unicode61 remove_diacritics 2')",
    # Merged in larger steps: the index is written by the batch.
    "INSERT INTO search(search, rank) VALUES('hashsize', 16777216)",
    "INSERT INTO search(search, rank) VALUES('automerge', 8)",
)

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "blob",
        sa.Column("id", Id, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blob")),
        sa.UniqueConstraint("hash", name=op.f("uq_blob_hash")),
    )
    op.create_table(
        "conversation",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation")),
    )
    op.create_table(
        "event",
        sa.Column("id", Id, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "installation",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pack",
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pack")),
    )
    op.create_table(
        "process",
        sa.Column("id", Id, nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process")),
        sa.UniqueConstraint("slug", name=op.f("uq_process_slug")),
    )
    op.create_table(
        "sign_in_try",
        sa.Column("id", Id, nullable=False),
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_try")),
    )
    op.create_index(op.f("ix_sign_in_try_subject_at"), "sign_in_try", ["subject", "at"], unique=False)
    op.create_table(
        "user",
        sa.Column("id", Id, nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column("zone", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("email", name=op.f("uq_user_email")),
    )
    op.create_table(
        "event_detail",
        sa.Column("event", Id, autoincrement=False, nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["event"], ["event.id"], name=op.f("fk_event_detail_event_event")),
        sa.PrimaryKeyConstraint("event", name=op.f("pk_event_detail")),
    )
    op.create_table(
        "mailbox",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("owner", Id, nullable=True),
        sa.Column("imap", sa.Text(), nullable=False),
        sa.Column("smtp", sa.Text(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("plaintext", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["user.id"], name=op.f("fk_mailbox_owner_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox")),
        sa.UniqueConstraint("name", name=op.f("uq_mailbox_name")),
    )
    op.create_table(
        "membership",
        sa.Column("process", Id, nullable=False),
        sa.Column("user", Id, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["process"], ["process.id"], name=op.f("fk_membership_process_process")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_membership_user_user")),
        sa.PrimaryKeyConstraint("process", "user", name=op.f("pk_membership")),
    )
    op.create_index(op.f("ix_membership_user"), "membership", ["user"], unique=False)
    op.create_table(
        "message",
        sa.Column("id", Id, autoincrement=False, nullable=False),
        sa.Column("content_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("identity", sa.Integer(), nullable=False),
        sa.Column("blob", Id, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("conversation", Id, nullable=False),
        sa.Column("joined_by", sa.String(length=16), nullable=False),
        sa.Column("parent", sa.LargeBinary(length=16), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("from_name", sa.Text(), nullable=False),
        sa.Column("from_address", sa.Text(), nullable=False),
        sa.Column("recipients", sa.Text(), nullable=False),
        sa.Column("date", sa.BigInteger(), nullable=True),
        sa.Column("arrived_at", sa.BigInteger(), nullable=False),
        sa.Column("snippet", sa.Text(), nullable=False),
        sa.Column("attachments", sa.Integer(), nullable=False),
        sa.Column("problems", sa.Text(), nullable=True),
        sa.Column("reader", sa.Integer(), nullable=False),
        sa.Column("second_reader", sa.Integer(), nullable=True),
        sa.Column("ambiguous", sa.Text(), nullable=True),
        sa.Column("second_reading", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["blob"], ["blob.id"], name=op.f("fk_message_blob_blob")),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name=op.f("fk_message_conversation_conversation")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("content_key", name=op.f("uq_message_content_key")),
    )
    op.create_index(op.f("ix_message_conversation"), "message", ["conversation"], unique=False)
    op.create_index(
        "ix_message_unread_twice",
        "message",
        ["id"],
        unique=False,
        sqlite_where=sa.text("second_reader IS NULL"),
        postgresql_where=sa.text("second_reader IS NULL"),
    )
    op.create_table(
        "process_address",
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("process", Id, nullable=False),
        sa.ForeignKeyConstraint(["process"], ["process.id"], name=op.f("fk_process_address_process_process")),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_process_address")),
    )
    op.create_index(op.f("ix_process_address_process"), "process_address", ["process"], unique=False)
    op.create_table(
        "sign_in_link",
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user", Id, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_sign_in_link_user_user")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_sign_in_link")),
    )
    op.create_table(
        "thread",
        sa.Column("reference", sa.LargeBinary(length=16), nullable=False),
        sa.Column("conversation", Id, nullable=False),
        sa.Column("message", Id, nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name=op.f("fk_thread_conversation_conversation")
        ),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_thread")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "web_session",
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user", Id, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_web_session_user_user")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_web_session")),
    )
    op.create_index(op.f("ix_web_session_user"), "web_session", ["user"], unique=False)
    op.create_table(
        "attachment",
        sa.Column("message", Id, nullable=False),
        sa.Column("path", sa.String(length=64).with_variant(sa.Text(), "postgresql"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_attachment_message_message")),
        sa.PrimaryKeyConstraint("message", "path", name=op.f("pk_attachment")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "binding",
        sa.Column("id", Id, nullable=False),
        sa.Column("mailbox", Id, nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("processed", sa.Text(), nullable=False),
        sa.Column("process", Id, nullable=True),
        sa.Column("user", Id, nullable=True),
        sa.Column("every", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("empty_polls", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("trouble_since", sa.BigInteger(), nullable=True),
        sa.Column("permanent", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=True),
        sa.Column("moving", sa.String(length=16), nullable=True),
        sa.Column("processed_uidvalidity", sa.BigInteger(), nullable=True),
        sa.Column("processed_uidnext", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["mailbox"], ["mailbox.id"], name=op.f("fk_binding_mailbox_mailbox")),
        sa.ForeignKeyConstraint(["process"], ["process.id"], name=op.f("fk_binding_process_process")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_binding_user_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_binding")),
        sa.UniqueConstraint("mailbox", "folder", name=op.f("uq_binding_mailbox_folder")),
    )
    op.create_index(op.f("ix_binding_next_at"), "binding", ["next_at"], unique=False)
    op.create_table(
        "leaf",
        sa.Column("message", Id, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("crlf", sa.Boolean(), nullable=False),
        sa.Column("blob", Id, nullable=False),
        sa.ForeignKeyConstraint(["blob"], ["blob.id"], name=op.f("fk_leaf_blob_blob")),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_leaf_message_message")),
        sa.PrimaryKeyConstraint("message", "start", name=op.f("pk_leaf")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_leaf_blob"), "leaf", ["blob"], unique=False)
    op.create_table(
        "message_scope",
        sa.Column("message", Id, nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_message_scope_message_message")),
        sa.PrimaryKeyConstraint("message", "scope", name=op.f("pk_message_scope")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ticket",
        sa.Column("id", Id, nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("conversation", Id, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("assignee", Id, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("last_message", Id, nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("people", sa.Text(), nullable=False),
        sa.Column("snippet", sa.Text(), nullable=False),
        sa.Column("attachments", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["assignee"], ["user.id"], name=op.f("fk_ticket_assignee_user")),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name=op.f("fk_ticket_conversation_conversation")
        ),
        sa.ForeignKeyConstraint(["last_message"], ["message.id"], name=op.f("fk_ticket_last_message_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket")),
        sa.UniqueConstraint("scope", "conversation", name=op.f("uq_ticket_scope_conversation")),
    )
    op.create_index(op.f("ix_ticket_conversation"), "ticket", ["conversation"], unique=False)
    op.create_index(op.f("ix_ticket_scope_last_at_id"), "ticket", ["scope", "last_at", "id"], unique=False)
    op.create_table(
        "left_alone",
        sa.Column("binding", Id, nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["binding"], ["binding.id"], name=op.f("fk_left_alone_binding_binding")),
        sa.PrimaryKeyConstraint("binding", "uidvalidity", "uid", name=op.f("pk_left_alone")),
    )
    op.create_table(
        "gone",
        sa.Column("binding", Id, nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["binding"], ["binding.id"], name=op.f("fk_gone_binding_binding")),
        sa.PrimaryKeyConstraint("binding", "uidvalidity", "uid", name=op.f("pk_gone")),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", Id, nullable=False),
        sa.Column("binding", Id, nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("blob", Id, nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["binding"], ["binding.id"], name=op.f("fk_quarantine_binding_binding")),
        sa.ForeignKeyConstraint(["blob"], ["blob.id"], name=op.f("fk_quarantine_blob_blob")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("binding", "uidvalidity", "uid", name=op.f("uq_quarantine_binding_uidvalidity_uid")),
    )
    op.create_table(
        "source",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source")),
        sa.UniqueConstraint("kind", "name", "scope", name=op.f("uq_source_kind_name_scope")),
    )
    op.create_table(
        "receipt",
        sa.Column("id", Id, nullable=False),
        sa.Column("message", Id, nullable=False),
        sa.Column("binding", Id, nullable=True),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=True),
        sa.Column("uid", sa.BigInteger(), nullable=True),
        sa.Column("source", Id, nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("trace", Id, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("settlement", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["binding"], ["binding.id"], name=op.f("fk_receipt_binding_binding")),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_receipt_message_message")),
        sa.ForeignKeyConstraint(["source"], ["source.id"], name=op.f("fk_receipt_source_source")),
        sa.ForeignKeyConstraint(["trace"], ["blob.id"], name=op.f("fk_receipt_trace_blob")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("binding", "uidvalidity", "uid", name=op.f("uq_receipt_binding_uidvalidity_uid")),
    )
    op.create_index(op.f("ix_receipt_message"), "receipt", ["message"], unique=False)
    op.create_index(
        "uq_receipt_source_place_sha256",
        "receipt",
        ["source", "place", "sha256"],
        unique=True,
        sqlite_where=sa.text("source IS NOT NULL"),
        postgresql_where=sa.text("source IS NOT NULL"),
    )
    op.create_index(
        "ix_receipt_unsettled",
        "receipt",
        ["binding"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "seen",
        sa.Column("user", Id, nullable=False),
        sa.Column("ticket", Id, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name=op.f("fk_seen_ticket_ticket")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_seen_user_user")),
        sa.PrimaryKeyConstraint("user", "ticket", name=op.f("pk_seen")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "delivery",
        sa.Column("message", Id, nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("receipt", Id, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_delivery_message_message")),
        sa.ForeignKeyConstraint(["receipt"], ["receipt.id"], name=op.f("fk_delivery_receipt_receipt")),
        sa.PrimaryKeyConstraint("message", "scope", name=op.f("pk_delivery")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "seal",
        sa.Column("id", Id, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("missing", sa.Text(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seal")),
    )
    op.create_table(
        "stretch",
        sa.Column("pack", Id, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seal", Id, nullable=False),
        sa.ForeignKeyConstraint(["pack"], ["pack.id"], name=op.f("fk_stretch_pack_pack")),
        sa.ForeignKeyConstraint(["seal"], ["seal.id"], name=op.f("fk_stretch_seal_seal")),
        sa.PrimaryKeyConstraint("pack", "start", name=op.f("pk_stretch")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_stretch_seal"), "stretch", ["seal"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for statement in SEARCH:
            op.execute(statement)
