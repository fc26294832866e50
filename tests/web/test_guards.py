"""Before a mail goes, at the pages: warnings that a second press passes by, files that survive, a second look."""

import io
from dataclasses import replace
from typing import Any

from archive import draft_files
from archive.outgoing import identities, outbox
from archive.outgoing.composing import Attachment
from archive.people import members, processes, users
from archive.people.roles import Role
from archive.people.scopes import MACHINE
from archive.store.schema import ticket
from archive.work import comments

from .. import world
from .conftest import NOW, Office
from .test_writing import fields, mail, queued, send, sender  # noqa: F401  the fixture


def test_what_somebody_may_want_to_know_is_said_once_and_kept_from_nobody(office: Office, sender: int) -> None:  # noqa: F811
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    office.take("helpdesk", world.mail(subject="Other", from_=world.Person("Kim", "kim@rival.example")))
    with office.archive.transaction() as session:
        from sqlalchemy import select

        of = session.scalar(select(ticket.c.id).where(ticket.c.conversation == office.conversation(id_)))
        comments.add(session, of or 0, office.users["dana"], "This client never pays in time", NOW)
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    crowd = ", ".join(f"e{n}@brewery.example" for n in range(25))
    alike = world.EVA.address.rpartition("@")[2].replace("e", "ee", 1)
    typed = {
        **form, "to": f"{form['to']}, kim@rival.example, x@{alike}", "cc": crowd,
        "text": "See the attachment.\nthis client NEVER pays in time",
    }  # fmt: skip
    held = send(anna, typed)
    assert held.status_code == 422
    for says in (
        "A comment stands in this mail", "this client never pays in time", "You write “attachment”",
        "This answer goes to 28 people.", "kim@rival.example belongs to other conversations",
        f"written to {alike}; it looks like",
    ):  # fmt: skip
        assert says in held.text, says
    assert queued(office) == []
    again = fields_all(held.text)
    more = send(
        anna,
        {
            **again,
            "anyway": "1",
            "to": again["to"] + ", jan@somewhere.example",
            "text": again["text"] + "\nvéase adjunto",
        },
    )
    assert more.status_code == 303, "nothing new to say"
    assert len(queued(office)) == 1


def fields_all(page: str) -> dict[str, Any]:
    """As `fields`, with what stands there several times."""
    import html
    import re

    several: dict[str, Any] = {}
    for name in ("warned", "drafted"):
        several[name] = [html.unescape(one) for one in re.findall(rf'name="{name}" value="([^"]*)"', page)]
    return {**fields(page), **several}


def test_what_is_new_since_the_last_press_is_said(office: Office, sender: int) -> None:  # noqa: F811
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    held = fields_all(send(anna, {**form, "text": "It is attached"}).text)
    crowd = ", ".join(f"e{n}@brewery.example" for n in range(25))
    assert send(anna, {**held, "anyway": "1", "cc": crowd}).status_code == 422
    assert send(anna, {**held, "anyway": "1"}).status_code == 303


def test_files_are_kept_when_the_form_comes_back_and_go_once(office: Office, sender: int) -> None:  # noqa: F811
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    shown = send(anna, {**form, "text": "Hi", "do": "preview", "files": (io.BytesIO(b"data"), "a.txt")})
    assert "a.txt" in shown.text
    shown = send(anna, {**fields_all(shown.text), "to": "nonsense", "files": (io.BytesIO(b"more"), "b.txt")})
    assert shown.status_code == 422
    kept = fields_all(shown.text)
    assert len(kept["drafted"]) == 2
    later = anna.get(f"/messages/{id_}/reply").text
    assert "a.txt" in later, "also on another day"
    assert send(anna, {**kept, "to": form["to"], "drafted": kept["drafted"][:1]}).status_code == 303
    raw = mail(office, queued(office)[0])
    assert [(one.get_filename(), one.get_content().strip()) for one in raw.iter_attachments()] == [("a.txt", "data")]
    with office.archive.reading() as session:
        assert draft_files.of(session, int(form["ticket"]), office.users["anna"]) == []


