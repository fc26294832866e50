"""Teams: what people do with tickets, rules, cases, who hands mail to whom, and who is kept from it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """From 0010."""
    op.create_table(
        "case",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("folded", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=32), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("restriction", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("words", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case")),
        sa.UniqueConstraint("folded", name=op.f("uq_case_folded")),
    )
    op.create_index(op.f("ix_case_last_at"), "case", ["last_at"], unique=False)
    op.create_table(
        "rule",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("any_of", sa.Boolean(), nullable=False),
        sa.Column("conditions", sa.Text(), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("stop", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule")),
    )
    op.create_table(
        "rule_count",
        sa.Column("rule", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["rule"], ["rule.id"], name=op.f("fk_rule_count_rule_rule")),
        sa.PrimaryKeyConstraint("rule", "day", name=op.f("pk_rule_count")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tag",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("folded", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("folded", name=op.f("uq_tag_folded")),
    )
    op.create_table(
        "absence",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("begins_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("substitute", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["substitute"], ["user.id"], name=op.f("fk_absence_substitute_user")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_absence_user_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_absence")),
    )
    op.create_index(op.f("ix_absence_ends_at"), "absence", ["ends_at"], unique=False)
    op.create_index(op.f("ix_absence_user"), "absence", ["user"], unique=False)
    op.create_table(
        "case_item",
        sa.Column("case", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item", sa.String(length=96), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["case.id"], name=op.f("fk_case_item_case_case")),
        sa.PrimaryKeyConstraint("case", "kind", "item", name=op.f("pk_case_item")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_case_item_kind_item"), "case_item", ["kind", "item"], unique=False)
    op.create_table(
        "case_participant",
        sa.Column("case", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["case.id"], name=op.f("fk_case_participant_case_case")),
        sa.PrimaryKeyConstraint("case", "scope", name=op.f("pk_case_participant")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_case_participant_scope"), "case_participant", ["scope"], unique=False)
    op.create_table(
        "comment",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("author", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("mentions", sa.Text(), nullable=True),
        sa.Column("edited_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["author"], ["user.id"], name=op.f("fk_comment_author_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comment")),
    )
    op.create_index(op.f("ix_comment_ticket"), "comment", ["ticket"], unique=False)
    op.create_table(
        "draft",
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_draft_user_user")),
        sa.PrimaryKeyConstraint("user", "ticket", "kind", name=op.f("pk_draft")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hand_over",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("conversation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("from_scope", sa.String(length=32), nullable=False),
        sa.Column("to_scope", sa.String(length=32), nullable=False),
        sa.Column("by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("withdrawn_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["by"], ["user.id"], name=op.f("fk_hand_over_by_user")),
        sa.ForeignKeyConstraint(["withdrawn_by"], ["user.id"], name=op.f("fk_hand_over_withdrawn_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hand_over")),
    )
    op.create_index(op.f("ix_hand_over_conversation"), "hand_over", ["conversation"], unique=False)
    op.create_index(op.f("ix_hand_over_to_scope_at"), "hand_over", ["to_scope", "at"], unique=False)
    op.create_table(
        "presence",
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("writing_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_presence_user_user")),
        sa.PrimaryKeyConstraint("ticket", "user", name=op.f("pk_presence")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reminder",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("unless_answered", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_reminder_user_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminder")),
    )
    op.create_index(op.f("ix_reminder_at"), "reminder", ["at"], unique=False)
    op.create_index(op.f("ix_reminder_ticket"), "reminder", ["ticket"], unique=False)
    op.create_table(
        "restriction",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("conversation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("case", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["by"], ["user.id"], name=op.f("fk_restriction_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restriction")),
    )
    op.create_index(op.f("ix_restriction_case"), "restriction", ["case"], unique=False)
    op.create_index(op.f("ix_restriction_conversation"), "restriction", ["conversation"], unique=False)
    op.create_table(
        "snooze",
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_snooze_user_user")),
        sa.PrimaryKeyConstraint("user", "ticket", name=op.f("pk_snooze")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_snooze_until"), "snooze", ["until"], unique=False)
    op.create_table(
        "ticket_tag",
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tag", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["tag"], ["tag.id"], name=op.f("fk_ticket_tag_tag_tag")),
        sa.PrimaryKeyConstraint("ticket", "tag", name=op.f("pk_ticket_tag")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_ticket_tag_tag"), "ticket_tag", ["tag"], unique=False)
    op.create_table(
        "watcher",
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_watcher_user_user")),
        sa.PrimaryKeyConstraint("ticket", "user", name=op.f("pk_watcher")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_watcher_user"), "watcher", ["user"], unique=False)
    op.create_table(
        "answer",
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("by_message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_answer_message_message")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_answer_user_user")),
        sa.PrimaryKeyConstraint("message", "by_message", name=op.f("pk_answer")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "restriction_member",
        sa.Column("restriction", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["restriction"], ["restriction.id"], name=op.f("fk_restriction_member_restriction_restriction")
        ),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_restriction_member_user_user")),
        sa.PrimaryKeyConstraint("restriction", "user", name=op.f("pk_restriction_member")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_restriction_member_user"), "restriction_member", ["user"], unique=False)
    op.create_table(
        "rule_binding",
        sa.Column("rule", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("binding", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["binding"], ["binding.id"], name=op.f("fk_rule_binding_binding_binding")),
        sa.ForeignKeyConstraint(["rule"], ["rule.id"], name=op.f("fk_rule_binding_rule_rule")),
        sa.PrimaryKeyConstraint("rule", "binding", name=op.f("pk_rule_binding")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hand_over_message",
        sa.Column("hand_over", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["hand_over"], ["hand_over.id"], name=op.f("fk_hand_over_message_hand_over_hand_over")),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_hand_over_message_message_message")),
        sa.PrimaryKeyConstraint("hand_over", "message", name=op.f("pk_hand_over_message")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_hand_over_message_message"), "hand_over_message", ["message"], unique=False)
    op.create_table(
        "restriction_scope",
        sa.Column("restriction", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["restriction"], ["restriction.id"], name=op.f("fk_restriction_scope_restriction_restriction")
        ),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_restriction_scope_message_message")),
        sa.PrimaryKeyConstraint("restriction", "message", "scope", name=op.f("pk_restriction_scope")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "assumed_role",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("process", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["process"], ["process.id"], name=op.f("fk_assumed_role_process_process")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_assumed_role_user_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assumed_role")),
    )
    op.create_index(op.f("ix_assumed_role_process"), "assumed_role", ["process"], unique=False)
    op.add_column("binding", sa.Column("sent", sa.Boolean(), nullable=True))
    op.add_column("binding", sa.Column("case", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
    op.add_column("delivery", sa.Column("reason", sa.String(length=16), nullable=True))
    op.add_column("delivery", sa.Column("address", sa.String(length=320), nullable=True))
    op.add_column("delivery", sa.Column("rule", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
    op.add_column(
        "delivery", sa.Column("hand_over", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
    )
    op.add_column("ticket", sa.Column("revision", sa.Integer(), nullable=True))
    op.add_column("ticket", sa.Column("priority", sa.Integer(), nullable=True))
    op.add_column("ticket", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.add_column("ticket", sa.Column("waiting_until", sa.BigInteger(), nullable=True))
    op.add_column("ticket", sa.Column("waiting_answer", sa.Boolean(), nullable=True))
    op.add_column("ticket", sa.Column("done_at", sa.BigInteger(), nullable=True))
    op.add_column("ticket", sa.Column("done_by", sa.String(length=32), nullable=True))
    op.add_column("ticket", sa.Column("spam", sa.Boolean(), nullable=True))
    op.add_column(
        "ticket", sa.Column("restriction", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
    )
    op.add_column(
        "ticket", sa.Column("merged_into", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
    )
    op.add_column("ticket", sa.Column("comments", sa.Integer(), nullable=True))
    op.add_column("ticket", sa.Column("incoming_at", sa.BigInteger(), nullable=True))
    op.add_column("ticket", sa.Column("answered_at", sa.BigInteger(), nullable=True))
    op.add_column(
        "ticket", sa.Column("answered_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
    )
    op.add_column("ticket", sa.Column("answered_from", sa.String(length=320), nullable=True))
    op.add_column("ticket", sa.Column("first_answer_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_event_case",
        "event",
        ["subject", "id"],
        sqlite_where=sa.text("substr(subject, 1, 5) = 'case:'"),
        postgresql_where=sa.text("substr(subject, 1, 5) = 'case:'"),
    )
    op.create_index(
        "ix_ticket_assigned",
        "ticket",
        ["assignee", "state", "last_at", "id"],
        unique=False,
        sqlite_where=sa.text("assignee IS NOT NULL"),
        postgresql_where=sa.text("assignee IS NOT NULL"),
    )
    op.create_index(
        "ix_ticket_not_done",
        "ticket",
        ["scope", "state", "last_at", "id"],
        unique=False,
        sqlite_where=sa.text("state <> 'done'"),
        postgresql_where=sa.text("state <> 'done'"),
    )
    op.create_index(
        "ix_ticket_done_at",
        "ticket",
        ["scope", "done_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NOT NULL"),
        postgresql_where=sa.text("done_at IS NOT NULL"),
    )
    op.create_index(
        "ix_ticket_restriction",
        "ticket",
        ["restriction"],
        unique=False,
        sqlite_where=sa.text("restriction IS NOT NULL"),
        postgresql_where=sa.text("restriction IS NOT NULL"),
    )
    op.create_index(
        "ix_ticket_merged_into",
        "ticket",
        ["merged_into"],
        unique=False,
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_index(
        "ix_ticket_waiting_until",
        "ticket",
        ["waiting_until"],
        unique=False,
        sqlite_where=sa.text("waiting_until IS NOT NULL"),
        postgresql_where=sa.text("waiting_until IS NOT NULL"),
    )
    op.create_index(
        "ix_event_ticket",
        "event",
        ["subject", "id"],
        unique=False,
        sqlite_where=sa.text("substr(subject, 1, 7) = 'ticket:'"),
        postgresql_where=sa.text("substr(subject, 1, 7) = 'ticket:'"),
    )
    op.add_column("user", sa.Column("auditor", sa.Boolean(), nullable=True))
    op.add_column("user", sa.Column("tour", sa.Integer(), nullable=True))
