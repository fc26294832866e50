"""`postroom verify`, and that commands seal what they did before they end."""

import json
import shutil
import stat

from archive.commands.user import user
from archive.commands.verify import verify

from ...world import mail
from .conftest import House, Office


def rows(office: Office, statement: str) -> list[tuple[object, ...]]:
    archive = office.archive()
    with archive.transaction() as session:
        done = session.exec_driver_sql(statement)
        found = [tuple(row) for row in done] if done.returns_rows else []
    archive.close()
    return found


def test_an_archive_just_made_is_sealed_and_as_it_was(house: House) -> None:
    house.postroom("init", "--admin", "anna@demo.example", "--no-input")
    heads = house.data / "heads.jsonl"
    assert stat.S_IMODE(heads.stat().st_mode) == 0o600
    said = house.postroom("verify", "--json")
    assert said.code == 0, said.err
    assert said.object["findings"] == said.object["unsealed_events"] == 0
    assert said.object["seals"] == 1


def test_a_command_seals_what_it_did_before_it_ends(office: Office) -> None:
    office.call(user, "add", "dana@demo.example", "--name", "Dana")
    said = office.call(verify, "--json")
    assert (said.code, said.object["unsealed_events"]) == (0, 0)


def test_a_command_that_only_reads_seals_nothing(office: Office) -> None:
    office.call(user, "list")
    assert rows(office, "SELECT count(*) FROM seal") == [(1,)]  # that of `init`
    assert office.call(verify, "--json").object["unsealed_events"] > 0


def test_what_nobody_sealed_yet_is_named(office: Office) -> None:
    office.call(user, "link", "bernd@demo.example")
    office.take(office.helpdesk, mail())
    said = office.call(verify)
    assert said.code == 0
    assert "Not sealed yet: 1 events from event" in said.err
    assert "Everything is as it was." in said.err
    assert said.out == ""


def test_what_was_altered_is_said_with_its_place(office: Office) -> None:
    office.take(office.helpdesk, mail())
    office.call(user, "link", "bernd@demo.example")
    ((id_,),) = rows(office, "SELECT id FROM message")
    rows(office, "UPDATE message SET subject = 'something else'")
    said = office.call(verify)
    assert said.code == 1
    assert said.out.startswith(f"message {id_}: This row is not what event ")
    assert "1 things are not as they were." in said.err
    finding, summary = office.call(verify, "--json").lines
    assert finding["where"] == f"message {id_}"
    assert (summary["findings"], summary["copies"]) == (1, 1)


def test_a_copy_without_the_key_is_read_as_far_as_that_goes(office: Office) -> None:
    office.take(office.helpdesk, mail())
    office.call(user, "link", "bernd@demo.example")
    office.key_path.unlink()
    said = office.call(verify, "--json")
    assert said.code == 0
    assert (said.object["contents"], said.object["copies"]) == (False, 0)
    assert said.object["packed_bytes"] > 100
    pack = next((office.data / "blobs").glob("*.pack"))
    pack.write_bytes(pack.read_bytes()[:-1] + b"x")
    said = office.call(verify)
    assert said.code == 1
    assert said.out.startswith("pack 1, bytes 0 to ")
    assert "that needs the key" in said.err


def test_the_key_can_be_left_aside(office: Office) -> None:
    office.take(office.helpdesk, mail())
    assert office.call(verify, "--without-key", "--json").object["contents"] is False
    assert office.call(verify, "--json").object["contents"] is True


def test_a_sample_reads_few_mails(office: Office) -> None:
    office.take(office.helpdesk, *(mail(subject=f"mail {number}") for number in range(9)))
    assert office.call(verify, "--sample", "3", "--json").object["copies"] == 3
    assert office.call(verify, "--sample", "0", "--json").object["copies"] == 0


def test_verifying_writes_nothing(office: Office) -> None:
    office.take(office.helpdesk, mail())
    office.call(user, "link", "bernd@demo.example")
    before = {path.name: path.read_bytes() for path in office.data.glob("*") if path.suffix in (".sqlite", ".jsonl")}
    office.call(verify)
    assert {name: (office.data / name).read_bytes() for name in before} == before


def test_a_tail_cut_off_with_everything_in_it_is_missed(office: Office) -> None:
    office.call(user, "link", "bernd@demo.example")
    heads = (office.data / "heads.jsonl").read_bytes()
    office.call(user, "add", "dana@demo.example", "--name", "Dana")
    earlier = office.folder / "earlier"
    shutil.copytree(office.data, earlier)  # as if somebody had put it back
    office.call(user, "add", "emil@demo.example", "--name", "Emil")
    for name in ("archive.sqlite", "keys.sqlite"):
        for ending in ("", "-wal", "-shm"):
            (office.data / f"{name}{ending}").unlink(missing_ok=True)
        shutil.copy(earlier / name, office.data / name)
    said = office.call(verify, "--json")
    assert said.code == 1
    assert "it was cut off" in said.lines[0]["says"]
    assert said.lines[0]["where"] == f"heads.jsonl, line {heads.count(bytes([10])) + 2}"


def test_each_head_is_a_line_anybody_can_read(office: Office) -> None:
    office.call(user, "link", "bernd@demo.example")
    (first, second) = [json.loads(line) for line in (office.data / "heads.jsonl").read_text().splitlines()]
    assert (first["seal"], second["seal"]) == (1, 2)
    assert first["last"] < second["last"]
    assert len(second["head"]) == 64
