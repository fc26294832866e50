"""Writing at the pages: answering, passing on, what keeps a mail from being sent, the outbox, and who may."""

import email
import html
import io
import re
from collections.abc import Mapping
from email import policy

import pytest
from werkzeug.test import TestResponse

from archive import installation, sending
from archive.outgoing import identities, outbox
from archive.people import processes
from archive.people.scopes import MACHINE
from archive.post import bindings

from .. import world
from .conftest import NOW, Browser, Office

HELP = "helpdesk@demo.example"


@pytest.fixture
def sender(office: Office) -> int:
    """Helpdesk has an address to send from."""
    with office.archive.transaction() as session:
        bindings.add_mailbox(
            session, office.archive, "out", "imap+plain://x@127.0.0.1", "smtp+plain://127.0.0.1:25", "secret", NOW
        )
        box = bindings.mailbox_by_name(session, "out")
        helpdesk = processes.by_slug(session, "helpdesk")
        assert box
        assert helpdesk
        made = identities.add(session, HELP, box, NOW, name="Helpdesk", signature="Yours", process=helpdesk.id)
        identities.permit(session, made, office.users["dana"], True, NOW)
        return made


def fields(page: str) -> dict[str, str]:
    """What a browser would send back of the form for writing."""
    form = page[page.index('<form class="form compose"') :]
    form = form[: form.index("</form>")]
    found = {}
    for tag in re.findall(r"<input [^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ('type="checkbox"' not in tag or " checked" in tag):
            found[name[1]] = value[1] if value else ""
    for name, text in re.findall(r'<textarea [^>]*name="([^"]*)"[^>]*>([^<]*)</textarea>', form):
        found[name] = text
    chosen = re.search(r'<option value="([^"]*)" selected>', form)
    unescaped = {
        name: html.unescape(value) for name, value in found.items() if name not in ("files", "back", "discard")
    }
    return {**unescaped, "from": chosen[1] if chosen else ""}


def send(browser: Browser, form: Mapping[str, object]) -> TestResponse:
    return browser.client.post("/outbox", data=dict(form), content_type="multipart/form-data")


def queued(office: Office) -> list[outbox.Outgoing]:
    with office.archive.reading() as session:
        return outbox.page(session, MACHINE)


def mail(office: Office, one: outbox.Outgoing) -> email.message.EmailMessage:
    with office.archive.reading() as session:
        found = email.message_from_bytes(sending.whole(office.archive, session, one), policy=policy.default)
    assert isinstance(found, email.message.EmailMessage)
    return found


def test_an_answer_is_written_previewed_and_queued_and_taken_back(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice", text="Where is <it>?"))
    anna = office.browser("anna")
    shown = anna.get(f"/conversations/{office.conversation(id_)}").text
    assert f'href="/messages/{id_}/reply"' in shown
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    assert (form["from"], form["subject"]) == (str(sender), "Re: Invoice")
    assert world.EVA.address in form["to"]
    assert "> Where is <it>?" in form["quote"]
    preview = send(anna, {**form, "text": "**Here**, <b>not</b>", "do": "preview"}).text
    assert "<strong>Here</strong>, &lt;b&gt;not&lt;/b&gt;" in preview
    assert queued(office) == []
    done = send(anna, {**form, "text": "**Here**", "files": (io.BytesIO(b"x,y"), "täble.csv")})
    assert done.status_code == 303
    assert done.location == f"/conversations/{office.conversation(id_)}"
    (one,) = queued(office)
    assert (one.author, one.answers, one.not_before) == (f"user:{office.users['anna']}", id_, NOW + outbox.UNDO)
    after = anna.get(done.location).text
    assert "waits to be sent." in after
    assert f'action="/outbox/{one.id}/take-back"' in after
    raw = mail(office, one)
    assert [part.get_filename() for part in raw.iter_attachments()] == ["täble.csv"]
    text = raw.get_body(("plain",))
    assert text
    assert text.get_content().replace("\r\n", "\n").startswith("**Here**\n\n-- \nYours\n\n")
    taken_back = anna.post(f"/outbox/{one.id}/take-back")
    assert taken_back.location == f"/outbox/{one.id}/again"
    again = fields(anna.get(taken_back.location).text)
    assert (again["text"], again["to"], again["kept"]) == ("**Here**", form["to"], "0")
    assert send(anna, again).status_code == 303
    assert [each.state for each in queued(office)] == [outbox.QUEUED, outbox.CANCELLED]
    assert [part.get_filename() for part in mail(office, queued(office)[0]).iter_attachments()] == ["täble.csv"]


def test_who_wrote_meanwhile_is_seen_first(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna, dana = office.browser("anna"), office.browser("dana")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    office.clock[0] += 60_000
    assert send(dana, fields(dana.get(f"/messages/{id_}/reply").text) | {"text": "Mine"}).status_code == 303
    held = send(anna, {**form, "text": "Also mine"})
    assert held.status_code == 422
    assert "Dana Veselá wrote" in held.text
    assert "Also mine" in held.text
    assert len(queued(office)) == 1
    assert send(anna, {**form, "text": "Also mine", "anyway": "1"}).status_code == 303
    assert len(queued(office)) == 2


def test_a_mail_is_passed_on_with_what_is_enclosed(office: Office, sender: int) -> None:
    raw = world.mail(subject="Plan", attachments=[("plan.pdf", b"%PDF-1"), ("other.txt", b"o")])
    (id_,) = office.take("helpdesk", raw)
    anna = office.browser("anna")
    page = anna.get(f"/messages/{id_}/forward").text
    form: dict[str, object] = {**fields(page), "to": "jan@x.example", "text": "See below.", "whole": "1"}
    kept = re.findall(r'name="kept" value="([^"]*)"', page)
    assert len(kept) == 2
    assert send(anna, {**form, "kept": kept[:1]}).status_code == 303
    (one,) = queued(office)
    assert [part.get_filename() for part in mail(office, one).iter_attachments()] == ["Plan.eml", "plan.pdf"]
    assert mail(office, one)["In-Reply-To"] is None


def test_what_keeps_it_from_being_sent_is_said_and_what_was_typed_stays(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail())
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    for wrong in ({"to": ""}, {"to": "nobody"}, {"later": "soon"}, {"to": "a@x.example\r\nBcc: b@x.example"}):
        refused = send(anna, {**form, "text": "typed words", **wrong})
        assert refused.status_code == 422
        assert "typed words" in refused.text
        assert 'id="trouble"' in refused.text
    assert queued(office) == []


def test_nobody_writes_in_anothers_name_or_conversation(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail())
    form = fields(office.browser("anna").get(f"/messages/{id_}/reply").text)
    bernd = office.browser("bernd")
    token = bernd.token("/health")
    assert bernd.get(f"/messages/{id_}/reply").status_code == 404
    assert send(bernd, {**form, "csrf_token": token}).status_code == 404
    assert send(bernd, {**form, "csrf_token": token, "answers": "", "scope": "", "kind": "new"}).status_code == 404
    assert send(office.browser("anna"), {**form, "csrf_token": "x"}).status_code == 400
    assert queued(office) == []
    assert "no address you may send from" in bernd.get("/compose").text


def test_what_failed_stands_in_the_conversation_and_is_sent_again_to_who_has_not_got_it(
    office: Office, sender: int
) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    send(anna, {**form, "to": "gone@x.example, ok@x.example", "text": "Hi"})
    later = NOW + 60_000
    with office.archive.transaction() as session:
        (box,) = outbox.due(session, later)
        (one,) = outbox.claim(session, box, bytes(16), later, 10)
        said = {
            "gone@x.example": outbox.Result(outbox.FAILED, 550, "no <such> user"),
            "ok@x.example": outbox.Result(outbox.FAILED, 550, "no"),
        }
        outbox.settle(session, [outbox.Said(one.id, one.claim, said, later)])
    shown = anna.get(f"/conversations/{office.conversation(id_)}").text
    assert "could not be sent." in shown
    assert '550 <span dir="auto">no &lt;such&gt; user</span>' in shown
    again = fields(anna.get(f"/outbox/{one.id}/again").text)
    assert again["to"] == "gone@x.example, ok@x.example"
    assert "could not be sent." in anna.get("/outbox?state=failed").text
    assert "could not be sent." not in office.browser("bernd").get("/outbox").text
    assert anna.post(f"/outbox/{one.id}/retry").status_code == 303
    assert queued(office)[0].state == outbox.FAILED  # what was refused for good is never tried again


def test_send_later_is_in_the_time_of_who_writes(office: Office, sender: int) -> None:
    anna = office.browser("anna")
    form = fields(anna.get("/compose").text) | {"to": "jan@x.example", "text": "x", "later": "2026-11-03T08:00"}
    assert send(anna, form).location == "/outbox"
    assert queued(office)[0].not_before == NOW + (20 - 0) * 3_600_000
    assert "It will be sent later." in anna.get("/outbox").text


def test_what_failed_for_good_is_sent_again_from_another_address(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    with office.archive.transaction() as session:
        box, helpdesk = bindings.mailbox_by_name(session, "out"), processes.by_slug(session, "helpdesk")
        assert box
        assert helpdesk
        other = identities.add(session, "care@demo.example", box, NOW, name="Care", process=helpdesk.id)
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    send(anna, {**form, "to": "gone@x.example", "cc": "ok@x.example", "text": "Hi"})
    later = NOW + 60_000
    with office.archive.transaction() as session:
        (one,) = outbox.claim(session, box.id, bytes(16), later, 10)
        said = {"gone@x.example": outbox.Result(outbox.FAILED, 550, "no"), "ok@x.example": outbox.Result(outbox.SENT)}
        outbox.settle(session, [outbox.Said(one.id, one.claim, said, later)])
    assert f"/outbox/{one.id}/again" in anna.get(f"/conversations/{office.conversation(id_)}").text
    again = fields(anna.get(f"/outbox/{one.id}/again").text)
    assert (again["to"], again["cc"], again["text"]) == ("gone@x.example", "", "Hi")  # who has got it gets it no more
    assert again["from"] == str(sender)
    assert send(anna, {**again, "from": str(other)}).status_code == 303
    new, before = queued(office)
    assert (new.address, [of.address for of in new.recipients]) == ("care@demo.example", ["gone@x.example"])
    assert new.message_id != before.message_id
    assert mail(office, new)["From"] == "Care <care@demo.example>"
    assert before.state == outbox.SENT  # as it was; nothing of it is tried again
    assert office.browser("bernd").get(f"/outbox/{one.id}/again").status_code == 404


def test_after_a_restore_the_outbox_says_that_nothing_is_sent(office: Office, sender: int) -> None:
    anna = office.browser("anna")
    assert "postroom release" not in anna.get("/outbox").text
    with office.archive.transaction() as session:
        installation.put(session, installation.HELD, str(NOW))
    assert "postroom release" in anna.get("/outbox").text
