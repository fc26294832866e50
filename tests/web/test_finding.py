"""Finding things by keyboard alone: the palette, and the search field whose words become chips."""

from .. import world
from .conftest import Office
from .test_browser import Visit, visit
from .test_keys import press, until

__all__ = ["visit"]  # the fixture

PICKED = """(document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.textContent || '')
    .trim().replace(/\\s+/g, ' ')"""


def test_commands_and_mail_are_found_by_keys_alone(office: Office, visit: Visit) -> None:
    office.take("helpdesk", world.mail(subject="Broken kettle", message_id="<k@x.example>"))
    office.take(
        "helpdesk", world.mail(subject="Kettle manual", attachments=[("m.pdf", b"x")], message_id="<m@x.example>")
    )
    visit.sign_in()
    page = visit.page
    press(page, "g", "1")
    page.wait_for_url(visit.base + "/processes/helpdesk")
    press(page, "Control+k")
    until(page, f"{PICKED} == 'New mail'")
    page.keyboard.type("doing")
    until(page, f"{PICKED} == 'How Helpdesk is doing'")
    press(page, "ArrowDown")
    until(page, f"{PICKED}.startsWith('Search mail')")
    press(page, "ArrowDown", "Enter")
    page.wait_for_url("**/dashboard")
    press(page, "Control+k")
    page.wait_for_selector("dialog[open]")
    press(page, "Escape")
    page.wait_for_selector("dialog", state="hidden")

    press(page, "/")
    page.keyboard.type("has:attachment kettle")
    page.wait_for_selector("#suggestions:popover-open")
    assert page.locator(".find .typed bdi").inner_text() == "has:attachment"
    assert page.input_value(".find [type=search]") == "kettle"
    until(page, "document.querySelectorAll('#suggestions [role=option]').length == 2")
    assert "Kettle manual" in page.locator("#suggestions [role=option]").first.inner_text()
    press(page, "Escape")
    assert not page.locator("#suggestions").is_visible()
    press(page, "Enter")
    page.wait_for_url("**/search?in=helpdesk&q=has%3Aattachment+kettle")
    assert page.locator(".row").count() == 1
    press(page, "/")
    page.fill(".find [type=search]", "")
    press(page, "Backspace")
    assert page.input_value(".find [type=search]") == "has:attachment", "a chip is text again"
    assert page.locator(".find .typed").count() == 0
    page.fill(".find [type=search]", "kettle")
    page.wait_for_selector("#suggestions >> text=Broken kettle")
    press(page, "ArrowDown")
    until(page, f"{PICKED} != ''")
    while "Broken" not in page.evaluate(PICKED):
        press(page, "ArrowDown")
    press(page, "Enter")
    page.wait_for_selector("#subject >> text=Broken kettle")
    cosy = page.locator(".row").first.bounding_box()["height"]
    press(page, "d")
    assert page.locator(".row").first.bounding_box()["height"] < cosy - 20
    page.reload()
    until(page, "document.documentElement.dataset.density == 'dense'")
    assert visit.console == []
