"""The search index with fields, stems and beginnings; every message is indexed anew, in the background."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SEARCH = (
    "CREATE VIRTUAL TABLE search USING fts5(subject, sender, recipients, copied, body, names, enclosed, subject_stems, "
    "stems, beginnings, marks, content='', tokenize='unicode61 remove_diacritics 2')",
    # Merged in larger steps: the index is written by the batch.
    "INSERT INTO search(search, rank) VALUES('hashsize', 16777216)",
    "INSERT INTO search(search, rank) VALUES('automerge', 8)",
)

# `archive.search.postgres`: before it nobody could have an archive there.
SEARCH_ON_POSTGRESQL = (
    "CREATE TABLE search (id bigint PRIMARY KEY, lexemes tsvector NOT NULL, subject text NOT NULL, "
    "sender text NOT NULL, recipients text NOT NULL, copied text NOT NULL, body text NOT NULL, names text NOT NULL, "
    "enclosed text NOT NULL)",
    # New rows are gathered (KiB) and put into the index together; what is gathered is read by every question.
    "CREATE INDEX ix_search_lexemes ON search USING gin (lexemes) WITH (fastupdate = on, gin_pending_list_limit = 512)",
)

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From 0001. What was indexed is missing from the index until it has been indexed anew, the newest first."""
    op.create_table(
        "indexed",
        sa.Column("message", Id, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_indexed_message_message")),
        sa.PrimaryKeyConstraint("message", name=op.f("pk_indexed")),
    )
    op.create_index(
        "ix_indexed_waiting",
        "indexed",
        ["message"],
        unique=False,
        sqlite_where=sa.text("waiting"),
        postgresql_where=sa.text("waiting"),
    )
    op.create_table(
        "enclosed_text",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_enclosed_text")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "enclosed",
        sa.Column("message", Id, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["enclosed_text.hash"], name=op.f("fk_enclosed_hash_enclosed_text")),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_enclosed_message_message")),
        sa.PrimaryKeyConstraint("message", "place", name=op.f("pk_enclosed")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_enclosed_hash"), "enclosed", ["hash"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE search")
        for statement in SEARCH:
            op.execute(statement)
    else:
        for statement in SEARCH_ON_POSTGRESQL:
            op.execute(statement)
    # As `archive.search.index` says that all messages may be missing.
    op.execute(
        "INSERT INTO installation (name, value) SELECT 'search_below', '9223372036854775807' "
        "WHERE EXISTS (SELECT 1 FROM message)"
    )