def test_a_draft_is_seen_and_gone_on_with_by_a_colleague_and_by_nobody_else(office: Office, sender: int) -> None:  # noqa: F811
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna, dana, bernd = (office.browser(name) for name in ("anna", "dana", "bernd"))
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    at = f"/tickets/{form['ticket']}/drafts/reply"
    draft = {"text": "Dear Eva, it is", "files": (io.BytesIO(b"data"), "a.txt"), "csrf_token": anna.token("/health")}
    assert anna.client.post(at, data=draft, content_type="multipart/form-data").status_code == 303
    office.clock[0] += 60_000
    shown = dana.get(f"/messages/{id_}/reply").text
    assert "Anna Novotná is writing an answer" in shown
    assert "Dear Eva, it is" in shown
    assert fields(shown)["text"] == ""
    office.clock[0] += 10 * 60_000
    assert "Anna Novotná has begun an answer" in dana.get(f"/messages/{id_}/reply").text
    theirs = fields_all(dana.get(f"/messages/{id_}/reply?draft={office.users['anna']}").text)
    assert theirs["text"] == "Dear Eva, it is"
    assert send(dana, {**theirs, "text": "Dear Eva, it is so"}).status_code == 303
    raw = mail(office, queued(office)[0])
    assert [one.get_filename() for one in raw.iter_attachments()] == ["a.txt"]
    bernds = bernd.client.post(at, data={"text": "x", "csrf_token": bernd.token("/health")})
    assert bernds.status_code == 404


def test_nobody_sends_files_of_drafts_that_are_not_theirs_to_see(office: Office, sender: int) -> None:  # noqa: F811
    (made,) = draft_files.add(
        office.archive, office.users["bernd"], 0,
        [Attachment("secret.txt", "text/plain", b"secret")], NOW,
    )  # fmt: skip
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    for of in (form["ticket"], "999"):
        answer = send(anna, {**form, "text": "x", "ticket": of, "drafted": [str(made)]})
        assert answer.status_code == 422
        assert "A file that was to go along is not there any more" in answer.text
    assert queued(office) == [], "and no mail goes without what its author thinks is in it"


def test_who_only_reads_a_ticket_neither_sees_nor_sends_what_others_attached_there(office: Office, sender: int) -> None:  # noqa: F811
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    (made,) = draft_files.add(
        office.archive, office.users["anna"], 1, [Attachment("salaries.txt", "text/plain", b"secret")], NOW
    )
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        members.give(session, helpdesk.id, office.users["bernd"], Role.READS, "operator", NOW)
        box = replace(office.bindings["sales"].mailbox, smtp="smtps://mail.example")
        sales = processes.by_slug(session, "sales")
        assert sales
        own = identities.add(session, "sales@demo.example", box, NOW, process=sales.id)
    bernd = office.browser("bernd")
    form: dict[str, object] = {**fields(bernd.get("/compose").text), "kind": "reply", "ticket": "1"}
    assert "salaries" not in send(bernd, {**form, "do": "template"}).text
    form |= {"from": str(own), "to": "x@x.example", "text": "x", "drafted": [str(made)]}
    assert send(bernd, form).status_code == 422
    assert queued(office) == []
    assert "salaries" in office.browser("anna").get(f"/messages/{id_}/reply").text


def test_a_mail_waits_for_a_colleague_who_lets_it_go_or_gives_it_back(office: Office, sender: int) -> None:  # noqa: F811
    anna, dana, bernd = (office.browser(name) for name in ("anna", "dana", "bernd"))
    assert dana.post("/processes/helpdesk/second-look", {"wanted": "1"}).status_code == 404
    assert anna.post("/processes/helpdesk/second-look", {"wanted": "1"}).status_code == 303
    with office.archive.transaction() as session:
        from archive.people import members
        from archive.people.roles import Role

        of = processes.by_slug(session, "helpdesk")
        assert of
        members.give(session, of.id, office.users["dana"], Role.SENDS, "operator", NOW)
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    for text in ("First", "Second"):
        form = fields(anna.get(f"/messages/{id_}/reply").text)
        assert send(anna, {**form, "text": text, "anyway": "1"}).status_code == 303
    second, first = queued(office)
    assert {first.state, second.state} == {outbox.REVIEW}
    assert "waits until a colleague lets it go." in anna.get("/outbox?state=waiting").text
    assert "Look at it" not in anna.get("/outbox").text
    shown = dana.get("/outbox").text
    assert f'href="/outbox/{first.id}/look?outbox=1"' in shown
    for who in (anna, bernd):
        assert who.post(f"/outbox/{first.id}/look", {"do": "go"}).status_code == 404
    assert dana.post(f"/outbox/{first.id}/look", {"do": "go"}).status_code == 303
    assert dana.post(f"/outbox/{second.id}/look", {"do": "back", "note": "Say <please>"}).status_code == 303
    with office.archive.reading() as session:
        states = [one.state for one in outbox.page(session, MACHINE)]
    assert states == [outbox.RETURNED, outbox.QUEUED]
    shown = anna.get("/outbox").text
    assert "Say &lt;please&gt;" in shown
    assert f'href="/outbox/{second.id}/again"' in shown
    assert fields(anna.get(f"/outbox/{second.id}/again").text)["text"] == "Second"
    assert anna.post(f"/outbox/{second.id}/take-back").location == f"/outbox/{second.id}/again"


