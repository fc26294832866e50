"""Who gets a ticket, and that nobody gets what he may not work on."""

import json

import pytest
from sqlalchemy import insert, select, update

from archive.events import log, proof
from archive.people import members
from archive.people.roles import Role
from archive.store.archive import Session
from archive.store.schema import event, event_detail, membership, ticket, user
from archive.work import absences, assigning, states
from archive.work.assigning import Assigned, NotTheirs

from ...world import mail
from ..home import NOON, Home, numbered


def join(session: Session, home: Home, name: str, role: str, process: str = "helpdesk") -> int:
    """Somebody belongs to a process, too."""
    row = {"process": home.ids[f"process {process}"], "user": home.ids[name], "role": role, "since": NOON}
    session.execute(insert(membership).values(**row))
    rows = proof.stored(session, "membership", membership.c.user == home.ids[name])
    log.write(session, [log.Event("process.joined", "operator", "process:1", rows=rows)], NOON)
    return home.ids[name]


def test_a_ticket_goes_to_somebody_who_may_work_on_it(home: Home) -> None:
    home.take("Helpdesk", mail())
    anna, bernd, clara = (home.ids[name] for name in ("anna", "bernd", "clara"))
    with home.archive.transaction() as session:
        id_ = session.scalar(select(ticket.c.id)) or 0
        join(session, home, "bernd", "works")
        join(session, home, "clara", "reads")
        assert assigning.able(session, id_) == [anna, bernd]
        assert assigning.assign(session, id_, bernd, "user:1", NOON) == Assigned(bernd)
        assert not assigning.assign(session, id_, bernd, "user:1", NOON).changed, "it is his already"
        assert not assigning.assign(session, id_, anna, "user:1", NOON, revision=0).changed, "it was changed since"
        with pytest.raises(NotTheirs):
            assigning.assign(session, id_, clara, "user:1", NOON)
        assert assigning.assign(session, id_, None, "user:1", NOON) == Assigned(None)
        session.execute(update(user).where(user.c.id == bernd).values(disabled_at=NOON))
        assert assigning.able(session, id_) == [anna]
        session.execute(update(user).where(user.c.id == bernd).values(disabled_at=None))
        assert assigning.assign(session, id_, anna, "rule:1", NOON) == Assigned(anna)
        kinds = select(event.c.kind).where(event.c.kind.like("ticket.%")).order_by(event.c.id)
        assert list(session.scalars(kinds)) == ["ticket.assigned", "ticket.unassigned", "ticket.assigned"]
    assert home.verify() == []


def test_while_somebody_is_away_the_substitute_gets_it(home: Home) -> None:
    home.take("Helpdesk", mail())
    with home.archive.transaction() as session:
        anna, bernd = home.ids["anna"], join(session, home, "bernd", "works")
        absences.record(session, anna, NOON, NOON + 1000, "user:1", NOON, substitute=bernd)
        id_ = session.scalar(select(ticket.c.id)) or 0
        assert assigning.assign(session, id_, anna, "user:1", NOON) == Assigned(bernd, anna)
        details = session.scalar(
            select(event_detail.c.details)
            .join(event, event.c.id == event_detail.c.event)
            .where(event.c.kind == "ticket.assigned")
        )
        assert json.loads(details or "")["instead_of"] == anna
        assert assigning.assign(session, id_, anna, "user:1", NOON, substitute=False) == Assigned(anna)
    assert home.verify() == []


def test_turns_go_round_and_pass_over_who_is_away(home: Home) -> None:
    with home.archive.transaction() as session:
        scope = f"process:{home.ids['process helpdesk']}"
        anna, bernd, clara = (
            home.ids["anna"],
            join(session, home, "bernd", "works"),
            join(session, home, "clara", "sends"),
        )
        assert assigning.round_robin(session, scope, NOON) == [anna]
        assert assigning.round_robin(session, scope, NOON, 4) == [bernd, clara, anna, bernd]
        absences.record(session, clara, NOON, NOON + 9, "user:3", NOON)
        assert assigning.round_robin(session, scope, NOON) == [anna]
        assert assigning.round_robin(session, scope, NOON + 10, 2) == [bernd, clara]
        assert assigning.round_robin(session, "process:99", NOON, 2) == [None, None]


