"""An office with mail: an archive of its own, Anna, Bernd and Clara, their processes, and mailboxes on real servers."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from sqlalchemy import select

from archive import installation
from archive.front import now
from archive.people import processes, scopes, users
from archive.people.scopes import MACHINE, Viewer
from archive.post import bindings, messages
from archive.post.bindings import Binding
from archive.post.messages import Copy, Message, Quarantined
from archive.search import hits, query
from archive.store import migrate, schema
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from gateway.mailbox import Connecting
from gateway.poller import Outcome, Poller

from ..command_line import call
from ..servers.postgresql import PostgreSQL
from ..world import PEOPLE, PROCESSES

ROOT = Path(__file__).resolve().parents[2]
QUICK = Connecting(timeout=5.0)


class Reachable(Protocol):
    """A user's account on some server of the tests."""

    @property
    def url(self) -> str: ...

    @property
    def password(self) -> str: ...


@dataclass
class Office:
    """One installation and its people. `anna`, `bernd` and `clara` are what each may see."""

    folder: Path
    archive: Archive
    environment: dict[str, str]
    names: dict[str, int] = field(default_factory=dict)  # of users and processes
    connecting: Connecting = QUICK
    url: str | None = None  # of its database; None: SQLite's in the folder

    def watch(
        self,
        account: Reachable,
        folder: str = "INBOX",
        *,
        processed: str = "Done",
        process: str | None = "helpdesk",
        user: str | None = None,
        name: str | None = None,
        preview: bool = False,
        owner: str | None = None,
        every: int = 60,
    ) -> int:
        """Bind a folder of an account, named as on its server; returns the binding's id.

        What is in it is taken at once, also from a private folder, unless there is to be a `preview`.
        """
        with self.archive.transaction() as session:
            owns = self.names[owner] if owner else None
            name = name or f"box{len(bindings.mailboxes(session)) + 1}"
            box = bindings.mailbox_by_name(session, name)
            if box is None:
                bindings.add_mailbox(
                    session, self.archive, name, account.url, None, account.password, now(), owner=owns
                )
                box = bindings.mailbox_by_name(session, name)
            assert box is not None
            for_whom: dict[str, Any] = {"user": self.names[user]} if user else {"process": self.names[process or ""]}
            return bindings.add(
                session, box, folder, processed, now(), preview=preview, every_seconds=every, **for_whom
            )

    def binding(self, id_: int) -> Binding:
        with self.archive.reading() as session:
            return bindings.get(session, id_)

    def poll(self, binding: int, **options: Any) -> Outcome:
        """A pass as `postroom poll` makes it, in this process and without workers."""
        options = {"lease_wait": 0.5, **options}
        poller = Poller(self.archive, options.pop("connecting", self.connecting), now, **options)
        try:
            return poller.poll(binding)
        finally:
            poller.close()

    def poll_well(self, binding: int, **options: Any) -> Outcome:
        """As `poll`, where nothing may go wrong."""
        outcome = self.poll(binding, **options)
        assert outcome.trouble is None, outcome
        return outcome

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """The command line in a process of its own."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=self.folder.parent,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def call(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The command line in this process: as `run`, and quicker."""
        return call(self.environment, *arguments, stdin=stdin)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on running."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            cwd=self.folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "postroom", *arguments]

    def poll_by_command(self, *names: str, timeout: float = 60) -> tuple[int, list[dict[str, Any]]]:
        """`postroom poll --json`: its exit code and what it printed."""
        done = self.run("poll", "--json", *names, timeout=timeout)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    # What the archive holds

    def messages(self, viewer: Viewer = MACHINE) -> list[Message]:
        """Oldest first."""
        with self.archive.reading() as session:
            return messages.newest(session, viewer, None, 100_000)[::-1]

    def message(self, viewer: Viewer = MACHINE) -> Message:
        """The only one."""
        (one,) = self.messages(viewer)
        return one

    def copies(self, viewer: Viewer = MACHINE) -> list[Copy]:
        with self.archive.reading() as session:
            return messages.every_copy(session, viewer, limit=100_000)

    def raw(self, copy: Copy) -> bytes:
        with self.archive.reading() as session:
            return b"".join(messages.raw(self.archive, session, copy))

    def raws(self, viewer: Viewer = MACHINE) -> list[bytes]:
        return [self.raw(one) for one in self.copies(viewer)]

    def find(self, words: str, viewer: Viewer = MACHINE) -> list[int]:
        with self.archive.reading() as session:
            return list(hits.find(session, query.parse(words), viewer))

    def rows(self, table: str) -> list[Any]:
        with self.archive.reading() as session:
            return list(session.execute(select(schema.metadata.tables[table])))

    def events(self, kind: str | None = None) -> list[str]:
        """Kinds of events, or subjects of one kind, in order."""
        rows = sorted(self.rows("event"), key=lambda row: row.id)
        return [row.kind if kind is None else row.subject for row in rows if kind in (None, row.kind)]

    def quarantined(self) -> list[Quarantined]:
        with self.archive.reading() as session:
            return messages.quarantined(session)

    def settlements(self) -> list[str | None]:
        return [one.settlement for one in self.copies()]

    def viewer(self, name: str) -> Viewer:
        with self.archive.reading() as session:
            return scopes.viewer(session, self.names[name])

    @property
    def anna(self) -> Viewer:
        return self.viewer("anna")

    @property
    def bernd(self) -> Viewer:
        return self.viewer("bernd")

    @property
    def clara(self) -> Viewer:
        return self.viewer("clara")

    def everything(self, but: Sequence[str] = ("binding",)) -> dict[str, Any]:
        """Every row of both databases, the search index included, and every pack, to compare."""
        found: dict[str, Any] = {}
        if self.url is not None:
            found = self._everything_on_server(but)
        for file in () if self.url is not None else ("archive", "keys"):
            with contextlib.closing(sqlite3.connect(self.folder / f"{file}.sqlite")) as database:
                # The index has no rows of its own to read; the tables it is made of have.
                listed = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
                tables = [row[0] for row in database.execute(listed)]
                for table in tables:
                    if table not in but:
                        found[f"{file}.{table}"] = database.execute(f'SELECT * FROM "{table}"').fetchall()
        for pack in sorted((self.folder / "blobs").glob("*.pack")):
            found[pack.name] = pack.read_bytes()
        return found

    def _everything_on_server(self, but: Sequence[str]) -> dict[str, Any]:
        listed = (
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('public', 'keys')"
        )
        found: dict[str, Any] = {}
        with psycopg.connect(self.url or "") as server:
            for place, table in server.execute(listed.encode()).fetchall():
                if table not in (*but, "lease"):  # a lease is written by every pass
                    rows = server.execute(f'SELECT * FROM {place}."{table}"'.encode()).fetchall()
                    found[f"{place}.{table}"] = sorted(rows, key=repr)
        return found


