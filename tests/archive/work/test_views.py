"""What watching costs: the few that somebody watches lead to their tickets, however many there are."""

from typing import Any

import pytest
from sqlalchemy import event, select

from archive.people import members, users
from archive.store.schema import ticket
from archive.work import cases, comments, merging, restricting, states, tickets, views, watching
from archive.work.views import View

from ...world import copy_for, mail
from ..home import NOON, Home
from .test_assigning import join

LEADS = {View.WATCHING: "watcher", View.MENTIONS: "mention"}


@pytest.mark.parametrize("view", LEADS)
def test_only_the_tickets_that_somebody_watches_or_is_named_in_are_looked_at(home: Home, view: View) -> None:
    home.take("Helpdesk", mail(subject="watched"))
    home.take("Helpdesk", mail(subject="another"))
    anna, viewer = home.ids["anna"], home.viewer("anna")
    asked: list[tuple[str, Any]] = []

    def listen(_: Any, __: Any, statement: str, parameters: Any, *more: Any) -> None:
        asked.append((statement, parameters))

    with home.archive.transaction() as session:
        watched, another = session.scalars(select(ticket.c.id).order_by(ticket.c.id))
        comments.add(session, watched, anna, "@Anna", NOON + 5000)
        assert watching.among(session, anna, [watched, another]) == {watched}
        event.listen(session, "before_cursor_execute", listen)
        assert [one.id for one in views.page(session, viewer, view, viewer.scopes or (), NOON)] == [watched]
        assert views.counts(session, viewer, [view], viewer.scopes or (), NOON) == {view: 1}
        event.remove(session, "before_cursor_execute", listen)
        if session.dialect.name == "sqlite":
            led = [one for one in asked if LEADS[view] in one[0]]
            assert len(led) == 2
            for statement, parameters in led:
                plan = [row.detail for row in session.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
                assert any(f"SEARCH {LEADS[view]} USING" in each for each in plan), plan
                assert any("SEARCH ticket USING INTEGER PRIMARY KEY" in each for each in plan), plan


def named(home: Home, who: str) -> list[str]:
    """The subjects of the Mentions of somebody."""
    with home.archive.reading() as session:
        viewer = home.viewer(who)
        found = views.page(session, viewer, View.MENTIONS, viewer.scopes or (), NOON)
        assert views.counts(session, viewer, [View.MENTIONS], viewer.scopes or (), NOON) == {View.MENTIONS: len(found)}
    return [one.subject for one in found]


def test_who_is_named_finds_it_whether_they_watch_or_not_as_long_as_they_may_see_it(home: Home) -> None:
    home.take("Helpdesk", mail(subject="one"))
    home.take("Helpdesk", mail(subject="two"))
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    with home.archive.transaction() as session:
        join(session, home, "bernd", "works")
        one, two = session.scalars(select(ticket.c.id).order_by(ticket.c.id))
        said = comments.add(session, one, anna, "@Bernd, look", NOON)
        comments.add(session, two, anna, "nobody", NOON)
        assert watching.leave(session, one, bernd, f"user:{bernd}", NOON)
    assert (named(home, "bernd"), named(home, "anna")) == (["one"], [])
    with home.archive.transaction() as session:
        again = comments.add(session, one, anna, "@Bernd again", NOON)
        comments.remove(session, said, anna, NOON)
    assert named(home, "bernd") == ["one"], "another comment names him still"
    with home.archive.transaction() as session:
        comments.edit(session, again, anna, "not you", NOON)
    assert named(home, "bernd") == []
    with home.archive.transaction() as session:
        comments.edit(session, again, anna, "you, @Bernd", NOON)
    assert named(home, "bernd") == ["one"]
    with home.archive.transaction() as session:
        members.remove(session, home.ids["process helpdesk"], bernd, "operator", NOON)
    assert named(home, "bernd") == []


def _hold(home: Home, who: str) -> dict[View, tuple[int, int]]:
    """Of each view of all that somebody sees, how much it lists and how much is counted."""
    with home.archive.reading() as session:
        viewer = home.viewer(who)
        scopes = sorted(viewer.own_scopes)
        counted = views.counts(session, viewer, View, scopes, NOON)
        pages = {view: views.page(session, viewer, view, scopes, NOON) for view in View}
        unread = set().union(*tickets.unread(session, viewer, scopes).values())
        assert unread == {one.conversation for one in pages[View.ALL] if one.unread}, who
    listed = {view: len(page) for view, page in pages.items()}
    return {view: (listed[view], counted[view]) for view in View}


def test_counts_hold_what_lists_hold_whoever_looks(home: Home) -> None:
    """Bernd (Sales) is named by restrictions of mail of Helpdesk; Clara belongs to nothing and takes part in a case."""
    for number in range(4):
        home.take("Helpdesk", mail(subject=f"{number}", message_id=f"<{number}@x>"))
    home.take("Sales", copy_for("sales@demo.example", mail(subject="4", message_id="<4@x>")))
    anna, bernd, clara = (home.ids[name] for name in ("anna", "bernd", "clara"))
    with home.archive.transaction() as session:
        some = session.execute(select(ticket.c.id, ticket.c.conversation).order_by(ticket.c.id)).all()
        home.ids["petra"] = users.add(session, "petra@demo.example", "Petra", NOON, auditor=True)
    viewer = home.viewer("anna")
    for one in some[:2]:
        with home.archive.transaction() as session:
            restricting.restrict(home.archive, session, viewer, one.conversation, [bernd], "", NOON)
    with home.archive.transaction() as session:
        states.wait(session, some[1].id, f"user:{anna}", NOON, until=None)
        number = cases.open_(session, "C", "", "", f"user:{anna}", [f"user:{clara}"], NOON)
        case = cases.by_reference(session, "C")
        assert case
        assert case.id == number
        for one in some[1:4]:
            cases.file(session, case, cases.TICKET, str(one.id), f"user:{anna}", NOON)
        comments.add(session, some[0].id, anna, "@Bernd and @Anna", NOON)
        merging.merge(session, some[3].id, some[2].id, f"user:{anna}", NOON)
    for who in ("anna", "bernd", "clara", "petra"):
        assert {view: one for view, one in _hold(home, who).items() if one[0] != one[1]} == {}, who
    held = _hold(home, "bernd")
    assert {view: held[view][1] for view in (View.UNASSIGNED, View.WAITING, View.MENTIONS)} == {
        View.UNASSIGNED: 2,
        View.WAITING: 1,
        View.MENTIONS: 1,
    }
    assert _hold(home, "clara")[View.OPEN][1] >= 1


def test_who_is_named_or_watches_where_tickets_are_merged_finds_the_one_that_stays(home: Home) -> None:
    home.take("Helpdesk", mail(subject="part"))
    home.take("Helpdesk", mail(subject="whole"))
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    with home.archive.transaction() as session:
        join(session, home, "bernd", "works")
        part, whole = session.scalars(select(ticket.c.id).order_by(ticket.c.id))
        said = comments.add(session, part, anna, "@Bernd, look", NOON)
        assert merging.merge(session, part, whole, f"user:{anna}", NOON)
        assert watching.among(session, bernd, [part, whole]) == {part, whole}
    assert named(home, "bernd") == ["whole"]
    with home.archive.transaction() as session:
        comments.edit(session, said, anna, "nobody", NOON)
    assert named(home, "bernd") == [], "what is said about a part counts for the whole"
    with home.archive.transaction() as session:
        comments.edit(session, said, anna, "@Bernd", NOON)
    assert named(home, "bernd") == ["whole"]
    with home.archive.transaction() as session:
        assert merging.take_apart(session, part, f"user:{anna}", NOON)
    assert named(home, "bernd") == ["part"]
    assert home.verify() == []
