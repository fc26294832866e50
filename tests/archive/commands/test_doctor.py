"""`postroom doctor`: each thing that can be wrong is found, named, and has a remedy."""

import shutil
import sys
from importlib import metadata

import pytest

from archive import doctor, intake
from archive.front import now
from archive.post import bindings
from archive.store.keys import InstallationKey
from tests import world

from .conftest import ROOT, House, Office, Said


def findings(said: Said) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in said.lines:
        if not one["ok"]:
            found.setdefault(one["check"], []).append(one["says"])
    return found


def test_a_fresh_installation_is_well(office: Office) -> None:
    office.take(office.helpdesk, world.mail())
    said = office.postroom("doctor")
    assert said.code == 0, said.out
    assert said.err == ""
    names = [line[4:].split(":")[0].strip() for line in said.out.splitlines()]
    assert set(names) >= {
        "packages", "configuration", "data folder", "key file", "database", "recovery key", "kept mail", "disk space",
        "clock", "bindings",
    }  # fmt: skip
    assert all(line.startswith(("ok  ", "NOTE")) for line in said.out.splitlines())


def test_nothing_there_is_said_and_how_to_begin(house: House) -> None:
    said = house.postroom("doctor", "--json")
    assert said.code == 1
    assert "postroom init --admin EMAIL" in findings(said)["data folder"][0]
    assert not house.data.exists()


def test_a_wrong_setting_is_a_finding(house: House) -> None:
    house.environment["POSTROOM_WEB__PORT"] = "many"
    said = house.postroom("doctor", "--json")
    assert said.code == 1
    assert "web.port" in findings(said)["configuration"][0]


def test_files_others_can_read_are_found(office: Office) -> None:
    office.data.chmod(0o755)
    (office.data / "archive.sqlite").chmod(0o640)
    office.key_path.chmod(0o644)
    said = office.postroom("doctor", "--json")
    assert said.code == 1
    assert findings(said)["key file"] == [
        f"{office.key_path} can be read by others (mode 0644): chmod 600 {office.key_path}"
    ]
    assert len(findings(said)["data folder"]) == 2


def test_a_key_within_the_data_is_found(office: Office) -> None:
    inside = office.data / "key"
    office.key_path.rename(inside)
    office.environment["POSTROOM_KEY_FILE"] = str(inside)
    assert "every backup holds it" in findings(office.postroom("doctor", "--json"))["key file"][0]


def test_a_missing_key_and_a_foreign_one_are_found(office: Office) -> None:
    kept = office.key_path.read_text()
    office.key_path.unlink()
    found = findings(office.postroom("doctor", "--json"))
    assert "postroom key restore" in found["key file"][0]
    assert "postroom key restore" in found["database"][0]
    InstallationKey.new().write(office.key_path)
    assert "does not belong to the archive" in findings(office.postroom("doctor", "--json"))["database"][0]
    office.key_path.write_text(kept)
    assert findings(office.postroom("doctor", "--json")) == {}


def test_packs_that_are_gone_are_found(office: Office) -> None:
    office.take(office.helpdesk, world.mail())
    (pack,) = (office.data / "blobs").glob("*.pack")
    pack.unlink()
    said = office.postroom("doctor", "--json")
    assert said.code == 1
    assert "Put the folder blobs back from your backup" in findings(said)["kept mail"][0]


def test_trouble_quarantine_and_lateness_are_found(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("a fault of ours")

    with monkeypatch.context() as broken:
        broken.setattr(intake, "record", fails)
        office.take(office.helpdesk, world.mail())
    archive = office.archive()
    with archive.transaction() as session:
        helpdesk, sales = (bindings.get(session, one) for one in (office.helpdesk, office.sales))
        trouble = "mail.example does not know the user.\x1b[2J"
        bindings.failed(session, helpdesk, now(), trouble=trouble, permanent=True, next_at=now() + 1000)
        bindings.succeeded(session, sales, now() - 3600_000, waiting=0, empty=True)
    archive.close()
    said = office.postroom("doctor")
    assert said.code == 1
    assert "\x1b" not in said.out
    found = findings(office.postroom("doctor", "--json"))
    assert "office/Helpdesk: mail.example does not know the user." in found["bindings"][0]
    assert "office/Sales is overdue" in found["bindings"][1]
    assert "1 mails of office/Helpdesk could not be recorded" in found["quarantine"][0]


def test_a_clock_that_went_back_is_found(office: Office) -> None:
    archive = office.archive()
    with archive.reading() as session:
        assert [one.state for one in doctor.clock(session, now())] == ["ok"]
        assert [one.state for one in doctor.clock(session, now() - 3600_000)] == ["wrong"]
        assert [one.state for one in doctor.clock(session, 0)] == ["wrong"]
    archive.close()


@pytest.mark.parametrize(("free", "state"), [(100 << 20, "wrong"), (1 << 30, "reminder"), (50 << 30, "ok")])
def test_a_full_disk_is_found(office: Office, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    archive = office.archive()
    usage = shutil.disk_usage(office.folder)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert [one.state for one in doctor.disk_space(archive)] == [state]
    archive.close()


def test_a_foreign_package_of_our_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.state for one in doctor.packages()] == ["ok"]
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"web": ["web-py", "postroom"], "rich": ["rich"]})
    (found,) = doctor.packages()
    assert found.state == "wrong"
    assert 'web-py brings a package "web" as well' in found.says


def test_a_package_from_another_folder_is_found(house: House) -> None:
    """Another `config` stands before ours on the path."""
    (house.folder / "elsewhere" / "web").mkdir(parents=True)
    (house.folder / "elsewhere" / "web" / "__init__.py").write_text("")
    house.environment["PYTHONPATH"] = str(house.folder / "elsewhere")
    script = f"import sys; sys.path.append({str(ROOT)!r}); import postroom; postroom.main()"
    said = house.postroom(command=[sys.executable, "-c", script, "doctor", "--json"])
    assert said.code == 1
    assert f'"web" comes from {house.folder / "elsewhere"}' in findings(said)["packages"][0]
