"""A day of work without a mouse: all that Anna does with her mail, by keys; and the same where no script runs."""

from typing import Any

import pytest
from sqlalchemy import select

from archive.people import members, processes
from archive.people.roles import Role
from archive.store.schema import comment, snooze, ticket
from archive.work import cases

from .. import world
from .conftest import NOW, Office
from .test_browser import Visit, visit
from .test_daily_reading import LOST, sign_in, tab_to
from .test_keys import press, until

__all__ = ["visit"]  # the fixture


@pytest.fixture
def bernd_helps(office: Office) -> None:
    """Bernd works at Helpdesk, too; a mail about a printer came there, and one about a cable; a case is open."""
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        members.give(session, helpdesk.id, office.users["bernd"], Role.WORKS, "operator", NOW)
        cases.open_(session, "Order 2031", "", "", f"user:{office.users['anna']}", [], NOW)
    office.take("helpdesk", world.mail(subject="Cable", text="Too short.", message_id="<c@x.example>"))
    office.clock[0] += 60_000
    office.take("helpdesk", world.mail(subject="Printer", text="It is on fire.", message_id="<p@x.example>"))


def printer(office: Office) -> Any:
    with office.archive.reading() as session:
        return session.execute(select(ticket).where(ticket.c.subject == "Printer")).first()


def everything_was_done(office: Office) -> None:
    """What is to be true in the end of either day."""
    one = printer(office)
    with office.archive.reading() as session:
        (said,) = session.scalars(select(comment.c.text)).all()
        assert said == "@Bernd, is it yours?"
        assert session.scalars(select(snooze.c.user)).all() == [office.users["anna"]]
        mine = session.execute(select(ticket.c.scope).where(ticket.c.conversation == one.conversation)).scalars()
        assert set(mine) >= {one.scope, "process:2"}, "Sales has it, too"
        named = cases.by_reference(session, "Order 2031")
        assert named
        assert [filed.kind for filed in cases.items(session, named)] == ["ticket"]


def ready(page: Any) -> None:
    """Wait for the focus to be somewhere: then keys are heard."""
    until(page, f"!({LOST})")


def said(page: Any, sentence: str) -> None:
    """Wait for a toast."""
    page.wait_for_selector(f".toast:has-text('{sentence}')")
    ready(page)


def open_printer(page: Any) -> None:
    press(page, "/")
    page.keyboard.type("fire")
    press(page, "Enter")
    page.wait_for_selector("#found:has-text('fire')")
    until(page, "document.activeElement.matches('h1')")
    press(page, "j", "Enter")
    page.wait_for_selector("h1:has-text('Printer')")
    until(page, "document.activeElement.matches('.msg > summary')")


@pytest.mark.usefixtures("bernd_helps")
def test_a_day_of_work_by_keys_alone(office: Office, visit: Visit) -> None:
    page, anna, bernd = visit.page, office.users["anna"], office.users["bernd"]
    sign_in(page, visit.base)
    page.wait_for_load_state("load")
    open_printer(page)

    press(page, "i")
    said(page, "Assigned to you.")
    assert printer(office).assignee == anna

    press(page, "I")
    until(page, "document.activeElement.name == 'assignee'")
    page.keyboard.type("Bernd")
    press(page, "Control+Enter")
    said(page, "Kept.")
    assert printer(office).assignee == bernd

    press(page, "m")
    until(page, "document.activeElement.matches('.comment-form textarea')")
    page.keyboard.type("@Bernd, is it yours?")
    press(page, "Control+Enter")
    page.wait_for_selector(".said-here .named:has-text('@Bernd')")
    ready(page)

    press(page, "e")
    said(page, "Done.")
    assert printer(office).state == "done"
    press(page, "z")
    said(page, "Taken back.")
    assert printer(office).state == "open"

    tab_to(page, "[popovertarget=wait]")
    press(page, "Enter")
    tab_to(page, "#wait [value='1']")
    press(page, "Enter")
    said(page, "Waits for an answer.")
    assert printer(office).state == "waiting"

    press(page, "Control+k")
    page.keyboard.type("file under")
    page.wait_for_selector("#palette [role=option][aria-selected=true]:has-text('File under a case')")
    press(page, "Enter")
    page.wait_for_selector("#case")
    tab_to(page, "#case")
    page.keyboard.type("Order")
    press(page, "Control+Enter")
    page.wait_for_selector("#talk .pill:has-text('Order 2031')")
    ready(page)

    press(page, "s")
    page.wait_for_selector("#snooze:popover-open")
    tab_to(page, "#snooze [value=tomorrow]")
    press(page, "Enter")
    said(page, "Snoozed for you until")

    press(page, "h")
    page.wait_for_selector("#to")
    tab_to(page, "#to")
    page.keyboard.type("Sales")
    press(page, "Tab")
    page.keyboard.type("A new one is needed.")
    press(page, "Control+Enter")
    said(page, "Handed over: Sales")
    everything_was_done(office)
    assert visit.console == []


@pytest.mark.usefixtures("bernd_helps")
def test_a_day_of_work_where_no_script_runs(office: Office, visit: Visit, chromium: Any) -> None:
    anna, bernd = office.users["anna"], office.users["bernd"]
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()

    def enter(wanted: str) -> None:
        tab_to(page, wanted)
        press(page, "Enter")

    try:
        sign_in(page, visit.base)
        tab_to(page, ".find input")
        page.keyboard.type("fire")
        press(page, "Enter")
        page.wait_for_selector("#found:has-text('fire')")
        enter(".row .hit")
        page.wait_for_selector("h1:has-text('Printer')")

        enter("#acts [value=take]")
        page.wait_for_selector(".toast:has-text('Assigned to you.')")
        assert printer(office).assignee == anna

        enter("[popovertarget=ticket]")
        tab_to(page, "#ticket [name=assignee]", 90)
        page.keyboard.type("Bernd")
        enter("#ticket form .btn.main")
        page.wait_for_selector(".toast:has-text('Kept.')")
        assert printer(office).assignee == bernd

        tab_to(page, ".comment-form textarea", 90)
        page.keyboard.type("@Bernd, is it yours?")
        enter(".comment-form > button")
        page.wait_for_selector(".said-here .named:has-text('@Bernd')")

        enter("#acts [value=toggle]")
        page.wait_for_selector(".toast:has-text('Done.')")
        assert printer(office).state == "done"
        enter(".toast button")
        page.wait_for_selector(".toast:has-text('Taken back.')")

        enter("[popovertarget=wait]")
        enter("#wait [value='1']")
        page.wait_for_selector(".toast:has-text('Waits for an answer.')")
        assert printer(office).state == "waiting"

        enter("[data-does=file]")
        page.wait_for_selector("#case")
        tab_to(page, "#case")
        page.keyboard.type("Order")
        enter("main .btn.main")
        page.wait_for_selector("#talk .pill:has-text('Order 2031')")

        enter("[popovertarget=snooze]")
        enter("#snooze [value=tomorrow]")
        page.wait_for_selector(".toast:has-text('Snoozed for you until')")

        enter("[data-does=hand-over]")
        page.wait_for_selector("#to")
        tab_to(page, "#to")
        page.keyboard.type("Sales")
        press(page, "Tab")
        page.keyboard.type("A new one is needed.")
        enter("#talk .btn.main")
        page.wait_for_selector(".toast:has-text('Handed over: Sales')")
        everything_was_done(office)
    finally:
        context.close()
