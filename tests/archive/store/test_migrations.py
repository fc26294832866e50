"""The schema: what the migrations make is what the code expects, also when one is cut off in the middle."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from archive import reindexing
from archive.front import now
from archive.people import users
from archive.store import dialects, migrate
from archive.store.archive import Archive
from archive.store.keys import InstallationKey, KeyTrouble
from archive.store.packs import NotReady
from archive.store.schema import mention, metadata, ticket
from archive.work import comments, merging

from ...servers.postgresql import PostgreSQL
from ..home import KEY, NOON, URL, Home, numbered

ROOT = Path(__file__).resolve().parents[3]
MIGRATIONS = Path(migrate.__file__).parent / "migrations"


@pytest.fixture
def empty(database: PostgreSQL | None, tmp_path: Path) -> Iterator[Archive]:
    (tmp_path / "locks").mkdir()
    home = Home(tmp_path, server=database)
    if database:
        database.make(tmp_path / URL)
    yield home.archive
    home.remove()


def test_head_is_the_newest_revision() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert scripts.get_heads() == [migrate.HEAD]


def test_the_migrated_schema_is_the_one_the_code_knows(empty: Archive) -> None:
    """Tables, columns, types, keys and indexes; the search index has a form of its own."""
    migrate.upgrade(empty)
    with empty.transaction() as session:
        context = MigrationContext.configure(
            session,
            opts={"include_name": lambda name, kind, _: kind != "table" or not str(name).startswith("search")},
        )
        assert compare_metadata(context, metadata) == []


@pytest.mark.databases("sqlite")
def test_the_same_statements_are_made_by_both(empty: Archive, tmp_path: Path) -> None:
    """What comparing does not look at: WITHOUT ROWID, AUTOINCREMENT, conditions of indexes, names of constraints."""
    migrate.upgrade(empty)
    other = Archive(tmp_path, InstallationKey(KEY), f"sqlite:///{tmp_path / 'other.sqlite'}")
    metadata.create_all(other.engine)
    assert _statements(empty) == _statements(other)


def _statements(archive: Archive) -> dict[str, list[str]]:
    """Every statement's parts, in any order, for columns and constraints may stand in any."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'search%'"
    with archive.reading() as session:
        found = {name: _parts(sql) for name, sql in session.execute(text(query))}
    return {name: parts for name, parts in found.items() if name not in ("alembic_version", "sqlite_sequence")}


def _parts(sql: str) -> list[str]:
    """What stands before, in and behind the brackets; a column added later stands behind the constraints."""
    head, _, rest = sql.partition("(")
    body, _, tail = rest.rpartition(")")
    inside = re.split(r",(?![^()]*\))", body)
    return [" ".join(head.split()), *sorted(" ".join(part.split()) for part in inside), " ".join(tail.split())]


def test_upgrading_again_changes_nothing(home: Home) -> None:
    before = _schema(home.archive), home.count("event")
    migrate.upgrade(home.archive)
    assert (_schema(home.archive), home.count("event")) == before


def _schema(archive: Archive) -> list[str]:
    """Every table with its columns, and every index."""
    with archive.reading() as session:
        look = inspect(session)
        return [
            f"{table} {[_index(one) for one in look.get_indexes(table)]} "
            f"{[(one['name'], str(one['type'])) for one in look.get_columns(table)]}"
            for table in sorted(look.get_table_names())
        ]


def _index(one: Mapping[str, Any]) -> list[str]:
    """An index without the objects by which it is told."""
    options = {name: str(value) for name, value in one.get("dialect_options", {}).items()}
    return [f"{name} {value}" for name, value in sorted({**one, "dialect_options": options}.items())]


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
from sqlalchemy import event
from archive.store import dialects, migrate
from tests.archive.home import Home

left = int(sys.argv[2])
archive = Home(Path(sys.argv[1])).archive

