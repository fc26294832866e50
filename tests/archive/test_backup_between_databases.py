"""A backup of an archive in PostgreSQL, put back into files, and any backup put back into PostgreSQL."""

from pathlib import Path

import pytest

from archive import backup, installation
from archive.events import sealer, verify
from archive.store import migrate

from ..servers.postgresql import PostgreSQL
from ..world import HOSTILE, copy_for, mail
from .home import NOON, Home, numbered
from .rows import fill
from .test_backup import put_back

ROWS = ("SELECT * FROM receipt ORDER BY id", "SELECT id, at, kind, commitment FROM event ORDER BY id")


@pytest.fixture
def home(home: Home) -> Home:
    home.take("Helpdesk", *numbered(range(8)), HOSTILE["8-bit header"](), mail(attachments=[("a.pdf", b"p" * 9000)]))
    home.take("Sales", copy_for("sales@demo.example", numbered([3])[0]))
    with home.archive.transaction() as session:
        installation.put(session, installation.KEY, home.archive.key.fingerprint)
    fill(home)  # that each of them comes back, `verify` says
    sealer.seal_all(home.archive, home.clock)
    return home


def other_with(home: Home, folder: Path, server: PostgreSQL | None) -> Home:
    """The backup put back into files or a server's database, whichever it came from."""
    data = home.folder.parent / "other"
    put_back(folder, data, server.make(home.folder.parent / "other.url") if server else None)
    return Home(data, dict(home.ids), server=server)


@pytest.mark.parametrize("into_server", [False, True])
def test_everything_comes_back_in_either_kind(home: Home, shared_postgresql: PostgreSQL, into_server: bool) -> None:
    folder = home.folder.parent / "backup"
    backup.make(home.archive, folder, NOON, lambda *_: None)
    home.take("Helpdesk", *numbered(range(20, 22)))  # not in it
    home.take("Sales", *numbered(range(30, 31)))
    backup.make(home.archive, folder, NOON, lambda *_: None)  # only packs' new bytes are added
    home.take("Helpdesk", *numbered(range(40, 43)))
    other = other_with(home, folder, shared_postgresql if into_server else None)
    try:
        migrate.check(other.archive)
        wanted = home.rows(ROWS[0])[:14]
        assert [row[0] for row in other.rows(ROWS[0])] == [row[0] for row in wanted]
        before, after = home.raws(), other.raws()
        assert after == {number: before[number] for number in after}
        assert len(after) == 14
        events = other.rows(ROWS[1])
        assert events[:-1] == home.rows(ROWS[1])[: len(events) - 1]
        assert events[-1][2] == "archive.restored"
        sealer.seal_all(other.archive, home.clock)
        assert verify.verify(other.archive, contents=True, workers=1).findings == []
        # It goes on, with ids that nobody had, and is found again when the index has been made anew.
        other._uids = home._uids
        other.take("Helpdesk", *numbered(range(50, 52)))
        assert other.count("receipt") == 16
        from archive import reindexing

        while reindexing.pass_(other.archive, 50).indexed:
            pass
        assert len(other.find("anna", "mail")) == 12
    finally:
        other.remove()


def test_a_backup_is_one_moment_while_mail_comes_in(home: Home) -> None:
    """Rows that are committed while they are copied are all in it or all out of it."""
    folder = home.folder.parent / "backup"
    taken: list[int] = []

    def meanwhile(*_: object) -> None:
        taken.append(len(home.take("Helpdesk", *numbered(range(100 + len(taken), 101 + len(taken)))).archived))

    backup.make(home.archive, folder, NOON, meanwhile)
    other = other_with(home, folder, None)
    assert len(other.raws()) == 11
    assert taken
    other.remove()
