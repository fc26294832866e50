"""A small office: Anna owns Helpdesk, Bernd owns Sales, Clara may see neither; and a way to call commands."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from archive.front import Front, Given, now
from archive.intake import Arrival, Intake
from archive.people import processes, users
from archive.post import bindings
from archive.store.archive import Archive
from archive.store.keys import InstallationKey

ROOT = Path(__file__).resolve().parents[3]
NOON = 1_793_620_800_000  # 2026-11-02 12:00 UTC


@dataclass
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str
    raw: bytes = b""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        assert self.out.count("\n") == 1, self.err
        return self.lines[0]


def call(front: Front, command: click.Command, *arguments: str, typed: str | None = None) -> Said:
    """One call of a command within this process."""
    result = CliRunner().invoke(command, arguments, obj=front, input=typed)
    front.close()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return Said(1, result.stdout, str(result.exception))
    return Said(result.exit_code, result.stdout, result.stderr, result.stdout_bytes)


@dataclass
class House:
    """A place for an installation, and `postroom` called there as a program of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def key_path(self) -> Path:
        return self.folder / "data.key"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(ROOT / "postroom.py"), *arguments]

    def environ(self) -> dict[str, str]:
        return {**os.environ, "POSTROOM_DATA": str(self.data), **self.environment}

    def postroom(self, *arguments: str, typed: str | None = "", command: Sequence[str] | None = None) -> Said:
        done = subprocess.run(
            command or self.command(*arguments),
            input=None if typed is None else typed.encode(),
            capture_output=True,
            check=False,
            env=self.environ(),
            cwd=self.folder,
            timeout=60,
        )
        out = done.stdout.decode(errors="replace")
        return Said(done.returncode, out, done.stderr.decode(errors="replace"), done.stdout)

    def front(self) -> Front:
        return Front(lambda: Given(self.data, self.key_path, None, "http://127.0.0.1:8460"))

    def call(self, command: click.Command, *arguments: str, typed: str | None = None) -> Said:
        """As `postroom`, within this process: quicker, where the front door is not what is tested."""
        return call(self.front(), command, *arguments, typed=typed)

    def archive(self) -> Archive:
        return Archive(self.data, InstallationKey.read(self.key_path))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@dataclass
class Office(House):
    """An installation with people, two watched folders, and mail in it."""

    helpdesk: int = 0  # bindings
    sales: int = 0

    def take(self, binding: int, *mails: bytes, start: int = 1, at: int = NOON) -> None:
        archive = self.archive()
        try:
            with archive.reading() as session:
                one = bindings.get(session, binding)
            intake = Intake(archive)
            arrivals = [Arrival(start + i, raw, at + i * 1000) for i, raw in enumerate(mails)]
            intake.take(one, 7, arrivals, now)
            intake.close()
        finally:
            archive.close()

    def events(self, kind: str) -> list[Any]:
        from sqlalchemy import select

        from archive.store.schema import event, event_detail

        archive = self.archive()
        with archive.reading() as session:
            query = select(event, event_detail.c.details).join(event_detail, event_detail.c.event == event.c.id)
            found = list(session.execute(query.where(event.c.kind == kind).order_by(event.c.id)))
        archive.close()
        return found


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation made once; `office` is a copy of it for each test."""
    folder = tmp_path_factory.mktemp("furnished")
    place = House(folder)
    made = place.postroom("init", "--admin", "anna@demo.example", "--no-input", "--json")
    assert made.code == 0, made.err
    archive = place.archive()
    with archive.transaction() as session:
        for name in ("Bernd", "Clara"):
            users.add(session, f"{name.lower()}@demo.example", name, NOON)
        helpdesk = processes.add(
            session, "helpdesk", "Helpdesk", ("helpdesk@demo.example",), ("anna@demo.example",), NOON
        )
        sales = processes.add(session, "sales", "Sales", ("sales@demo.example",), ("bernd@demo.example",), NOON)
        bindings.add_mailbox(session, archive, "office", "imaps://office@mail.example", None, "secret", NOON)
        (box,) = bindings.mailboxes(session)
        bindings.add(session, box, "Helpdesk", "Helpdesk done", now(), process=helpdesk.id)
        bindings.add(session, box, "Sales", "Sales done", now(), process=sales.id)
    archive.close()
    return folder


@pytest.fixture
def office(furnished: Path, tmp_path: Path) -> Office:
    shutil.copytree(furnished, tmp_path, dirs_exist_ok=True)
    place = Office(tmp_path)
    archive = place.archive()
    with archive.reading() as session:
        ids = {one.folder: one.id for one in bindings.every(session)}
    archive.close()
    place.helpdesk, place.sales = ids["Helpdesk"], ids["Sales"]
    return place
