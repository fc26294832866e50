"""Keys in lists, each of them in a browser; and what becomes of what was done at once and then refused."""

from typing import Any

import pytest
from sqlalchemy import select, update

from archive.store.schema import membership, snooze, ticket
from archive.work import assigning

from .. import world
from .conftest import DANA, Office
from .test_browser import Visit, visit
from .test_keys import focus, press, until

__all__ = ["visit"]  # the fixture

SUBJECTS = ("One", "Two", "Three", "Four", "Five")


@pytest.fixture
def five(office: Office, visit: Visit) -> Visit:
    """Anna before the open mail of Helpdesk, the focus on the first of five rows; no news come in between."""
    for subject in reversed(SUBJECTS):
        office.clock[0] += 1000
        office.take("helpdesk", world.mail(subject=subject, message_id=f"<{subject}@x.example>"))
    visit.sign_in()
    visit.page.route("**/live?*", lambda route: route.fulfill(status=204))
    visit.go("/processes/helpdesk")
    press(visit.page, "j")
    until(visit.page, "document.activeElement.matches('.hit')")
    return visit


def of(office: Office, subject: str) -> Any:
    with office.archive.reading() as session:
        return session.execute(select(ticket).where(ticket.c.subject == subject)).one()


def done(page: Any, sentence: str, next_: str) -> None:
    """Wait for a toast, and for the focus to be on a row."""
    page.wait_for_selector(f".toast:has-text('{sentence}')")
    until(page, f"document.activeElement.matches('.hit') && document.activeElement.innerText.includes('{next_}')")


def test_what_a_key_does_with_the_row_that_has_the_focus(office: Office, five: Visit) -> None:
    page = five.page
    press(page, "i")
    done(page, "Assigned to you.", "One")
    assert of(office, "One").assignee == office.users["anna"]
    press(page, "e")
    done(page, "Done.", "Two")
    assert (of(office, "One").state, of(office, "Two").state) == ("done", "open")
    press(page, "z")
    done(page, "Taken back.", "One")
    assert of(office, "One").state == "open"
    page.locator(".hit:has-text('Three')").focus()
    press(page, "s")
    done(page, "Snoozed for you", "Four")
    with office.archive.reading() as session:
        assert session.scalars(select(snooze.c.ticket)).all() == [of(office, "Three").id]
    page.locator(".hit:has-text('Four')").focus()
    press(page, "m")
    until(page, "document.activeElement.matches('.comment-form textarea')")
    assert page.locator("h1").inner_text() == "Four"
    page.locator(".hit:has-text('Five')").focus()
    press(page, "I")
    until(page, "document.activeElement.name == 'assignee'")
    assert page.locator("#ticket form").first.get_attribute("action") == f"/tickets/{of(office, 'Five').id}"
    assert page.locator("h1").inner_text() == "Five"
    page.locator(".hit:has-text('Four')").focus()
    press(page, "h")
    page.wait_for_selector("h1:has-text('Hand over')")
    assert page.locator(".talk p.muted").first.inner_text() == "Four"
    press(page, "c")
    page.wait_for_url("**/compose")
    assert five.console == []


def test_rows_are_ticked_one_by_one_and_in_a_range_and_keys_do_it_with_all_of_them(office: Office, five: Visit) -> None:
    page = five.page
    ticked = "[...document.querySelectorAll('.row:has([name=t]:checked) .what')].map(e => e.innerText).join(' ')"
    press(page, "x", "j", "x")
    assert page.evaluate(ticked) == "One Two"
    press(page, "x", "j", "j", "X")
    assert page.evaluate(ticked) == "One Two Three Four"
    until(page, "document.querySelector('.batch.bar').checkVisibility()")
    press(page, "I")
    page.wait_for_selector("#assign-to:popover-open")
    while DANA.name not in focus(page):
        press(page, "Tab")
    assert page.evaluate("document.activeElement.matches('#assign-to button')")
    press(page, "Enter")
    done(page, f"4 tickets are assigned to {DANA.name}.", "")
    assert {of(office, one).assignee for one in SUBJECTS} == {office.users["dana"], None}
    page.locator(".hit").first.focus()
    page.evaluate(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'ч', code: 'KeyX', bubbles: true}))"
    )
    press(page, "j", "j", "X", "e")
    done(page, "3 tickets are done.", "")
    assert [of(office, one).state for one in SUBJECTS] == ["done", "done", "done", "open", "open"]
    assert five.console == []


