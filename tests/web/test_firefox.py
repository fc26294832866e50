"""The pages in Firefox: the list and a conversation look as they do elsewhere, and keys work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.people import sessions

from .conftest import NOW
from .firefox import Firefox
from .pages import COLD, House

BOX = "return (box => [box.x, box.y, box.width, box.height])(document.querySelector('%s').getBoundingClientRect())"


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    """A Firefox that is ended after the test."""
    opened = Firefox(tmp_path)
    yield opened
    opened.close()


def boxes(firefox: Firefox, *wanted: str) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of elements, rounded."""
    found = [firefox.run(BOX % one) for one in wanted]
    return [(round(x), round(y), round(width), round(height)) for x, y, width, height in found]


def test_the_list_and_a_conversation_look_right_and_keys_work(house: House, firefox: Firefox) -> None:
    with house.office.archive.transaction() as session:
        token = sessions.start(session, house.office.users["dana"], "Firefox", NOW)
    firefox.go(house.base + "/sign-in")
    cookie = {"name": "postroom", "value": token, "path": "/", "httpOnly": True}
    firefox.ask("AddCookie", cookie=cookie)

    firefox.size(1440, 900)
    firefox.go(house.base + "/processes/helpdesk")
    top, rail, pane, beside, row = boxes(firefox, ".top", "#rail", ".list", "#talk", ".row")
    assert top[:3] == (0, 0, 1440)
    assert (rail[0], rail[2], rail[1]) == (0, 192, top[3])
    assert pane[0] in (192, 193)
    assert pane[0] + pane[2] == beside[0]
    assert row[3] in range(72, 77), "three lines"
    assert firefox.run("return document.documentElement.scrollWidth") == 1440

    firefox.press("j", "j")
    assert firefox.run("return document.querySelectorAll('.hit')[1] === document.activeElement")
    firefox.press("Enter")
    firefox.until("document.querySelector('article.talk') && document.activeElement.id == 'subject'")
    assert firefox.run("return document.querySelectorAll('.row:has([aria-current])').length") == 1
    talk, desk = boxes(firefox, "#talk", "#ticket")
    assert (talk[0], talk[0] + talk[2], desk[0] + desk[2]) == (pane[0] + pane[2], desk[0], 1440)
    firefox.press("Escape")
    firefox.until("document.querySelector('section.talk')")
    firefox.press("?")
    assert firefox.run("return document.querySelector('#keys').matches(':popover-open')")
    firefox.press("Escape")
    firefox.run("document.querySelector('[popovertarget=me]').click()")
    (menu,) = boxes(firefox, "#me")
    assert menu[0] > 700, "below its button"
    assert menu[0] + menu[2] <= 1440
    assert menu[1] >= 40

    firefox.size(1024, 768)
    firefox.go(house.base + house.talk(COLD))
    rail, pane, talk, mail = boxes(firefox, "#rail", ".list", "#talk", ".msg[open]")
    assert rail[2] == 56, "icons"
    assert talk[0] + talk[2] == 1024
    assert talk[0] < mail[0] < mail[0] + mail[2] < 1024
    assert firefox.run("return getComputedStyle(document.querySelector('.msg')).borderTopLeftRadius") == "12px"
    light = firefox.run("return getComputedStyle(document.body).backgroundColor")
    firefox.run("document.documentElement.dataset.theme = 'dark'")
    assert firefox.run("return getComputedStyle(document.body).backgroundColor") != light

    firefox.size(500, 844)  # the narrowest window it has
    assert firefox.run("return document.documentElement.scrollWidth") == 500
    assert firefox.run("return getComputedStyle(document.querySelector('.list')).display") == "none"
