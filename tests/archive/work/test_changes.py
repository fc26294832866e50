"""A ticket is changed by one at a time, and every step is told."""

import json

from sqlalchemy import select

from archive.store.schema import event, event_detail, ticket
from archive.work import changes

from ...world import mail
from ..home import NOON, Home


def test_a_change_is_told_with_what_was_before(home: Home) -> None:
    home.take("Helpdesk", mail())
    anna = home.ids["anna"]
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        assert changes.change(session, id_, "assigned", f"user:{anna}", {"assignee": anna}, NOON, details={"note": "x"})
        assert not changes.change(session, id_, "assigned", f"user:{anna}", {"assignee": anna}, NOON), "nothing new"
        told = session.execute(
            select(event.c.subject, event_detail.c.details)
            .join(event_detail, event_detail.c.event == event.c.id)
            .where(event.c.kind == "ticket.assigned")
        ).all()
    ((subject, details),) = told
    said = json.loads(details)
    assert subject == f"ticket:{id_}"
    assert (said["before"], said["after"], said["note"]) == ({"assignee": None}, {"assignee": anna}, "x")
    assert home.verify() == []


def test_who_saw_an_earlier_state_does_not_change_it(home: Home) -> None:
    home.take("Helpdesk", mail())
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        assert changes.change(session, id_, "prioritised", "user:1", {"priority": 1}, NOON, revision=0)
        assert not changes.change(session, id_, "prioritised", "user:2", {"priority": 2}, NOON, revision=0)
        assert session.scalar(select(ticket.c.priority)) == 1
        assert not changes.change(session, 99, "prioritised", "user:2", {"priority": 2}, NOON)
