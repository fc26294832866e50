"""HTML of outsiders made harmless, looked at as a parser sees it."""

import re
import time
from html.parser import HTMLParser

import nh3
import pytest

from web.mail_height import LEAST, TALLEST, heights
from web.safe_html import _ATTRIBUTES, _TAGS, TooTangled, clean, remote_pictures

from . import xss

INLINE = {"logo@x": "/messages/1/inline/2?token=t"}
OUR_ATTRIBUTES = {"rel", "target"}


class Seen(HTMLParser):
    """The elements and attributes of some markup."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"a processing instruction: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")


def cleaned(markup: str, **options: bool) -> str:
    return clean(markup, inline=INLINE.get, **options).html


@pytest.mark.parametrize("name", xss.SAMPLES)
@pytest.mark.parametrize("pictures", [False, True])
def test_nothing_is_left_that_runs_or_fetches(name: str, pictures: bool) -> None:
    markup = cleaned(xss.SAMPLES[name], pictures=pictures)
    for tag, attributes in Seen(markup).elements:
        assert tag in _TAGS, markup
        for attribute, value in attributes.items():
            assert attribute in _ATTRIBUTES["*"] | _ATTRIBUTES.get(tag, set()) | OUR_ATTRIBUTES, markup
            if attribute == "href":
                assert re.match(r"\s*(https?://|mailto:)", value), markup
                assert attributes["rel"] == "noopener noreferrer"
                assert attributes["target"] == "_blank"
            elif attribute in ("src", "background"):
                allowed = r"data:image/(png|jpeg|gif|webp);base64,|/messages/" + ("|https?://" if pictures else "")
                assert re.match(allowed, value, re.IGNORECASE), markup
            elif attribute == "style":
                assert not re.search(r"expression|@|behavior|binding|position|content|\\|/\*", value), markup
                for address in re.findall(r"url\(([^)]*)", value):
                    assert re.match(r"'/messages/|'data:image/" + ("|'https?://" if pictures else ""), address), markup


@pytest.mark.parametrize("name", xss.SAMPLES)
def test_a_browser_reads_it_as_it_was_written(name: str) -> None:
    """Parsed as browsers do and written again it is the same: nothing changes its meaning on the way (mutation)."""
    markup = cleaned(xss.SAMPLES[name])
    again = nh3.clean(
        markup,
        tags=set(_TAGS),
        attributes={tag: names | {"target"} for tag, names in _ATTRIBUTES.items()},
        attribute_filter=lambda _tag, _name, value: value,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer",
    )
    assert Seen(again).elements == Seen(markup).elements


def test_what_was_said_stays() -> None:
    markup = (
        "<html><head><title>gone</title></head><body><h1>Offer</h1><p>Dear <b>Anna</b>,<br>see "
        '<a href="https://x.example/a?b=c&amp;d=e" title="there">here</a>.</p><ul><li>one<li>two</ul>'
        "<table border=1 width=100%><tr><td colspan=2 bgcolor=#eee>cell</td></tr></table><pre>a  b</pre></body></html>"
    )
    seen = Seen(cleaned(markup))
    assert "".join(seen.text.split()) == "OfferDearAnna,seehere.onetwocella  b".replace(" ", "")
    tags = [tag for tag, _ in seen.elements]
    assert [tag for tag in tags if tag not in ("tbody", "div")] == [
        *["h1", "p", "b", "br", "a", "ul", "li", "li", "table", "tr", "td", "pre"]
    ]
    link = dict(seen.elements)["a"]
    assert link["href"] == "https://x.example/a?b=c&d=e"
    assert link["title"] == "there"


def test_style_sheets_move_into_attributes() -> None:
    markup = "<style>p { color: red; position: fixed } .b { font-weight: bold !important }</style><p class=b>x</p>"
    ((_, attributes),) = [one for one in Seen(cleaned(markup)).elements if one[0] == "p"]
    assert set(attributes) == {"style"}
    assert attributes["style"].replace(" ", "") in (
        "color:red;font-weight:bold!important",
        "font-weight:bold!important;color:red",
    )


def test_the_looks_of_the_body_stay() -> None:
    outer = Seen(
        cleaned("<style>body { background: #eef }</style><body bgcolor='#ffffff' text=red><p>x</body>")
    ).elements[0]
    assert outer[0] == "div"
    style = outer[1]["style"].split("; ")
    assert set(style) == {"background: #eef", "background-color: #ffffff", "color: red"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("color: red", "color: red"),
        ("color: RED; COLOR: rgb(1, 2, 3)", "color: RED; color: rgb(1, 2, 3)"),
        ("margin: 0 auto -1px; width: calc(100% - 10px)", "margin: 0 auto -1px; width: calc(100% - 10px)"),
        ("font: 12px/1.5 'A B', serif", 'font: 12px/1.5 "A B", serif'),
        ("background: #fff url(cid:logo@x) no-repeat", f"background: #fff url('{INLINE['logo@x']}') no-repeat"),
        (
            "background: linear-gradient(90deg, #fff 0%, red 100%)",
            "background: linear-gradient(90deg, #fff 0%, red 100%)",
        ),
        ("background: url(http://x.example/a)", None),
        ("background: url(cid:unknown)", None),
        ("background: u\\72l(http://x.example/a)", None),
        ("background: url(data:image/svg+xml;base64,AAAA)", None),
        ("background: url(data:image/png;base64,AAAA)", "background: url('data:image/png;base64,AAAA')"),
        ("background: var(--x)", None),
        ("background: attr(title url)", None),
        ("position: absolute; color: red", "color: red"),
        ("color: red} body{color: blue", None),
        ("color: {red}", None),
        ("color: red; }", "color: red"),
        ("--x: url(http://x.example/a)", None),
        ("co/**/lor: red", None),
        ("color: re\\64", "color: red"),
        ("", None),
        (":", None),
        (";;;color:red;;", "color: red"),
        ("width: min(" * 20 + "1px" + ")" * 20, None),
    ],
)
def test_styles_are_judged_by_their_tokens(given: str, kept: str | None) -> None:
    markup = cleaned(f'<p style="{given}">x</p>')
    ((_, attributes),) = [one for one in Seen(markup).elements if one[0] == "p"]
    assert attributes.get("style") == kept


def test_pictures_within_the_mail_are_shown_and_others_counted() -> None:
    markup = (
        '<img src="cid:logo@x" alt="ours"><img src="cid:unknown"><img src="data:image/png;base64,iVBORw0KGgo=">'
        '<img src="https://x.example/t.gif" width=1 height=1><p style="background: url(https://x.example/b.png)">x</p>'
        '<table background="http://x.example/c.png"><tr><td>x</table>'
    )
    blocked = clean(markup, inline=INLINE.get)
    assert blocked.blocked == 3
    assert remote_pictures(markup) == 3
    assert "x.example" not in blocked.html
    assert INLINE["logo@x"] in blocked.html
    assert "data:image/png" in blocked.html
    loaded = clean(markup, inline=INLINE.get, pictures=True)
    assert loaded.blocked == 0
    assert loaded.html.count("x.example") == 3


def test_quotes_are_folded_and_never_removed() -> None:
    markup = (
        "<p>answer</p><blockquote type=cite><p>quoted<p>one<p>two</p><blockquote type=cite>deeper</blockquote>"
        "</blockquote><p>below</p><blockquote>a saying</blockquote>"
        "<blockquote class=gmail_quote>also quoted<br>three<br>four</blockquote>"
    )
    seen = Seen(cleaned(markup))
    assert [tag for tag, _ in seen.elements].count("details") == 2
    for said in ("answer", "quoted", "deeper", "below", "a saying", "also quoted"):
        assert said in seen.text
    body = cleaned(markup)
    assert body.index("</details>") < body.index("below") < body.index("a saying")


def test_nothing_remains_of_nothing() -> None:
    for markup in (
        "",
        "   ",
        "<!-- only a comment -->",
        "\0",
        "<html></html>",
        "<?xml version='1.0' encoding='utf-16'?>",
    ):
        assert Seen(cleaned(markup)).text.strip("\ufffd \n") == "", markup


@pytest.mark.parametrize(
    "markup",
    ["<div>" * 100_000, "<b>" * 5_000, "".join(f"<font size={n}>" for n in range(3000)), "x" * 2_000_001],
)
def test_what_is_too_deep_or_too_large_is_refused(markup: str) -> None:
    with pytest.raises(TooTangled):
        cleaned(markup)


@pytest.mark.parametrize(
    "markup",
    [
        "<p style='color: red'>x" * 10_000,
        "".join(f"<p style='margin: {n}px; background: url(http://x.example/{n})'>" for n in range(10_000)),
        "<style>" + "p { color: red } " * 20_000 + "</style>" + "<p>x" * 2_000,
        "<style>" + "@media x {" * 5_000 + "</style>x",
        "<style>" + "p:is(" * 5_000 + "</style>x",
        "<p style='" + "(" * 50_000 + "'>x",
        "<p style='color: " + "calc(" * 20_000 + "'>x",
        "<blockquote type=cite>x</blockquote>" * 10_000,
        "<a href=http://x.example/>" * 10_000,
        "".join(f"<b title={n}>" for n in range(200)) + "<p>x" * 20_000,
        "<" * 200_000,
        "<img src=" * 20_000,
    ],
)
def test_no_markup_within_reason_takes_long(markup: str) -> None:
    start = time.thread_time()
    cleaned(markup)
    remote_pictures(markup)
    assert all(LEAST <= one <= TALLEST for one in heights(markup))
    assert time.thread_time() - start < 3
