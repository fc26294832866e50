"""Files that go along from the conversation, and from cases: offered, chosen, kept, and only those one may see."""

import re
from typing import Any

import pytest

from archive import draft_files, sending
from archive.mail import reader
from archive.mail.reader import Leaf, Raw
from archive.work import cases, drafts
from web import enclosing

from .. import world
from .conftest import NOW, Office
from .test_cases import ticket_of
from .test_writing import fields, mail, queued, send, sender

__all__ = ["sender"]  # the fixture

HOSTILE = '../"><img src=x onerror=alert(1)>\u202efdp.exe'


def offered(page: str) -> dict[str, bool]:
    """What may be ticked, and whether it is."""
    boxes = re.findall(r'<input type="checkbox" name="enclosed" value="([^"]*)"( checked)?>', page)
    return {key: bool(ticked) for key, ticked in boxes}


def names(office: Office, at: int = 0) -> list[str | None]:
    return [part.get_filename() for part in mail(office, queued(office)[at]).iter_attachments()]


def filed(office: Office, message: int, *people: str, reference: str = "Order 2031") -> int:
    """A case of these people under which a message is filed by the operator."""
    with office.archive.transaction() as session:
        some = [f"user:{office.users[one]}" for one in people]
        id_ = cases.open_(session, reference, "", "", "operator", some, NOW)
        one = cases.by_reference(session, reference)
        assert one
        cases.file(session, one, cases.MESSAGE, str(message), "operator", NOW)
        return id_


def conversation(office: Office) -> tuple[int, int]:
    """Two mails of one conversation: a plan in the first, two more files in the second."""
    first = world.mail(subject="Plan", attachments=[("plan.pdf", b"%PDF-1")], message_id="<plan@x>")
    (one,) = office.take("helpdesk", first)
    office.clock[0] += 1000
    more = [("bill.csv", b"a;b"), (HOSTILE, b"MZ")]
    (two,) = office.take("helpdesk", world.mail(subject="Re: Plan", attachments=more, in_reply_to="<plan@x>"))
    assert office.conversation(one) == office.conversation(two)
    return one, two


def test_files_of_the_conversation_go_along_with_an_answer(office: Office, sender: int) -> None:
    one, two = conversation(office)
    anna = office.browser("anna")
    page = anna.get(f"/messages/{two}/reply").text
    assert offered(page) == {f"{two}/2": False, f"{two}/3": False, f"{one}/2": False}
    assert "Attach from this conversation: 3 files" in page
    assert "6\N{NARROW NO-BREAK SPACE}B · <bdi>Eva Outside</bdi> · <time" in page, "how large, from whom, and when"
    assert "<img src=x" not in page
    assert send(anna, {**fields(page), "text": "Here", "enclosed": [f"{one}/2", f"{two}/3"]}).status_code == 303
    sent = mail(office, queued(office)[0])
    files = list(sent.iter_attachments())
    assert [part.get_content() for part in files] == [b"%PDF-1", b"MZ"]
    assert files[0].get_filename() == "plan.pdf"
    assert not set("/\\\u202e\r\n") & set(files[1].get_filename() or "")


