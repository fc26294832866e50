"""An office for the tests of the pages: a real archive, three people, and their browsers."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from archive import intake
from archive.people import members, processes, scopes, sessions, users
from archive.people.roles import Role
from archive.people.scopes import Viewer
from archive.post import bindings, messages
from archive.store import migrate
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from web import previews
from web.app import create_app

from .. import world
from ..servers.postgresql import PostgreSQL

NOW = 1_793_620_800_000  # 2 November 2026, 12:00 UTC
URL = "database.url"  # a file beside the archive, where that is not in the folder
PASSWORD = "correct horse battery"
DANA = world.Person("Dana Veselá", "dana@demo.example")
PEOPLE = {"anna": world.ANNA, "bernd": world.BERND, "clara": world.CLARA, "dana": DANA}
_hashed = users.hash_password(PASSWORD)  # slow on purpose, so once


@dataclass
class Browser:
    """Somebody at a page: follows what a form would send, its hidden token included."""

    client: FlaskClient

    def get(self, address: str, **options: Any) -> TestResponse:
        return self.client.get(address, **options)

    def post(self, address: str, form: dict[str, str] | None = None, *, page: str = "/health") -> TestResponse:
        return self.client.post(address, data={**(form or {}), "csrf_token": self.token(page)})

    def token(self, page: str) -> str:
        """The token in a page's form."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, f"no form on {page}"
        return found[1]


@dataclass
class Office:
    """Anna owns Helpdesk and has a mailbox of her own; Dana helps her there.

    Bernd owns Sales. Clara (Press) looks after the installation and may see nothing of the others' mail.
    """

    archive: Archive
    app: Flask
    users: dict[str, int]
    bindings: dict[str, bindings.Binding]
    clock: list[int]
    _uids: dict[str, int] = field(default_factory=dict)
    _intake: intake.Intake | None = None

    def browser(self, name: str | None = None) -> Browser:
        """A browser, in which somebody may be signed in."""
        browser = Browser(self.app.test_client())
        if name:
            with self.archive.transaction() as session:
                token = sessions.start(session, self.users[name], "a browser", self.clock[0])
            browser.client.set_cookie("postroom", token)
        return browser

    def sign_in(self, browser: Browser, email: str, password: str = PASSWORD, **more: str) -> TestResponse:
        return browser.post("/sign-in", {"email": email, "password": password, **more}, page="/sign-in")

    def take(self, where: str, *raws: bytes, at: int | None = None) -> list[int]:
        """Let mail arrive at a binding; the ids of its messages."""
        binding = self.bindings[where]
        self._intake = self._intake or intake.Intake(self.archive)
        arrivals = []
        for raw in raws:
            self._uids[where] = self._uids.get(where, 0) + 1
            arrivals.append(intake.Arrival(self._uids[where], raw, at if at is not None else self.clock[0]))
        taken = self._intake.take(binding, 1, arrivals, lambda: self.clock[0])
        assert not taken.quarantined
        uids = [one.uid for one in arrivals]
        with self.archive.reading() as session:
            of_uid = {
                one.uid: one.message
                for one in messages.every_copy(session, scopes.MACHINE, limit=100_000)
                if one.binding == binding.name
            }
        return [of_uid[uid] for uid in uids]

    def conversation(self, message: int) -> int:
        with self.archive.reading() as session:
            found = messages.get(session, message, scopes.MACHINE)
        assert found
        return found.conversation

    def viewer(self, name: str) -> Viewer:
        with self.archive.reading() as session:
            return scopes.viewer(session, self.users[name])

    def quarantine(self, where: str, raw: bytes, reason: str = "it could not be recorded") -> int:
        """Keep a mail whose recording fails; its number in quarantine."""
        self._intake = self._intake or intake.Intake(self.archive)
        self._intake._quarantine(self.bindings[where], 1, intake.Arrival(9_000, raw, NOW), reason, self.clock[0])
        with self.archive.reading() as session:
            return messages.quarantined(session)[-1].id

    def close(self) -> None:
        if self._intake:
            self._intake.close()
        self.app.extensions["postroom"].laundry.close()
        previews.close(self.app)
        self.archive.close()


