"""`postroom messages` and `postroom search`: what is shown, to whom, and that it is noted."""

import hashlib
import json
import os
import pty
import subprocess

import pytest

from archive import reindexing
from archive.commands.messages import messages
from archive.commands.search import search
from tests import world
from tests.archive.search import documents

from .conftest import NOON, Office

QUESTION = world.mail(subject="Printer on fire", to="helpdesk@demo.example", text="It smells of ozone.")
OFFER = world.mail(
    subject="Offer", to="sales@demo.example", text="Hundred chairs.", headers=[("Bcc", "boss@demo.example")]
)


@pytest.fixture
def with_mail(office: Office) -> Office:
    office.take(office.helpdesk, QUESTION)
    office.take(office.sales, OFFER, at=NOON + 60_000)
    return office


def subjects(office: Office, *arguments: str) -> list[str]:
    said = office.call(messages, "list", "--json", *arguments)
    assert said.code == 0, said.err
    return [one["subject"] for one in said.lines]


def test_the_operator_lists_everything_newest_first(with_mail: Office) -> None:
    assert subjects(with_mail) == ["Offer", "Printer on fire"]
    assert subjects(with_mail, "--limit", "1") == ["Offer"]


def test_each_person_lists_what_that_person_may_see(with_mail: Office) -> None:
    assert subjects(with_mail, "--as", "anna@demo.example") == ["Printer on fire"]
    assert subjects(with_mail, "--as", "Bernd@demo.example") == ["Offer"]
    assert subjects(with_mail, "--as", "clara@demo.example") == []


def test_nobody_reads_as_somebody_who_is_not_there(with_mail: Office) -> None:
    said = with_mail.call(messages, "list", "--as", "eva@demo.example")
    assert (said.code, said.out) == (1, "")
    assert said.err == "There is no user eva@demo.example. See: postroom user list"


def test_a_line_has_the_keys_of_the_contract(with_mail: Office) -> None:
    (one,) = with_mail.call(search, "ozone", "--json").lines
    assert one == {
        "message": one["message"],
        "subject": "Printer on fire",
        "from": [{"name": "Eva Outside", "address": "eva@outside.example"}],
        "date": int(world.NOON.timestamp()),
    }
    assert isinstance(one["message"], str)
    assert one["message"].isdigit()


def test_more_than_a_page_is_listed_and_found_in_order(office: Office) -> None:
    office.take(office.helpdesk, *(world.mail(subject=f"Number {i}", text=f"needle {i}") for i in range(450)))
    newest_first = [f"Number {i}" for i in reversed(range(450))]
    assert subjects(office) == newest_first
    assert subjects(office, "--limit", "205") == newest_first[:205]
    assert [one["subject"] for one in office.call(search, "needle", "--json").lines] == newest_first


def test_search_obeys_rights(with_mail: Office) -> None:
    assert with_mail.call(search, "chairs", "--as", "anna@demo.example").out == ""
    assert len(with_mail.call(search, "chairs", "--as", "bernd@demo.example").out.splitlines()) == 1


@pytest.mark.parametrize("query", ["nowhere", "()", "scope:process1", "NEAR", "ozone -fire"])
def test_nothing_found_prints_nothing_and_is_no_fault(with_mail: Office, query: str) -> None:
    said = with_mail.call(search, "--json", "--", query)
    assert (said.code, said.out, said.err) == (0, "", "")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ('"', "A quotation mark was left open"),
        ("*", "“*” stands for the rest of a word"),
        ("NEAR(", "A bracket was left open"),
        ("process:nowhere", "There is no process “nowhere” whose mail you may see."),
        ("form:\x1b[2Jx", "“form:” is not known"),
    ],
)
def test_what_is_mistyped_is_said_beside_it(with_mail: Office, query: str, sentence: str) -> None:
    said = with_mail.call(search, "--json", "--", query)
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith(sentence)
    assert "\x1b" not in said.err


def test_words_may_be_given_one_by_one_or_quoted(with_mail: Office) -> None:
    assert len(with_mail.call(search, "printer", "ozone", "--json").lines) == 1
    assert len(with_mail.call(search, '"smells of ozone"', "--json").lines) == 1
    assert with_mail.call(search, '"ozone smells"', "--json").lines == []
    assert len(with_mail.call(search, "PRINT*", "--json").lines) == 1


def test_a_message_is_shown_with_its_copies(with_mail: Office) -> None:
    with_mail.take(with_mail.sales, b"Delivered-To: sales@demo.example\r\n" + QUESTION, start=9)
    (found,) = with_mail.call(search, "ozone", "--json").lines
    shown = with_mail.call(messages, "show", found["message"], "--json").object
    assert shown["subject"] == "Printer on fire"
    assert shown["to"] == [{"name": "", "address": "helpdesk@demo.example"}]
    assert shown["text"].strip() == "It smells of ozone."
    assert [copy["binding"] for copy in shown["copies"]] == ["office/Helpdesk", "office/Sales"]
    assert shown["copies"][0]["sha256"] == hashlib.sha256(QUESTION).hexdigest()
    # Who may see one copy learns nothing of the other.
    anna = with_mail.call(messages, "show", found["message"], "--json", "--as", "anna@demo.example").object
    assert [copy["binding"] for copy in anna["copies"]] == ["office/Helpdesk"]
    text = with_mail.call(messages, "show", found["message"]).out
    assert "Printer on fire" in text
    assert "It smells of ozone." in text


