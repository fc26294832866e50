"""Keys, news and the way back, in a browser."""

import time
from typing import Any

import pytest

from .. import world
from .conftest import Office
from .test_browser import Visit, visit

__all__ = ["visit"]  # the fixture

FOCUS = "(e => e.id || e.innerText.trim())(document.activeElement)"


def focus(page: Any) -> str:
    return str(page.evaluate(FOCUS))


def until(page: Any, true: str) -> None:
    """Wait for something to be true; Playwright's own way is stopped by the policy."""
    end = time.monotonic() + 15
    while not page.evaluate(true):
        assert time.monotonic() < end, true
        page.wait_for_timeout(50)


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


@pytest.fixture
def reading(office: Office, visit: Visit) -> Visit:
    """Anna before a list of thirty conversations."""
    for n in range(30):
        office.clock[0] += 1000
        office.take("helpdesk", world.mail(subject=f"Mail {n}", text="word", message_id=f"<{n}@x.example>"))
    visit.sign_in()
    return visit


def test_a_conversation_is_opened_read_marked_and_left_by_keys_alone(reading: Visit) -> None:
    page = reading.page
    press(page, "j", "j", "k", "j")
    assert "Mail 28" in focus(page)
    press(page, "Enter")
    page.wait_for_selector("article.talk")
    until(page, "document.activeElement.id == 'subject'")
    assert page.title().startswith("Mail 28")
    assert page.locator(".row[data-unread]").count() == 29
    assert page.locator("h1").count() == 1
    press(page, "n")
    assert page.evaluate("document.activeElement.matches('.msg > summary')")
    press(page, "u")
    page.wait_for_selector(".toast")
    assert page.locator(".row[data-unread]").count() == 30
    press(page, "z")
    page.wait_for_selector(".toast", state="detached")
    assert page.locator(".row[data-unread]").count() == 29
    press(page, "Escape")
    page.wait_for_selector("section.talk")
    until(page, "document.activeElement.innerText.includes('Mail 28')")
    page.wait_for_url(reading.base + "/")
    assert reading.console == []


def test_places_are_reached_and_the_sheet_shown_by_keys(reading: Visit) -> None:
    page = reading.page
    press(page, "?")
    assert page.locator("#keys").is_visible()
    press(page, "Escape")
    assert not page.locator("#keys").is_visible()
    for keys, address in (("g1", "/processes/helpdesk"), ("gh", "/health"), ("gp", "/processes"), ("ga", "/")):
        press(page, *keys)
        page.wait_for_url(reading.base + address)
        until(page, "document.activeElement.matches('h1')")
    assert reading.console == []


def test_letters_are_letters_while_one_types_and_known_by_place_on_other_layouts(reading: Visit) -> None:
    page = reading.page
    press(page, "/")
    page.keyboard.type("jug?")
    assert page.input_value(".find input") == "jug?"
    press(page, "Escape")
    page.evaluate("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'о', code: 'KeyJ', bubbles: true}))")
    assert "Mail" in focus(page)
    assert page.evaluate("document.activeElement.matches('.hit')")


def test_keys_that_were_switched_off_do_nothing(office: Office, reading: Visit) -> None:
    office.browser("anna").post("/profile/keys", {}, page="/profile")
    page = reading.page
    page.reload()
    press(page, "j", "?")
    assert not page.locator("#keys").is_visible()
    assert not page.evaluate("document.activeElement.matches('.hit')")


def test_the_way_back_finds_place_and_scroll_and_typing_survives_a_reload(reading: Visit) -> None:
    page = reading.page
    page.locator(".hit").nth(25).click()
    page.wait_for_selector("article.talk")
    scrolled = page.evaluate("document.querySelector('.rows').scrollTop")
    assert scrolled > 500
    page.fill(".find input", "half")
    page.reload()
    assert page.input_value(".find input") == "half"
    assert page.evaluate("document.querySelector('.rows').scrollTop") == scrolled
    page.go_back()
    page.wait_for_url(reading.base + "/")
    page.wait_for_selector("section.talk")
    until(page, f"document.querySelector('.rows').scrollTop == {scrolled}")
    until(page, "document.activeElement.innerText.includes('Mail 4')")


