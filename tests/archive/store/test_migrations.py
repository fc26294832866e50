"""The schema: what the migrations make is what the code expects, also when one is cut off in the middle."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from archive.front import now
from archive.people import users
from archive.store import migrate
from archive.store.archive import Archive, NotReady
from archive.store.keys import InstallationKey, KeyTrouble
from archive.store.schema import metadata

from ..home import KEY, Home

MIGRATIONS = Path(migrate.__file__).parent / "migrations"


@pytest.fixture
def empty(tmp_path: Path) -> Archive:
    (tmp_path / "locks").mkdir()
    return Archive(tmp_path, InstallationKey(KEY))


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
    before = home.rows("SELECT sql FROM sqlite_master ORDER BY name"), home.count("event")
    migrate.upgrade(home.archive)
    assert (home.rows("SELECT sql FROM sqlite_master ORDER BY name"), home.count("event")) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from archive.store import migrate
from archive.store.archive import Archive
from archive.store.keys import InstallationKey

left = int(sys.argv[2])
archive = Archive(Path(sys.argv[1]), InstallationKey(bytes(range(32))))

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
        [sys.executable, "-c", KILLED, str(tmp_path), str(statements)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stdout + done.stderr
    with pytest.raises(NotReady, match="empty"):
        migrate.check(empty)
    migrate.upgrade(empty)
    migrate.check(empty)
    with empty.transaction() as session:
        assert users.add(session, "anna@demo.example", "Anna", now()) == 1
        assert session.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_no_archive_an_empty_one_and_one_of_another_version_are_said_with_the_remedy(
    empty: Archive, tmp_path: Path
) -> None:
    with pytest.raises(NotReady, match="postroom init"):
        migrate.check(empty)
    assert not (tmp_path / "archive.sqlite").exists()  # looking makes nothing
    migrate.upgrade(empty)
    with empty.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(NotReady, match="postroom upgrade"):
        migrate.check(empty)


def test_an_archive_of_another_key_is_not_opened(home: Home) -> None:
    from archive import installation

    with home.archive.transaction() as session:
        installation.put(session, installation.KEY, home.archive.key.fingerprint)
    migrate.check_key(home.archive)
    with pytest.raises(KeyTrouble, match="postroom key restore"):
        migrate.check_key(Archive(home.folder, InstallationKey.new()))
