"""Who answers a mail hears at the form that somebody else writes there, or has answered, before anything is sent."""

from typing import Any

import pytest
from sqlalchemy import update

from archive.outgoing import outbox
from archive.people.scopes import MACHINE
from archive.post import messages
from archive.store.schema import outgoing
from archive.work import presences, strays

from .. import world
from .conftest import Browser, Office
from .test_browser import Visit, visit
from .test_daily_reading import sign_in
from .test_live import asked
from .test_writing import fields, queued, send, sender

__all__ = ["sender", "visit"]  # fixtures

DANA = "Dana Veselá"


@pytest.fixture
def invoice(office: Office, sender: int) -> int:
    """A mail that Anna and Dana may answer."""
    assert sender
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice", message_id="<i@outside.example>"))
    office.clock[0] += 60_000
    return id_


def told(who: Browser, asks: str, more: str = "") -> dict[str, Any]:
    said: dict[str, Any] | None = who.get(f"/live?at=0&{asks}{more}").json
    assert said
    return said


@pytest.mark.parametrize("kind", ["reply", "forward"])
def test_the_form_tells_who_writes_there_too(office: Office, invoice: int, kind: str) -> None:
    anna, dana = office.browser("anna"), office.browser("dana")
    asks = asked(anna.get(f"/messages/{invoice}/{kind}").text)
    assert told(anna, asks, "&here=1")["there"] == ""
    at_form = asked(dana.get(f"/messages/{invoice}/{kind}").text)
    told(dana, at_form, "&here=1&writing=1")
    assert told(anna, asks, "&here=1")["there"] == f"{DANA} is writing too"
    office.clock[0] += presences.LASTS_MS
    assert told(anna, asks, "&here=1")["there"] == ""


def test_the_form_tells_who_answered_meanwhile_and_who_wrote(office: Office, invoice: int) -> None:
    anna, dana = office.browser("anna"), office.browser("dana")
    asks = asked(anna.get(f"/messages/{invoice}/reply").text)
    assert told(anna, asks)["wrote"] == ""
    office.clock[0] += 60_000
    theirs = asked(dana.get(f"/messages/{invoice}/reply").text)
    assert send(dana, fields(dana.get(f"/messages/{invoice}/reply").text) | {"text": "Mine"}).status_code == 303
    assert told(anna, asks)["wrote"] == f"{DANA} answered 12:02: see it first."
    assert told(dana, theirs)["wrote"] == "", "it is her own"
    office.clock[0] += 60_000
    office.take("helpdesk", world.mail(subject="Re: Invoice", in_reply_to="<i@outside.example>"))
    assert told(anna, asks)["wrote"] == "Eva Outside wrote 12:03: see it first."
    # What is shown above the form once more is not told again.
    held = send(anna, fields(anna.get(f"/messages/{invoice}/reply").text) | {"text": "x", "opened_at": "1"})
    assert held.status_code == 422
    assert told(anna, asked(held.text))["wrote"] == ""


def test_a_forward_is_stopped_by_nobodys_answer(office: Office, invoice: int) -> None:
    anna, dana = office.browser("anna"), office.browser("dana")
    asks = asked(anna.get(f"/messages/{invoice}/forward").text)
    office.clock[0] += 60_000
    assert send(dana, fields(dana.get(f"/messages/{invoice}/reply").text) | {"text": "Mine"}).status_code == 303
    assert told(anna, asks)["wrote"] == ""


def test_what_came_by_joining_is_told_at_the_form_too(office: Office, invoice: int) -> None:
    """The form was opened on a conversation that is part of another one now."""
    (jan,) = office.take(
        "helpdesk", world.mail(subject="Also", from_="jan@else.example", in_reply_to="<i@outside.example>")
    )
    anna = office.browser("anna")
    asks = asked(anna.get(f"/messages/{jan}/reply").text)
    with office.archive.transaction() as session:
        strays.join(session, office.viewer("anna"), jan, office.clock[0])
    with office.archive.reading() as session:
        found = messages.get(session, jan, MACHINE)
    assert found
    assert found.conversation == invoice
    office.clock[0] += 60_000
    dana = office.browser("dana")
    assert send(dana, fields(dana.get(f"/messages/{invoice}/reply").text) | {"text": "Mine"}).status_code == 303
    assert told(anna, asks)["wrote"] == f"{DANA} answered 12:02: see it first."


