"""Quotes, attributions, header blocks and signatures in plain text."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.plain_text import blocks
from web.quotes import Kind, stretches

ATTRIBUTIONS = [
    "On Mon, Nov 2, 2026 at 10:00 AM Anna Nováková <anna@demo.example>\nwrote:",
    "On 02/11/2026 10:00, Anna Nováková wrote:",
    "Anna Nováková <anna@demo.example> wrote:",
    "Anna wrote:",
    "Dne po 2. 11. 2026 v 10:00 odesílatel Anna Nováková <\nanna@demo.example> napsal:",
    "Dne 02. 11. 26 v 10:00 Anna Nováková napsal(a):",
    "pon., 2 lis 2026 o 10:00 Anna Nováková <anna@demo.example> napisał(a):",
    "W dniu 2.11.2026 o 10:00, Anna Nováková pisze:",
    "El lun, 2 nov 2026 a las 10:00, Anna Nováková (<anna@demo.example>)\nescribió:",
    "El 2/11/26 a las 10:00, Anna escribió:",
    "пн, 2 нояб. 2026 г. в 10:00, Анна Новакова <anna@demo.example>:",
    "02.11.2026 10:00, Анна Новакова пишет:",
]
HEADER_BLOCKS = [
    "From: Anna\nSent: Monday, November 2, 2026 10:00 AM\nTo: Bernd\nSubject: Offer",
    "-----Original Message-----\nFrom: Anna\nSent: Monday\nTo: Bernd\nSubject: Offer",
    "Od: Anna\nOdesláno: pondělí 2. listopadu 2026 10:00\nKomu: Bernd\nPředmět: Nabídka",
    "-----Původní zpráva-----\nOd: Anna\nOdesláno: pondělí\nKomu: Bernd\nPředmět: Nabídka",
    "Od: Anna\nWysłano: poniedziałek, 2 listopada 2026\nDo: Bernd\nTemat: Oferta",
    "De: Anna\nEnviado: lunes, 2 de noviembre de 2026\nPara: Bernd\nAsunto: Oferta",
    "От: Анна\nОтправлено: понедельник, 2 ноября 2026 г.\nКому: Bernd\nТема: Предложение",
    "Von: Anna\nGesendet: Montag, 2. November 2026\nAn: Bernd\nBetreff: Angebot",
    "________________________________\n\nFrom: Anna\nDate: Monday\nTo: Bernd\nSubject: Offer",
    "*From:* Anna\n*Sent:* Monday\n*To:* Bernd\n*Subject:* Offer",
]


def kinds(text: str) -> list[tuple[Kind, str]]:
    return [(one.kind, "\n".join(one.lines).strip("\n")) for one in stretches(text.split("\n"))]


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_who_is_quoted_goes_with_the_quote(attribution: str, gap: str) -> None:
    assert kinds(f"Thanks.\nBernd\n\n{attribution}{gap}> a\n> b\n> c") == [
        (Kind.OWN, "Thanks.\nBernd"),
        (Kind.MARKED, f"{attribution}{gap}> a\n> b\n> c"),
    ]


@pytest.mark.parametrize(
    "said",
    [
        "See you on 2. 11. 2026.",
        "My proposal for 5. 11. 2026 is:",
        "I have two questions:",
        "Můj návrh na 5. 11. 2026 je:",
        "This is what I think of it:",
        "Anna wrote a book.",
    ],
)
def test_what_the_author_says_above_a_quote_stays_his(said: str) -> None:
    assert kinds(f"Hello\n{said}\n> a\n> b\n> c")[0] == (Kind.OWN, f"Hello\n{said}")


def test_an_answer_right_above_an_attribution_stays() -> None:
    said = "See you on 2. 11. 2026\nAnna <anna@demo.example> wrote:\n> a\n> b\n> c"
    assert kinds(said)[0] == (Kind.OWN, "See you on 2. 11. 2026")


@pytest.mark.parametrize("header", HEADER_BLOCKS)
def test_what_outlook_quotes_without_marks_is_folded_as_a_whole(header: str) -> None:
    own, quoted = blocks(f"Thanks.\n\n{header}\n\nDear Bernd,\nhere it is.\n\nAnna")
    assert str(own.html) == "Thanks."
    assert quoted.folded
    assert not quoted.open
    assert "here it is." in quoted.html


@pytest.mark.parametrize("header", HEADER_BLOCKS)
def test_answers_within_what_outlook_quotes_are_not_hidden(header: str) -> None:
    """Marked lines between, or an author who says so: then nothing is folded away that may be his."""
    marked = blocks(f"Hello\n\n{header}\n\n> question\nthe answer\n> a\n> b\n> c")
    assert ["the answer" in one.html for one in marked if not one.quoted].count(True) == 1
    for pointing in (
        "My answers are below.",
        "Odpovědi níže v textu",
        "Odpowiedzi poniżej",
        "Respondo abajo",
        "См. ниже",
    ):
        assert blocks(f"{pointing}\n\n{header}\n\nquestion\nthe answer")[-1].open


@pytest.mark.parametrize("header", HEADER_BLOCKS)
def test_a_forwarded_mail_is_there_to_be_read(header: str) -> None:
    assert blocks(f"For you.\n\n{header}\n\nthe offer", forwarded=True)[-1].open
    assert blocks(f"{header}\n\nthe offer")[-1].open, "nothing else is there to be read"


@pytest.mark.parametrize(
    "line",
    [
        "---------- Forwarded message ---------",
        "---------- Přeposlaná zpráva ---------",
        "-------- Пересылаемое сообщение --------",
    ],
)
def test_what_a_mail_says_is_forwarded_is_no_quote(line: str) -> None:
    text = f"For you.\n\n{line}\nFrom: Anna <anna@demo.example>\nDate: Monday\nSubject: x\nTo: b\n\nthe offer"
    assert not any(one.quoted for one in blocks(text))


def test_a_list_of_labels_is_no_header_block() -> None:
    for text in (
        "From: Prague\nTo: Brno\nby train",
        "Od: 8.00\nDo: 16.00",
        "De: la\nla",
        "From: here\n\nSubject: there",
    ):
        assert not any(one.quoted for one in blocks(f"Hello\n\n{text}\n\nBernd")), text


def test_a_signature_is_told_apart_and_stays_visible() -> None:
    found = blocks("Yes.\n-- \nBernd\nSales\n\nAnna wrote:\n> a\n> b\n> c\nBelow\n--\nagain")
    assert [(one.signature, one.quoted) for one in found] == [
        *[(False, False), (True, False), (False, True), (False, False), (True, False)]
    ]
    assert not any(one.folded for one in found if one.signature)


def test_a_quote_of_two_lines_leaves_its_attribution_where_it_was() -> None:
    assert [(one.quoted, one.folded) for one in blocks("Hi\nAnna wrote:\n> a\n> b")] == [
        *[(False, False), (False, False), (True, False)]
    ]


_WORDS = st.sampled_from(
    [
        *("", " ", "> q", ">", ">> q", "own words", "-- ", "--", "Anna wrote:", "wrote:", "napsal(a):", " > x"),
        *("On Mon, Nov 2, 2026 at 10:00 Anna <a@b.cz>", "From: A", "Sent: Monday", "To: B", "Subject: x", "_" * 32),
        *("Od: A", "Odesláno: dnes", "Komu: B", "Předmět: x", "-----Original Message-----"),
        "---------- Forwarded message ---------",
    ]
)


@given(st.lists(_WORDS | st.text(max_size=20).map(lambda one: one.replace("\n", " ")), max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_line_is_lost_doubled_or_moved(lines: list[str]) -> None:
    found = stretches(lines)
    assert [line for one in found for line in one.lines] == lines
    assert all(one.attribution <= len(one.lines) for one in found)
    numbered = [f"{line}\u2063{number}\u2063" if line.strip() else line for number, line in enumerate(lines)]
    shown = "\n".join(str(one.html) for one in blocks("\n".join(numbered)))
    said = re.findall("\u2063(\\d+)\u2063", shown)
    assert said == re.findall("\u2063(\\d+)\u2063", "\n".join(numbered))


@given(st.lists(_WORDS, max_size=30), st.integers(0, 29))
@settings(max_examples=200, deadline=None)
def test_an_answer_between_marked_lines_is_never_folded(lines: list[str], at: int) -> None:
    lines = [one for one in lines if not one.startswith("--")]
    with_answer = [*lines[:at], "> before", "THE ANSWER", "> after", *lines[at:]]
    for one in blocks("\n".join(with_answer)):
        if "THE ANSWER" in one.html:
            assert not one.quoted


@pytest.mark.parametrize(
    "line",
    [
        *("x\n", ">\n", "> x\ny:\n", "-- \n", "--\n> x\n", "From: x\n", "From: x\nSent: y\n", "Anna wrote:\n> x\n"),
        *(":\n", "-----Original Message-----x\n", "_" * 12 + "\n", "a@b.cz:\n> x\n", "On 1.1.2026\n> x\n\n", " \n"),
        *("On 1.1.2026,\n", "From:" + " " * 300 + "\n", "1.1." * 50 + ":\n> x\n", "- " * 200 + "\n"),
        *("a@" * 200 + ":\n> x\n", "\n\n\n\n> x\n"),
    ],
)
def test_a_megabyte_of_any_line_takes_no_time(line: str) -> None:
    lines = (line * (1_000_000 // len(line))).split("\n")
    start = time.process_time()
    assert sum(len(one.lines) for one in stretches(lines)) == len(lines)
    assert time.process_time() - start < 10


def test_twice_the_lines_take_about_twice_the_time() -> None:
    def seconds(count: int) -> float:
        lines = [
            "On 1.1.2026 Anna <a@b.cz>",
            "wrote:",
            "",
            "> x",
            "> y",
            "> z",
            "answer",
            "-- ",
            "From: a",
            "Sent: b",
        ] * count
        start = time.process_time()
        stretches(lines)
        return time.process_time() - start

    seconds(100)
    # Quadratic would be sixteen times; the smallest of three, for other work on the machine.
    assert min(seconds(16_000) for _ in range(3)) < 12 * max(min(seconds(4_000) for _ in range(3)), 0.02)
