"""`postroom key` and `postroom upgrade`: what is done once in years has to work then."""

import os

import pytest
from sqlalchemy import text

from archive.commands.key import key
from archive.commands.upgrade import upgrade
from archive.store import migrate
from archive.store.keys import InstallationKey

from .conftest import House, Office


def test_a_lost_key_file_is_written_anew_from_the_recovery_key(office: Office) -> None:
    kept = office.key_path.read_text()
    office.key_path.unlink()
    assert "postroom key restore" in office.postroom("stats").err
    # As a person types it: small letters, other groups, spaces.
    said = office.call(key, "restore", typed=f"  {kept.lower().replace('-', ' ')}\n\n")
    assert said.code == 0, said.err
    assert office.key_path.read_text() == kept
    assert office.key_path.stat().st_mode & 0o777 == 0o600
    assert office.postroom("stats").code == 0


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "This is not a recovery key as it was printed"),
        ("AAAAAA-BBBBBB", "This is not a recovery key as it was printed"),
        (InstallationKey(bytes(32)).recovery(), "This is not the recovery key of the archive in"),
    ],
)
def test_nothing_is_written_from_a_wrong_recovery_key(office: Office, typed: str, says: str) -> None:
    office.key_path.unlink()
    said = office.call(key, "restore", typed=typed)
    assert said.code == 1
    assert says in said.err
    assert not office.key_path.exists()


def test_a_key_can_be_restored_before_the_database_is_upgraded(office: Office) -> None:
    """Or neither could be: upgrading needs the key."""
    archive = office.archive()
    with archive.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    archive.close()
    kept = office.key_path.read_text()
    office.key_path.unlink()
    said = office.call(key, "restore", typed=kept)
    assert said.code == 0, said.err
    assert office.key_path.read_text() == kept


def test_a_key_without_an_archive_is_not_written(house: House) -> None:
    said = house.call(key, "restore", typed=InstallationKey.new().recovery())
    assert said.code == 1
    assert "no archive there" in said.err
    assert list(house.folder.iterdir()) == []


def test_one_mistyped_letter_is_noticed(office: Office) -> None:
    kept = office.key_path.read_text().strip()
    for place in (0, len(kept) // 2, len(kept) - 1):
        typed = kept[:place] + ("A" if kept[place] != "A" else "B") + kept[place + 1 :]
        if typed[place] != "-" and kept[place] != "-":
            assert office.call(key, "confirm", typed=typed).code == 1


def test_a_key_file_that_is_there_is_not_overwritten(office: Office) -> None:
    kept = office.key_path.read_text()
    os.utime(office.key_path, (1, 1))
    said = office.call(key, "restore", typed=kept)
    assert said.code == 1
    assert "is not overwritten" in said.err
    assert office.key_path.stat().st_mtime == 1


def test_doctor_reminds_until_the_recovery_key_is_confirmed(office: Office) -> None:
    def reminded() -> bool:
        lines = office.postroom("doctor", "--json").lines
        (found,) = [one["reminder"] for one in lines if one["check"] == "recovery key"]
        return bool(found)

    assert reminded()
    assert office.call(key, "confirm", typed=InstallationKey.new().recovery()).code == 1
    assert reminded()
    assert office.call(key, "confirm", typed=office.key_path.read_text()).code == 0
    assert not reminded()


def test_upgrading_what_is_up_to_date_changes_nothing(office: Office) -> None:
    said = office.call(upgrade)
    assert (said.code, said.err) == (0, f"The database is of version {migrate.HEAD} already.\n")
    assert office.events("archive.upgraded") == []


def test_a_database_of_a_later_version_is_left_alone(office: Office) -> None:
    archive = office.archive()
    with archive.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    archive.close()
    said = office.call(upgrade)
    assert said.code == 1
    assert "does not know version 9999 of the database" in said.err
    assert office.postroom("stats").code == 1
