"""Who gets a ticket, and that nobody gets what he may not work on."""

import json

import pytest
from sqlalchemy import insert, select, update

from archive.events import log, proof
from archive.store.archive import Session
from archive.store.schema import event, event_detail, membership, ticket, user
from archive.work import absences, assigning
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
