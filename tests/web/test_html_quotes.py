"""Quotes in the HTML of mail, as mail programs make them."""

import re
import time

import lxml.html  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web import html_quotes
from web.safe_html import clean, with_folds_named

QUOTED = "<p>first</p><p>second</p><p>third</p>"
HEADER = "<b>From:</b> Anna<br><b>Sent:</b> Monday, 2 November 2026<br><b>To:</b> Bernd<br><b>Subject:</b> Offer"

PROGRAMS = {
    "Gmail": (
        '<div dir="ltr">Thanks.</div><br><div class="gmail_quote"><div class="gmail_attr">On Mon, 2 Nov 2026 '
        f'Anna wrote:<br></div><blockquote class="gmail_quote">{QUOTED}</blockquote></div>'
    ),
    "Thunderbird": (
        '<p>Thanks.</p><div class="moz-cite-prefix">On 02/11/2026, Anna wrote:<br></div>'
        f'<blockquote type="cite" cite="mid:x">{QUOTED}</blockquote>'
    ),
    "Apple Mail": f"Thanks.<div><br><blockquote type=cite><div>On 2 Nov Anna wrote:</div>{QUOTED}</blockquote></div>",
    "Outlook on the web": (
        '<div>Thanks.</div><div id="appendonsend"></div><hr style="width:98%"><div id="divRplyFwdMsg" dir="ltr">'
        f"<font>{HEADER}</font></div><div>{QUOTED}</div>"
    ),
    "Outlook on the web, quoted again": (
        f'<div>Thanks.</div><hr><div id="x_divRplyFwdMsg"><font>{HEADER}</font></div><div>{QUOTED}</div>'
    ),
    "Outlook": (
        '<div class="WordSection1"><p>Thanks.</p><div><div style="border:none;border-top:solid #E1E1E1 '
        f'1.0pt;padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal">{HEADER}</p></div></div>{QUOTED}</div>'
    ),
    "Outlook in Czech": (
        '<div class="WordSection1"><p>Thanks.</p><div><div style="border-top:solid"><p><b>Od:</b> Anna'
        f"<br><b>Odesláno:</b> dnes<br><b>Komu:</b> B<br><b>Předmět:</b> x</p></div></div>{QUOTED}</div>"
    ),
    "Outlook Express": f'<div>Thanks.</div><div class="OutlookMessageHeader" align="left">{HEADER}</div>{QUOTED}',
    "New Outlook": (
        f'<div>Thanks.</div><div id="mail-editor-reference-message-container"><div>{HEADER}</div>{QUOTED}</div>'
    ),
    "Yahoo": f'<div>Thanks.</div><div id="yahoo_quoted_1" class="yahoo_quoted"><div>On Monday:</div>{QUOTED}</div>',
    "Proton": f'Thanks.<div class="protonmail_quote">On Monday<br><blockquote type="cite">{QUOTED}</blockquote></div>',
}


def folds(markup: str, *, forwarded: bool = False) -> tuple[str, list[str], int]:
    """What stands outside folds, what in each, and how many are open."""
    tree = lxml.html.document_fromstring(clean(markup, inline=lambda _: None, forwarded=forwarded).html)
    found = [one for one in tree.iter("details") if next(one.iterancestors("details"), None) is None]
    inside = [" ".join(" ".join(one.itertext()).split()) for one in found]
    opened = sum(1 for one in found if one.get("open") is not None)
    for one in found:
        one.drop_tree()
    return " ".join(" ".join(tree.itertext()).split()), inside, opened


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_program_quotes_is_folded_with_who_is_quoted(program: str) -> None:
    outside, inside, opened = folds(PROGRAMS[program])
    assert outside == "Thanks."
    assert len(inside) == 1
    assert "first second third" in inside[0]
    assert opened == 0


@pytest.mark.parametrize("program", ["Gmail", "Thunderbird", "Apple Mail", "Proton"])
def test_an_answer_between_or_below_stays_visible(program: str) -> None:
    between = PROGRAMS[program].replace(
        "<p>second</p>", "<p>a</p><p>b</p></blockquote><div>MY ANSWER</div><blockquote type=cite><p>second</p>"
    )
    assert "MY ANSWER" in folds(between)[0]
    assert "MY ANSWER" in folds(PROGRAMS[program] + "<p>MY ANSWER</p>")[0]
    assert "MY ANSWER" in folds(PROGRAMS[program].replace("</blockquote>", "</blockquote>MY ANSWER"))[0]


@pytest.mark.parametrize("program", [one for one in PROGRAMS if one.startswith("Outlook")])
def test_where_an_answer_may_stand_within_the_fold_is_open(program: str) -> None:
    assert folds(PROGRAMS[program].replace("Thanks.", "See my answers below."))[2] == 1
    assert folds(PROGRAMS[program].replace("Thanks.", ""))[2] == 1, "nothing else is there to be read"
    assert folds(PROGRAMS[program], forwarded=True)[2] == 1


def test_a_forwarded_mail_is_no_quote() -> None:
    forwarded = PROGRAMS["Gmail"].replace("On Mon, ", "---------- Forwarded message ---------<br>")
    outside, inside, _ = folds(forwarded.replace('<blockquote class="gmail_quote">', "<div>"))
    assert "first second third" in outside
    assert inside == []


def test_the_summary_says_how_many_lines() -> None:
    made = clean(PROGRAMS["Gmail"], inline=lambda _: None).html
    assert "<summary>4 &lt;lines&gt;</summary>" in with_folds_named(made, lambda lines: f"{lines} <lines>")


_PIECES = st.sampled_from(
    [
        *("<p>own</p>", "<div>own", "</div>", "<blockquote type=cite>", "</blockquote>", "<br>", "<hr>", "<b>own</b>"),
        *(
            "<div class=gmail_quote>",
            "<div class=gmail_attr>who",
            "<div id=divRplyFwdMsg>",
            "<div id=appendonsend></div>",
        ),
        *(
            "<p>From: a<br>Sent: b<br>Subject: c</p>",
            "<div class=moz-cite-prefix>who</div>",
            "own",
            "<table><tr><td>own",
        ),
        "</table>",
    ]
)


@given(st.lists(_PIECES, max_size=30))
@settings(max_examples=200, deadline=None)
def test_no_word_is_lost_or_moved(pieces: list[str]) -> None:
    markup = "".join(
        piece.replace("own", f"word{n}word").replace("who", f"word{n}word") for n, piece in enumerate(pieces)
    )
    tree = lxml.html.document_fromstring(f"<p>begins{markup}")
    before = re.findall(r"word\d+word", "".join(tree.itertext()))
    html_quotes.fold(tree)
    assert re.findall(r"word\d+word", "".join(tree.itertext())) == before


@pytest.mark.parametrize(
    "piece",
    [
        "<blockquote type=cite><p>a<p>b<p>c</blockquote>",
        "<div class=gmail_quote><blockquote><p>a<p>b<p>c</blockquote>answer</div>",
        "<div id=divRplyFwdMsg>a</div>",
        "<p>From: x</p>",
        "<div style='border-top:solid'>From: a<br>Sent: b<br>Subject: c</div><p>x",
        "<hr>",
        "<div>",
    ],
)
def test_a_long_mail_of_quotes_takes_no_time(piece: str) -> None:
    tree = lxml.html.document_fromstring("<p>own</p>" + piece * (400_000 // len(piece)))
    start = time.process_time()
    html_quotes.fold(tree)
    assert time.process_time() - start < 8
