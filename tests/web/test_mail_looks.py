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


LOREM = (
    "We have looked at the offer once more and would like to go ahead with the second variant, provided that the "
    "delivery is possible before the end of the month. "
)
QUOTED = f"<p>{LOREM}</p>" * 6
CELL = f"<td width='50%' valign=top style='padding: 0 12px; font-size: 14px; line-height: 20px'>{LOREM}"
ROWS = "".join(f"<tr><td>{n}<td>Winter roast, whole beans<td>{n * 3}<td>{n * 11}.50</tr>" for n in range(1, 11))
FRAMED = {
    "a word": "<p>Thanks.</p>",
    "a paragraph": f"<p>{LOREM}</p>",
    "some paragraphs": f"<p>{LOREM * 2}</p>" * 3,
    "in Russian": "<p>"
    + "Мы ещё раз посмотрели предложение и хотели бы выбрать второй вариант из тех двух. " * 3
    + "</p>",
    "lines": "".join(f"<div>{one}</div>" for one in LOREM.split()) + "<div><br></div><div>Eva</div>",
    "a list": f"<p>To do:</p><ul><li>{LOREM}</li><li>coffee<li>tea</ul>",
    "Outlook": "<style>p.MsoNormal {margin: 0cm; font-size: 11.0pt; font-family: Calibri, sans-serif}</style>"
    + f"<p class=MsoNormal>{LOREM * 2}<o:p></o:p></p><p class=MsoNormal><o:p>&nbsp;</o:p></p><p "
    f"class=MsoNormal>Eva</p>",
    "a reply": f"<div dir=ltr>Yes, please.<br><br>Eva</div><br><div class=gmail_quote><div class=gmail_attr>On "
    f"Monday Anna "
    f"wrote:</div><blockquote class=gmail_quote>{QUOTED}</blockquote></div>",
    "a reply with Thunderbird": f"<p>Yes, please.</p><div class=moz-cite-prefix>On Monday Anna wrote:<br></div>"
    f"<blockquote type=cite>{QUOTED}</blockquote>",
    "a reply with Outlook": "<p style='margin: 0'>Agreed.</p><div id=appendonsend></div><hr><div "
    "id=divRplyFwdMsg><b>From:"
    f"</b> Anna &lt;anna@demo.example&gt;<br><b>Sent:</b> Monday<br><b>To:</b> Eva<br><b>Subject:</b> "
    f"Offer</div>{QUOTED}",
    "a table": f"<p>The list:</p><table border=1 "
    f"cellpadding=4><tr><th>No<th>Article<th>Pieces<th>Price</tr>{ROWS}</table>",
    "a table with much text": f"<table border=1 width='100%'><tr><td width='50%'>{LOREM}<td>{LOREM}</table>",
    "a newsletter": "<table width='100%' bgcolor='#eeeeee'><tr><td align=center style='padding: 20px 0'><table "
    "width=600 "
    "cellspacing=0 cellpadding=0 style='font-family: Arial'><tr><td style='padding: 24px'><img "
    "src='https://x.example/l.png' "
    "width=180 height=48 alt=Logo><tr><td><img src='https://x.example/h.jpg' width=600 height=240 alt=Winter><tr><td "
    "style='padding: 24px; font-size: 16px; line-height: 24px'><h1 style='margin: 0 0 16px; font-size: 28px; "
    "line-height: "
    f"34px'>Winter roasts are here</h1><p style='margin: 0 0 16px'>{LOREM}<table><tr><td style='padding: 12px 24px'>"
    f"<a href='https://x.example/'>See the offers</a></table><tr><td style='padding: 0 12px 24px'><table "
    f"width='100%'><tr>"
    f"{CELL}{CELL}</table><tr><td style='padding: 16px 24px; font-size: 12px; line-height: "
    f"18px'>Unsubscribe.</table></table>",
    "a receipt": "<div style='display: none; max-height: 0'>"
    + LOREM * 3
    + "</div><div style='padding: 32px 0'><div style="
    "'max-width: 560px; margin: 0 auto; padding: 32px; font-family: Arial; line-height: 1.6'><h2 "
    "style='margin-top: 0'>Your "
    f"order</h2><p>{LOREM}</p><p style='font-size: 12px'>Roasters, Street 1</p></div></div>",
}
# How high the mail is, and how high the frame: what makes a short mail fill its frame is taken away first.
MEASURE = """body => {
    for (const one of body.children) one.style.minHeight = 0;
    return [Math.ceil(body.getBoundingClientRect().height), innerHeight, innerWidth];
}"""


def test_a_frame_is_as_high_as_its_mail_or_a_little_higher(office: Office, visit: Visit) -> None:  # noqa: F811
    """A frame that runs nothing cannot tell; what is reckoned must not cut a mail, nor leave a large white block."""
    talks = {}
    for name, markup in FRAMED.items():
        (message,) = office.take("helpdesk", world.mail(subject=name, html=markup))
        talks[name] = f"/conversations/{office.conversation(message)}"
    visit.sign_in()
    wrong = []
    for width in (1440, 390):
        visit.page.set_viewport_size({"width": width, "height": 900})
        for name, address in talks.items():
            visit.go(address)
            mail, frame, room = visit.page.frame_locator("iframe").locator("body").evaluate(MEASURE)
            if not mail <= frame <= mail * 1.25 + 80:
                wrong.append(f"{name} at {width} ({room}): the mail is {mail}, the frame {frame}")
    assert wrong == []


def test_what_is_higher_than_its_frame_is_scrolled_to(office: Office, visit: Visit) -> None:  # noqa: F811
    (message,) = office.take("helpdesk", world.mail(html=f"<p>{LOREM}</p>" * 60 + "<p>Finis.</p>"))
    visit.sign_in()
    visit.go(f"/conversations/{office.conversation(message)}")
    body = visit.page.frame_locator("iframe").locator("body")
    assert body.evaluate("() => document.documentElement.scrollHeight > innerHeight")
    visit.page.frame_locator("iframe").locator("text=Finis.").scroll_into_view_if_needed()
    assert body.evaluate("() => scrollY") > 0
