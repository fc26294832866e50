"""What comes back by itself does so once, and where nothing does nothing is written."""

from pathlib import Path

import pytest
from sqlalchemy import select

from archive.store import leases
from archive.store.schema import ticket
from archive.work import reminders, snoozes, states
from gateway.clock import bring_back

from ..archive.home import NOON, Home, furnish
from ..world import mail

HOUR = 3_600_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return furnish(tmp_path / "data")


def test_a_ticket_a_snooze_and_a_reminder_come_back_in_time(home: Home) -> None:
    home.take("Helpdesk", mail())
    anna = home.ids["anna"]
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        states.wait(session, id_, "user:1", NOON, until=NOON + HOUR)
        snoozes.put(session, anna, [id_], NOON + HOUR, NOON)
        reminders.add(session, id_, anna, NOON + HOUR, NOON, unless_answered=False)
    before = home.count("event")
    assert bring_back(home.archive, NOON + HOUR - 1) == 0
    assert home.count("event") == before
    with leases.held(home.archive, "returning", 0):
        assert bring_back(home.archive, NOON + HOUR) == 0, "somebody else's turn"
    assert bring_back(home.archive, NOON + HOUR) == 3
    assert bring_back(home.archive, NOON + HOUR) == 0
    with home.archive.reading() as session:
        assert session.scalar(select(ticket.c.state)) == "open"
    assert home.count("snooze") == 0
    assert home.verify() == []
    home.close()
