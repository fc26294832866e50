"""Rules of mail for narrow windows."""

import time

import pytest

from web.safe_html import clean

SHEET = (
    '<style>.a { width: 600px } @media only screen and (max-width: 480px) { .a, td[class="w"], #z { width: 100% } '
    ".hide { display: none !important } }</style><table class=a><tr><td class=w id=z>x<td class='hide other'>y</table>"
)


def test_what_an_author_means_for_phones_is_kept() -> None:
    done = clean(SHEET, inline=lambda _: None)
    assert done.sheet == (
        "@media screen and (max-width: 480px) { .m-a, td.m-w, .m-id-z { width: 100% !important } "
        ".m-hide { display: none !important } }"
    )
    assert 'class="m-a"' in done.html
    assert 'class="m-w m-id-z"' in done.html
    assert 'class="m-hide"' in done.html
    assert "other" not in done.html


@pytest.mark.parametrize(
    "rule",
    [
        "@media (prefers-color-scheme: dark) { .a { color: white } }",
        "@media print { .a { color: white } }",
        "@media (max-width: 600px) { .a:hover { color: red } }",
        "@media (max-width: 600px) { [style*='x'] { color: red } }",
        "@media (max-width: 600px) { .a { background: url(http://x.example/a) } }",
        "@media (max-width: 600px) { .a { position: fixed; behavior: url(x) } }",
        "@media (max-width: 600px) { .a { font-family: '</style><script>' } }",
        "@media (max-width: 600px) { .a { font-family: '\\3c/style>' } }",
        "@media (max-width: 600px) { @import url(http://x.example/a); }",
        "@media (max-width: 600px) { iframe { color: red } }",
        "@media (max-width: 600px) { .\\3c x { color: red } }",
        "@media (max-width: 600px) { .a { color: red",
        "@media (max-width: 600px), url(x) { . { color: red } }",
        "@media (max-width: 9e9px) { .a { color: red } }",
        "@font-face { font-family: x; src: url(http://x.example/f) }",
    ],
)
def test_of_a_sheet_nothing_else_is_kept(rule: str) -> None:
    sheet = clean(f"<style>@media{{}} {rule}</style><p class=a>x", inline=lambda _: None).sheet
    assert sheet in ("", "@media screen and (max-width: 600px) { .m-a { color: red !important } }")
    assert "<" not in sheet


@pytest.mark.parametrize(
    "sheet",
    [
        "@media (max-width: 1px) { .a { color: red } }" * 5_000,
        "@media (max-width: 1px) { " + ".a{color:red}" * 20_000,
        "@media " * 30_000,
        "@media (max-width: 1px) {" * 8_000,
        "@media (max-width: 1px) { " + ".a,".__mul__(60_000) + "b{color:red}}",
        "@media" + "(" * 100_000,
    ],
)
def test_no_sheet_takes_long(sheet: str) -> None:
    start = time.process_time()
    assert len(clean(f"<style>{sheet}</style><p class=a>x", inline=lambda _: None).sheet) < 400_000
    assert time.process_time() - start < 5
