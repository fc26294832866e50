"""What is typed about a ticket is not lost."""

from sqlalchemy import select

from archive.store.schema import ticket
from archive.work import drafts

from .. import world
from .conftest import Office


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