def test_what_was_chosen_stays_over_a_preview_an_error_and_a_draft(office: Office, sender: int) -> None:
    one, two = conversation(office)
    anna = office.browser("anna")
    form: dict[str, Any] = {**fields(anna.get(f"/messages/{two}/reply").text), "text": "Here", "enclosed": f"{one}/2"}
    for more in ({"do": "preview"}, {"to": ""}):
        page = send(anna, {**form, **more}).text
        assert offered(page) == {f"{two}/2": False, f"{two}/3": False, f"{one}/2": True}
    at = f"/tickets/{form['ticket']}/drafts/reply"
    assert anna.post(at, {"text": "Here", "enclosed": f"{one}/2", "quiet": "1"}).status_code == 204
    again = anna.get(f"/messages/{two}/reply").text
    assert offered(again)[f"{one}/2"]
    assert not offered(again)[f"{two}/2"]
    theirs = office.browser("dana").get(f"/messages/{two}/reply?draft={office.users['anna']}").text
    assert offered(theirs)[f"{one}/2"], "who goes on with it has it, too"
    assert send(anna, {**fields(again), "enclosed": f"{one}/2"}).status_code == 303
    assert names(office) == ["plan.pdf"]
    with office.archive.reading() as session:
        assert drafts.get(session, office.users["anna"], int(form["ticket"]), drafts.FILES) is None
    taken_back = anna.post(f"/outbox/{queued(office)[0].id}/take-back")
    page = anna.get(taken_back.location).text
    assert 'name="kept" value="0" checked' in page, "once more it goes with the same files"
    assert send(anna, fields(page)).status_code == 303
    assert names(office) == ["plan.pdf"]


def test_a_forwarded_mails_own_files_are_offered_once(office: Office, sender: int) -> None:
    one, two = conversation(office)
    page = office.browser("anna").get(f"/messages/{two}/forward").text
    assert offered(page) == {f"{one}/2": False}
    assert len(re.findall(r'name="kept"', page)) == 2


def test_a_case_gives_its_documents_to_answers_and_to_a_new_mail(office: Office, sender: int) -> None:
    """A contract that came to Sales is filed under the case of Anna, and so is the conversation of Helpdesk."""
    (contract,) = office.take("sales", world.mail(subject="Contract", attachments=[("contract.pdf", b"%PDF-2")]))
    (ask,) = office.take("helpdesk", world.mail(subject="Where is it?"))
    id_ = filed(office, contract, "anna")
    anna = office.browser("anna")
    assert offered(anna.get(f"/messages/{ask}/reply").text) == {}
    with office.archive.transaction() as session:
        one = cases.by_reference(session, "Order 2031")
        assert one
        cases.file(session, one, cases.TICKET, str(ticket_of(office, office.conversation(ask))), "operator", NOW)
    page = anna.get(f"/messages/{ask}/reply").text
    assert offered(page) == {f"{contract}/2": False}
    assert "Attach from the case Order 2031: 1 file" in page
    assert offered(office.browser("dana").get(f"/messages/{ask}/reply").text) == {}, "she takes no part in it"
    assert send(anna, {**fields(page), "text": "Here", "enclosed": f"{contract}/2"}).status_code == 303
    assert names(office) == ["contract.pdf"]

    assert f'href="/compose?case={id_}"' in anna.get(f"/cases/{id_}").text
    page = anna.get(f"/compose?case={id_}").text
    form = {**fields(page), "to": "jan@x.example", "text": "Here", "enclosed": f"{contract}/2"}
    assert form["subject"] == "Order 2031"
    assert offered(send(anna, {**form, "do": "preview"}).text) == {f"{contract}/2": True}
    assert send(anna, form).status_code == 303
    assert names(office) == ["contract.pdf"]
    assert office.browser("dana").get(f"/compose?case={id_}").status_code == 404
    assert anna.get("/compose?case=99").status_code == 404


def test_nobody_sends_what_they_may_not_see(office: Office, sender: int) -> None:
    """Not allowed and not there are the same; and what counts is when it is sent, not when it was chosen."""
    (theirs,) = office.take("sales", world.mail(subject="Contract", attachments=[("contract.pdf", b"%PDF-2")]))
    (ask,) = office.take("helpdesk", world.mail(subject="Where is it?"))
    anna = office.browser("anna")
    form: dict[str, Any] = {**fields(anna.get(f"/messages/{ask}/reply").text), "text": "Here"}
    missing = send(anna, {**form, "enclosed": "99/2"})
    for guess in (f"{theirs}/2", f"{ask}/2", f"{ask}/1", "x/2", "/", "", f"{1 << 63}/2", f"{ask}/../2"):
        for do in ("", "preview"):
            answer = send(anna, {**form, "enclosed": guess, "do": do})
            assert (answer.status_code, len(answer.text)) == (404, len(missing.text)), guess
    assert queued(office) == []
    id_ = filed(office, theirs, "anna", "bernd")
    chosen = {**form, "enclosed": f"{theirs}/2"}
    assert "contract.pdf" in send(anna, {**chosen, "do": "preview"}).text
    with office.archive.transaction() as session:
        one = cases.by_reference(session, "Order 2031")
        assert one
        assert one.id == id_
        cases.remove_participant(session, one, f"user:{office.users['anna']}", "operator", NOW)
    assert send(anna, chosen).status_code == 404
    assert queued(office) == []


