"""Cases on the pages: filed from a conversation, seen by who takes part, told in order of time."""

from typing import Any

from sqlalchemy import select

from archive.post import bindings
from archive.store.schema import ticket
from archive.work import cases

from .. import world
from .conftest import NOW, Office
from .test_browser import Visit, visit

__all__ = ["visit"]  # the fixture

HOSTILE = '"><script>alert(1)</script>'


def ticket_of(office: Office, conversation: int) -> int:
    with office.archive.reading() as session:
        return session.scalar(select(ticket.c.id).where(ticket.c.conversation == conversation)) or 0


def test_a_conversation_is_filed_under_a_new_case(office: Office) -> None:
    """Anna opens the case while she files: Bernd takes part and sees the mail, Clara does not; then it is taken out."""
    raw = world.mail(subject="Where is it?", attachments=[("bill.pdf", b"%PDF-1.7")])
    (message,) = office.take("helpdesk", raw)
    conversation = office.conversation(message)
    anna, bernd, clara = (office.browser(name) for name in ("anna", "bernd", "clara"))
    page = anna.get(f"/conversations/{conversation}/file?in=helpdesk").text
    number = ticket_of(office, conversation)
    assert f'value="ticket {number}" checked' in page
    assert f'value="attachment {message}/2"' in page
    form = {"what": f"ticket {number}", "reference": "Order 2031", "title": HOSTILE, "in": "helpdesk"}
    form["participant"] = f"user:{office.users['bernd']}"
    done = anna.post(f"/conversations/{conversation}/file", form)
    assert done.headers["Location"] == f"/conversations/{conversation}?in=helpdesk"
    page = anna.get(done.headers["Location"]).text
    assert "Filed under Order 2031. Who takes part sees it: Anna" in page
    assert 'href="/cases/1"' in page

    assert bernd.get(f"/conversations/{conversation}").status_code == 200
    story = bernd.get("/cases/1").text
    assert "Where is it?" in story
    assert "bill.pdf" in story
    assert "opened the case." in story
    assert HOSTILE not in story
    assert bernd.get(f"/messages/{message}/attachments/2").data == b"%PDF-1.7"
    assert "Order 2031" in bernd.get("/cases?q=2031").text
    assert 'href="/cases/1"' not in clara.get("/cases").text
    assert clara.get("/cases/1").status_code == 404

    item = {"kind": "ticket", "item": str(number)}
    assert anna.post("/cases/1/take-out", item).status_code == 303
    assert bernd.get(f"/conversations/{conversation}").status_code == 404
    page = anna.get("/cases/1").text
    assert 'action="/cases/1/put-back"' in page, "it can be undone"
    assert anna.post("/cases/1/put-back", item).status_code == 303
    assert bernd.get(f"/conversations/{conversation}").status_code == 200
    assert bernd.post("/cases/1/take-out", item).status_code == 303, "who takes part may take out"
    assert bernd.post("/cases/1/put-back", item).status_code == 404, "and files only what he may see otherwise"


def test_who_sees_a_mail_by_a_case_alone_files_it_no_further(office: Office) -> None:
    """Bernd sees it as he takes part: he works there, and may file single mails of it in another case of his."""
    (message,) = office.take("helpdesk", world.mail(subject="Where is it?"))
    with office.archive.transaction() as session:
        by = f"user:{office.users['anna']}"
        id_ = cases.open_(session, "Order 1", "", "", by, [f"user:{office.users['bernd']}"], NOW)
        one = cases.by_reference(session, "Order 1")
        assert one
        assert one.id == id_
        cases.file(session, one, cases.MESSAGE, str(message), by, NOW)
    page = office.browser("bernd").get(f"/conversations/{office.conversation(message)}/file").text
    assert 'value="ticket' not in page
    assert f'value="message {message}"' in page


