"""A second pair of eyes: what a process sends waits until a colleague lets it go, or gives it back with a note."""

import pytest
from sqlalchemy import select

from archive import sending
from archive.outgoing import identities, outbox
from archive.outgoing.composing import Unwritable
from archive.people import processes
from archive.people.scopes import MACHINE
from archive.store.schema import event

from ..home import NOON, Home
from .test_outbox import claim, office, reply, seen, send  # noqa: F401  the fixture


def waiting(home: Home) -> int:
    with home.archive.transaction() as session:
        of = home.ids["process helpdesk"]
        assert processes.want_second_look(session, of, True, "operator", NOON)
        assert not processes.want_second_look(session, of, True, "operator", NOON)
    return send(home, "anna", reply(home))


def test_it_goes_when_a_colleague_lets_it_go_and_not_when_its_author_does(office: Home) -> None:  # noqa: F811
    id_ = waiting(office)
    anna, bernd = f"user:{office.ids['anna']}", f"user:{office.ids['bernd']}"
    assert seen(office, id_).state == outbox.REVIEW
    assert claim(office) == []
    with office.archive.transaction() as session:
        assert not outbox.let_go(session, id_, anna, NOON)
        assert not outbox.give_back(session, id_, anna, "x", NOON)
        assert not outbox.hurry(session, id_, anna, NOON)
        assert outbox.let_go(session, id_, bernd, NOON + 5)
        assert not outbox.let_go(session, id_, bernd, NOON + 5)
        assert not outbox.give_back(session, id_, bernd, "x", NOON)
    (one,) = claim(office)
    assert one.id == id_
    assert seen(office, id_).looked_at_by == bernd
    assert office.verify() == []


def test_what_is_given_back_says_why_and_never_goes(office: Home) -> None:  # noqa: F811
    id_ = waiting(office)
    with office.archive.transaction() as session:
        assert outbox.give_back(session, id_, f"user:{office.ids['bernd']}", "  No prices, please ", NOON + 5)
    one = seen(office, id_)
    assert (one.state, one.note, one.waits, one.can_be_taken_back) == (outbox.RETURNED, "No prices, please", True, True)
    assert claim(office) == []
    with office.archive.transaction() as session:
        assert not outbox.let_go(session, id_, f"user:{office.ids['bernd']}", NOON + 6)
        assert outbox.cancel(session, id_, f"user:{office.ids['anna']}", NOON + 7)
    with office.archive.reading() as session:
        kinds = list(session.scalars(select(event.c.kind).where(event.c.subject == f"outgoing:{id_}")))
    assert kinds == ["outgoing.queued", "outgoing.returned", "outgoing.cancelled"]
    assert office.verify() == []


def test_it_is_asked_of_people_in_that_process_alone_and_send_later_stays_later(office: Home) -> None:  # noqa: F811
    id_ = waiting(office)
    new = reply(office, identity=office.ids["sales"], kind="new", answers=None, scope=None)
    assert seen(office, send(office, "bernd", new)).state == outbox.QUEUED
    by_machine = sending.send(office.archive, lambda _: MACHINE, reply(office), office.clock())
    assert seen(office, by_machine).state == outbox.QUEUED
    later = send(office, "anna", reply(office, not_before=NOON + 10**8))
    with office.archive.transaction() as session:
        for one in (id_, later):
            assert outbox.let_go(session, one, "user:99", NOON + 5)
    assert later not in {one.id for one in claim(office)}
    assert later in {one.id for one in claim(office, NOON + 10**8 + 1)}


def test_another_address_does_not_pass_it_by(office: Home) -> None:  # noqa: F811
    """Whoever looks at what Sales sends does not see what is written in a conversation of Helpdesk."""
    with office.archive.transaction() as session:
        processes.want_second_look(session, office.ids["process sales"], True, "operator", NOON)
        identities.permit(session, office.ids["sales"], office.ids["anna"], True, NOON)
    with pytest.raises(Unwritable):
        send(office, "anna", reply(office, identity=office.ids["sales"]))
    new = reply(office, identity=office.ids["sales"], kind=outbox.NEW, answers=None, scope=None)
    assert seen(office, send(office, "anna", new)).state == outbox.REVIEW