def test_a_draft_of_somebody_else_gives_no_files_away(office: Office, sender: int) -> None:
    (theirs,) = office.take("sales", world.mail(subject="Contract", attachments=[("contract.pdf", b"%PDF-2")]))
    (ask,) = office.take("helpdesk", world.mail(subject="Where is it?"))
    filed(office, theirs, "anna")
    anna, dana = office.browser("anna"), office.browser("dana")
    number = ticket_of(office, office.conversation(ask))
    form = {"text": "Here", "enclosed": f"{theirs}/2", "quiet": "1"}
    assert anna.post(f"/tickets/{number}/drafts/reply", form).status_code == 204
    assert offered(anna.get(f"/messages/{ask}/reply").text) == {f"{theirs}/2": True}
    page = dana.get(f"/messages/{ask}/reply?draft={office.users['anna']}").text
    assert "Here" in page
    assert "contract" not in page
    assert f"{theirs}/2" not in page


def test_what_is_too_much_for_a_mail_is_said_before_it_is_read(
    office: Office, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [(f"{number}.bin", b"x" * 600_000) for number in range(4)]
    (id_,) = office.take("helpdesk", world.mail(subject="Large", attachments=some))
    anna = office.browser("anna")
    form: dict[str, Any] = {**fields(anna.get(f"/messages/{id_}/reply").text), "text": "Here"}
    keys = [f"{id_}/{number}" for number in range(2, 6)]
    monkeypatch.setattr(sending, "MOST_BYTES", 2 << 20)
    read: list[int] = []
    decode = reader.content

    def decoded(raw: Raw, leaf: Leaf) -> bytes:
        read.append(leaf.end - leaf.start)
        return decode(raw, leaf)

    monkeypatch.setattr(reader, "content", decoded)
    answer = send(anna, {**form, "enclosed": keys})
    assert answer.status_code == 422
    assert "A mail of more than 2 MB is not sent." in answer.text
    assert len([one for one in read if one > 600_000]) == 2, "the others were not decoded"
    monkeypatch.setattr(draft_files, "MOST", 3)
    assert "A mail carries 3 files at most." in send(anna, {**form, "enclosed": keys}).text
    assert all(offered(answer.text)[key] for key in keys)
    assert send(anna, {**form, "enclosed": keys[:2]}).status_code == 303
    assert names(office) == ["0.bin", "1.bin"]


def test_mails_too_large_to_look_into_offer_their_files_all_the_same(
    office: Office, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, two = conversation(office)
    before = offered(office.browser("anna").get(f"/messages/{two}/reply").text)
    monkeypatch.setattr(enclosing, "OPENED", 0)
    assert offered(office.browser("anna").get(f"/messages/{two}/reply").text) == before


def test_what_joins_by_a_merge_is_offered_and_what_was_chosen_before_stays(
    office: Office, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = conversation(office)
    monkeypatch.setattr(enclosing, "MAILS", 1)
    anna = office.browser("anna")
    page = anna.get(f"/messages/{two}/reply").text
    assert set(offered(page)) == {f"{two}/2", f"{two}/3"}
    page = send(anna, {**fields(page), "enclosed": f"{one}/2", "do": "preview"}).text
    assert offered(page) == {f"{two}/2": False, f"{two}/3": False, f"{one}/2": True}
