"""`postroom export` and `postroom stats`: all that was received, byte for byte, and what it takes."""

import hashlib
import json
import shutil
import subprocess
from typing import Any

import pytest

from archive import installation, intake
from archive.commands.export import export
from archive.commands.stats import stats
from tests import world
from tests.world import HOSTILE

from .conftest import NOON, Office

QUESTION = world.mail(subject="Printer on fire", to="helpdesk@demo.example")
COPY = b"Received: by mx.demo.example\r\nDelivered-To: sales@demo.example\r\n" + QUESTION
OFFER = world.mail(subject="Offer", to="sales@demo.example")


def exported(office: Office, *arguments: str) -> list[dict[str, Any]]:
    said = office.call(export, str(office.folder / "out"), "--format", "eml", *arguments)
    assert said.code == 0, said.err
    return index(office)


def index(office: Office) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (office.folder / "out" / "index.jsonl").read_text().splitlines()]


def test_every_copy_is_written_byte_for_byte_and_listed(office: Office) -> None:
    office.take(office.helpdesk, QUESTION)
    office.take(office.sales, COPY, OFFER, start=40, at=NOON + 500)
    lines = exported(office)
    assert [(one["binding"], one["folder"], one["uidvalidity"], one["uid"]) for one in lines] == [
        ("office/Helpdesk", "Helpdesk", 7, 1),
        ("office/Sales", "Sales", 7, 40),
        ("office/Sales", "Sales", 7, 41),
    ]
    for one, raw in zip(lines, (QUESTION, COPY, OFFER), strict=True):
        assert set(one) == {
            "file",
            "sha256",
            "message",
            "binding",
            "folder",
            "uidvalidity",
            "uid",
            "received",
            "joined_by",
        }
        assert (office.folder / "out" / one["file"]).read_bytes() == raw
        assert one["sha256"] == hashlib.sha256(raw).hexdigest()
    assert lines[0]["message"] == lines[1]["message"] != lines[2]["message"]
    assert lines[0]["message"].isdigit()
    assert [one["received"] for one in lines] == [
        "2026-11-02T12:00:00Z", "2026-11-02T12:00:00.500Z", "2026-11-02T12:00:01.500Z",
    ]  # fmt: skip
    assert len(list((office.folder / "out").iterdir())) == 4


def test_hostile_and_large_mails_come_back_too(office: Office) -> None:
    raws = [*(make() for make in HOSTILE.values()), world.large(5 << 20)]
    office.take(office.helpdesk, *raws)
    lines = exported(office)
    assert sorted(one["sha256"] for one in lines) == sorted(hashlib.sha256(raw).hexdigest() for raw in raws)
    for one in lines:
        assert hashlib.sha256((office.folder / "out" / one["file"]).read_bytes()).hexdigest() == one["sha256"]


def test_more_than_a_batch_is_exported(office: Office) -> None:
    office.take(office.helpdesk, *(world.mail(subject=f"Number {i}") for i in range(1203)))
    assert [one["uid"] for one in exported(office)] == list(range(1, 1204))


