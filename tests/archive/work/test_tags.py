"""Tags: two that fold alike are one, and what stands on a ticket is told."""

import pytest
from sqlalchemy import select

from archive.store.schema import ticket
from archive.work import tags

from ...world import mail
from ..home import NOON, Home


def ticket_of(home: Home) -> int:
    home.take("Helpdesk", mail())
    with home.archive.reading() as session:
        return session.scalar(select(ticket.c.id)) or 0


def names(home: Home, of: int) -> list[str]:
    with home.archive.reading() as session:
        return [one.name for one in tags.of_tickets(session, [of]).get(of, [])]


def test_a_tag_is_put_once_however_it_is_written(home: Home) -> None:
    id_ = ticket_of(home)
    with home.archive.transaction() as session:
        (fresh,) = tags.put(session, [id_], ["Záruka", "urgent", "ZARUKA"], "user:1", NOON).values()
        assert [one.name for one in fresh] == ["Záruka", "urgent"]
        assert tags.put(session, [id_], ["zaruka"], "rule:1", NOON) == {}
    assert names(home, id_) == ["urgent", "Záruka"]
    with home.archive.transaction() as session:
        gone = tags.take_off(session, [id_], [one.id for one in fresh], "user:1", NOON)
        assert [one.name for one in gone[id_]] == ["urgent", "Záruka"]
        assert tags.take_off(session, [id_], [one.id for one in fresh], "user:1", NOON) == {}
    assert names(home, id_) == []
    assert home.count("tag") == 2
    assert home.verify() == []


@pytest.mark.parametrize(
    ("written", "kept"),
    [("  two   words ", "two words"), ("a,b;c", "a b c"), ("\x00\x1b", ""), ("x" * 90, "x" * 40), ("<b>", "<b>")],
)
def test_names_are_tidy(written: str, kept: str) -> None:
    assert tags.tidy(written) == kept


def test_a_name_that_is_none_makes_no_tag(home: Home) -> None:
    id_ = ticket_of(home)
    with home.archive.transaction() as session:
        assert tags.put(session, [id_], [" , "], "user:1", NOON) == {}
    assert home.count("tag") == 0
