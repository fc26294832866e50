"""An archive of Anna, Bernd and Clara, without any mail server: Anna owns Helpdesk, Bernd Sales, Clara neither."""

import contextlib
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from archive.intake import Arrival, Intake, Taken
from archive.people import processes, scopes, users
from archive.people.scopes import Viewer
from archive.post import bindings, messages
from archive.post.bindings import Binding
from archive.post.messages import Copy
from archive.search import hits, query
from archive.store import migrate
from archive.store.archive import Archive
from archive.store.keys import InstallationKey

from ..servers.postgresql import PostgreSQL

NOON = 1_793_620_800_000  # 2026-11-02 12:00 UTC, ms
KEY = bytes(range(32))
GENERATION = 7  # UIDVALIDITY
URL = "database.url"


@dataclass
class Home:
    """One installation. Ids and bindings stand under the names of people and folders."""

    folder: Path
    ids: dict[str, int] = field(default_factory=dict)
    _uids: Any = field(default_factory=lambda: count(1))
    _ticks: Any = field(default_factory=lambda: count(1))
    server: PostgreSQL | None = None

    @property
    def url(self) -> str | None:
        """Its database; None: SQLite's in the folder. Kept beside it, so that another program finds it there, too."""
        note = self.folder / URL
        return note.read_text() if note.exists() else None

    @cached_property
    def archive(self) -> Archive:
        return Archive(self.folder, InstallationKey(KEY), self.url)

    @cached_property
    def intake(self) -> Intake:
        return Intake(self.archive)

    def clock(self) -> int:
        """Every look at it is a millisecond later."""
        return NOON + int(next(self._ticks))

    def binding(self, name: str) -> Binding:
        with self.archive.reading() as session:
            return bindings.get(session, self.ids[name])

    def take(self, name: str, *raws: bytes, at: int = NOON, intake: Intake | None = None) -> Taken:
        """Mail arrives in a binding, a second apart, under UIDs never used before."""
        arrivals = [Arrival(int(next(self._uids)), raw, at + number * 1000) for number, raw in enumerate(raws)]
        return (intake or self.intake).take(self.binding(name), GENERATION, arrivals, self.clock)

    def viewer(self, name: str) -> Viewer:
        with self.archive.reading() as session:
            return scopes.viewer(session, self.ids[name])

    def find(self, name: str, typed: str, limit: int = 1000) -> list[str]:
        """The subjects somebody finds, newest first."""
        viewer = self.viewer(name)
        with self.archive.reading() as session:
            ids = hits.find(session, query.parse(typed), viewer, limit=limit)
            found = messages.of_ids(session, ids, viewer)
        return [found[id_].subject for id_ in ids]

    def raws(self, viewer: Viewer = scopes.MACHINE) -> dict[int, bytes]:
        """The bytes of all copies somebody may see, by receipt."""
        with self.archive.reading() as session:
            return {one.receipt: self.raw(one) for one in messages.every_copy(session, viewer, limit=100_000)}

    def raw(self, copy: Copy) -> bytes:
        with self.archive.reading() as session:
            return b"".join(messages.raw(self.archive, session, copy))

    def rows(self, statement: str, *values: object, database: str = "archive") -> list[Any]:
        """What another program sees in the database."""
        if self.url is not None:
            with psycopg.connect(self.url, options=f"-c search_path={database},public") as server:
                server.read_only = True
                return list(server.execute(statement.replace("?", "%s").encode(), values or None))
        with sqlite3.connect(self.folder / f"{database}.sqlite") as connection:
            rows = connection.execute(statement, values).fetchall()
        connection.close()
        return rows

    def verify(self) -> list[str]:
        """What `postroom verify` would find now, once everything is sealed."""
        from archive.events import sealer, verify

        sealer.seal_all(self.archive, self.clock)
        return [f"{one.where}: {one.says}" for one in verify.verify(self.archive, contents=True, workers=1).findings]

    def check_database(self) -> None:
        """SQLite says itself whether its file holds together; a server looks after its own."""
        if self.url is None:
            for name in ("archive", "keys"):
                assert self.rows("PRAGMA integrity_check", database=name) == [("ok",)]
                assert self.rows("PRAGMA foreign_key_check", database=name) == []

    def check_index(self) -> None:
        """SQLite says itself whether its index holds together; in PostgreSQL's every row stands for itself."""
        if self.url is None:
            with contextlib.closing(sqlite3.connect(self.folder / "archive.sqlite")) as connection:
                connection.execute("INSERT INTO search(search) VALUES('integrity-check')")

    def count(self, table: str) -> int:
        return int(self.rows(f'SELECT count(*) FROM "{table}"')[0][0])

    def copy_to(self, folder: Path) -> "Home":
        """The same installation again, apart from this one; nothing may be open in this one."""
        shutil.copytree(self.folder, folder)
        if self.url is not None:
            assert self.server
            self.server.copy(self.url, folder / URL)
        return Home(folder, dict(self.ids), server=self.server)

    def close(self) -> None:
        if "intake" in self.__dict__:
            self.intake.close()
            del self.intake
        if "archive" in self.__dict__:
            self.archive.close()
            del self.archive

    def remove(self) -> None:
        """Its database, too, where that is not in the folder."""
        self.close()
        if self.url is not None and self.server:
            self.server.drop(self.url)


def furnish(folder: Path, server: PostgreSQL | None = None) -> Home:
    """Makes an installation: its people, processes, a mailbox and four bindings."""
    (folder / "locks").mkdir(parents=True)
    if server:
        server.make(folder / URL)
    home = Home(folder, server=server)
    archive = home.archive
    migrate.upgrade(archive)
    with archive.transaction() as session:
        for name in ("anna", "bernd", "clara"):
            home.ids[name] = users.add(session, f"{name}@demo.example", name.title(), NOON)
        for slug, owner in (("helpdesk", "anna"), ("sales", "bernd")):
            made = processes.add(
                session, slug, slug.title(), (f"{slug}@demo.example",), (f"{owner}@demo.example",), NOON
            )
            home.ids[f"process {slug}"] = made.id
        bindings.add_mailbox(session, archive, "office", "imap+plain://office@127.0.0.1", None, "secret", NOON)
        (box,) = bindings.mailboxes(session)

        def bind(name: str, process: int | None = None, user: int | None = None) -> None:
            home.ids[name] = bindings.add(session, box, name, f"{name} done", NOON, process=process, user=user)

        bind("Helpdesk", process=home.ids["process helpdesk"])
        bind("Sales", process=home.ids["process sales"])
        bind("Anna", user=home.ids["anna"])
        bind("Clara", user=home.ids["clara"])
    home.close()
    return home


def numbered(numbers: Sequence[int] | range, text: str = "") -> list[bytes]:
    """Small different mails: `word7` stands in the body of number 7."""
    return [
        f"From: Eva <eva@outside.example>\r\nSubject: mail {n}\r\n"
        f"Message-ID: <{n}@outside.example>\r\n\r\nword{n} {text}\r\n".encode()
        for n in numbers
    ]