def count(connection, cursor, statement, *_):
    global left
    left -= not statement.startswith(("PRAGMA", "SELECT"))
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(archive.engine, "after_cursor_execute", count)
migrate.upgrade(archive)
print("done")
"""


@pytest.mark.parametrize("statements", [1, 2, 9, 20, 30, 40])
def test_an_upgrade_killed_in_the_middle_is_made_by_the_next(empty: Archive, tmp_path: Path, statements: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(statements)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == -9, done.stdout + done.stderr
    with pytest.raises(NotReady, match="empty"):
        migrate.check(empty)
    migrate.upgrade(empty)
    migrate.check(empty)
    with empty.transaction() as session:
        assert users.add(session, "anna@demo.example", "Anna", now()) == 1
        assert dialects.unsound(session) == []


def test_no_archive_an_empty_one_and_one_of_another_version_are_said_with_the_remedy(
    empty: Archive, tmp_path: Path
) -> None:
    with pytest.raises(NotReady, match="postroom init"):
        migrate.check(empty)
    assert not list(tmp_path.glob("*.sqlite"))  # looking makes nothing
    migrate.upgrade(empty)
    with empty.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(NotReady, match="postroom upgrade"):
        migrate.check(empty)


def test_whom_older_comments_name_is_known_afterwards(home: Home) -> None:
    home.take("Helpdesk", *numbered(range(4)))
    anna = home.ids["anna"]
    with home.archive.transaction() as session:
        one, two, part, whole = session.scalars(select(ticket.c.id).order_by(ticket.c.id))
        for said, of in (("@Anna", one), ("@Anna again", one), ("nobody", two), ("@Anna, see", part)):
            comments.add(session, of, anna, said, NOON)
        merging.merge(session, part, whole, f"user:{anna}", NOON)
    _back_to(home.archive, "0017")
    migrate.upgrade(home.archive)
    with home.archive.reading() as session:
        there = session.execute(select(mention).order_by(mention.c.ticket)).all()
        assert there == [(anna, one), (anna, part), (anna, whole)]


def test_an_archive_of_another_key_is_not_opened(home: Home) -> None:
    from archive import installation

    with home.archive.transaction() as session:
        installation.put(session, installation.KEY, home.archive.key.fingerprint)
    migrate.check_key(home.archive)
    with pytest.raises(KeyTrouble, match="postroom key restore"):
        migrate.check_key(Archive(home.folder, InstallationKey.new(), home.url))


def _back_to(archive: Archive, revision: str) -> None:
    """The database as a Postroom of that version left it, what has come since taken away."""
    with archive.transaction() as session:
        for statement in SINCE[revision]:
            session.execute(text(statement))
        session.execute(text("UPDATE alembic_version SET version_num = :one"), {"one": revision})


_SINCE_0018 = ["ALTER TABLE provider DROP COLUMN revoke"]
_SINCE_0017 = [*_SINCE_0018, "DROP TABLE mention"]
_SINCE_0016 = [*_SINCE_0017, "DROP TABLE comparison"]
_SINCE_0013B = [*_SINCE_0016, "DROP TABLE canary", "ALTER TABLE identity DROP COLUMN canary_every"]
_SINCE_0015B = [
    *_SINCE_0013B,
    "DROP INDEX ix_outgoing_recipient_address",
    *(
        f"ALTER TABLE outgoing_recipient DROP COLUMN {name}"
        for name in ("returned", "returned_at", "returned_says", "returned_by")
    ),
]
_SINCE_0015 = [*_SINCE_0015B, "DROP TABLE answered_mark", "ALTER TABLE binding DROP COLUMN answered"]
_SINCE_0013 = [*_SINCE_0015, "DROP INDEX ix_outgoing_file", "ALTER TABLE outgoing DROP COLUMN file_at"]
_SINCE_0014 = [*_SINCE_0013, "DROP TABLE stray", "ALTER TABLE identity DROP COLUMN tags"]
_SINCE_0012 = [
    *_SINCE_0014,
    *(
        f"DROP TABLE {name}"
        for name in (
            *("draft_file", "brake", "auto_reply", "reply_setting", "identity_signature", "template_text"),
            "template",
        )
    ),
    *(f"ALTER TABLE outgoing DROP COLUMN {name}" for name in ("automatic", "looked_at_by", "note")),
    "ALTER TABLE process DROP COLUMN second_look",
    'ALTER TABLE "user" DROP COLUMN undo',
]
_SINCE_0011 = [
    *_SINCE_0012,
    *(f"DROP TABLE {name}" for name in ("outgoing_recipient", "outgoing", "identity_right", "identity")),
]
_SINCE_0010 = [
    *_SINCE_0011,
    *(
        f'DROP TABLE "{name}"'
        for name in (
            *("comment", "watcher", "ticket_tag", "tag", "snooze", "reminder", "presence", "draft", "absence"),
            *(
                "hand_over_message",
                "hand_over",
                "restriction_member",
                "restriction_scope",
                "restriction",
                "assumed_role",
                "answer",
                "rule_binding",
                "rule_count",
                "rule",
            ),
            *("case_item", "case_participant", "case"),
        )
    ),
    *(f"DROP INDEX ix_ticket_{name}" for name in ("not_done", "assigned", "restriction", "waiting_until", "done_at")),
    "DROP INDEX ix_ticket_merged_into",
    "DROP INDEX ix_event_ticket",
    "DROP INDEX ix_event_case",
    *(
        f"ALTER TABLE ticket DROP COLUMN {name}"
        for name in (
            *("revision", "priority", "due_at", "waiting_until", "waiting_answer", "done_at", "done_by", "spam"),
            *("restriction", "merged_into", "comments", "incoming_at", "answered_at", "answered_by", "answered_from"),
            "first_answer_at",
        )
    ),
    *(f"ALTER TABLE delivery DROP COLUMN {name}" for name in ("reason", "address", "rule", "hand_over")),
    *(f'ALTER TABLE binding DROP COLUMN "{name}"' for name in ("sent", "case")),
    *(f'ALTER TABLE "user" DROP COLUMN {name}' for name in ("auditor", "tour")),
]
_SINCE_0006 = [
    *_SINCE_0010,
    "ALTER TABLE binding DROP COLUMN late_at",
    *(f"DROP TABLE IF EXISTS {name}" for name in ("search_row", "search_spread")),  # SQLite's alone
    "DROP TABLE limited",
    "ALTER TABLE enclosed_text DROP COLUMN limited",
    "DROP TABLE preview",
    "DROP TABLE journal",
    "ALTER TABLE delivery DROP COLUMN import_mode",
    *(
        f"ALTER TABLE binding DROP COLUMN {name}"
        for name in (
            *("before_uidnext", "began_at", "asked_at", "from_now_at", "desk_of", "paused_at", "paused_by", "ended_at"),
            *("looks", "looks_since", "looks_like"),
        )
    ),
]
_SINCE_0005 = [
    *_SINCE_0006,
    *(f"DROP TABLE {name}" for name in ("attempt", "observation", "consent", "provider")),
    "ALTER TABLE mailbox DROP COLUMN provider",
    "ALTER TABLE mailbox DROP COLUMN grant_type",
]
SINCE = {
    "0003": [
        *_SINCE_0005,
        "DROP TABLE lease",
        "ALTER TABLE binding DROP COLUMN trouble_kind",
        "ALTER TABLE binding DROP COLUMN trouble_values",
    ],
    "0004": [*_SINCE_0005, "DROP TABLE lease"],
    "0005": _SINCE_0005,
    "0006": _SINCE_0006,
    "0010": _SINCE_0010,
    "0011": _SINCE_0011,
    "0012": _SINCE_0012,
    "0014": _SINCE_0014,
    "0013": _SINCE_0013,
    "0015": _SINCE_0015,
    "0015b": _SINCE_0015B,
    "0013b": _SINCE_0013B,
    "0016": _SINCE_0016,
    "0017": _SINCE_0017,
    "0018": _SINCE_0018,
}


@pytest.mark.parametrize("revision", SINCE)
@pytest.mark.parametrize("statements", [1, 2])
def test_an_archive_with_mail_of_an_earlier_version_is_brought_up_also_at_the_second_try(
    home: Home, revision: str, statements: int
) -> None:
    home.take("Helpdesk", *numbered(range(3)))
    before = home.raws()
    _back_to(home.archive, revision)
    with pytest.raises(NotReady, match=f"version {revision}.*postroom upgrade"):
        migrate.check(home.archive)
    home.close()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home.folder), str(statements)], capture_output=True, check=False, cwd=ROOT
    )
    assert done.returncode == -9
    with pytest.raises(NotReady, match=f"version {revision}"):
        migrate.check(home.archive)
    migrate.upgrade(home.archive)
    migrate.check(home.archive)
    assert home.raws() == before
    home.take("Helpdesk", *numbered(range(3, 5)))
    while reindexing.pass_(home.archive, 50).indexed:
        pass
    assert len(home.find("anna", "mail")) == 5
