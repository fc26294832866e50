"""What somebody types is kept for that one alone, until it is said."""

import pytest
from sqlalchemy import select, update

from archive.store.schema import ticket
from archive.work import drafts
from archive.work.drafts import Draft

from ...world import mail
from ..home import NOON, Home


def test_what_is_typed_is_kept_until_it_is_said_and_for_nobody_else(home: Home) -> None:
    home.take("Helpdesk", mail())
    anna, bernd, viewer = home.ids["anna"], home.ids["bernd"], home.viewer("anna")
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        assert drafts.put(session, viewer, id_, "comment", "He called", NOON)
        assert drafts.put(session, viewer, id_, "comment", "He called back.", NOON + 2000)
        assert drafts.put(session, viewer, id_, "hand over", "Your turn", NOON)
        assert drafts.get(session, anna, id_, "comment") == Draft("He called back.", NOON + 2000)
        assert drafts.get(session, anna, id_, "hand over") == Draft("Your turn", NOON)
        assert drafts.get(session, bernd, id_, "comment") is None
        assert drafts.of_tickets(session, anna, [id_, 99]) == {id_}
        assert drafts.of_tickets(session, bernd, [id_]) == set()
        drafts.remove(session, anna, id_, "comment")
        assert drafts.put(session, viewer, id_, "hand over", " \n", NOON), "emptied"
        assert drafts.of_tickets(session, anna, [id_]) == set()
    assert home.verify() == []


def test_there_is_no_draft_about_what_one_does_not_see(home: Home) -> None:
    home.take("Helpdesk", mail())
    anna, bernd = home.viewer("anna"), home.viewer("bernd")
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        assert not drafts.put(session, bernd, id_, "comment", "x", NOON)
        assert not drafts.put(session, anna, 99, "comment", "x", NOON)
        with pytest.raises(ValueError, match="mail"):
            drafts.put(session, anna, id_, "mail", "x", NOON)
        session.execute(update(ticket).values(restriction=7))
        assert not drafts.put(session, anna, id_, "comment", "x", NOON), "restricted to others meanwhile"
        session.rollback()
    assert home.count("draft") == 0


def test_a_draft_has_an_end(home: Home) -> None:
    home.take("Helpdesk", mail())
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        assert drafts.put(session, home.viewer("anna"), id_, "comment", "x" * 200_000, NOON)
        found = drafts.get(session, home.ids["anna"], id_, "comment")
    assert found
    assert len(found.text) == drafts.LONGEST