def test_what_was_given_back_is_over_when_it_was_sent_again(office: Office, sender: int) -> None:  # noqa: F811
    anna, dana = office.browser("anna"), office.browser("dana")
    assert anna.post("/processes/helpdesk/second-look", {"wanted": "1"}).status_code == 303
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    form = fields(anna.get(f"/messages/{id_}/reply").text)
    assert send(anna, {**form, "bcc": "b@x.example", "text": "First", "anyway": "1"}).status_code == 303
    (first,) = queued(office)
    assert "b@x.example" in anna.get("/outbox").text
    assert "b@x.example" not in dana.get("/outbox").text
    with office.archive.transaction() as session:
        assert outbox.give_back(session, first.id, f"user:{office.users['dana']}", "x", office.clock[0])
    again = fields(anna.get(f"/outbox/{first.id}/again").text)
    theirs = fields(dana.get(f"/outbox/{first.id}/again").text)
    assert (again["bcc"], theirs["bcc"]) == ("b@x.example", ""), "whom she told blindly is hers"
    assert send(dana, {**theirs, "text": "Not mine", "anyway": "1"}).status_code == 303
    assert outbox.RETURNED in [one.state for one in queued(office)], "it is Anna's to say"
    assert send(anna, {**again, "text": "Second", "anyway": "1"}).status_code == 303
    assert next(one.state for one in queued(office) if one.id == first.id) == outbox.CANCELLED


def test_everybody_has_their_own_time_to_take_a_mail_back(office: Office, sender: int) -> None:  # noqa: F811
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    for wrong in ("61", "-1", "x", "1.5"):
        assert anna.post("/profile/writing", {"undo": wrong}).status_code == 422
    for typed, undo in (("30", 30), ("0", 0), ("", None)):
        assert anna.post("/profile/writing", {"undo": typed}).status_code == 303
        with office.archive.reading() as session:
            found = users.get(session, office.users["anna"])
        assert found
        assert found.undo == undo
        form = fields(anna.get(f"/messages/{id_}/reply").text)
        assert send(anna, {**form, "text": "Hi", "anyway": "1"}).status_code == 303
        waits = outbox.UNDO if undo is None else undo * 1000
        assert queued(office)[0].not_before == office.clock[0] + waits


def test_a_mail_passed_on_keeps_its_files_apart_from_those_of_an_answer(office: Office, sender: int) -> None:  # noqa: F811
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    anna = office.browser("anna")
    answer = fields(anna.get(f"/messages/{id_}/reply").text)
    send(anna, {**answer, "do": "preview", "files": (io.BytesIO(b"x"), "answer.txt")})
    anna.post(f"/tickets/{answer['ticket']}/drafts/reply", {"text": "Begun"})
    forwarding = anna.get(f"/messages/{id_}/forward").text
    assert "/drafts/reply" not in forwarding, "what is typed here is no draft of an answer"
    form = fields(forwarding)
    shown = send(anna, {**form, "do": "preview", "files": (io.BytesIO(b"data"), "a.txt")}).text
    assert "a.txt" in shown
    assert "answer.txt" not in shown
    assert send(anna, {**fields_all(shown), "to": "jan@brewery.example"}).status_code == 303
    assert [one.get_filename() for one in mail(office, queued(office)[0]).iter_attachments()] == ["a.txt"]
    with office.archive.reading() as session:
        left = draft_files.of(session, int(answer["ticket"]), office.users["anna"])
    assert [one.name for one in left] == ["answer.txt"]
    assert fields(anna.get(f"/messages/{id_}/reply").text)["text"] == "Begun"