def test_least_loaded_counts_what_is_open(home: Home) -> None:
    home.take("Helpdesk", *numbered(range(3)))
    with home.archive.transaction() as session:
        scope = f"process:{home.ids['process helpdesk']}"
        anna, bernd = home.ids["anna"], join(session, home, "bernd", "works")
        first, second, _ = session.scalars(select(ticket.c.id).order_by(ticket.c.id))
        for id_ in (first, second):
            assigning.assign(session, id_, anna, "user:1", NOON)
        assert assigning.least_loaded(session, scope, NOON, 4) == [bernd, bernd, anna, bernd]
        session.execute(update(ticket).where(ticket.c.id == first).values(state="done"))
        assert assigning.least_loaded(session, scope, NOON, 2) == [bernd, anna]
        assert assigning.least_loaded(session, "process:99", NOON) == [None]


@pytest.mark.parametrize(
    ("there", "last", "expected"), [([1, 2, 5], 0, [1, 2, 5, 1]), ([1, 2, 5], 2, [5, 1, 2, 5]), ([4], 9, [4, 4, 4, 4])]
)
def test_whose_turn(there: list[int], last: int, expected: list[int]) -> None:
    assert assigning.turns(there, last, 4) == expected


def test_who_has_least() -> None:
    assert assigning.lightest({1: 2, 2: 0, 3: 1}, 4) == [2, 2, 3, 1]


def test_what_somebody_may_work_on_no_more_goes_to_the_substitute_or_to_nobody(home: Home) -> None:
    """Bernd leaves Helpdesk: what is done tells that he did it, what is his own in Sales stays his."""
    for subject in ("open", "waiting", "done"):
        home.take("Helpdesk", mail(subject=subject, message_id=f"<{subject}@x>"))
    home.take("Sales", mail(subject="sales", message_id="<sales@x>"))

    def assigned(session: Session) -> dict[str, int | None]:
        return {row.subject: row.assignee for row in session.execute(select(ticket.c.subject, ticket.c.assignee))}

    with home.archive.transaction() as session:
        anna, bernd = home.ids["anna"], join(session, home, "bernd", "works")
        clara = join(session, home, "clara", "works")
        ids = {row.subject: row.id for row in session.execute(select(ticket.c.id, ticket.c.subject))}
        for id_ in ids.values():
            assigning.assign(session, id_, bernd, "user:1", NOON)
        states.finish(session, ids["done"], "user:2", NOON)
        states.wait(session, ids["waiting"], "user:2", NOON, until=None)
        assert assigning.let_go(session, bernd, "user:1", NOON) == [], "he belongs to it still"
        members.remove(session, home.ids["process helpdesk"], bernd, "user:1", NOON)
        assert assigning.let_go(session, bernd, "user:1", NOON) == [ids["open"], ids["waiting"]]
        assert assigned(session) == {"open": None, "waiting": None, "done": bernd, "sales": bernd}
        told = select(event.c.kind).where(event.c.subject == f"ticket:{ids['open']}").order_by(event.c.id)
        assert session.scalars(told).all()[-1] == "ticket.unassigned"
        assigning.assign(session, ids["open"], clara, "user:1", NOON)
        absences.record(session, clara, NOON, NOON + 1000, "user:1", NOON, substitute=anna)
        members.give(session, home.ids["process helpdesk"], clara, Role.READS, "user:1", NOON)
        assert assigning.let_go(session, clara, "user:1", NOON) == [ids["open"]]
        assert assigned(session)["open"] == anna, "who stands in for Clara"
    assert home.verify() == []


@pytest.mark.parametrize("how", ["mail", "a person", "no spam"])
def test_what_is_open_again_is_nobodys_where_whoever_did_it_has_left(home: Home, how: str) -> None:
    home.take("Helpdesk", mail(message_id="<leak@x>"))
    with home.archive.transaction() as session:
        bernd = join(session, home, "bernd", "works")
        id_ = session.scalar(select(ticket.c.id)) or 0
        assigning.assign(session, id_, bernd, "user:1", NOON)
        (states.mark_spam if how == "no spam" else states.finish)(session, id_, "user:2", NOON)
        members.remove(session, home.ids["process helpdesk"], bernd, "user:1", NOON)
        assigning.let_go(session, bernd, "user:1", NOON)
    if how == "mail":
        home.take("Helpdesk", mail(message_id="<again@x>", in_reply_to="<leak@x>"))
    with home.archive.transaction() as session:
        if how == "a person":
            assert states.open_again(session, id_, "user:1", NOON)
        elif how == "no spam":
            assert states.mark_not_spam(session, id_, "user:1", NOON)
        there = session.execute(select(ticket.c.state, ticket.c.assignee).where(ticket.c.id == id_)).one()
        assert tuple(there) == ("open", None)
        told = select(event.c.kind).where(event.c.subject == f"ticket:{id_}").order_by(event.c.id)
        assert session.scalars(told).all()[-1] == "ticket.unassigned"
    assert home.verify() == []