def test_not_allowed_and_not_there_are_the_same(with_mail: Office) -> None:
    (offer,) = with_mail.call(search, "chairs", "--json").lines
    for id_ in (offer["message"], "1"):
        for command in ("show", "raw"):
            said = with_mail.call(messages, command, id_, "--as", "clara@demo.example")
            assert (said.code, said.out) == (1, "")
            assert f"There is no message {id_}." in said.err


def test_a_copy_comes_back_byte_for_byte(with_mail: Office) -> None:
    again = b"Received: by mx.demo.example\r\n\tfor <sales@demo.example>\r\n" + QUESTION
    with_mail.take(with_mail.sales, again, start=9)
    (found,) = with_mail.call(search, "ozone", "--json").lines
    copies = with_mail.call(messages, "show", found["message"], "--json").object["copies"]
    assert with_mail.call(messages, "raw", found["message"]).raw == QUESTION
    for copy, raw in zip(copies, (QUESTION, again), strict=True):
        said = with_mail.postroom("messages", "raw", found["message"], "--receipt", str(copy["receipt"]))
        assert (said.code, said.raw, said.err) == (0, raw, "")
    said = with_mail.call(messages, "raw", found["message"], "--receipt", "99")
    assert (said.code, said.out) == (1, "")


def test_a_large_copy_comes_back_byte_for_byte(office: Office) -> None:
    raw = world.large(9 << 20)
    office.take(office.helpdesk, raw)
    (one,) = office.call(messages, "list", "--json").lines
    assert office.postroom("messages", "raw", one["message"]).raw == raw


@pytest.mark.parametrize("size", [2000, 9 << 20])
def test_of_a_damaged_copy_not_one_byte_is_given(office: Office, size: int) -> None:
    office.take(office.helpdesk, world.large(size))
    (one,) = office.call(messages, "list", "--json").lines
    (pack,) = (office.data / "blobs").glob("*.pack")
    stored = bytearray(pack.read_bytes())
    stored[len(stored) * 3 // 4] ^= 1
    pack.write_bytes(stored)
    said = office.postroom("messages", "raw", one["message"])
    assert (said.code, said.raw) == (1, b"")
    assert "not what was written" in said.err


def test_a_raw_mail_is_not_written_to_a_terminal(with_mail: Office) -> None:
    (found,) = with_mail.call(search, "ozone", "--json").lines
    leader, follower = pty.openpty()
    done = subprocess.run(
        with_mail.command("messages", "raw", found["message"]),
        stdout=follower, stderr=subprocess.PIPE, check=False, env=with_mail.environ(), timeout=60,
    )  # fmt: skip
    os.close(follower)
    os.close(leader)
    assert done.returncode == 2
    assert b"> mail.eml" in done.stderr


def test_a_hostile_subject_cannot_forge_a_line(office: Office) -> None:
    office.take(office.helpdesk, world.mail(subject="=?utf-8?q?a=1b[2Jb=0d=0aforged=e2=80=ae?="))
    said = office.call(messages, "list")
    assert len(said.out.splitlines()) == 1
    assert all(char.isprintable() for char in said.out.rstrip("\n"))


def test_each_call_is_an_event_with_who_and_what(with_mail: Office) -> None:
    with_mail.call(search, "ozone", "--as", "anna@demo.example")
    with_mail.call(messages, "list")
    first, second = with_mail.events("archive.read")
    assert first.actor.startswith("user:")
    assert json.loads(first.details) == {
        "command": "search", "arguments": {"query": "ozone"}, "as": "anna@demo.example",
    }  # fmt: skip
    assert second.actor == "operator"
    assert json.loads(second.details)["command"] == "messages list"


def test_an_attachment_that_was_too_much_to_read_says_so(office: Office) -> None:
    bomb = documents.zipped({"content.xml": "<a>" + " " * 100_000_000})
    office.take(office.helpdesk, world.mail(attachments=[("bomb.odt", bomb), ("a.odt", documents.odt("faktura"))]))
    (one,) = office.call(messages, "list", "--json").lines
    archive = office.archive()
    reindexing.pass_(archive, 10)
    archive.close()
    (shown,) = office.call(messages, "show", one["message"], "--json").lines
    says = "Its text is not searchable: it unpacks to more than 64 MB, or to more than 10,000 files."
    assert [each["limited"] for each in shown["attachments"]] == [says, None]
    assert f"(application/octet-stream)\n{'':12}{says}\n" in office.call(messages, "show", one["message"]).out
