"""The search index under numbers that lie close together; all mail is indexed anew, in the background."""

from alembic import op

revision = "0009"
down_revision = "0008"

# `archive.search.fts5`.
SEARCH = (
    "CREATE VIRTUAL TABLE search USING fts5(subject, sender, recipients, copied, body, names, enclosed, subject_stems, "
    "stems, beginnings, marks, content='', columnsize=0, tokenize='unicode61 remove_diacritics 2')",
    # Merged in larger steps: the index is written by the batch.
    "INSERT INTO search(search, rank) VALUES('hashsize', 16777216)",
    "INSERT INTO search(search, rank) VALUES('automerge', 8)",
    "CREATE TABLE search_row (number INTEGER PRIMARY KEY, message INTEGER NOT NULL UNIQUE, marks TEXT NOT NULL)",
    "CREATE TABLE search_spread (stretches INTEGER NOT NULL)",
)


def upgrade() -> None:
    """From 0008. PostgreSQL's index stays as it is; SQLite's is empty until all mail has been indexed anew, the newest
    first."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("DROP TABLE search")
    for statement in SEARCH:
        op.execute(statement)
    for table in ("enclosed", "enclosed_text", "limited", "indexed"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608, our own words
    # As `archive.search.index` says that all messages may be missing.
    op.execute("DELETE FROM installation WHERE name IN ('search_below', 'search_version')")
    op.execute(
        "INSERT INTO installation (name, value) SELECT 'search_below', '9223372036854775807' "
        "WHERE EXISTS (SELECT 1 FROM message)"
    )
