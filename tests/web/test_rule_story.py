"""A rule in a browser: written, rehearsed, saved, put in order by mouse and by keys, switched off, removed and back."""

from typing import Any

import pytest

from archive.work import rulebook
from archive.work.rulebook import Kept

from .. import world
from .conftest import Office
from .test_browser import Visit, visit
from .test_keys import press, until
from .test_rules import add

__all__ = ["visit"]  # the fixture


def kept(office: Office) -> dict[str, Kept]:
    """The rules as they are, in their order."""
    with office.archive.reading() as session:
        return {one.name: one for one in rulebook.every(session)}


def order(page: Any) -> list[str]:
    return [str(one) for one in page.locator(".order li a").all_inner_texts()]


@pytest.fixture
def at_rules(office: Office, visit: Visit) -> Visit:
    """Anna at the rules of Helpdesk, of which there are two; three mails came there before."""
    for subject in ("Complaint 7", "Complaint 8", "Praise"):
        office.take("helpdesk", world.mail(subject=subject, message_id=f"<{subject[-1]}@x.example>"))
    add(office, "First", "helpdesk")
    add(office, "Second", "helpdesk")
    visit.sign_in()
    visit.go("/rules")
    return visit


def test_a_rule_is_written_rehearsed_and_saved(office: Office, at_rules: Visit) -> None:
    page = at_rules.page
    page.click("a:has-text('New rule')")
    page.wait_for_selector("#rule #name")
    page.fill("#name", "Complaints")
    page.check("[name=binding]")
    page.fill("#c0", "complaint *")
    page.select_option("#a0-do", "priority")
    page.select_option("[name=a0-value]", "high")
    page.click("button[value=rehearse]")
    page.wait_for_selector("#reh")
    assert page.locator(".three .big").first.inner_text() == "2", "of three"
    assert "Complaints" not in kept(office), "a rehearsal keeps nothing"
    assert page.input_value("#name") == "Complaints"
    page.check("[name=stop]")
    page.click("button.main[value=save]")
    page.wait_for_selector(".order li:has-text('Complaints')")
    made = kept(office)["Complaints"]
    assert made.rule
    assert (made.rule.stop, made.rule.active) == (True, True)
    assert "then stop" in page.locator(".order li:has-text('Complaints')").inner_text()
    office.take("helpdesk", world.mail(subject="Complaint 9", message_id="<9@x.example>"))
    page.reload()
    assert "1 this week, then stop" in page.locator(".order li:has-text('Complaints')").inner_text()
    page.uncheck("[name=active]")
    page.click("button.main[value=save]")
    page.wait_for_selector(".order li:has-text('Complaints') >> text=switched off")
    off = kept(office)["Complaints"]
    assert off.rule
    assert not off.rule.active
    assert at_rules.console == []


def test_rules_change_places_by_dragging_and_by_alt_and_an_arrow(office: Office, at_rules: Visit) -> None:
    page = at_rules.page
    add(office, "Third", "helpdesk")
    page.reload()
    assert order(page) == ["First", "Second", "Third"]
    page.drag_and_drop(".order li:has-text('Third')", ".order li:has-text('First')", target_position={"x": 20, "y": 2})
    until(page, "document.querySelector('.order li a').innerText == 'Third'")
    page.wait_for_load_state("networkidle")
    assert list(kept(office)) == ["Third", "First", "Second"]
    page.locator(".order li:has-text('Second') a").focus()
    press(page, "Alt+ArrowUp")
    until(page, "document.querySelectorAll('.order li a')[1].innerText == 'Second'")
    until(page, "document.activeElement.innerText == 'Second'")
    assert list(kept(office)) == ["Third", "Second", "First"]
    press(page, "Alt+ArrowDown")
    until(page, "document.querySelectorAll('.order li a')[2].innerText == 'Second'")
    assert list(kept(office)) == ["Third", "First", "Second"]
    page.reload()
    assert order(page) == ["Third", "First", "Second"]
    assert at_rules.console == []


def test_a_rule_that_was_removed_is_put_back_where_it_was(office: Office, at_rules: Visit) -> None:
    page = at_rules.page
    page.click(".order a:has-text('First')")
    page.wait_for_selector("#rule #name")
    page.click("button:has-text('Remove this rule')")
    page.wait_for_selector(".toast button:has-text('Undo')")
    assert list(kept(office)) == ["Second"]
    assert order(page) == ["Second"]
    page.keyboard.press("z")
    page.wait_for_selector(".order li:has-text('First')")
    assert list(kept(office)) == ["First", "Second"]
    assert at_rules.console == []