def test_an_answer_that_waits_in_the_outbox_is_seen_by_who_begins_another(office: Office, invoice: int) -> None:
    """It was queued before the form was opened, so nothing would stop the second one; nor does a message say of it."""
    anna, dana = office.browser("anna"), office.browser("dana")

    def page(who: Browser = anna) -> str:
        return who.get(f"/messages/{invoice}/reply").text

    assert f"{DANA} answered" not in page()
    form = fields(page(dana))
    assert send(dana, {**form, "text": "Mine", "later": "2026-11-03T08:30"}).status_code == 303
    (theirs,) = queued(office)
    office.clock[0] += 60_000
    assert f"{DANA} answered 12:01; it leaves " in page()
    assert "it leaves" not in page(dana), "it is her own"
    assert "it leaves" not in anna.get(f"/messages/{invoice}/forward").text
    # It stops nothing: it stood there when the form was opened; and with what came since it is not said twice.
    held = send(anna, {**fields(page()), "text": "x", "opened_at": "1"})
    assert held.status_code == 422
    assert held.text.count(f"{DANA} answered") == 1
    with office.archive.transaction() as session:
        session.execute(update(outgoing).values(state=outbox.REVIEW, next_at=None))
    assert f"{DANA} answered 12:01; it waits until a colleague lets it go." in page()
    with office.archive.transaction() as session:
        session.execute(update(outgoing).values(state=outbox.DEFERRED, next_at=office.clock[0]))
    assert f"{DANA} answered 12:01; it is on its way." in page()
    with office.archive.transaction() as session:
        session.execute(update(outgoing).values(scope="process:99"))
    assert f"{DANA} answered" not in page(), "it is somebody else's"
    for state in (outbox.CANCELLED, outbox.RETURNED, outbox.FAILED):
        with office.archive.transaction() as session:
            session.execute(update(outgoing).values(state=state, scope=theirs.scope))
        assert f"{DANA} answered" not in page()


def test_nobody_hears_of_answers_that_he_may_not_see(office: Office, invoice: int) -> None:
    anna, dana = office.browser("anna"), office.browser("dana")
    asks = asked(anna.get(f"/messages/{invoice}/reply").text)
    office.clock[0] += 60_000
    assert send(dana, fields(dana.get(f"/messages/{invoice}/reply").text) | {"text": "Mine"}).status_code == 303
    for name in ("bernd", "clara"):
        said = told(office.browser(name), asks, "&here=1")
        assert (said["wrote"], said["there"]) == ("", "")


def test_a_form_that_lies_open_tells_of_it_without_moving(office: Office, invoice: int, visit: Visit) -> None:
    page, dana = visit.page, office.browser("dana")
    sign_in(page, visit.base)
    page.goto(f"{visit.base}/messages/{invoice}/reply")
    page.fill("[name=text]", "What I typed")
    page.wait_for_selector(".kept:has-text('Draft kept')")  # that line may move what is below it
    before = page.locator(".compose .btn.main").bounding_box()
    at_form = asked(dana.get(f"/messages/{invoice}/reply").text)
    told(dana, at_form, "&here=1&writing=1")
    page.wait_for_selector(f"#there:has-text('{DANA} is writing too')")
    office.clock[0] += 1000
    assert send(dana, fields(dana.get(f"/messages/{invoice}/reply").text) | {"text": "Mine"}).status_code == 303
    page.wait_for_selector(f"#wrote:not([hidden]):has-text('{DANA} answered')")
    assert page.locator(".compose .btn.main").bounding_box() == before
    assert page.input_value("[name=text]") == "What I typed"
    page.click(".compose .btn.main")  # all the same, it is shown before anything goes
    page.wait_for_selector("button:has-text('Send all the same')")
    assert page.locator(".note:has-text('answered')").is_visible()
    assert [one for one in visit.console if "422" not in one] == []
