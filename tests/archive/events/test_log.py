"""The log of events: what it says can be proved, and erasing the details leaves it so."""

import hashlib
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.event import listen

from archive.events import log
from archive.store.schema import event, event_detail

from ...world import mail
from ..home import NOON, Home

EVERY = "SELECT e.id, e.commitment, d.salt, d.details FROM event e JOIN event_detail d ON d.event = e.id ORDER BY e.id"

details = st.dictionaries(
    st.text(max_size=10), st.one_of(st.none(), st.integers(), st.text(max_size=30), st.lists(st.integers())), max_size=5
)


def test_every_commitment_is_to_the_details_beside_it(home: Home) -> None:
    home.take("Helpdesk", mail(), mail(subject="another"))
    rows = home.rows(EVERY)
    assert len(rows) == home.count("event") > 5
    for _, commitment, salt, text in rows:
        assert hashlib.sha256(salt + text.encode()).digest() == commitment
        assert len(salt) == 16
        json.loads(text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(details, max_size=6))
def test_details_of_any_kind_stand_beside_their_own_event(home: Home, some: list[dict[str, object]]) -> None:
    before = home.count("event")
    with home.archive.transaction() as session:
        log.write(session, [log.Event("test.done", "operator", f"test:{n}", one) for n, one in enumerate(some)], NOON)
        assert log.position(session) == (home.rows("SELECT max(id) FROM event")[0][0] or 0) + len(some)
    query = "SELECT e.subject, d.details FROM event e JOIN event_detail d ON d.event = e.id ORDER BY e.id"
    found = home.rows(query)[before:]
    assert [(subject, json.loads(text)) for subject, text in found] == [
        (f"test:{n}", one) for n, one in enumerate(some)
    ]


def test_the_same_details_are_not_recognised_by_their_commitments(home: Home) -> None:
    with home.archive.transaction() as session:
        log.write(session, [log.Event("test.done", "operator", "x", {"name": "Eva"})] * 20, NOON)
    assert len({commitment for _, commitment, _, _ in home.rows(EVERY)[-20:]}) == 20


def test_an_id_is_never_given_again_even_if_the_tail_was_cut_off(home: Home) -> None:
    with home.archive.transaction() as session:
        log.write(session, [log.Event("test.done", "operator", "x")] * 3, NOON)
        last = log.position(session)
    with home.archive.transaction() as session:
        session.execute(event_detail.delete().where(event_detail.c.event > last - 2))
        session.execute(event.delete().where(event.c.id > last - 2))
    with home.archive.transaction() as session:
        log.write(session, [log.Event("test.done", "operator", "y")] * 2, NOON)
        assert log.position(session) == last + 2
    assert [row[0] for row in home.rows(EVERY)][-2:] == [last + 1, last + 2]


def test_erased_details_leave_the_event(home: Home) -> None:
    home.take("Helpdesk", mail())
    before = home.count("event")
    with home.archive.transaction() as session:
        session.exec_driver_sql("DELETE FROM event_detail")
    assert home.count("event") == before


def test_what_is_rolled_back_never_became_true(home: Home) -> None:
    before = home.count("event")
    with home.archive.engine.execution_options(writes=True).connect() as session:
        log.write(session, [log.Event("test.done", "operator", "x")], NOON)
        session.rollback()
    assert home.count("event") == before


def test_writing_nothing_writes_nothing(home: Home) -> None:
    statements: list[str] = []
    with home.archive.transaction() as session:
        listen(session, "before_cursor_execute", lambda *given: statements.append(given[2]))
        log.write(session, [], NOON)
    assert statements == []
