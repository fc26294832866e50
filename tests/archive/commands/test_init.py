"""`postroom init`: from nothing, refused where something stands, finished after any interruption."""

import sys
from pathlib import Path

import pytest

import postroom
from archive.people import users
from archive.store import migrate

from .conftest import NOON, House, Office

ROOT = Path(postroom.__file__).parent
INIT = ("init", "--admin", "Anna@Demo.example", "--no-input", "--json")


def admins(house: House) -> list[str]:
    archive = house.archive()
    migrate.check_key(archive)
    with archive.reading() as session:
        found = [one.email for one in users.every(session) if one.admin]
    archive.close()
    return found


def link_works(house: House, link: str) -> bool:
    archive = house.archive()
    with archive.reading() as session:
        owner = users.link_owner(session, link.rpartition("/")[2], NOON)
    archive.close()
    return owner is not None and owner.email == "anna@demo.example"


def test_an_archive_is_made_for_its_owner_alone(house: House) -> None:
    said = house.postroom(*INIT, "--url", "https://post.example.org/")
    assert said.code == 0, said.err
    assert said.object["data"] == str(house.data)
    assert said.object["key_file"] == str(house.key_path)
    assert said.object["admin"] == "anna@demo.example"
    assert said.object["link"].startswith("https://post.example.org/sign-in/link/")
    assert link_works(house, said.object["link"])
    assert admins(house) == ["anna@demo.example"]
    assert oct(house.data.stat().st_mode)[-4:] == "0700"
    assert oct(house.key_path.stat().st_mode)[-4:] == "0600"
    assert not (house.data / "unfinished").exists()


def test_people_are_told_where_things_are_and_the_recovery_key(house: House) -> None:
    said = house.postroom("init", "--admin", "anna@demo.example", "--no-input")
    assert said.code == 0
    assert "http://127.0.0.1:8460/sign-in/link/" in said.out
    assert house.key_path.read_text().strip() in said.out
    assert said.err == ""


def test_an_existing_empty_folder_is_taken_and_closed_to_others(house: House) -> None:
    house.data.mkdir(mode=0o755)
    assert house.postroom(*INIT).code == 0
    assert oct(house.data.stat().st_mode)[-4:] == "0700"


def test_a_folder_with_something_in_it_is_left_alone(house: House) -> None:
    house.data.mkdir()
    (house.data / "thesis.txt").write_text("mine")
    said = house.postroom(*INIT)
    assert said.code == 1
    assert "is not empty (thesis.txt)" in said.err
    assert [path.name for path in house.data.iterdir()] == ["thesis.txt"]
    assert not house.key_path.exists()


def test_an_archive_is_not_made_twice(office: Office) -> None:
    key = office.key_path.read_bytes()
    said = office.postroom(*INIT)
    assert said.code == 1
    assert said.err == f"postroom: {office.data}: there is an archive already.\n"
    assert office.key_path.read_bytes() == key


def test_a_key_file_is_never_overwritten(house: House) -> None:
    house.key_path.write_text("the only way to read an archive that is somewhere else")
    said = house.postroom(*INIT)
    assert said.code == 1
    assert "there is an installation key already, and it is not overwritten" in said.err
    assert "somewhere else" in house.key_path.read_text()


def test_no_address_no_archive(house: House) -> None:
    said = house.postroom("init", "--admin", "anna", "--no-input")
    assert said.code == 1
    assert said.err == 'postroom: "anna" is not an email address.\n'
    assert not house.data.exists()


# Where the program stops dead: just before or just after each thing it does.
STEPS = {
    "before the note": "before(init, '_settled_key')",
    "before the key": "before(InstallationKey, 'write')",
    "after the key": "after(InstallationKey, 'write')",
    "before the database": "before(migrate, 'upgrade')",
    "within the database": "after(KeyStore, 'create')",
    "after the database": "after(migrate, 'upgrade')",
    "within the last transaction": "after(users, 'new_link')",
    "after the last transaction": "after(init, '_record')",
    "after telling": "after(init, '_tell')",
}
STOPPING = """
import os, sys
sys.path.insert(0, {root!r})
import postroom
from archive.commands import init
from archive.people import users
from archive.store import migrate
from archive.store import migrate
from archive.store.keys import InstallationKey, KeyStore
init = sys.modules["archive.commands.init"]

def before(where, name):
    setattr(where, name, lambda *a, **k: os._exit(9))

def after(where, name):
    real = getattr(where, name)
    setattr(where, name, lambda *a, **k: (real(*a, **k), os._exit(9)))

{step}
postroom.main()
"""


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_call_is_finished_by_the_next(house: House, step: str) -> None:
    script = STOPPING.format(root=str(ROOT), step=STEPS[step])
    stopped = house.postroom(command=[sys.executable, "-c", script, *INIT])
    assert stopped.code == 9, stopped.err
    between = house.postroom("stats")
    assert between.code == 1
    assert "Traceback" not in between.err
    said = house.postroom(*INIT)
    assert said.code == 0, said.err
    assert link_works(house, said.object["link"])
    assert said.object["recovery_key"] == house.key_path.read_text().strip()
    assert admins(house) == ["anna@demo.example"]
    assert house.postroom(*INIT).code == 1
