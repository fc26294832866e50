"""What is typed about a ticket is not lost."""

import io
import re
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from archive import draft_files, sending
from archive.outgoing import identities
from archive.people import members, processes
from archive.people.roles import Role
from archive.store.schema import draft_file, ticket
from archive.work import drafts

from .. import world
from .conftest import NOW, Browser, Office
from .test_browser import Visit, visit
from .test_daily_reading import sign_in
from .test_enclosing import offered
from .test_writing import fields, mail, queued, send, sender

__all__ = ["sender", "visit"]  # the fixtures


def _kept(office: Office, kind: str = "comment") -> str | None:
    with office.archive.reading() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        found = drafts.get(session, office.users["anna"], id_, kind)
    return found.text if found else None


def test_a_draft_is_kept_quietly_or_with_a_button_and_discarded(office: Office) -> None:
    office.take("helpdesk", world.mail())
    anna = office.browser("anna")
    at = "/tickets/1/drafts/comment"
    assert anna.post(at, {"text": "half a sen", "quiet": "1"}).status_code == 204
    assert _kept(office) == "half a sen"
    answer = anna.post(at, {"text": "half a sentence", "back": "/mine"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/mine")
    assert "The draft is kept." in anna.get("/mine").text
    assert _kept(office) == "half a sentence"
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example"):
        assert anna.post(at, {"text": "x", "back": elsewhere}).headers["Location"] == "/"
    anna.post(at, {"text": "half a sentence", "discard": "1", "back": "/"})
    assert "The draft is discarded." in anna.get("/").text
    assert _kept(office) is None


def test_each_kind_is_a_draft_of_its_own_and_there_are_no_others(office: Office) -> None:
    office.take("helpdesk", world.mail())
    anna = office.browser("anna")
    assert anna.post("/tickets/1/drafts/hand-over", {"text": "yours", "quiet": "1"}).status_code == 204
    assert (_kept(office), _kept(office, "hand over")) == (None, "yours")
    assert anna.post("/tickets/1/drafts/mail", {"text": "x"}).status_code == 404
    assert anna.post("/tickets/9/drafts/comment", {"text": "x"}).status_code == 404
    assert office.browser("bernd").post("/tickets/1/drafts/comment", {"text": "x"}).status_code == 404


# --- mails that are no answers, and the list of all one has begun ---------------------------------------------------


def _begun(browser: Browser) -> list[str]:
    return re.findall(r'<a dir="auto" href="([^"]*)"><strong>', browser.get("/drafts").text)


def _keep(browser: Browser, form: dict[str, Any], **more: object) -> TestResponse:
    return browser.client.post("/drafts", data={**form, **more}, content_type="multipart/form-data")


def test_a_new_mail_is_kept_as_one_types_and_opened_with_all_that_stood_in_it(office: Office, sender: int) -> None:
    raw = world.mail(subject="Plan", attachments=[("plan.pdf", b"%PDF-1")])
    (plan,) = office.take("helpdesk", raw)
    anna = office.browser("anna")
    assert "Nothing begun" in anna.get("/drafts").text
    form: dict[str, Any] = fields(anna.get("/compose").text)
    typed = {
        "to": "jan@x.example",
        "cc": "eva@x.example",
        "bcc": "b@x.example",
        "subject": "Offer <b>",
        "text": "Half a sen",
        "plain": "1",
        "later": "2027-01-02T10:00",
        "unless_answered": "1",
        "enclosed": f"{plan}/2",
    }
    assert _keep(anna, {**form, **typed}, quiet="1").status_code == 204
    office.clock[0] += 60_000
    typed["text"] = "Half a sentence"
    assert _keep(anna, {**form, **typed}, quiet="1").status_code == 204
    (at,) = _begun(anna)
    assert "Offer &lt;b&gt;" in anna.get("/drafts").text
    page = anna.get(at).text
    found = fields(page)
    assert {name: found[name] for name in typed if name != "enclosed"} == {
        name: value for name, value in typed.items() if name != "enclosed"
    }
    assert offered(page) == {f"{plan}/2": True}
    assert (found["number"], found["from"]) == (form["number"], str(sender)), "the same mail goes on"
    assert "Draft of 12:01." in re.sub(r"<[^>]*>", "", page)
    assert send(anna, {**found, "later": "", "enclosed": f"{plan}/2"}).status_code == 303
    assert len(queued(office)) == 1
    assert _begun(anna) == []
    assert anna.get(at).status_code == 404


def test_a_button_keeps_it_where_no_script_runs_with_the_files_that_came(office: Office, sender: int) -> None:
    anna = office.browser("anna")
    form = {**fields(anna.get("/compose").text), "to": "jan@x.example", "text": "See below"}
    done = _keep(anna, form, files=(io.BytesIO(b"x,y"), "table.csv"))
    assert done.status_code == 303
    page = anna.get(done.location).text
    assert "The draft is kept." in page
    assert _begun(anna) == [done.location]
    assert "table.csv" in page
    found = fields(page)
    assert _begun(office.browser("dana")) == []
    preview = send(anna, {**found, "do": "preview", "files": (io.BytesIO(b"1"), "more.csv")}).text
    assert preview.count('name="drafted"') == 2
    again = fields(anna.get(done.location).text)
    both = re.findall(r'name="drafted" value="(\d+)" checked', anna.get(done.location).text)
    assert len(both) == 2, "what came with the preview is kept with the draft"
    assert send(anna, {**again, "drafted": both}).status_code == 303
    sent = mail(office, queued(office)[0])
    assert [part.get_filename() for part in sent.iter_attachments()] == ["table.csv", "more.csv"]
    with office.archive.reading() as session:
        assert session.scalars(select(draft_file.c.id)).all() == []


def test_two_new_mails_are_two_drafts_and_an_empty_one_is_none(office: Office, sender: int) -> None:
    anna = office.browser("anna")
    first, second = fields(anna.get("/compose").text), fields(anna.get("/compose").text)
    _keep(anna, first, subject="One", quiet="1")
    office.clock[0] += 1000
    _keep(anna, second, subject="Two", quiet="1")
    assert len(_begun(anna)) == 2
    page = anna.get("/drafts").text
    assert page.index("<strong>Two") < page.index("<strong>One"), "what changed last comes first"
    office.clock[0] += 1000
    _keep(anna, first, subject="One more", quiet="1")
    page = anna.get("/drafts").text
    assert page.index("<strong>One more") < page.index("<strong>Two")
    assert _keep(anna, second, subject=" ", quiet="1").status_code == 204
    assert len(_begun(anna)) == 1
    assert _keep(anna, {"kind": "new", "number": "", "subject": "x"}, csrf_token=first["csrf_token"]).status_code == 404


def test_a_draft_of_a_mail_is_nobody_elses(office: Office, sender: int) -> None:
    """Also where it is from a process's address, and whoever else may send from that."""
    anna, dana = office.browser("anna"), office.browser("dana")
    form = {**fields(anna.get("/compose").text), "to": "jan@x.example", "text": "Secret"}
    at = _keep(anna, form, files=(io.BytesIO(b"x"), "secret.csv")).location
    (file,) = re.findall(r'name="drafted" value="(\d+)"', anna.get(at).text)
    missing = dana.get("/drafts/99")
    assert dana.get(at).status_code == missing.status_code == 404
    assert "ecret" not in dana.get("/drafts").text
    number = at.rpartition("/")[2]
    assert dana.post("/drafts/delete", {"kind": "mail", "id": number}).status_code == 303
    theirs = fields(dana.get("/compose").text)
    kept = _keep(dana, {**theirs, "number": form["number"]}, drafted=file, subject="Mine").location
    assert kept == at, "who takes the number of another's has one of their own under it"
    page = dana.get(at).text
    assert "ecret" not in page
    assert send(dana, {**fields(page), "to": "jan@x.example", "text": "Hi", "drafted": file}).status_code == 422
    assert queued(office) == []
    assert "secret.csv" in anna.get(at).text


def test_a_deleted_draft_is_put_back_for_a_day_with_its_files(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice", attachments=[("plan.pdf", b"%PDF-1")]))
    anna = office.browser("anna")
    form = {**fields(anna.get("/compose").text), "subject": "New one"}
    new = _keep(anna, form, files=(io.BytesIO(b"x"), "table.csv")).location
    office.clock[0] += 1000
    answer = {"text": "An answer", "enclosed": f"{id_}/2", "back": "/"}
    more = {**answer, "csrf_token": form["csrf_token"], "files": (io.BytesIO(b"y"), "other.csv")}
    anna.client.post("/tickets/1/drafts/reply", data=more, content_type="multipart/form-data")
    assert _begun(anna) == [f"/messages/{id_}/reply", new]
    for kind, number, at in (("reply", "1", f"/messages/{id_}/reply"), ("mail", new.rpartition("/")[2], new)):
        there = anna.get(at).text
        assert anna.post("/drafts/delete", {"kind": kind, "id": number}).location == "/drafts"
        page = anna.get("/drafts").text
        assert "The draft is deleted." in page
        assert 'action="/drafts/put-back"' in page
        assert at not in _begun(anna)
        if kind == "reply":
            gone = anna.get(at).text
            assert "An answer" not in gone
            assert "other.csv" not in gone
            assert ">Draft<" not in anna.get("/processes/helpdesk").text
        else:
            assert anna.get(at).status_code == 404
        assert anna.post("/drafts/put-back", {"kind": kind, "id": number}).status_code == 303
        assert "The draft is there again." in anna.get("/drafts").text
        back = anna.get(at).text
        for what in ("An answer", "New one", "table.csv", "other.csv", f'value="{id_}/2" checked'):
            assert (what in back) == (what in there), what
    anna.post("/drafts/delete", {"kind": "reply", "id": "1"})
    anna.post("/tickets/1/drafts/reply", {"text": "A newer one", "quiet": "1"})
    anna.post("/drafts/put-back", {"kind": "reply", "id": "1"})
    assert "There is nothing to put back, or a newer draft." in anna.get("/drafts").text
    assert "A newer one" in anna.get(f"/messages/{id_}/reply").text
    office.clock[0] += drafts.BACK + 1
    anna.post("/drafts/delete", {"kind": "mail", "id": new.rpartition("/")[2]})
    assert draft_files.tidy(office.archive, office.clock[0]) == 1
    assert draft_files.tidy(office.archive, office.clock[0]) == 0
    with office.archive.reading() as session:
        assert len(session.scalars(select(draft_file.c.id)).all()) == 1, "of what was deleted a day ago nothing is left"
    anna.post("/drafts/put-back", {"kind": "mail", "id": new.rpartition("/")[2]})
    assert new in _begun(anna)


def test_what_is_put_back_brings_nothing_of_an_earlier_draft(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice", attachments=[("plan.pdf", b"%PDF-1")]))
    anna = office.browser("anna")
    form = fields(anna.get("/compose").text)
    first = {"text": "First", "enclosed": f"{id_}/2", "back": "/", "csrf_token": form["csrf_token"]}
    data = {**first, "files": (io.BytesIO(b"y"), "first.csv")}
    anna.client.post("/tickets/1/drafts/reply", data=data, content_type="multipart/form-data")
    named = {"kind": "reply", "id": "1"}
    anna.post("/drafts/delete", named)
    anna.post("/drafts/delete", named)  # a second click does no more
    anna.post("/drafts/put-back", named)
    assert "first.csv" in anna.get(f"/messages/{id_}/reply").text
    anna.post("/drafts/delete", named)
    anna.post("/tickets/1/drafts/reply", {"text": "Second", "quiet": "1"})
    anna.post("/drafts/delete", named)
    anna.post("/drafts/put-back", named)
    page = anna.get(f"/messages/{id_}/reply").text
    assert "Second" in page
    assert "first.csv" not in page
    assert f'value="{id_}/2" checked' not in page


def test_a_deleted_mail_that_is_typed_on_elsewhere_lives_and_keeps_its_files(office: Office, sender: int) -> None:
    anna = office.browser("anna")
    form = {**fields(anna.get("/compose").text), "subject": "New one"}
    at = _keep(anna, form, files=(io.BytesIO(b"x"), "table.csv")).location
    anna.post("/drafts/delete", {"kind": "mail", "id": at.rpartition("/")[2]})
    _keep(anna, form, text="in another tab", quiet="1")
    office.clock[0] += drafts.BACK + 1
    assert draft_files.tidy(office.archive, office.clock[0]) == 0
    assert "table.csv" in anna.get(at).text


def test_no_mail_goes_without_a_file_that_was_to_go_along(office: Office, sender: int) -> None:
    """Sent or deleted in another tab meanwhile."""
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    form: dict[str, Any] = fields(anna.get(f"/messages/{id_}/reply").text)
    data = {"text": "See below", "back": "/", "csrf_token": form["csrf_token"], "files": (io.BytesIO(b"y"), "a.csv")}
    anna.client.post("/tickets/1/drafts/reply", data=data, content_type="multipart/form-data")
    (file,) = re.findall(r'name="drafted" value="(\d+)"', anna.get(f"/messages/{id_}/reply").text)
    anna.post("/drafts/delete", {"kind": "reply", "id": "1"})
    answer = send(anna, {**form, "text": "See below", "drafted": file})
    assert answer.status_code == 422
    assert "A file that was to go along is not there any more" in answer.text
    assert queued(office) == []
    assert send(anna, {**fields(answer.text), "text": "See below"}).status_code == 303


def test_a_mail_passed_on_is_a_draft_too_and_quotes_only_what_may_be_seen(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice", text="Between us"))
    anna = office.browser("anna")
    form = {**fields(anna.get(f"/messages/{id_}/forward").text), "text": "Look"}
    assert _keep(anna, form, quiet="1").status_code == 204
    (at,) = _begun(anna)
    assert "Between us" in anna.get(at).text
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        members.give(session, helpdesk.id, office.users["clara"], Role.MANAGES, "operator", NOW)
        members.remove(session, helpdesk.id, office.users["anna"], "operator", NOW)
        own = identities.get(session, sender)
        identities.permit(session, own.id, office.users["anna"], True, NOW)
    page = anna.get(at).text
    assert "Look" in page
    assert "Between us" not in page


def test_answers_to_tickets_one_sees_no_more_are_not_listed(office: Office, sender: int) -> None:
    office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    anna.post("/tickets/1/drafts/reply", {"text": "Mine", "quiet": "1"})
    assert "Invoice" in anna.get("/drafts").text
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        members.give(session, helpdesk.id, office.users["clara"], Role.MANAGES, "operator", NOW)
        members.remove(session, helpdesk.id, office.users["anna"], "operator", NOW)
    assert "Invoice" not in anna.get("/drafts").text


def test_an_answer_is_kept_with_whom_it_is_for_and_opened_so_at_its_mail(office: Office, sender: int) -> None:
    first, second = office.take(
        "helpdesk",
        world.mail(subject="Invoice", message_id="<1@x>", cc="Karl <karl@x.example>"),
        world.mail(subject="Invoice", message_id="<2@x>", in_reply_to="<1@x>"),
    )
    anna = office.browser("anna")
    form: dict[str, Any] = fields(anna.get(f"/messages/{first}/reply?all=1").text)
    ticket_ = form["ticket"]
    typed = {"to": "boss@x.example", "cc": "", "bcc": "b@x.example", "subject": "Other", "later": "2027-01-02T10:00"}
    changed = {**form, **typed, "plain": "1", "unless_answered": "1", "quote": "> this alone"}
    changed.pop("quoting")
    at = f"/tickets/{ticket_}/drafts/reply"
    assert anna.post(at, {**changed, "text": "", "quiet": "1"}).status_code == 204
    (goes_on,) = _begun(anna)
    assert goes_on == f"/messages/{first}/reply?all=1"
    page = anna.get("/drafts").text
    assert "boss@x.example" in page
    assert "<strong>Other" in page
    found = fields(anna.get(goes_on).text)
    for name in (*typed, "plain", "unless_answered", "quote", "began"):
        assert found.get(name) == changed[name], name
    assert "quoting" not in found
    for elsewhere in (f"/messages/{first}/reply", f"/messages/{second}/reply?all=1"):
        assert fields(anna.get(elsewhere).text)["to"] == f"{world.EVA.name} <{world.EVA.address}>"
    dana = office.browser("dana")
    anna.post(at, {**changed, "text": "Half", "quiet": "1"})
    theirs = fields(dana.get(f"{goes_on}&draft={office.users['anna']}").text)
    assert (theirs["to"], theirs["text"], theirs["bcc"]) == ("boss@x.example", "Half", ""), "but for blind copies"
    preview = send(anna, {**found, "do": "preview"}).text
    assert fields(preview)["began"] == form["began"]
    assert send(anna, {**found, "text": "Whole", "later": ""}).status_code == 303
    assert _begun(anna) == []
    assert fields(anna.get(goes_on).text)["to"] == form["to"]


def test_an_answer_in_which_nothing_was_changed_is_no_draft(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    at = f"/tickets/{form['ticket']}/drafts/reply"
    anna.post(at, {**form, "subject": "Other", "quiet": "1"})
    assert _begun(anna) == [f"/messages/{id_}/reply"]
    anna.post(at, {**form, "quiet": "1"})
    assert _begun(anna) == []
    for odd in ("[]", "{", '{"to": 1}', "[" * 5000):
        anna.post(at, {**form, "began": odd, "text": "x", "quiet": "1"})
        assert fields(anna.get(f"/messages/{id_}/reply").text)["to"] == form["to"]


def test_files_that_are_too_many_for_a_draft_are_named(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    some = [(io.BytesIO(b"x"), f"{number}.csv") for number in range(draft_files.MOST + 2)]
    form = {**fields(anna.get(f"/messages/{id_}/reply").text), "files": some, "back": "/drafts"}
    anna.client.post("/tickets/1/drafts/reply", data=form, content_type="multipart/form-data")
    page = anna.get("/drafts").text
    assert "these are not among them: 50.csv, 51.csv." in page
    assert "The draft is kept." in page


def test_a_browser_keeps_a_new_mail_while_one_types(office: Office, sender: int, visit: Visit) -> None:
    (plan,) = office.take("helpdesk", world.mail(subject="Plan", attachments=[("plan.pdf", b"%PDF-1")]))
    page = visit.page
    sign_in(page, visit.base)
    page.goto(f"{visit.base}/compose")
    page.wait_for_timeout(2500)
    assert _begun(office.browser("anna")) == [], "nothing was typed"
    page.fill("#to", "jan@x.example")
    page.wait_for_selector(".kept:has-text('Draft kept')")
    page.fill("[name=text]", "Half a sentence")
    page.goto(f"{visit.base}/drafts")
    page.click("main a:has-text('No subject')")
    assert (page.input_value("#to"), page.input_value("[name=text]")) == ("jan@x.example", "Half a sentence")
    page.goto(f"{visit.base}/messages/{plan}/reply")
    page.click("details:has([name=enclosed]) > summary")
    page.check("[name=enclosed]")
    page.wait_for_selector(".kept:has-text('Draft kept')")
    page.goto(f"{visit.base}/messages/{plan}/reply")
    assert page.is_checked("[name=enclosed]")
    page.uncheck("[name=enclosed]")
    page.wait_for_selector(".kept span:text-is('')", state="attached")
    page.fill("#to", "boss@x.example")
    page.wait_for_selector(".kept:has-text('Draft kept')")
    page.goto(f"{visit.base}/messages/{plan}/reply")
    assert page.input_value("#to") == "boss@x.example"
    assert visit.console == []


def test_what_is_typed_while_a_draft_is_kept_is_kept_after_it(office: Office, sender: int, visit: Visit) -> None:
    office.take("helpdesk", world.mail())
    page, bodies, held = visit.page, [], []
    sign_in(page, visit.base)
    page.goto(f"{visit.base}/compose")

    def hold(route: Any) -> None:
        if route.request.method == "GET":
            route.continue_()
            return
        bodies.append(route.request.post_data)
        if len(bodies) == 1:
            held.append(route)  # the first one takes its time
        else:
            route.continue_()

    page.route("**/drafts", hold)
    page.fill("[name=text]", "Half")
    for _ in range(100):
        page.wait_for_timeout(100)
        if held:
            break
    page.fill("[name=text]", "Half a sentence")
    page.wait_for_timeout(5000)
    assert len(bodies) == 1, "the second waits for the first"
    held[0].continue_()
    page.wait_for_selector(".kept:has-text('Draft kept')")
    for _ in range(100):
        page.wait_for_timeout(100)
        if len(bodies) > 1:
            break
    page.goto(f"{visit.base}/drafts")
    page.click("main a:has-text('No subject')")
    assert page.input_value("[name=text]") == "Half a sentence"


def test_files_that_are_too_many_for_a_mail_are_not_even_read(
    office: Office, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = office.browser("anna")
    form = {**fields(anna.get("/compose").text), "to": "jan@x.example", "subject": "Big", "text": "See below"}
    at = _keep(anna, form, files=(io.BytesIO(b"x" * 1000), "table.csv")).location
    monkeypatch.setattr(sending, "MOST_BYTES", 1300)
    monkeypatch.setattr(draft_files, "read", lambda *_: pytest.fail("read"))
    answer = send(anna, fields(anna.get(at).text))
    assert answer.status_code == 422
    assert "MB is not sent" in answer.text
    assert queued(office) == []


def test_files_of_a_mail_that_is_typed_empty_are_not_forgotten(office: Office, sender: int) -> None:
    anna = office.browser("anna")
    form = {**fields(anna.get("/compose").text), "subject": "New one"}
    at = _keep(anna, form, files=(io.BytesIO(b"x"), "table.csv")).location
    assert _keep(anna, form, subject="", quiet="1").status_code == 204
    assert _begun(anna) == [at], "where they are they can be deleted"
    assert _keep(anna, form, subject="").status_code == 303
    with office.archive.reading() as session:
        assert session.scalars(select(draft_file.c.id)).all() == []
    assert _begun(anna) == []
