"""What a process's dashboard counts, and that it reads no more than it has to."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, select, update

from archive.people import scopes
from archive.store.archive import Session
from archive.store.schema import ticket
from archive.work import cases, changes, figures, tickets, views
from archive.work.views import View

from ...world import mail
from ..home import NOON, Home

WEEK = 7 * 86_400_000
HOUR = 3_600_000
WEEKS = [NOON - 2 * WEEK, NOON - WEEK, NOON]


def _take(home: Home, count: int) -> list[int]:
    home.take("Helpdesk", *(mail(subject=f"mail {n}", message_id=f"<{n}@x.example>") for n in range(count)))
    with home.archive.reading() as session:
        return list(session.scalars(select(ticket.c.id).order_by(ticket.c.id)))


def _set(home: Home, id_: int, **values: Any) -> None:
    with home.archive.transaction() as session:
        session.execute(update(ticket).where(ticket.c.id == id_).values(**values))


def _scope(home: Home) -> str:
    return scopes.process_scope(home.ids["process helpdesk"])


def test_weeks_tell_what_came_was_done_and_is_left(home: Home) -> None:
    first, second, third, fourth, spam = _take(home, 5)
    _set(
        home,
        first,
        created_at=NOON - 2 * WEEK + 1,
        first_answer_at=NOON - 2 * WEEK + 1 + 2 * HOUR,
        done_at=NOON - HOUR,
        state="done",
    )
    _set(home, second, created_at=NOON - 2 * WEEK + 2, first_answer_at=NOON - 2 * WEEK + 2 + 4 * HOUR)
    _set(home, third, created_at=NOON - WEEK, due_at=NOON - 1, assignee=home.ids["anna"])
    _set(home, fourth, created_at=NOON + 5, first_answer_at=NOON - WEEK)  # imported with its answer
    _set(home, spam, spam=True)
    with home.archive.reading() as session:
        found = figures.figures(session, home.viewer("anna"), _scope(home), WEEKS, NOON + HOUR)
        assert figures.figures(session, home.viewer("bernd"), _scope(home), WEEKS, NOON) is None
    assert found
    assert [(one.came, one.answered, one.first_answer, one.done, one.left) for one in found.weeks] == [
        (2, 2, 3 * HOUR, 0, 2), (1, 0, None, 1, 2), (1, 0, None, 0, 3),
    ]  # fmt: skip
    assert (found.open, found.unassigned, found.late, found.first_answer) == (3, 2, 1, 3 * HOUR)


def test_what_waits_stands_there_the_oldest_first_unless_answered(home: Home) -> None:
    first, second, third, fourth = _take(home, 4)
    _set(home, first, incoming_at=NOON + 20)
    _set(home, second, incoming_at=NOON + 10, answered_at=NOON + 5)  # asked again
    _set(home, third, incoming_at=NOON, answered_at=NOON + 5)
    _set(home, fourth, restriction=7)
    with home.archive.reading() as session:
        found = figures.waiting(session, home.viewer("anna"), _scope(home))
        assert [one.id for one in found] == [second, first]
        assert figures.waiting(session, home.viewer("bernd"), _scope(home)) == []


def test_done_by_the_one_way_there_is_it_is_counted_and_proved(home: Home) -> None:
    (one,) = _take(home, 1)
    with home.archive.transaction() as session:
        changes.change(session, one, "done", "user:1", {"state": "done", "done_at": NOON + HOUR}, NOON + HOUR)
    with home.archive.reading() as session:
        found = figures.figures(session, home.viewer("anna"), _scope(home), WEEKS, NOON + HOUR)
    assert found
    assert (found.weeks[-1].came, found.weeks[-1].done, found.open) == (1, 1, 0)
    assert home.verify() == []


def test_no_old_ticket_is_read(home: Home) -> None:
    _take(home, 1)
    viewer = home.viewer("anna")

    def ask(session: Session) -> None:
        figures.figures(session, viewer, _scope(home), WEEKS, NOON)
        figures.waiting(session, viewer, _scope(home))

    assert _indexes(home, ask) == {
        "ix_ticket_scope_last_at_id (scope=? AND last_at>?)",
        "ix_ticket_done_at (scope=? AND done_at>?)",
        "ix_ticket_not_done (scope=?)",
        "ix_ticket_not_done (scope=? AND state=?)",
    }


def test_nor_is_one_for_the_counts_beside_every_page(home: Home) -> None:
    _take(home, 1)
    viewer = home.viewer("anna")

    def ask(session: Session) -> None:
        counted = set(View) - {View.DONE, View.ALL}
        views.counts(session, viewer, counted, [_scope(home)], NOON)

    assert _indexes(home, ask) == {
        "ix_ticket_not_done (scope=? AND state=?)",
        "ix_ticket_assigned (assignee=? AND state=?)",
    }


def test_nor_for_the_counts_of_who_is_let_into_what_others_do(home: Home) -> None:
    _take(home, 1)
    more = {"restricted:1", "restricted:2", "case:1", "case:2"}
    viewer = replace(home.viewer("anna"), scopes=frozenset(home.viewer("anna").own_scopes | more))

    def ask(session: Session) -> None:
        counted = set(View) - {View.DONE, View.ALL}
        views.counts(session, viewer, counted, sorted(viewer.own_scopes), NOON)

    assert _indexes(home, ask) == {
        "ix_ticket_not_done (scope=? AND state=?)",
        "ix_ticket_assigned (assignee=? AND state=?)",
        "ix_ticket_restriction (restriction=?)",
    }


def test_however_many_cases_there_are_no_question_names_them(home: Home) -> None:
    """A database takes only so many values at once, and each costs time on every page."""
    first, *_ = _take(home, 2)
    by = f"user:{home.ids['anna']}"

    def asked() -> list[int]:
        viewer = home.viewer("anna")
        own = sorted(viewer.own_scopes)

        def ask(session: Session) -> None:
            views.counts(session, viewer, set(View), own, NOON)
            tickets.newest(session, viewer, own)
            tickets.active_since(session, viewer, own, 0)
            for view in views.NEWS:
                views.page(session, viewer, view, own, NOON)

        return [len(values) for _, values in _listen(home, ask)]

    def more(numbers: range) -> None:
        with home.archive.transaction() as session:
            for number in numbers:
                cases.open_(session, f"C {number}", "", "", by, [_scope(home)], NOON)
                of = cases.by_reference(session, f"C {number}")
                assert of
                cases.file(session, of, cases.TICKET, str(first), by, NOON)

    more(range(2))
    few = asked()
    more(range(2, 12))
    assert asked() == few


def test_what_one_watches_leads_to_its_tickets(home: Home) -> None:
    """However much there is besides, done or not."""
    _take(home, 1)
    viewer = home.viewer("anna")
    scopes = [_scope(home), "restricted:1", "case:1"]

    def ask(session: Session) -> None:
        views.page(session, viewer, View.WATCHING, scopes, NOON)

    assert _indexes(home, ask) == set()


def _listen(home: Home, ask: Callable[[Session], None]) -> list[tuple[str, Any]]:
    """The statements that are asked, with their values."""
    asked = []

    def listen(*said: Any) -> None:
        asked.append((said[2], said[3]))

    with home.archive.reading() as session:
        event.listen(session, "before_cursor_execute", listen)
        ask(session)
        event.remove(session, "before_cursor_execute", listen)
    return asked


def _plans(home: Home, ask: Callable[[Session], None]) -> list[str]:
    """How the database goes about what is asked, line by line."""
    if home.url is not None:
        pytest.skip("SQLite says which index it takes, whatever there is in the table")
    asked = _listen(home, ask)
    with home.archive.reading() as session:
        return [
            row.detail
            for statement, values in asked
            for row in session.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]


def _indexes(home: Home, ask: Callable[[Session], None]) -> set[str]:
    """The indexes by which tickets are read for what is asked."""
    return {
        line.partition("ticket USING INDEX ")[2] or line
        for line in _plans(home, ask)
        if " ticket USING INDEX" in line or line.startswith("SCAN ticket")
    }
