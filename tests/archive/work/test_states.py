"""Open, waiting, done: what people make of a ticket, and what comes back by itself."""

from typing import Any

import pytest
from sqlalchemy import insert, select, update

from archive.store.schema import binding, event, ticket
from archive.work import changes, history, states

from ...world import mail
from ..home import GENERATION, NOON, Home

HOUR = 3_600_000


def one(home: Home) -> Any:
    with home.archive.reading() as session:
        return session.execute(select(ticket)).one()


def first(home: Home, **more: Any) -> int:
    home.take("Helpdesk", mail(subject="Printer", message_id="<1@x>", **more))
    return int(one(home).id)


def answered(home: Home) -> None:
    """Somebody outside writes again."""
    home.take("Helpdesk", mail(subject="Re: Printer", message_id="<2@x>", in_reply_to="<1@x>"))


def kinds(home: Home, id_: int) -> list[str]:
    with home.archive.reading() as session:
        return [step.kind for step in history.of(session, [id_])]


def test_what_is_done_is_open_again_when_somebody_writes(home: Home) -> None:
    id_ = first(home)
    with home.archive.transaction() as session:
        assert states.finish(session, id_, "user:1", NOON)
        assert not states.finish(session, id_, "user:1", NOON + 1), "it is done"
    assert (one(home).state, one(home).done_at, one(home).done_by) == ("done", NOON, "user:1")
    answered(home)
    after = one(home)
    assert (after.state, after.done_at, after.done_by, after.messages) == ("open", None, None, 2)
    assert kinds(home, id_) == ["ticket.done", "ticket.reopened"]
    assert home.verify() == []


@pytest.mark.parametrize(
    ("until", "answer", "after_mail"), [(None, True, "open"), (HOUR, True, "open"), (HOUR, False, "waiting")]
)
def test_waiting_for_an_answer_ends_with_it(home: Home, until: int | None, answer: bool, after_mail: str) -> None:
    id_ = first(home)
    with home.archive.transaction() as session:
        assert states.wait(session, id_, "user:1", NOON, until=until and NOON + until, answer=answer)
    answered(home)
    assert one(home).state == after_mail
    with home.archive.transaction() as session:
        assert states.somebody_returns(session, NOON + HOUR) is (after_mail == "waiting")
        assert not states.somebody_returns(session, NOON + HOUR - 1)
        assert states.bring_back(session, NOON + HOUR) == (after_mail == "waiting")
        assert states.bring_back(session, NOON + HOUR) == 0
    assert (one(home).state, one(home).waiting_until, one(home).waiting_answer) == ("open", None, None)
    assert home.verify() == []


def test_nobody_waits_for_nothing_or_for_yesterday(home: Home) -> None:
    id_ = first(home)
    with home.archive.transaction() as session:
        for until, answer in ((None, False), (NOON, True), (NOON - 1, False)):
            with pytest.raises(ValueError, match=str(until)):
                states.wait(session, id_, "user:1", NOON, until=until, answer=answer)
    assert one(home).state == "open"


def test_spam_stays_done_whoever_writes(home: Home) -> None:
    id_ = first(home)
    with home.archive.transaction() as session:
        assert states.mark_spam(session, id_, "user:1", NOON)
    answered(home)
    assert (one(home).state, one(home).spam, one(home).messages) == ("done", True, 2)
    with home.archive.transaction() as session:
        assert states.mark_not_spam(session, id_, "user:1", NOON)
        assert not states.mark_not_spam(session, id_, "user:1", NOON)
    assert (one(home).state, one(home).spam) == ("open", None)
    assert home.verify() == []


def test_mail_that_was_there_before_is_done_unless_its_ticket_is_open(home: Home) -> None:
    """Imported mail must not be a million open tickets."""
    with home.archive.transaction() as session:
        before = {"uidvalidity": GENERATION, "before_uidnext": 1000}
        session.execute(update(binding).where(binding.c.id == home.ids["Helpdesk"]).values(**before))
    id_ = first(home)
    assert (one(home).state, one(home).done_at) == ("done", None)
    answered(home)
    assert one(home).state == "done", "that was there before, too"
    with home.archive.transaction() as session:
        session.execute(update(binding).where(binding.c.id == home.ids["Helpdesk"]).values(before_uidnext=1))
    home.take("Helpdesk", mail(subject="Re: Printer", message_id="<3@x>", in_reply_to="<1@x>"))
    assert one(home).state == "open"
    with home.archive.transaction() as session:
        session.execute(update(binding).where(binding.c.id == home.ids["Helpdesk"]).values(before_uidnext=1000))
    home.take("Helpdesk", mail(subject="Re: Printer", message_id="<4@x>", in_reply_to="<1@x>"))
    assert (one(home).state, one(home).messages) == ("open", 4)
    assert kinds(home, id_) == ["ticket.reopened"]


def test_the_last_step_can_be_taken_back_as_long_as_nobody_else_acted(home: Home) -> None:
    id_ = first(home)
    with home.archive.transaction() as session:
        states.finish(session, id_, "user:1", NOON)
        assert not changes.undo(session, id_, 1, "user:2", NOON), "somebody else's"
        assert not changes.undo(session, id_, 2, "user:1", NOON), "no such step"
        assert changes.undo(session, id_, 1, "user:1", NOON)
    assert (one(home).state, one(home).done_at) == ("open", None)
    with home.archive.transaction() as session:
        assert changes.undo(session, id_, 2, "user:1", NOON), "what was undone can be undone"
        assert session.scalar(select(ticket.c.state)) == "done"
    answered(home)
    with home.archive.transaction() as session:
        assert not changes.undo(session, id_, 3, "user:1", NOON), "somebody wrote"
    assert kinds(home, id_) == ["ticket.done", "ticket.undone", "ticket.undone", "ticket.reopened"]
    assert home.verify() == []


def test_the_history_of_a_ticket_is_found_by_a_small_index(home: Home) -> None:
    if home.url is not None:
        pytest.skip("PostgreSQL reads small tables as they are")
    with home.archive.reading() as session:
        asked = (
            select(event.c.id)
            .where(changes.of_ticket(7))
            .compile(dialect=session.dialect, compile_kwargs={"literal_binds": True})
        )
    plan = home.rows(f"EXPLAIN QUERY PLAN {asked}")
    assert any("ix_event_ticket" in row[-1] for row in plan), plan


def test_a_row_of_another_table_is_no_ticket(home: Home) -> None:
    """Inserting by hand what no event tells of is found."""
    id_ = first(home)
    with home.archive.transaction() as session:
        row = session.execute(select(ticket).where(ticket.c.id == id_)).one()._mapping
        session.execute(insert(ticket).values(**{**row, "id": id_ + 1, "scope": "process:99"}))
    assert home.verify() != []
