"""The commands on an archive in PostgreSQL: `database.url` is all that is different."""

from pathlib import Path

import pytest

from archive.people import users
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from tests import world

from ...servers.postgresql import PostgreSQL
from .conftest import House

FROM = b"From anna@demo.example Mon Nov  2 12:00:00 2026\n"


@pytest.fixture
def house(tmp_path: Path, shared_postgresql: PostgreSQL) -> House:
    return _house(tmp_path / "house", shared_postgresql)


def _house(folder: Path, server: PostgreSQL) -> House:
    folder.mkdir()
    return House(folder, {"POSTROOM_DATABASE__URL": server.make(folder / "database.url")})


def _made(house: House) -> House:
    assert house.postroom("init", "--admin", "anna@demo.example", "--no-input").code == 0
    added = house.postroom(
        "process", "add", "helpdesk", "--name", "Helpdesk", "--address", "helpdesk@demo.example",
        "--owner", "anna@demo.example",
    )  # fmt: skip
    assert added.code == 0, added.err
    return house


def _take(house: House, count: int) -> None:
    path = house.folder / f"{count}.mbox"
    path.write_bytes(b"".join(FROM + world.mail(subject=f"Old {n}", text=f"word{n}") + b"\n" for n in range(count)))
    said = house.postroom("import", str(path), "--process", "helpdesk")
    assert said.code == 0, said.err


@pytest.mark.needs("postgresql")
def test_an_archive_is_made_filled_searched_proved_backed_up_and_put_back(
    house: House, tmp_path: Path, shared_postgresql: PostgreSQL
) -> None:
    _take(_made(house), 3)
    assert not list(house.data.glob("*.sqlite*"))
    found = house.postroom("search", "word1", "--as", "anna@demo.example", "--json")
    assert [one["subject"] for one in found.lines] == ["Old 1"]
    assert house.postroom("reindex", "--all").code == 0
    assert len(house.postroom("search", "subject:old*", "--json").lines) == 3
    assert len(house.postroom("messages", "list", "--json").lines) == 3
    stats = house.postroom("stats", "--json").object
    assert (stats["messages"], stats["copies"]) == (3, 3)
    assert house.postroom("reread").code == 0
    assert house.postroom("upgrade").code == 0
    verified = house.postroom("verify")
    assert verified.code == 0, verified.out + verified.err
    doctor = house.postroom("doctor", "--json")
    said = [one["says"] for one in doctor.lines if one["check"] == "database"]
    assert said == [
        "PostgreSQL runs with fsync off: a power cut may lose mail. Set it to on.",
        "PostgreSQL runs with full_page_writes off: a power cut may lose mail. Set it to on.",
    ]
    exported = tmp_path / "exported"
    assert house.postroom("export", str(exported), "--format", "eml").code == 0
    assert len(list(exported.rglob("*.eml"))) == 3

    backup = house.postroom("backup", str(tmp_path / "backup"))
    assert backup.code == 0, backup.err
    other = _house(tmp_path / "other", shared_postgresql)
    other.key_path.write_bytes(house.key_path.read_bytes())
    other.key_path.chmod(0o600)
    restored = other.postroom("restore", str(tmp_path / "backup"))
    assert restored.code == 0, restored.err
    assert not list(other.data.glob("*.sqlite*"))
    assert other.postroom("reindex").code == 0
    assert len(other.postroom("search", "old", "--as", "anna@demo.example", "--json").lines) == 3
    assert other.postroom("verify").code == 0
    again = _house(tmp_path / "again", shared_postgresql)
    again.environment = other.environment
    again.key_path.write_bytes(house.key_path.read_bytes())
    again.key_path.chmod(0o600)
    refused = again.postroom("restore", str(tmp_path / "backup"))
    assert (refused.code, refused.err) == (
        1,
        "postroom: The database that database.url names holds an archive. Name an empty one.\n",
    )


@pytest.mark.needs("postgresql")
def test_somebody_elses_archive_is_left_alone(house: House, tmp_path: Path, shared_postgresql: PostgreSQL) -> None:
    _made(house)
    other = House(tmp_path / "other", house.environment)
    other.folder.mkdir()
    said = other.postroom("init", "--admin", "eva@demo.example", "--no-input")
    assert (said.code, said.err) == (
        1,
        "postroom: The database that database.url names holds an archive already. Name an empty one.\n",
    )
    archive = Archive(house.data, InstallationKey.read(house.key_path), house.environment["POSTROOM_DATABASE__URL"])
    with archive.reading() as session:
        assert [one.email for one in users.every(session)] == ["anna@demo.example"]
    archive.close()


@pytest.mark.needs("postgresql")
def test_doctor_says_that_the_server_does_not_answer(house: House) -> None:
    _made(house)
    house.environment = {"POSTROOM_DATABASE__URL": "postgresql://nobody@/name?host=/nowhere"}
    said = house.postroom("doctor", "--json")
    assert said.code == 1
    (finding,) = [one["says"] for one in said.lines if one["check"] == "database"]
    assert finding.startswith("It cannot be used: ")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://host/name", 'no driver for "mysql"'),
        ("no url at all", "this is no URL"),
        ("postgresql://nobody@/name?host=/nowhere", "The database cannot be used"),
    ],
)
def test_a_database_that_is_not_to_be_had_is_a_sentence(tmp_path: Path, url: str, sentence: str) -> None:
    house = House(tmp_path, {"POSTROOM_DATABASE__URL": url})
    said = house.postroom("init", "--admin", "anna@demo.example", "--no-input")
    assert said.code == 1
    assert sentence in said.err
    assert "Traceback" not in said.err
