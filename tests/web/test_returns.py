"""What came back, at the pages: beside the conversation, in the outbox, and before one writes there again."""

import re

import pytest

from archive import sending
from archive.mail.reports import AWAY, FAILED, About
from archive.outgoing import outbox, returns
from archive.people import scopes

from .. import world
from .conftest import NOW, Office
from .test_writing import fields, send, sender

__all__ = ["sender"]

EVA = "eva@outside.example"
EVIL = "550 <script>alert(1)</script> no such user"


def came_back(office: Office, identity: int, message: int, outcome: str, says: str) -> None:
    """Anna answered; a server took it, and another one said that later."""
    letter = sending.Letter(identity, outbox.REPLY, EVA, "Re: Hello", "Here.", answers=message, undo=0)
    id_ = sending.send(office.archive, lambda session: scopes.viewer(session, office.users["anna"]), letter, NOW)
    with office.archive.transaction() as session:
        box = outbox.due(session, NOW)[0]
        (one,) = outbox.claim(session, box, bytes(16), NOW, 1)
        assert one.id == id_
        said = {EVA: outbox.Result(outbox.SENT, 250, "taken")}
        outbox.settle(session, [outbox.Said(one.id, one.claim, said, NOW)])
        about = {EVA: About((EVA,), outcome, "", says)}
        returns.note(
            session,
            returns.Tied(id_, f"user:{office.users['anna']}", "process:1", "", message, about),
            message,
            "gateway",
            NOW,
        )


@pytest.fixture
def asked(office: Office) -> int:
    (message,) = office.take("helpdesk", world.mail())
    return message


def test_what_could_not_be_delivered_stands_in_the_conversation_in_its_own_words(
    office: Office, sender: int, asked: int
) -> None:
    came_back(office, sender, asked, FAILED, EVIL)
    for address in (f"/conversations/{office.conversation(asked)}", "/outbox"):
        page = office.browser("anna").get(address).text
        assert "could not be delivered" in page
        assert "no such user" in page
        assert "<script>alert" not in page
        assert "has not reached everybody." in page
    (id_,) = re.findall(r"/outbox/(\d+)/again", page)
    assert fields(office.browser("anna").get(f"/outbox/{id_}/again").text)["to"] == EVA
    assert "no such user" not in office.browser("bernd").get("/outbox").text


def test_that_somebody_is_away_stands_in_the_outbox_alone(office: Office, sender: int, asked: int) -> None:
    came_back(office, sender, asked, AWAY, "Back on Monday")
    anna = office.browser("anna")
    assert "is away" in anna.get("/outbox").text
    assert "Back on Monday" not in anna.get(f"/conversations/{office.conversation(asked)}").text


def test_who_writes_to_an_address_that_two_mails_did_not_reach_is_told_first(
    office: Office, sender: int, asked: int
) -> None:
    anna, says = office.browser("anna"), f"2 mails to {EVA} could not be delivered."
    came_back(office, sender, asked, FAILED, "no such user")
    assert "could not be delivered" not in anna.get(f"/messages/{asked}/reply").text
    came_back(office, sender, asked, FAILED, "no such user")
    page = anna.get(f"/messages/{asked}/reply").text
    assert says in page
    form = {**fields(page), "text": "Once more"}
    stopped = send(anna, form)
    assert stopped.status_code == 422
    assert says in stopped.text
    assert "Once more" in stopped.text
    assert send(anna, {**form, "anyway": "1"}).status_code == 303
    assert send(anna, {**form, "to": "jan@outside.example"}).status_code == 303
