"""Difficult mail is read as a person expects it."""

from typing import Any

import pytest

from archive.mail import inspection, reader
from tests.mails import difficult
from tests.mails.difficult import Difficult


def _by_name(*groups: dict[str, Difficult]) -> list[Any]:
    return [pytest.param(mail, id=name.replace(" ", "-")) for group in groups for name, mail in group.items()]


@pytest.mark.parametrize(
    "mail", _by_name(difficult.SUBJECTS, difficult.PEOPLE, difficult.SHAPES, difficult.ATTACHMENTS)
)
def test_a_difficult_mail_says_what_a_person_would_say(mail: Difficult) -> None:
    read = inspection.describe(mail.raw)
    assert {key: read[key] for key in mail.expect} == mail.expect
    if mail.parts is not None:
        assert [
            {k: part[k] for k in wanted} for wanted, part in zip(mail.parts, read["parts"], strict=False)
        ] == mail.parts
        assert len(read["parts"]) == len(mail.parts)
    if mail.problem is not None:
        assert any(mail.problem in problem for problem in read["problems"]), read["problems"]


@pytest.mark.parametrize(
    "mail", _by_name(difficult.SUBJECTS, difficult.PEOPLE, difficult.SHAPES, difficult.ATTACHMENTS)
)
def test_line_ends_change_nothing_but_line_ends(mail: Difficult) -> None:
    if b"\r" in mail.raw:
        return
    one = inspection.describe(mail.raw)
    two = inspection.describe(mail.raw.replace(b"\n", b"\r\n"))
    for key in ("subject", "from", "to", "cc", "date", "message_id"):
        assert one[key] == two[key], key
    assert one["text"] == two["text"].replace("\r\n", "\n")
    assert [p["path"] for p in one["parts"]] == [p["path"] for p in two["parts"]]


@pytest.mark.parametrize(
    ("header", "name"), [pytest.param(*pair, id=key.replace(" ", "-")) for key, pair in difficult.NAMES.items()]
)
def test_an_attachment_has_the_name_its_sender_gave_it(header: bytes, name: str | None) -> None:
    raw = b"From: anna@helpdesk.example\n" + header + b"\n\nx"
    (leaf,) = reader.read(raw).leaves
    assert leaf.name == name
    assert leaf.attachment


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [pytest.param(*triple, id=key.replace(" ", "-")) for key, triple in difficult.CHARSETS.items()],
)
def test_text_is_read_in_the_charset_it_is_written_in(label: str, codec: str, text: str) -> None:
    kind = f"Content-Type: text/plain; charset={label}" if label else "Content-Type: text/plain"
    raw = b"From: anna@helpdesk.example\n" + kind.encode() + b"\n\n" + text.encode(codec)
    assert reader.text(raw, reader.read(raw)) == text


def test_unlabelled_czech_of_windows_is_guessed() -> None:
    czech = "Vážený pane, zasíláme Vám požadované podklady k žádosti o příspěvek. S přátelským pozdravem Čeněk Řezáč"
    raw = b"From: anna@helpdesk.example\n\n" + czech.encode("cp1250")
    assert reader.text(raw, reader.read(raw)) == czech


def test_html_names_its_charset_itself() -> None:
    page = '<html><meta charset="windows-1251"><p>Привет, Борис</p>'
    raw = b"From: anna@helpdesk.example\nContent-Type: text/html\n\n" + page.encode("cp1251")
    assert "Привет" in reader.html(raw, reader.read(raw))


def test_a_text_with_one_broken_byte_keeps_the_rest() -> None:
    raw = b"Content-Type: text/plain; charset=utf-8\n\n" + "Příliš žluťoučký kůň".encode() + b"\xff"
    assert reader.text(raw, reader.read(raw)) == "Příliš žluťoučký kůň\ufffd"


def test_half_a_character_of_utf_7_is_replaced() -> None:
    raw = b"Content-Type: text/plain; charset=utf-7\n\na+2AA-b"
    assert reader.text(raw, reader.read(raw)) == "a\ufffdb"


def test_what_is_longer_than_any_address_is_none() -> None:
    long = b"x" * 5000
    mail = reader.read(b"From: " + long + b" <" + long + b"@x.example>\nSubject: " + long * 10 + b"\n\nx")
    assert (len(mail.from_[0].name), mail.from_[0].address, len(mail.subject)) == (1000, "", 10_000)
