"""How HTML mail looks in a browser, on a wide screen and on a phone, in light and dark."""

import pytest

from .. import world
from .conftest import Office
from .pages import House
from .test_browser import Visit, visit  # noqa: F401  a fixture

NEWSLETTER = (
    "<html><head><style>.wide { width: 600px } @media only screen and (max-width: 480px) { .wide { width: 100% } "
    "h1 { font-size: 20px } .phone { display: block !important } }</style></head><body bgcolor='#ffffff'>"
    "<table class=wide width=600><tr><td><h1 style='font-size: 40px'>Autumn</h1><p>Three things this month.</p>"
    "<p class=phone style='display: none'>For phones.</p><table width=580><tr><td width=290>one<td width=290>two"
    "</table></td></tr></table></body></html>"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_newsletter_fits_a_phone_as_its_author_meant(office: Office, visit: Visit, scheme: str) -> None:  # noqa: F811
    (message,) = office.take("helpdesk", world.mail(html=NEWSLETTER))
    visit.page.emulate_media(color_scheme=scheme)
    visit.sign_in()
    for width, heading, phone in ((1440, "40px", False), (390, "20px", True)):
        visit.page.set_viewport_size({"width": width, "height": 800})
        visit.go(f"/conversations/{office.conversation(message)}")
        frame = visit.page.frame_locator("iframe")
        assert frame.locator("h1").evaluate("e => getComputedStyle(e).fontSize") == heading
        assert frame.locator("text=For phones.").is_visible() is phone
        assert frame.locator("body").evaluate("() => document.documentElement.scrollWidth <= innerWidth"), width
        assert frame.locator("body").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
        assert frame.locator("body").evaluate("e => getComputedStyle(e).color") == "rgb(28, 34, 38)"
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    assert visit.console == []


def test_pictures_that_are_not_loaded_make_no_mail_wider_than_a_phone(house: House) -> None:
    with house.visit("bernd", 390) as page:
        page.goto(house.talk("Winter roasts are here – and 15 % off until Sunday"))
        body = page.frame_locator("iframe").locator("body")
        assert body.locator("img[width='600']").count() == 1
        assert body.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
