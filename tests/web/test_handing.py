"""Handing mail over at the pages: Anna to Bernd with a note, and back."""

import re
from typing import Any

import pytest
from werkzeug.test import TestResponse

from archive.people import sessions
from archive.people.scopes import MACHINE
from archive.work import cases, handing

from .. import world
from ..world import mail
from .conftest import NOW, Browser, Office
from .test_browser import Visit, visit

__all__ = ["visit"]  # the fixture

MINUTE = 60_000


def hand(browser: Browser, conversation: int, to: str, **more: str) -> TestResponse:
    """As the form sends it."""
    at = f"/conversations/{conversation}/hand-over"
    page = browser.get(at).text
    mails = re.findall(r'name="mail" value="(\d+)"', page)
    found = re.search(r'(?:type="hidden" name="from" value="|<option value=")([a-z]+:\d+)"', page)
    assert found
    form = {"from": found[1], "to": to, "text": "Yours, I think", **more}
    return browser.client.post(at, data={**form, "mail": mails, "csrf_token": browser.token("/health")})


def test_private_mail_is_handed_over_marked_and_pulled_back(office: Office) -> None:
    (letter,) = office.take("anna", mail(subject="For Bernd"))
    conversation = office.conversation(letter)
    anna, bernd = office.browser("anna"), office.browser("bernd")
    page = f"/conversations/{conversation}"
    assert "you alone" in anna.get(page).text
    assert bernd.get(page).status_code == 404
    answer = hand(anna, conversation, f"user:{office.users['bernd']}")
    assert answer.status_code == 303
    after = anna.get(answer.headers["Location"]).text
    assert "Handed over: Bernd" in after
    assert "Bernd Fischer has this too" in after or "Bernd" in after
    assert "you alone" not in after
    seen = bernd.get(page).text
    assert "Yours, I think" in seen
    assert "anna/Postroom" not in seen, "whose mailbox it came from is nobody's business"
    for way in ("headers", "source", "mail.eml"):
        assert bernd.get(f"/messages/{letter}/{way}").status_code == 200
    assert "For Bernd" in bernd.get("/mine").text
    number = re.search(r"/hand-overs/(\d+)/take-back", after)
    assert number
    assert bernd.post(f"/hand-overs/{number[1]}/take-back").status_code == 404
    assert anna.post(f"/hand-overs/{number[1]}/take-back").status_code == 303
    assert bernd.get(page).status_code == 404
    assert "For Bernd" not in bernd.get("/mine").text
    assert "For Bernd" not in bernd.get("/search?q=bernd").text
    assert "taken back" in anna.get("/handed-over").text


def test_a_copy_one_has_not_got_shows_nothing_of_its_way(office: Office) -> None:
    trace = "Delivered-To: secret-list@demo.example\r\nBcc: hidden@demo.example\r\n"
    raw = mail(subject="Copy")
    (letter,) = office.take("anna", trace.encode() + raw)
    hand(office.browser("anna"), office.conversation(letter), f"user:{office.users['bernd']}")
    bernd, anna = office.browser("bernd"), office.browser("anna")
    for way in ("headers", "source", "mail.eml"):
        assert "secret-list" in anna.get(f"/messages/{letter}/{way}").text
        answer = bernd.get(f"/messages/{letter}/{way}").text
        assert "secret-list" not in answer
        assert "hidden@" not in answer
    assert bernd.get(f"/messages/{letter}/mail.eml").data == raw
    assert "without what the way" in bernd.get(f"/messages/{letter}/source").text


def test_what_is_missing_is_said_and_what_was_typed_stays(office: Office) -> None:
    (letter,) = office.take("anna", mail(subject="For Bernd"))
    answer = hand(office.browser("anna"), office.conversation(letter), "")
    assert answer.status_code == 422
    assert "Choose whom you hand it to." in answer.text


