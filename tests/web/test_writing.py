"""Writing at the pages: answering, passing on, what keeps a mail from being sent, the outbox, and who may."""

import email
import html
import io
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email import policy
from typing import Any

import pytest
from werkzeug.test import TestResponse

from archive import installation, sending
from archive.outgoing import identities, outbox
from archive.people import processes
from archive.people.scopes import MACHINE
from archive.post import bindings, messages

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
    assert "<strong>Here</strong>, &lt;b&gt;not&lt;/b&gt;" in html.unescape(preview)
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
    assert "Dana Veselá answered 12:01: see it first." in held.text
    assert "Also mine" in held.text
    assert len(queued(office)) == 1
    once_more = {**fields(held.text), "anyway": "1"}
    office.clock[0] += 1000
    office.take("helpdesk", world.mail(subject="Re: Invoice", in_reply_to=_named(office, id_)))
    held = send(anna, once_more)
    assert held.status_code == 422, "what came after that was shown has not been seen"
    assert "Eva Outside wrote 12:01: see it first." in held.text
    assert "Dana Veselá answered 12:01: see it first." not in held.text
    assert send(anna, {**fields(held.text), "anyway": "1"}).status_code == 303
    assert len(queued(office)) == 2


def test_who_writes_while_an_answer_is_queued_is_seen_first_too(
    office: Office, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna, dana = office.browser("anna"), office.browser("dana")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    theirs = fields(dana.get(f"/messages/{id_}/reply").text)
    compose = sending._composed

    def slowly(*given: Any) -> Any:
        """Dana's answer is queued after Anna's was looked at and before it is queued."""
        monkeypatch.setattr(sending, "_composed", compose)
        office.clock[0] += 1000
        assert send(dana, {**theirs, "text": "Mine"}).status_code == 303
        return compose(*given)

    monkeypatch.setattr(sending, "_composed", slowly)
    held = send(anna, {**form, "text": "Also mine"})
    assert held.status_code == 422
    assert "see it first." in held.text
    assert [one.author for one in queued(office)] == [f"user:{office.users['dana']}"]
    assert send(anna, fields(held.text) | {"anyway": "1"}).status_code == 303


def _named(office: Office, message: int) -> str:
    with office.archive.reading() as session:
        found = messages.get(session, message, MACHINE)
    assert found
    return f"<{found.message_id}>"


def test_what_lay_on_its_server_when_the_form_was_opened_is_seen_first_all_the_same(
    office: Office, sender: int
) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    office.clock[0] += 60_000
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    office.clock[0] += 60_000
    more = world.mail(subject="Re: Invoice", in_reply_to=_named(office, id_))
    office.take("helpdesk", more, at=office.clock[0] - 90_000)
    assert "Eva Outside wrote 12:00: see it first." in send(anna, {**form, "text": "Mine"}).text


def test_what_went_out_by_itself_is_no_answer_to_see_first(office: Office, sender: int) -> None:
    from .test_auto_replies import dealt_with, rule

    rule(office)
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    office.clock[0] += 60_000
    dealt_with(office)
    assert [one.automatic for one in queued(office)] == [True]
    assert send(anna, {**form, "text": "Mine"}).status_code == 303


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
    again = anna.post(f"/outbox/{queued(office)[0].id}/take-back").location
    assert fields(anna.get(again).text)["later"] == "2026-11-03T08:00", "it would else go at once"


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


@pytest.mark.databases("sqlite", "postgresql")
def test_a_form_that_is_posted_twice_goes_once(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail())
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)

    def answer(**more: object) -> TestResponse:
        return send(anna, {**form, "text": "Here", "files": (io.BytesIO(b"x,y"), "table.csv"), **more})

    wrong = answer(to="nobody")
    assert wrong.status_code == 422
    assert fields(wrong.text)["number"] == form["number"]
    first, second = answer(), answer()
    assert (first.status_code, first.location) == (second.status_code, second.location)
    assert first.status_code == 303
    (one,) = queued(office)
    assert anna.get(second.location).text.count(f"/outbox/{one.id}/take-back") > 0
    # What is written differently there, and what stands in another form, is another mail.
    assert answer(text="Another").status_code == 303
    fresh = fields(anna.get(f"/messages/{id_}/reply").text)
    assert fresh["number"] != form["number"]
    form = fresh
    assert answer().status_code == 303
    assert len(queued(office)) == 3
    # And what was taken back is not there any more.
    assert anna.post(f"/outbox/{queued(office)[0].id}/take-back").status_code == 303
    assert answer().status_code == 303
    assert [each.state for each in queued(office)].count(outbox.QUEUED) == 3


def test_forms_without_a_number_go_each_time(office: Office, sender: int) -> None:
    anna = office.browser("anna")
    form = {**fields(anna.get("/compose").text), "to": world.EVA.address, "subject": "Hello", "text": "Here"}
    del form["number"]
    assert [send(anna, form).status_code for _ in range(2)] == [303, 303]
    assert len(queued(office)) == 2


@pytest.mark.databases("sqlite", "postgresql")
def test_a_form_that_is_posted_twice_at_the_same_moment_goes_once(
    office: Office, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    browsers = [office.browser("anna"), office.browser("anna")]
    form = {**fields(browsers[0].get("/compose").text), "to": world.EVA.address, "subject": "Hello", "text": "Here"}
    tokens = [fields(browser.get("/compose").text) for browser in browsers]
    together, queue = threading.Barrier(2), outbox.queue

    def meet(*arguments: Any) -> int:
        with suppress(threading.BrokenBarrierError):  # one writer: there the other waits before
            together.wait(2)
        return queue(*arguments)

    monkeypatch.setattr(outbox, "queue", meet)

    def post(at: int) -> TestResponse:
        return send(
            browsers[at],
            {
                **tokens[at],
                **{name: form[name] for name in form if name in ("to", "subject", "text", "number", "opened_at")},
            },
        )

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(post, range(2))
    assert (first.status_code, first.location) == (second.status_code, second.location) == (303, "/outbox")
    assert len(queued(office)) == 1


def test_one_answers_also_while_a_folder_cannot_be_read(office: Office, sender: int) -> None:
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    office.clock[0] += 30 * 24 * 3_600_000
    page = office.browser("anna").get(f"/messages/{id_}/reply")
    assert page.status_code == 200
    assert "since" in page.text
    assert "Why, and what to do" in page.text
