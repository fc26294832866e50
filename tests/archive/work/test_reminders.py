"""Reminders, unless answered; and who is there at this moment."""

import pytest
from sqlalchemy import select

from archive.store.schema import ticket
from archive.work import changes, presences, reminders, tickets
from archive.work.presences import Present

from ...world import mail
from ..home import NOON, Home

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("unless_answered", "answered_at", "told"),
    [(False, None, True), (True, None, True), (True, NOON - 5, True), (True, NOON + 5, False), (False, NOON + 5, True)],
)
def test_who_wanted_to_be_reminded_is_unless_it_was_answered(
    home: Home, unless_answered: bool, answered_at: int | None, told: bool
) -> None:
    home.take("Helpdesk", mail())
    anna, viewer = home.ids["anna"], home.viewer("anna")
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        reminders.add(session, id_, anna, NOON + HOUR, NOON, unless_answered=unless_answered)
        changes.change(session, id_, "answered", "operator", {"answered_at": answered_at}, NOON)
        tickets.mark_seen(session, anna, tickets.of_ids(session, viewer, [id_]))
        assert reminders.tell(session, NOON + HOUR - 1) == 0
        assert reminders.any_due(session, NOON + HOUR)
        assert reminders.tell(session, NOON + HOUR) == 1
        assert not reminders.any_due(session, NOON + HOUR)
        (one,) = tickets.of_ids(session, viewer, [id_])
        assert one.unread is told
        assert [each.told for each in reminders.of_tickets(session, anna, [id_])] == ([True] if told else [])
    assert home.verify() == []


def test_a_reminder_is_ones_own_and_can_be_put_away(home: Home) -> None:
    home.take("Helpdesk", mail())
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        made = reminders.add(session, id_, anna, NOON + 1, NOON, unless_answered=False)
        with pytest.raises(ValueError, match=str(NOON)):
            reminders.add(session, id_, anna, NOON, NOON, unless_answered=False)
        assert not reminders.end(session, made, bernd, NOON)
        assert reminders.end(session, made, anna, NOON)
        assert not reminders.end(session, made, anna, NOON)
        assert reminders.tell(session, NOON + 1) == 0
    assert home.verify() == []


def test_who_is_there_and_who_writes(home: Home) -> None:
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    with home.archive.transaction() as session:
        assert not presences.fresh(session, 1, anna, NOON, writing=False)
        presences.note(session, 1, anna, NOON, writing=False)
        assert presences.fresh(session, 1, anna, NOON + 1000, writing=False)
        assert not presences.fresh(session, 1, anna, NOON + 1000, writing=True), "that she writes is news"
        presences.note(session, 1, bernd, NOON, writing=True)
        assert presences.others(session, [1], anna, NOON + 1) == [Present(bernd, "Bernd", True)]
        assert presences.others(session, [1], bernd, NOON + 1) == [Present(anna, "Anna", False)]
        assert presences.others(session, [1], anna, NOON + presences.LASTS_MS) == []
        presences.note(session, 1, anna, NOON + 2 * presences.FORGOTTEN_MS, writing=False)
    assert home.count("presence") == 1