def make_empty(folder: Path, server: PostgreSQL | None = None) -> InstallationKey:
    """Make an archive with nothing in it; its key."""
    (folder / "locks").mkdir(parents=True)
    key = InstallationKey.new()
    archive = Archive(folder, key, server.make(folder / URL) if server else None)
    migrate.upgrade(archive)
    archive.close()
    return key


def open_office(
    folder: Path, key: InstallationKey, *, base_url: str | None = None, behind_proxy: bool = False
) -> Office:
    """Furnish an empty archive and put its pages up; `close` it afterwards."""
    note = folder / URL
    archive, clock = Archive(folder, key, note.read_text() if note.exists() else None), [NOW]
    app = create_app(archive, base_url=base_url, behind_proxy=behind_proxy, now=lambda: clock[0])
    ids, bound = _furnish(archive)
    return Office(archive, app, ids, bound, clock)


@pytest.fixture(scope="session")
def empty_archive(
    database: PostgreSQL | None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, InstallationKey]:
    """An archive with nothing in it, made once; tests get copies."""
    folder = tmp_path_factory.mktemp("empty") / "archive"
    return folder, make_empty(folder, database)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Any]:
    """The small world's office in a browser, the same for all tests of a worker: look, and leave it as it was."""
    from .pages import House

    with House(tmp_path_factory.mktemp("house"), chromium) as opened:
        yield opened


@pytest.fixture
def make_office(
    empty_archive: tuple[Path, InstallationKey], database: PostgreSQL | None, tmp_path: Path
) -> Iterator[Callable[..., Office]]:
    """Makes offices, with `create_app`'s arguments."""
    made: list[Office] = []

    def make(*, base_url: str | None = None, behind_proxy: bool = False) -> Office:
        folder = tmp_path / f"office-{len(made)}"
        shutil.copytree(empty_archive[0], folder)
        if database:
            database.copy((folder / URL).read_text(), folder / URL)
        made.append(open_office(folder, empty_archive[1], base_url=base_url, behind_proxy=behind_proxy))
        return made[-1]

    yield make
    for one in made:
        one.close()
        if database:
            database.drop(one.archive.database_url)


@pytest.fixture
def office(make_office: Callable[..., Office]) -> Office:
    """The usual office, reached over plain HTTP on this machine."""
    return make_office()


def _furnish(archive: Archive) -> tuple[dict[str, int], dict[str, bindings.Binding]]:
    with archive.transaction() as session:
        ids = {
            name: users.add(session, one.address, one.name, NOW, admin=name == "clara") for name, one in PEOPLE.items()
        }
        for id_ in ids.values():
            users.set_password(session, id_, _hashed, NOW, "operator")
        of_slug = {
            one.slug: processes.add(session, one.slug, one.name, (one.address,), (one.owner.address,), NOW).id
            for one in world.PROCESSES
        }
        members.give(session, of_slug["helpdesk"], ids["dana"], Role.WORKS, "operator", NOW)
        bindings.add_mailbox(session, archive, "office", "imaps://office@mail.example", None, "secret", NOW)
        bindings.add_mailbox(
            session, archive, "anna", "imaps://anna@mail.example", None, "secret", NOW, owner=ids["anna"]
        )
        office_box, anna_box = (bindings.mailbox_by_name(session, name) for name in ("office", "anna"))
        assert office_box
        assert anna_box
        numbers = {
            "helpdesk": bindings.add(session, office_box, "Helpdesk", "Done", NOW, process=of_slug["helpdesk"]),
            "sales": bindings.add(session, office_box, "Sales", "Done", NOW, process=of_slug["sales"]),
            "press": bindings.add(session, office_box, "Press", "Done", NOW, process=of_slug["press"]),
            "anna": bindings.add(session, anna_box, "Postroom", "Done", NOW, user=ids["anna"], preview=False),
        }
        return ids, {name: bindings.get(session, number) for name, number in numbers.items()}
