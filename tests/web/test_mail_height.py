"""How high a mail's frame is reckoned to be; how well that fits is measured in a browser (test_mail_looks.py)."""

import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import web
from web.mail_height import LEAST, TALLEST, WIDTHS, heights

TEXT = "Some words that stand on a line of their own and go on for a while. "


def one(markup: str) -> int:
    """In a frame of 640 pixels."""
    return heights(markup)[WIDTHS.index(640)]


def test_the_style_sheet_chooses_by_the_same_widths() -> None:
    sheet = (Path(web.__file__).parent / "static" / "postroom.css").read_text()
    found = re.findall(r"@container paper \((?:(\d+)px <= )?width (?:>= (\d+)|< \d+)", sheet)
    assert [int(low or high) for low, high in found[1:]] == list(WIDTHS[1:])
    assert found[0] == ("", "")
    assert re.findall(r"svg:nth-of-type\((\d+)\)", sheet) == [str(number + 1) for number in range(len(WIDTHS))]


def test_text_is_higher_where_it_is_narrower() -> None:
    found = heights(f"<p>{TEXT * 5}</p>")
    assert list(found) == sorted(found, reverse=True)
    assert found[0] > 2 * found[-1]


def test_more_text_is_higher_up_to_what_a_page_bears() -> None:
    found = [one(f"<p>{TEXT}</p>" * number) for number in (1, 3, 10, 200)]
    assert found == sorted(found)
    assert found[-1] == TALLEST
    assert one("") == one("<p> </p>") == LEAST


@pytest.mark.parametrize(
    "unseen",
    [
        "<style>p { color: red }</style>",
        "<head><title>x</title></head>",
        "<html><head><title>x</title><meta charset=utf-8><body>",
        "<script>" + "x\n" * 100 + "</script>",
        "<!-- <p>a</p><p>b</p> -->",
        "<!--[if mso]><table><tr><td height=400>x</td></tr></table><![endif]-->",
        f"<div style='display:none'>{TEXT * 9}</div>",
        f"<div style='max-height: 0; overflow: hidden'>{TEXT * 9}</div>",
        "<img src='https://x.example/t.gif' width=1 height=1>",
    ],
)
def test_what_is_not_seen_takes_no_room(unseen: str) -> None:
    assert one(f"{unseen}<p>{TEXT}</p>") == one(f"<p>{TEXT}</p>")


def test_cells_stand_beside_each_other() -> None:
    cells = f"<td>{TEXT}</td>" * 4
    assert one(f"<table><tr>{cells}</tr></table>") < one(f"<div>{TEXT * 2}</div>" * 4)
    assert one("<table><tr><td>a<td>b<tr><td>c<td>d</table>") == one(
        "<table><tbody><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></tbody></table>"
    ), "whether they are closed or not"


def test_pictures_are_as_high_as_they_say_and_shrink_with_the_frame() -> None:
    found = heights("<img src='cid:a' width=600 height=300>")
    assert found[-1] > 300
    assert found[0] < 200


def test_margins_collapse_and_style_sheets_are_heard() -> None:
    assert one("<p>a</p><p>b</p>") < one("<p>a</p>") + one("<p>b</p>") - 20
    close = "<style>p.x, li { margin: 0 } @media (max-width: 400px) { p.x { margin: 90px } }</style>"
    assert one(f"{close}<p class=x>a</p><p class=x>b</p>") < one("<p>a</p><p>b</p>")


@pytest.mark.parametrize(
    "quote",
    [
        f"<div class=gmail_quote><div>Anna:</div><blockquote class=gmail_quote>{TEXT * 60}</blockquote></div>",
        f"<div class=moz-cite-prefix>Anna:</div><blockquote type=cite>{TEXT * 60}</blockquote>",
        f"<div id=appendonsend></div><hr><div id=divRplyFwdMsg>From: Anna</div><div>{TEXT * 60}</div>",
    ],
)
def test_a_quote_is_folded_unless_it_is_all_there_is(quote: str) -> None:
    assert one(f"<p>Yes.</p>{quote}") < 150
    assert one(quote) > 400


@pytest.mark.parametrize("above", ["", "<div class=moz-cite-prefix>Anna:</div>", "<p>Hello</p>"])
def test_an_answer_below_a_quote_counts_and_the_quote_is_folded(above: str) -> None:
    quote = f"<blockquote type=cite>{TEXT * 60}</blockquote>"
    answer = f"<p>{TEXT * 20}</p>"
    assert one(answer) < one(f"{above}{quote}{answer}") < one(answer) + 120


_STONES = (
    "<table> <tr> <td_width=50%> </td> </table> <p> </div> <div_style='width:9em;padding:1%'> <!-- --> <style> </style>"
)
_STONES += " < > text&amp; <br> <img_width=9_height=9> <td_colspan=99999> <blockquote_type=cite> </blockquote> <pre>"


@given(st.lists(st.sampled_from(_STONES.split()), max_size=60))
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_mail_it_has_some_height(stones: list[str]) -> None:
    assert all(LEAST <= found <= TALLEST for found in heights("".join(stones).replace("_", " ")))


@pytest.mark.parametrize(
    "markup",
    [
        "<table><tr><td>" * 1000 + "x",
        "<table>" + "<tr>" + "<td>x" * 3000,
        "<div>" * 3900 + "x",
        "<p style='" + "margin:1px;" * 30_000 + "'>x",
        "<style>" + ".a { margin: 1px } " * 20_000 + "</style><p class=a>x",
        "<p class='" + "a " * 100_000 + "'>x",
        "<style>" + "p:is(" * 20_000 + "</style>x",
        "<style>" + "p{" * 20_000 + "</style>x",
        ("<p " + "style='" * 280 + ">") * 190,
        "<" * 400_000,
        "<a " * 130_000,
        "<!-" * 130_000,
        "<!--" * 100_000,
        "x " * 200_000,
        "<td " + "colspan=9 " * 30_000 + ">x",
        "<pre>" + "\n" * 400_000,
        "&" * 400_000,
        "<blockquote type=cite>x" * 3000,
    ],
    ids=lambda markup: markup[:12],
)
def test_no_markup_takes_long(markup: str) -> None:
    start = time.process_time()
    heights(markup)
    assert time.process_time() - start < 1.5


def test_a_large_ordinary_mail_is_reckoned_quickly() -> None:
    row = f"<tr><td style='padding: 4px; font-size: 13px'>{TEXT}<td><b>x</b>{random.Random(1).random()}</tr>"
    markup = f"<table>{row * 900}</table>"
    start = time.process_time()
    heights(markup)
    assert time.process_time() - start < 1.5
