"""Plain text bodies as HTML."""

import re
import time

import pytest
from markupsafe import Markup

from web.plain_text import blocks, linked


def shown(text: str) -> list[tuple[bool, str]]:
    return [(one.quoted, str(one.html)) for one in blocks(text)]


def test_quoted_runs_stand_apart_and_nothing_between_them_is_lost() -> None:
    text = "Hi\n> a\n>\n> b\nanswer one\n> c\n\n> d\nanswer two"
    assert shown(text) == [
        (False, "Hi"),
        (True, "a\n\nb"),
        (False, "answer one"),
        (True, "c\n\nd"),
        (False, "answer two"),
    ]


def test_every_line_is_somewhere() -> None:
    lines = [f"{'>' * (n % 4)} line{n}" if n % 5 else "" for n in range(200)]
    text = "\n".join(str(one.html) for one in blocks("\n".join(lines)))
    assert re.findall(r"line\d+", text) == re.findall(r"line\d+", "\n".join(lines))


def test_only_three_lines_or_more_are_folded() -> None:
    assert [one.folded for one in blocks("a\n> 1\n> 2\nb\n> 1\n> 2\n> 3")] == [False, False, False, True]
    assert blocks("> 1\n> 2\n> 3\n> 4")[0].lines == 4


def test_deeper_quotes_keep_their_marks() -> None:
    assert shown(">> deep\n> less") == [(True, "&gt; deep\nless")]


def test_flowed_paragraphs_are_joined_again() -> None:
    text = "One long \nparagraph \nends.\n From stuffed\n> quoted \n> text\n-- \nsignature"
    assert [(one.quoted, str(one.html)) for one in blocks(text, flowed=True)] == [
        (False, "One long paragraph ends.\nFrom stuffed"),
        (True, "quoted text"),
        (False, "-- \nsignature"),
    ]
    assert str(blocks("Donau \ndampf", flowed=True, delsp=True)[0].html) == "Donaudampf"


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://x.example/a?b=c&d=e.", ["https://x.example/a?b=c&amp;d=e"]),
        ("(http://x.example/a_(b))", ["http://x.example/a_(b)"]),
        ("<https://x.example/>,", ["https://x.example/"]),
        ("write to me@x.example!", ["mailto:me@x.example"]),
        ("javascript:alert(1) data:text/html,x vbscript:x file:///etc/passwd", []),
        ('https://x.example/"onmouseover="alert(1)', ["https://x.example/"]),
        ("https://x.example/'onmouseover='alert(1)", ["https://x.example/&#39;onmouseover=&#39;alert(1)"]),
        ("HTTPS://X.EXAMPLE/", ["HTTPS://X.EXAMPLE/"]),
        ("https://" + "a" * 5000, []),
        ("http://", []),
    ],
)
def test_links_lead_where_the_text_says_and_tell_nobody(text: str, links: list[str]) -> None:
    made = str(linked(text))
    assert re.findall(r'<a href="([^"]*)"', made) == links
    assert made.count('rel="noopener noreferrer nofollow" target="_blank"') == len(links)
    assert Markup(made).striptags() == " ".join(text.split())  # not a letter more or less


def test_everything_else_is_text() -> None:
    (block,) = blocks('<script>alert(1)</script> & "quotes" \x1b[31m \x00')
    assert "<" not in str(block.html)
    assert "\x1b" not in str(block.html)
    assert "\x00" not in str(block.html)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 200_000,
        "a" * 200_000,
        "a@" * 100_000,
        "http://" * 30_000,
        "http://" + ")" * 200_000,
        "x@" + "a." * 100_000,
        ">" * 200_000,
        ">\n" * 100_000,
        "a \n" * 100_000,
        "\n" * 200_000,
    ],
)
@pytest.mark.parametrize("flowed", [False, True])
def test_no_text_takes_long(text: str, flowed: bool) -> None:
    start = time.process_time()
    blocks(text, flowed=flowed)
    assert time.process_time() - start < 2