@pytest.mark.parametrize("minutes", [5, 20])
def test_the_button_says_whether_it_leaves_a_trace(office: Office, minutes: int) -> None:
    (letter,) = office.take("anna", mail(subject="For Bernd"))
    anna = office.browser("anna")
    hand(anna, office.conversation(letter), f"user:{office.users['bernd']}")
    anna.get("/")  # the toast has been seen
    office.clock[0] = NOW + minutes * MINUTE
    page = anna.get(f"/conversations/{office.conversation(letter)}").text
    assert ("Pull back" in page) == (minutes < 15)
    assert ("Withdraw" in page) == (minutes >= 15)


def test_it_goes_to_a_process_one_cannot_read_and_is_done_here(office: Office) -> None:
    (letter,) = office.take("helpdesk", mail(subject="An invoice"))
    dana, bernd = office.browser("dana"), office.browser("bernd")
    with office.archive.reading() as session:
        sales = next(one for one in handing.targets(session, office.viewer("dana"))["process"] if one.name == "Sales")
    assert hand(dana, office.conversation(letter), sales.scope, done="1").status_code == 303
    assert "Sales works on this too" in dana.get(f"/conversations/{office.conversation(letter)}").text
    page = bernd.get("/processes/sales").text
    assert "An invoice" in page
    assert "works on this too" not in bernd.get(f"/conversations/{office.conversation(letter)}").text


@pytest.mark.parametrize("script", [True, False])
def test_anna_hands_her_mail_to_bernd_and_pulls_it_back(
    office: Office, visit: Visit, chromium: Any, script: bool
) -> None:
    """With the keyboard, and once more where no script runs."""
    (letter,) = office.take("anna", mail(subject="For Bernd", text="Please look"))
    context = chromium.new_context(base_url=visit.base, java_script_enabled=script)
    with office.archive.transaction() as session:
        for name, value in ((one, sessions.start(session, office.users[one], "", NOW)) for one in ("anna", "bernd")):
            if name == "anna":
                context.add_cookies([{"name": "postroom", "value": value, "url": visit.base}])
            else:
                his = value
    page = context.new_page()
    page.goto(f"/conversations/{office.conversation(letter)}")
    if script:
        page.keyboard.press("h")
    else:
        page.click("a:has-text('Hand over')")
    page.wait_for_selector("#to")
    page.select_option("#to", label=world.BERND.name)
    page.fill("textarea[name=text]", "Yours, I think")
    page.click("#talk button:has-text('Hand over')")
    page.wait_for_selector(".toast")
    bernd = office.app.test_client()
    bernd.set_cookie("postroom", his)
    seen = bernd.get(f"/conversations/{office.conversation(letter)}")
    assert seen.status_code == 200
    assert "Yours, I think" in seen.text
    page.click(".toast button:has-text('Pull back')")
    page.wait_for_selector(".toast:has-text('Taken back')")
    assert bernd.get(f"/conversations/{office.conversation(letter)}").status_code == 404
    context.close()


def test_a_case_is_restricted_and_opened_again_at_its_pages(office: Office) -> None:
    (letter,) = office.take("helpdesk", mail(subject="Sick note"))
    anna, dana = office.browser("anna"), office.browser("dana")
    with office.archive.transaction() as session:
        helpdesk, by = f"process:{office.bindings['helpdesk'].process}", f"user:{office.users['anna']}"
        number = cases.open_(session, "Order 2031", "Chairs", "", by, [helpdesk], NOW)
        of = cases.get(session, number, MACHINE)
        assert of
        cases.file(session, of, "message", str(letter), by, NOW)
    at = f"/cases/{number}/restriction"
    assert at in anna.get(f"/cases/{number}").text
    assert at not in dana.get(f"/cases/{number}").text
    assert dana.get(at).status_code == 404
    assert "Restrict this case" in anna.get(at).text
    assert anna.post(at, {"reason": "Personnel"}).status_code == 303
    assert dana.get(f"/cases/{number}").status_code == 404
    assert dana.get(f"/conversations/{office.conversation(letter)}").status_code == 404
    end = re.search(r"/restrictions/\d+/end", anna.get(at).text)
    assert end
    assert dana.post(end[0]).status_code == 404
    assert anna.post(end[0]).status_code == 303
    assert dana.get(f"/conversations/{office.conversation(letter)}").status_code == 200