def test_quarantined_bytes_are_exported_without_a_message(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("a fault of ours")

    with monkeypatch.context() as broken:
        broken.setattr(intake, "record", fails)
        office.take(office.helpdesk, QUESTION)
    office.take(office.sales, OFFER)
    first, second = exported(office)
    assert first["message"] is None
    assert (first["binding"], first["uid"]) == ("office/Helpdesk", 1)
    assert (office.folder / "out" / first["file"]).read_bytes() == QUESTION
    assert second["message"] is not None
    shutil.rmtree(office.folder / "out")
    assert [one["binding"] for one in exported(office, "--as", "bernd@demo.example")] == ["office/Sales"]


def test_a_person_exports_what_that_person_may_see(office: Office) -> None:
    office.take(office.helpdesk, QUESTION)
    office.take(office.sales, COPY, OFFER)
    assert [one["binding"] for one in exported(office, "--as", "anna@demo.example")] == ["office/Helpdesk"]
    shutil.rmtree(office.folder / "out")
    assert exported(office, "--as", "clara@demo.example") == []


def test_an_empty_folder_is_taken_any_other_refused(office: Office) -> None:
    office.take(office.helpdesk, QUESTION)
    (office.folder / "out").mkdir()
    assert len(exported(office)) == 1
    again = office.call(export, str(office.folder / "out"), "--format", "eml")
    assert again.code == 1
    assert "is not empty" in again.err
    assert len(index(office)) == 1


def test_a_damaged_copy_is_left_out_and_named_the_others_are_written(office: Office) -> None:
    office.take(office.helpdesk, QUESTION, OFFER)
    (pack,) = (office.data / "blobs").glob("*.pack")
    stored = bytearray(pack.read_bytes())
    stored[60] ^= 1
    pack.write_bytes(stored)
    said = office.call(export, str(office.folder / "out"), "--format", "eml")
    assert said.code == 1
    assert "is left out (office/Helpdesk, UID 1)" in said.err
    (one,) = index(office)
    assert (office.folder / "out" / one["file"]).read_bytes() == OFFER
    assert len(list((office.folder / "out").iterdir())) == 2


def test_an_export_cut_short_has_no_index(office: Office) -> None:
    office.take(office.helpdesk, *(world.mail(subject=f"Number {i}", text="x" * 20_000) for i in range(700)))
    with subprocess.Popen(
        office.command("export", "out", "--format", "eml"), env=office.environ(), cwd=office.folder
    ) as process:
        while not (office.folder / "out" / "0000000100.eml").exists():
            assert process.poll() is None
        process.kill()
    assert not (office.folder / "out" / "index.jsonl").exists()


def test_what_a_search_finds_is_exported(office: Office) -> None:
    office.take(office.helpdesk, QUESTION, *(world.mail(subject=f"Number {i}") for i in range(700)))
    office.take(office.sales, COPY, OFFER)
    lines = exported(office, "--query", "printer")
    assert [one["binding"] for one in lines] == ["office/Helpdesk", "office/Sales"]
    shutil.rmtree(office.folder / "out")
    assert len(exported(office, "--query", "number", "--as", "anna@demo.example")) == 700
    shutil.rmtree(office.folder / "out")
    assert exported(office, "--query", "offer", "--as", "anna@demo.example") == []
    assert json.loads(office.events("archive.read")[0].details)["arguments"]["query"] == "printer"


def test_what_a_search_would_miss_is_said_and_not_exported_as_complete(office: Office) -> None:
    office.take(office.helpdesk, QUESTION)
    said = office.call(export, str(office.folder / "out"), "--format", "eml", "--query", "printer before:nonsense")
    assert "nonsense" in said.err
    with office.archive().transaction() as session:
        installation.put(session, "search_below", "5")  # as where the index is being made anew
    said = office.call(export, str(office.folder / "anew"), "--format", "eml", "--query", "printer")
    assert said.code == 1
    assert "would not be complete" in said.err
    assert not (office.folder / "anew").exists()


@pytest.mark.parametrize(
    ("form", "complete"), [("zip", "postroom.zip"), ("mbox", "postroom.mbox"), ("maildir", "cur new tmp")]
)
def test_other_forms_are_for_the_owner_alone_and_nothing_lies_beside_them(
    office: Office, form: str, complete: str
) -> None:
    office.take(office.helpdesk, QUESTION, OFFER)
    said = office.postroom("export", "out", "--format", form, "--json")
    assert said.object == {"folder": "out", "copies": 2, "quarantined": 0, "bytes": len(QUESTION + OFFER), "damaged": 0}
    assert sorted(path.name for path in (office.folder / "out").iterdir()) == complete.split()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (office.folder / "out").rglob("*"))


@pytest.mark.parametrize("form", ["zip", "mbox", "maildir"])
def test_other_forms_cut_short_do_not_look_complete(office: Office, form: str) -> None:
    office.take(office.helpdesk, *(world.mail(subject=f"Number {i}", text="x" * 20_000) for i in range(700)))
    with subprocess.Popen(
        office.command("export", "out", "--format", form), env=office.environ(), cwd=office.folder
    ) as process:
        while not (office.folder / "out" / ".unfinished").exists():
            assert process.poll() is None
        process.kill()
    assert {path.name for path in (office.folder / "out").iterdir()} <= {".unfinished", ".index.jsonl"}


def test_exporting_is_noted(office: Office) -> None:
    exported(office, "--as", "anna@demo.example")
    (event,) = office.events("archive.read")
    assert event.actor.startswith("user:")
    assert json.loads(event.details)["arguments"] == {"folder": str(office.folder / "out"), "format": "eml"}


def test_stats_count_what_came_and_what_was_saved(office: Office) -> None:
    office.take(office.helpdesk, QUESTION)
    office.take(office.sales, COPY, OFFER)
    said = office.call(stats, "--json").object
    assert said["messages"] == 2
    assert said["copies"] == 3
    assert said["bytes_received"] == len(QUESTION) + len(COPY) + len(OFFER)
    assert said["bytes_saved"] == len(COPY)
    on_disk = sum(path.stat().st_size for path in office.data.rglob("*") if path.is_file())
    assert said["bytes_stored"] == pytest.approx(on_disk, rel=0.1)
    anna = office.call(stats, "--json", "--as", "anna@demo.example").object
    assert (anna["messages"], anna["copies"], anna["bytes_received"]) == (1, 1, len(QUESTION))
    assert office.call(stats, "--json", "--as", "clara@demo.example").object == {
        "messages": 0, "copies": 0, "quarantined": 0, "bytes_received": 0, "bytes_stored": 0, "bytes_saved": 0,
    }  # fmt: skip
    assert "saved by keeping once" in office.call(stats).out
