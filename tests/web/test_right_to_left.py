"""Languages that are written from the right: nothing in the pages knows left and right, and all has room."""

import re
from pathlib import Path

import pytest
from babel import Locale

import web
from web.language import LANGUAGES

from .conftest import Office
from .pages import COLD, NARROW_AND_WIDE, House

STATIC = Path(web.__file__).parent / "static"
PHYSICAL = r"(?<![\w-])(?:(?:margin|padding|border|inset)-(?:left|right|top|bottom)|left|right|float)\s*:"


@pytest.mark.parametrize("name", ["postroom.css", "print.css"])
def test_stylesheets_speak_of_beginning_and_end(name: str) -> None:
    style = (STATIC / name).read_text()
    assert re.findall(PHYSICAL, style) == []
    assert not re.findall(r"text-align:\s*(?:left|right)", style)


def test_the_page_says_which_way_its_language_is_written(office: Office) -> None:
    assert {Locale.parse(code).text_direction for code in LANGUAGES} == {"ltr"}, "else look at its pages"
    assert '<html lang="en" dir="ltr"' in office.browser("anna").get("/").text
    assert '<html lang="en" dir="ltr"' in office.browser().get("/sign-in").text


@pytest.mark.parametrize("width", NARROW_AND_WIDE)
def test_pages_have_room_from_the_right_as_well(house: House, width: int) -> None:
    addresses = (
        "/processes/helpdesk",
        house.talk(COLD),
        "/search?q=kávovar has:attachment",
        "/processes/helpdesk/dashboard",
        "/commands",
        "/health",
        "/profile",
        f"{house.talk(COLD)}/print",
    )
    with house.visit("anna", width) as page:
        for address in addresses:
            page.goto(address)
            page.evaluate("document.documentElement.dir = 'rtl'")
            assert page.evaluate("document.documentElement.scrollWidth") == width, address
            assert page.evaluate("scrollX") == 0, address
            outside = page.evaluate(
                """() => [...document.querySelectorAll('main h1, main .btn, main .row, main .card, .find')]
                    .filter(e => e.checkVisibility() && !e.closest('.acts-bar')) // which scrolls on a phone
                    .map(e => [e.getBoundingClientRect(), e.outerHTML.slice(0, 100)])
                    .filter(([box]) => box.width > 1 && (box.left < -1 || box.right > innerWidth + 1))"""
            )
            assert outside == [], address