@pytest.fixture(scope="session")
def empty_office(database: PostgreSQL | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every office begins as; made once, for migrations take their time."""
    folder = tmp_path_factory.mktemp("office")
    data = folder / "data"
    (data / "locks").mkdir(parents=True, mode=0o700)
    key = InstallationKey.new()
    key.write(folder / "data.key")
    archive = Archive(data, key, database.make(folder / "database.url") if database else None)
    migrate.upgrade(archive)
    with archive.transaction() as session:
        installation.put(session, installation.KEY, key.fingerprint)
        for person in PEOPLE:
            users.add(session, person.address, person.name, now(), admin=person is PEOPLE[0])
        for one in PROCESSES:
            processes.add(session, one.slug, one.name, (one.address,), (one.owner.address,), now())
    archive.close()
    return folder


@pytest.fixture
def office(empty_office: Path, database: PostgreSQL | None, tmp_path: Path) -> Iterator[Office]:
    shutil.copytree(empty_office, tmp_path / "office")
    folder = tmp_path / "office" / "data"
    note = tmp_path / "office" / "database.url"
    url = database.copy(note.read_text(), note) if database else None
    archive = Archive(folder, InstallationKey.read(tmp_path / "office" / "data.key"), url)
    environment = {
        **os.environ,
        "POSTROOM_DATA": str(folder),
        "PYTHONPATH": str(ROOT),
        "POSTROOM_GATEWAY__TIMEOUT": "5",
    }
    if url is not None:
        environment["POSTROOM_DATABASE__URL"] = url
    made = Office(folder, archive, environment, url=url)
    with archive.reading() as session:
        made.names = {one.email.partition("@")[0]: one.id for one in users.every(session)}
        made.names |= {one.slug: one.id for one in processes.every(session)}
    yield made
    archive.close()
    if database and url is not None:
        database.drop(url)


@pytest.fixture
def at_once() -> Iterator[list[threading.Thread]]:
    """Threads a test starts; they are waited for."""
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join(30)
