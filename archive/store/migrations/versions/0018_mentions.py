"""Whom comments name, so that they find it again whether they watch or not."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From 0017."""
    made = op.create_table(
        "mention",
        sa.Column("user", _ID, nullable=False),
        sa.Column("ticket", _ID, nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_mention_user_user")),
        sa.PrimaryKeyConstraint("user", "ticket", name=op.f("pk_mention")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_mention_ticket"), "mention", ["ticket"], unique=False)
    # Whom a part of a ticket names finds the whole.
    said = op.get_bind().execute(
        sa.text(
            "SELECT ticket.id AS ticket, ticket.merged_into AS whole, comment.mentions AS mentions"
            " FROM comment JOIN ticket ON ticket.id = comment.ticket WHERE comment.mentions IS NOT NULL"
        )
    )
    named = {
        (user, one)
        for row in said
        for user in json.loads(row.mentions)
        for one in (row.ticket, row.whole)
        if one is not None
    }
    if named:
        op.bulk_insert(made, [{"user": user, "ticket": ticket} for user, ticket in sorted(named)])