def test_the_second_of_two_keys_does_nothing_with_the_row(office: Office, five: Visit) -> None:
    page = five.page
    before = of(office, "One")
    for keys, address in (("gw", "/views/waiting"), ("ge", "/views/done"), ("gi", "/views/mine"), ("g1", "")):
        press(page, *keys)
        page.wait_for_url(f"**{address or '/processes/helpdesk'}")
        until(page, "document.activeElement.matches('h1')")
    assert of(office, "One") == before


def marks(page: Any, subject: str) -> str:
    return str(page.locator(f".row:has-text('{subject}') .marks").inner_text())


def noted(page: Any, subject: str, says: str) -> None:
    """Wait for a note right beside a row; it is announced, and the row is as it was."""
    page.wait_for_selector(f"li:has(> .note[role=alert]:has-text('{says}'))")
    beside = page.evaluate("document.querySelector('li:has(> .note)').previousElementSibling.innerText")
    assert subject in beside
    until(page, "document.querySelectorAll('.row[aria-busy=true]').length == 0")


def test_what_was_changed_meanwhile_is_said_beside_the_row_until_that_is_put_away(office: Office, five: Visit) -> None:
    page = five.page
    with office.archive.transaction() as session:
        assigning.assign(session, of(office, "One").id, office.users["dana"], f"user:{office.users['dana']}", 1)
    press(page, "i")
    noted(page, "One", f"It was changed meanwhile, so nothing was done. {DANA.name} took this.")
    assert page.locator(".toast").count() == 0
    assert of(office, "One").assignee == office.users["dana"]
    assert f"Assigned to {DANA.name}" in marks(page, "One"), "as it is now"
    until(page, "document.activeElement.innerText.includes('One')")
    page.locator(".hit:has-text('Two')").focus()
    press(page, "e")
    done(page, "Done.", "Three")
    noted(page, "One", "It was changed meanwhile")
    page.locator("li > .note button").focus()
    press(page, "Enter")
    assert page.locator("li > .note").count() == 0
    assert "One" in focus(page)
    press(page, "i")
    done(page, "Assigned to you.", "One")
    assert five.console == []


def test_what_one_may_do_no_more_is_said_and_the_row_is_as_it_was(office: Office, five: Visit) -> None:
    page = five.page
    before = marks(page, "One")
    with office.archive.transaction() as session:
        session.execute(update(membership).where(membership.c.user == office.users["anna"]).values(role="reads"))
    press(page, "e")
    noted(page, "One", "You may not do this any more, or it is gone.")
    assert marks(page, "One") == before
    assert of(office, "One").state == "open"
    assert not page.locator("#slow").is_visible(), "once is enough"


def test_what_does_not_reach_the_server_shows_at_once_and_is_taken_back(office: Office, five: Visit) -> None:
    page = five.page
    held: list[Any] = []
    before = marks(page, "One")
    page.route("**/tickets", lambda route: held.append(route))  # noqa: PLW0108  # it is given attributes
    press(page, "e")
    until(page, "document.querySelector('.row[aria-busy=true] .marks').innerText.includes('Done')")
    held[0].abort()
    noted(page, "One", "The server does not answer.")
    assert marks(page, "One") == before
    page.unroute("**/tickets")
    press(page, "e")
    done(page, "Done.", "Two")
    assert of(office, "One").state == "done"


def test_a_conversation_says_below_its_bar_what_was_refused(office: Office, five: Visit) -> None:
    page = five.page
    press(page, "Enter")
    page.wait_for_selector("article.talk")
    until(page, "document.activeElement.id == 'subject'")
    with office.archive.transaction() as session:
        assigning.assign(session, of(office, "One").id, office.users["dana"], f"user:{office.users['dana']}", 1)
    press(page, "i")
    page.wait_for_selector("#acts + .note[role=alert]:has-text('took this.')")
    until(page, "document.activeElement.closest('#acts') != null")
    assert of(office, "One").assignee == office.users["dana"]
    press(page, "i")
    page.wait_for_selector(".toast:has-text('Assigned to you.')")
    assert of(office, "One").assignee == office.users["anna"]