def test_news_are_offered_and_move_nothing(office: Office, reading: Visit) -> None:
    page = reading.page
    before = page.locator(".row").first.bounding_box()
    office.clock[0] += 60_000
    office.take("helpdesk", world.mail(subject="Brand new", message_id="<new@x.example>"))
    page.wait_for_selector("#new:not([hidden])")
    assert page.locator("#new").inner_text() == "1 new: show"
    assert page.locator(".row").first.bounding_box() == before
    page.click("#new a")
    page.wait_for_selector(".row >> text=Brand new")
    until(page, "document.activeElement.innerText.includes('Brand new')")
    press(page, "Enter")
    page.wait_for_selector("article.talk")
    office.clock[0] += 60_000
    office.take("helpdesk", world.mail(message_id="<again@x.example>", in_reply_to="<new@x.example>"))
    page.wait_for_selector("#wrote:not([hidden])")
    page.click("#wrote a")
    until(page, "document.querySelectorAll('.msg').length == 2")
    until(page, "document.activeElement.matches('.msg:last-of-type > summary')")


def test_a_slow_answer_is_said(reading: Visit) -> None:
    page = reading.page
    page.clock.install(time=0)
    page.clock.pause_at(1000)  # a clock that was only installed goes on by itself
    page.route("**/conversations/*", lambda route: None)
    page.locator(".hit").first.click()
    page.clock.run_for(200)
    assert page.locator("main[aria-busy]").count() == 0
    page.clock.run_for(200)
    assert page.locator("main[aria-busy=true]").count() == 1
    assert not page.locator("#slow").is_visible()
    page.clock.run_for(8000)
    assert page.locator("#slow").is_visible()
    assert "/conversations/" in page.locator("#slow a").get_attribute("href")
    page.unroute_all(behavior="ignoreErrors")


def test_whoever_was_signed_out_meanwhile_comes_to_the_sign_in_page(reading: Visit) -> None:
    page = reading.page
    page.context.clear_cookies(name="postroom")
    page.locator(".hit").first.click()
    page.wait_for_selector("#email")


def test_an_answer_that_failed_takes_back_what_was_marked_and_says_so(reading: Visit) -> None:
    page = reading.page
    page.route("**/read", lambda route: route.fulfill(status=500, body="no"))
    page.keyboard.press("j")
    page.keyboard.press("u")
    page.wait_for_selector("#slow:not([hidden])")
    assert page.locator(".row[data-unread]").count() == 30


def test_dense_lists_have_two_lines(office: Office, reading: Visit) -> None:
    cosy = reading.page.locator(".row").first.bounding_box()["height"]
    office.browser("anna").post("/profile/display", {"density": "dense"}, page="/profile")
    reading.page.reload()
    assert reading.page.locator(".row").first.bounding_box()["height"] < cosy - 20


def test_everything_is_reached_without_script(office: Office, visit: Visit, chromium: Any) -> None:
    office.take("helpdesk", world.mail(subject="Plain", message_id="<p@x.example>"))
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    try:
        page.goto(visit.base + "/sign-in")
        page.fill("#email", world.ANNA.address)
        page.fill("#password", "correct horse battery")
        page.click("button.main")
        page.click(".row .hit")
        assert page.locator("h1").inner_text() == "Plain"
        page.click("button.pill >> text=Mark as unread")
        page.wait_for_url(visit.base + "/")
        page.click(".toast button")
        page.wait_for_url(visit.base + "/")
        assert page.locator(".row[data-unread]").count() == 0
        page.fill("input[type=search]", "plain")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?q=plain")
        page.click("button[popovertarget=me]")
        page.click("#me >> text=Account")
        page.select_option("#theme", "dark")
        page.click("#display button")
        page.wait_for_selector("html[data-theme=dark]")
    finally:
        context.close()
