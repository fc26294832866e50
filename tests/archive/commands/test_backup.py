"""`postroom backup`, `restore` and `release`: from one place to another, and what a person is told."""

import shutil
from pathlib import Path

import pytest

from archive.commands.backup import backup
from archive.commands.doctor import doctor
from archive.commands.export import export
from archive.commands.import_ import import_
from archive.commands.release import release
from archive.commands.restore import restore
from archive.store.keys import InstallationKey
from tests import world
from tests.world import HOSTILE

from .conftest import House, Office

QUESTION = world.mail(subject="Printer on fire")


@pytest.fixture
def place(office: Office, tmp_path: Path) -> House:
    """Somewhere else, with a backup of an office in `backup`."""
    office.take(office.helpdesk, QUESTION, *(make() for make in HOSTILE.values()))
    said = office.call(backup, str(tmp_path / "backup"), "--json").object
    assert (said["copies"], said["folder"]) == (1 + len(HOSTILE), str(tmp_path / "backup"))
    other = House(tmp_path / "elsewhere")
    other.folder.mkdir()
    return other


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_backup_is_put_back_elsewhere_and_exports_the_same(office: Office, place: House) -> None:
    shutil.copy(office.key_path, place.key_path)
    said = place.postroom("restore", str(office.folder / "backup"), "--json").object
    assert said["data"] == str(place.data)
    assert (said["copies"], said["read_back"], said["held"]) == (1 + len(HOSTILE), 1 + len(HOSTILE), True)
    for one in (office, place):
        assert one.call(export, str(one.folder / "out"), "--format", "eml").code == 0
    assert files(office.folder / "out") == files(place.folder / "out")


def test_it_says_what_else_is_needed_and_that_nothing_leaves_by_itself(office: Office, place: House) -> None:
    said = place.call(restore, str(office.folder / "backup"))
    assert said.code == 0
    assert f"put its file back to {place.key_path}" in said.err
    assert "postroom release" in said.err
    typed = InstallationKey.read(office.key_path).recovery()
    assert place.postroom("key", "restore", typed=typed).code == 0
    assert "postroom release" in place.call(doctor).out
    assert "Released." in place.call(release).err
    assert "postroom release" not in place.call(doctor).out
    assert "Nothing was held." in place.call(release).err


def test_the_key_of_another_archive_is_told_before_anything_is_copied(office: Office, place: House) -> None:
    InstallationKey.new().write(place.key_path)
    said = place.call(restore, str(office.folder / "backup"))
    assert said.code == 1
    assert "the key of another archive" in said.err
    assert not place.data.exists()


def test_nothing_is_overwritten(office: Office, place: House) -> None:
    shutil.copy(office.key_path, place.key_path)
    assert place.call(restore, str(office.folder / "backup")).code == 0
    again = place.postroom("restore", str(office.folder / "backup"))
    assert again.code == 1
    assert again.err.startswith(f"postroom: {place.data} is not empty.")


def test_a_restore_cut_short_is_not_taken_for_an_archive_and_begins_anew(office: Office, place: House) -> None:
    shutil.copy(office.key_path, place.key_path)
    pack = next((office.folder / "backup" / "blobs").iterdir())
    stored = pack.read_bytes()
    pack.write_bytes(stored[:-1])
    said = place.call(restore, str(office.folder / "backup"))
    assert said.code == 1
    assert "is damaged" in said.err
    assert "no archive there" in place.postroom("stats").err
    assert place.postroom("init", "--admin", "anna@demo.example", "--no-input").code == 1
    pack.write_bytes(stored)
    assert place.call(restore, str(office.folder / "backup"), "--json").object["read_back"] == 1 + len(HOSTILE)


def test_a_folder_that_is_no_backup(place: House) -> None:
    said = place.postroom("restore", str(place.folder))
    assert said.code == 1
    assert "there is no whole backup there" in said.err


def test_backing_up_and_restoring_are_noted(office: Office, place: House) -> None:
    assert len(office.events("archive.backed_up")) == 1
    shutil.copy(office.key_path, place.key_path)
    assert place.call(restore, str(office.folder / "backup")).code == 0
    archive = place.archive()
    with archive.reading() as session:
        kinds = session.exec_driver_sql("SELECT kind FROM event ORDER BY id DESC LIMIT 1").scalars().all()
    archive.close()
    assert kinds == ["archive.restored"]


def test_imported_mail_and_restored_archives_are_verified_whole(office: Office, place: House, tmp_path: Path) -> None:
    """Every row, event and byte is answered for by the log, whichever way it came there."""
    assert office.call(export, str(tmp_path / "out"), "--format", "zip").code == 0
    (tmp_path / "old.mbox").write_bytes(b"From x Mon Nov  2 12:00:00 2026\n" + QUESTION + b"\n")
    paths = str(tmp_path / "out" / "postroom.zip"), str(tmp_path / "old.mbox")
    assert office.call(import_, *paths, "--user", "bernd@demo.example").code == 0
    assert office.call(backup, str(tmp_path / "backup")).code == 0
    shutil.copy(office.key_path, place.key_path)
    assert place.call(restore, str(tmp_path / "backup")).code == 0
    for one in (office, place):
        said = one.postroom("verify")
        assert said.code == 0, said.out + said.err
