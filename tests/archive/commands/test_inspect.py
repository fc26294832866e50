"""`postroom inspect`: how a raw mail is read, without an archive."""

import base64
import hashlib
import json
import os
import resource
import subprocess
import sys

from tests import world

from .conftest import ROOT, House

MAIL = world.mail(
    subject="Žádost o nabídku",
    cc="Bernd <bernd@demo.example>",
    text="Dobrý den",
    html="<p>Dobrý den</p>",
    attachments=[("nabídka.pdf", b"%PDF-1.7 none"), world.mail(subject="Inner", text="Within")],
)


def test_everything_a_mail_says_is_one_object(house: House) -> None:
    (house.folder / "a.eml").write_bytes(MAIL)
    said = house.postroom("inspect", "--json", "--content", "a.eml")
    assert (said.code, said.err) == (0, "")
    one = said.object
    assert set(one) == {
        "file", "subject", "from", "to", "cc", "reply_to", "date", "message_id", "text", "html", "parts", "problems",
    }  # fmt: skip
    assert one["file"] == "a.eml"
    assert one["subject"] == "Žádost o nabídku"
    assert one["from"] == [{"name": "Eva Outside", "address": "eva@outside.example"}]
    assert one["cc"] == [{"name": "Bernd", "address": "bernd@demo.example"}]
    assert one["date"] == int(world.NOON.timestamp())
    assert one["text"].startswith("Dobrý den")
    files = {part["name"]: part for part in one["parts"] if part["attachment"] and part["name"]}
    pdf = files["nabídka.pdf"]
    assert base64.b64decode(pdf["content"]) == b"%PDF-1.7 none"
    assert pdf["sha256"] == hashlib.sha256(b"%PDF-1.7 none").hexdigest()
    assert pdf["size"] == 13
    # The attached mail stands there as itself, and opened.
    kinds = [part["content_type"] for part in one["parts"]]
    assert "message/rfc822" in kinds
    assert "Within" in "".join(base64.b64decode(part["content"]).decode() for part in one["parts"][-1:])


def test_contents_are_printed_only_when_asked_for(house: House) -> None:
    (house.folder / "a.eml").write_bytes(MAIL)
    assert all("content" not in part for part in house.postroom("inspect", "--json", "a.eml").object["parts"])


def test_a_file_that_cannot_be_read_does_not_stop_the_others(house: House) -> None:
    for name in ("a.eml", "b.eml"):
        (house.folder / name).write_bytes(MAIL)
    said = house.postroom("inspect", "--json", "a.eml", "none.eml", ".", "b.eml")
    assert said.code == 1
    assert [one["file"] for one in said.lines] == ["a.eml", "b.eml"]
    assert said.err == "postroom: none.eml: No such file or directory.\npostroom: .: Is a directory.\n"


def test_an_mbox_line_in_front_and_stdin_are_taken(house: House) -> None:
    raws = (MAIL, b"From eva@outside.example Mon Nov  2 12:00:00 2026\n" + MAIL)
    command = house.command("inspect", "--json", "-")
    plain, with_line = (
        json.loads(subprocess.run(command, input=raw, stdout=subprocess.PIPE, check=True).stdout) for raw in raws
    )
    assert plain == with_line
    assert plain["file"] == "-"


def test_a_name_that_is_no_text_is_still_json(house: House) -> None:
    name = os.fsdecode(b"caf\xe9.eml")
    (house.folder / name).write_bytes(MAIL)
    assert house.postroom("inspect", "--json", name).object["file"] == name


def test_the_empty_file_and_the_hostile_are_answered(house: House) -> None:
    (house.folder / "empty.eml").write_bytes(b"")
    (house.folder / "deep.eml").write_bytes(world.nested(1000))
    (house.folder / "steers.eml").write_bytes(world.mail(subject="=?utf-8?q?=1b]0;owned=07?=", text="\x1b[2J"))
    assert len(house.postroom("inspect", "--json", "empty.eml", "deep.eml", "steers.eml").lines) == 3
    shown = house.postroom("inspect", "empty.eml", "deep.eml", "steers.eml")
    assert shown.code == 0
    assert all(char.isprintable() or char == "\n" for char in shown.out)


def test_a_mail_of_60_mb_takes_less_than_200(house: House) -> None:
    (house.folder / "large.eml").write_bytes(world.large(60 << 20))
    # Asked from within: what a child of this process is said to have used begins with what this one uses.
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import postroom
code = postroom.run(["inspect", "--json", "large.eml"])
peak = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(peak, file=sys.stderr)
sys.exit(code)
"""
    said = house.postroom(command=[sys.executable, "-c", script])
    assert said.code == 0
    assert said.object["parts"][-1]["size"] > 40 << 20
    assert int(said.err) < 200 << 10  # kB, the mapped file itself included


def test_starting_costs_little(house: House) -> None:
    """No database, no web, no settings: it is called once for each mail by whoever compares readers."""
    (house.folder / "a.eml").write_bytes(MAIL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    house.postroom("inspect", "--json", "a.eml")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
