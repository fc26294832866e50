"""`postroom import`: who it is for, what it says, and how it ends."""

import contextlib
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from archive.commands.import_ import import_
from archive.commands.messages import messages
from archive.commands.search import search
from tests import world

from .conftest import Office

FROM = b"From anna@demo.example Mon Nov  2 12:00:00 2026\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.mbox"
    path.write_bytes(b"".join(FROM + world.mail(subject=f"Old {n}") + b"\n" for n in range(3)))
    return path


def test_mail_of_a_file_becomes_a_processs_mail(office: Office, old: Path) -> None:
    said = office.postroom("import", str(old), "--process", "helpdesk", "--json")
    assert said.code == 0, said.err
    assert said.object == {
        "archived": 3, "copies": 0, "known": 0, "bytes": sum(len(world.mail(subject=f"Old {n}")) for n in range(3)),
        "failed": 0, "passed_over": 0, "skipped": [],
    }  # fmt: skip
    assert len(office.call(search, "old", "--json", "--as", "anna@demo.example").lines) == 3
    assert office.call(search, "old", "--json", "--as", "bernd@demo.example").lines == []
    again = office.call(import_, str(old), "--process", "helpdesk", "--json").object
    assert (again["archived"], again["known"]) == (0, 3)


def test_it_may_become_a_persons_own(office: Office, old: Path) -> None:
    assert office.call(import_, str(old), "--user", "bernd@demo.example").out == "3 archived.\n"
    assert office.call(search, "old", "--json", "--as", "anna@demo.example").lines == []
    found = office.call(search, "old", "--json", "--as", "bernd@demo.example").lines
    assert len(found) == 3
    shown = office.call(messages, "show", found[0]["message"]).out
    assert "old.mbox, imported" in shown


def test_for_whom_has_to_be_said(office: Office, old: Path) -> None:
    assert office.call(import_, str(old)).code == 2
    assert office.call(import_, str(old), "--process", "helpdesk", "--user", "bernd@demo.example").code == 2
    said = office.postroom("import", str(old), "--process", "nowhere")
    assert (said.code, said.err) == (1, "postroom: There is no process nowhere. See: postroom process list\n")


def test_what_is_not_taken_is_named_and_the_exit_code_says_whether_it_was_mail(office: Office, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "one.eml").write_bytes(world.mail())
    (top / "picture.png").write_bytes(b"\x89PNG")
    said = office.call(import_, str(top), "--process", "helpdesk")
    assert (said.code, said.out) == (0, "1 archived, 1 other files passed over.\n")
    assert said.err == f"{top}/picture.png: It is neither .eml nor an mbox.\n"
    said = office.call(import_, str(top), str(tmp_path / "gone"), "--process", "helpdesk", "--json")
    assert said.code == 1
    assert said.object["skipped"][-1] == {
        "what": str(tmp_path / "gone"), "why": "There is no such file or folder.", "mail": True,
    }  # fmt: skip


def test_killed_with_its_workers_at_work_it_goes_on_where_it_was(office: Office, tmp_path: Path) -> None:
    """The workers end with it, and nothing is doubled."""
    raws = [world.mail(subject=f"Old {n}", text=f"{n} {'x' * 30_000}") for n in range(1500)]
    path = tmp_path / "large.mbox"
    path.write_bytes(b"".join(FROM + raw + b"\n" for raw in raws))
    arguments = ("import", str(path), "--process", "helpdesk", "--json")
    with subprocess.Popen(office.command(*arguments), env=office.environ(), stdout=subprocess.DEVNULL) as process:
        while not imported(office):
            assert process.poll() is None
            time.sleep(0.05)
        workers = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        process.kill()
    assert len(workers) > 1
    end = time.monotonic() + 10
    while any(map(alive, workers)):
        assert time.monotonic() < end
        time.sleep(0.05)
    before = imported(office)
    assert 0 < before < len(raws)
    said = office.postroom(*arguments)
    assert said.code == 0, said.err
    assert (said.object["archived"], said.object["known"]) == (len(raws) - before, before)
    assert imported(office) == len(raws)


def imported(office: Office) -> int:
    with contextlib.closing(sqlite3.connect(office.data / "archive.sqlite")) as database:
        return int(database.execute("SELECT count(*) FROM receipt").fetchone()[0])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
