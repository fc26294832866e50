"""A day of reading without a mouse: with keys, and with Tab and Enter alone where no script runs."""

from typing import Any

import pytest

from .. import world
from .conftest import PASSWORD, Office
from .test_browser import Visit, visit

__all__ = ["visit"]  # the fixture

LOST = "document.activeElement === document.body"


def tab_to(page: Any, wanted: str, most: int = 60) -> None:
    """Press Tab until something has the focus; whatever has it on the way can be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            row = page.evaluate("document.activeElement.matches('.hit, .find input')")  # the ring is round the whole
            assert row or ring != "none", wanted
            return
    raise AssertionError(f"Tab never comes to {wanted}")


def sign_in(page: Any, base: str) -> None:
    page.goto(base + "/")
    page.wait_for_selector("#email:focus")  # the page gives it the focus after it was loaded
    page.keyboard.type(world.ANNA.address)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector(".row")
    page.wait_for_load_state("load")  # only then the script that knows the keys is there


def download(page: Any) -> None:
    tab_to(page, "a[title='Download offer.pdf']")
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename == "offer.pdf"
    assert saved.value.path().read_bytes() == b"%PDF-1.7"


def speak_czech(page: Any) -> None:
    tab_to(page, "[popovertarget=me]")
    page.keyboard.press("Enter")
    tab_to(page, "#me [value=cs]")
    page.keyboard.press("Enter")
    page.wait_for_selector("html[lang=cs]")
    assert page.locator("h1").inner_text() == "Invoice"


@pytest.fixture
def two_mails(office: Office) -> None:
    office.take("helpdesk", world.mail(subject="Coffee machine", text="It leaks.", message_id="<c@x.example>"))
    office.clock[0] += 60_000
    office.take("helpdesk", world.mail(subject="Invoice", attachments=[("offer.pdf", b"%PDF-1.7")]))


@pytest.mark.usefixtures("two_mails")
def test_a_day_by_keys_alone(visit: Visit) -> None:
    page = visit.page
    sign_in(page, visit.base)
    for key in ("j", "j", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("h1:has-text('Coffee machine')")
    assert not page.evaluate(LOST)
    assert page.locator(".msg[open] .plain-text").inner_text().strip() == "It leaks."
    page.keyboard.press("/")
    page.keyboard.type("invoice")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found:has-text('invoice')")
    assert not page.evaluate(LOST)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Invoice')")
    download(page)
    speak_czech(page)
    assert visit.console == []


@pytest.mark.usefixtures("two_mails")
def test_a_day_by_tab_and_enter_where_no_script_runs(visit: Visit, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    try:
        sign_in(page, visit.base)
        tab_to(page, ".row:nth-child(2) .hit")
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('Coffee machine')")
        tab_to(page, ".find input")
        page.keyboard.type("invoice")
        page.keyboard.press("Enter")
        page.wait_for_selector("#found:has-text('invoice')")
        tab_to(page, ".row .hit")
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('Invoice')")
        download(page)
        speak_czech(page)
    finally:
        context.close()