def test_a_case_is_closed_renamed_and_its_people_change(office: Office) -> None:
    anna = office.browser("anna")
    assert (
        anna.post("/cases", {"reference": "Order 7", "title": "Seven", "participant": "process:2"}).status_code == 303
    )
    assert anna.post("/cases", {"reference": "order 7"}).headers["Location"] == "/cases"
    assert "There is a case “order 7” already." in anna.get("/cases").text
    assert anna.post("/cases/1/close").status_code == 303
    page = anna.get("/cases/1").text
    assert "Order 7 is closed." in page
    assert 'name="again" value="1"' in page
    assert "Order 7" not in anna.get("/cases").text
    assert "Order 7" in anna.get("/cases?state=closed").text
    anna.post("/cases/1/close", {"again": "1"})
    anna.post("/cases/1/rename", {"reference": "Order 8", "title": "Seven", "client": "Eva"})
    assert "changed the reference from “Order 7” to “Order 8”." in anna.get("/cases/1").text
    clara = f"user:{office.users['clara']}"
    anna.post("/cases/1/participants", {"scope": clara})
    assert "Eva" in office.browser("clara").get("/cases/1").text
    anna.post("/cases/1/participants", {"scope": clara, "remove": "1"})
    assert office.browser("clara").get("/cases/1").status_code == 404
    own = f"user:{office.users['anna']}"
    left = anna.post("/cases/1/participants", {"scope": own, "remove": "1"})
    assert left.headers["Location"] == "/cases", "she does not see it any more"
    assert anna.get("/cases/1").status_code == 404


def test_an_answer_from_elsewhere_stands_on_the_page(office: Office) -> None:
    """Bernd answers in his own mail program, from the address of Sales: his page says so, at the mail and above."""
    ask = world.mail(subject="An offer?", to=world.SALES, message_id="<ask@outside.example>")
    office.take("sales", ask)
    with office.archive.transaction() as session:
        box = bindings.mailbox_by_name(session, "office")
        assert box
        process = office.bindings["sales"].process
        id_ = bindings.add(session, box, "Sent", "", NOW, process=process, sent=True)
        office.bindings["sent"] = bindings.get(session, id_)
    bernd = office.browser("bernd")
    reply = world.mail(
        subject="Re: An offer?", from_=world.Person(world.BERND.name, world.SALES), in_reply_to="<ask@outside.example>"
    )
    (first,) = office.take("sales", world.mail(subject="another"))
    page = bernd.get(f"/conversations/{office.conversation(first)}").text
    assert page.count("not answered yet") == 2
    (message,) = office.take("sent", reply)
    page = bernd.get(f"/conversations/{office.conversation(message)}").text
    assert page.count(f"{world.BERND.name} answered from sales@") == 2
    assert "went out from sales@" in page
    assert "data-ours" in page
    assert "not answered yet" not in page


def test_a_ticket_is_filed_in_a_browser_and_clara_sees_it(office: Office, visit: Visit) -> None:
    """By mouse and keys in Chromium: filed under a new case, seen by Clara, taken out, not seen by Clara, undone."""
    (message,) = office.take("helpdesk", world.mail(subject="Coffee machine", text="It leaks."))
    conversation = office.conversation(message)
    page: Any = visit.page
    visit.sign_in()
    page.goto(f"{visit.base}/conversations/{conversation}")
    page.click("text=File under a case")
    page.fill("#new-reference", "Order 2031")
    page.fill("#new-title", "Coffee")
    page.select_option("#new-people", label=world.CLARA.name)
    page.click("text=File it")
    page.wait_for_selector(".toast:has-text('Filed under Order 2031')")
    clara = office.browser("clara")
    assert "It leaks." in clara.get(f"/conversations/{conversation}").text
    page.click("a[href='/cases/1']")
    page.wait_for_selector("h1:has-text('Order 2031')")
    page.click("text=Take out")
    page.wait_for_selector(".toast:has-text('Taken out of Order 2031')")
    assert clara.get(f"/conversations/{conversation}").status_code == 404
    page.click(".toast >> text=Undo")
    page.wait_for_selector("#filed + .steps")
    assert clara.get(f"/conversations/{conversation}").status_code == 200
