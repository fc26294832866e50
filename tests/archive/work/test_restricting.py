"""Restrictions: who is named sees, everybody else does not, by any way; what comes later obeys; and it ends."""

from typing import Any

import pytest
from sqlalchemy import select

from archive import export, statistics
from archive.people import members
from archive.people.roles import Role
from archive.people.scopes import MACHINE, Viewer
from archive.post import messages, sight
from archive.search import hits, query
from archive.store.schema import message, ticket
from archive.work import assigning, cases, drafts, handing, restricting, tickets
from archive.work.handing import NotThere
from archive.work.restricting import RestrictionTrouble

from ...world import copy_for, mail
from ..home import NOON, Home
from .test_handing import ALL, conversation, hand, sees

FIRST = mail(subject="private", text="secretword", message_id="<1@outside.example>")
LATER = mail(subject="Re: private", text="laterword", in_reply_to="<1@outside.example>")


@pytest.fixture
def home(home: Home) -> Home:
    """Dora works at Helpdesk, too; a mail came there."""
    from archive.people import users

    with home.archive.transaction() as session:
        home.ids["dora"] = users.add(session, "dora@demo.example", "Dora", NOON)
        members.give(session, home.ids["process helpdesk"], home.ids["dora"], Role.WORKS, "operator", NOON)
    home.take("Helpdesk", copy_for("helpdesk@demo.example", FIRST))
    return home


def restrict(home: Home, who: str = "anna", *named: str) -> int:
    of, viewer = conversation(home), home.viewer(who)
    with home.archive.transaction() as session:
        ids = [home.ids[name] for name in named]
        return restricting.restrict(home.archive, session, viewer, of, ids, "It is personnel.", NOON)


def end(home: Home, id_: int, who: str = "anna") -> None:
    with home.archive.transaction() as session:
        restricting.end(home.archive, session, home.viewer(who), id_, NOON)


def test_only_those_named_see_it_and_then_everybody_as_before(home: Home) -> None:
    home.take("Sales", copy_for("sales@demo.example", FIRST))
    assert [sees(home, who) for who in ("anna", "dora", "bernd", "clara")] == [ALL, ALL, ALL, set()]
    before = home.rows("SELECT message, scope FROM message_scope ORDER BY message, scope")
    id_ = restrict(home, "anna", "clara")
    assert [sees(home, who) for who in ("anna", "dora", "bernd", "clara")] == [ALL, set(), set(), ALL]
    home.check_index()
    assert home.verify() == []
    end(home, id_)
    assert [sees(home, who) for who in ("anna", "dora", "bernd", "clara")] == [ALL, ALL, ALL, set()]
    assert home.rows("SELECT message, scope FROM message_scope ORDER BY message, scope") == before
    home.check_index()
    assert home.verify() == []


def test_what_comes_later_is_restricted_too_wherever_it_comes(home: Home) -> None:
    id_ = restrict(home, "anna", "clara")
    home.take("Helpdesk", copy_for("helpdesk@demo.example", LATER), at=NOON + 9000)
    home.take("Sales", copy_for("sales@demo.example", LATER), at=NOON + 9000)
    home.take("Sales", copy_for("sales@demo.example", FIRST), at=NOON + 9000)
    for word in ("secretword", "laterword"):
        assert [bool(home.find(who, word)) for who in ("anna", "dora", "bernd", "clara")] == [True, False, False, True]
        assert (sees(home, "dora", word), sees(home, "bernd", word)) == (set(), set())
    viewer = home.viewer("bernd")
    with home.archive.reading() as session:
        assert messages.every_copy(session, viewer) == []
        assert statistics.count(home.archive, session, viewer).copies == 0
        assert session.scalars(select(ticket.c.restriction)).all() == [id_, id_]
    assert home.verify() == []
    end(home, id_)
    assert [sees(home, who, "laterword") for who in ("anna", "dora", "bernd", "clara")] == [ALL, ALL, ALL, set()]
    assert home.verify() == []


def test_a_copy_in_ones_own_mailbox_stays_ones_own(home: Home) -> None:
    home.take("Clara", copy_for("clara@demo.example", FIRST))
    id_ = restrict(home)
    home.take("Clara", copy_for("clara@demo.example", LATER), at=NOON + 9000)
    assert sees(home, "clara") == ALL
    assert home.find("clara", "laterword") == ["Re: private"]
    assert home.find("anna", "laterword") == [], "it came to Clara's own mailbox, and not to Helpdesk"
    home.take("Helpdesk", LATER, at=NOON + 9000)
    assert home.find("anna", "laterword") == ["Re: private"]
    end(home, id_)
    assert home.verify() == []


def test_what_was_handed_to_a_person_is_taken_too_and_given_back(home: Home) -> None:
    hand(home, "anna", f"user:{home.ids['bernd']}", source=f"process:{home.ids['process helpdesk']}")
    id_ = restrict(home)
    assert sees(home, "bernd") == set()
    with pytest.raises(NotThere):
        hand(home, "anna", f"user:{home.ids['bernd']}", source=f"process:{home.ids['process helpdesk']}")
    end(home, id_)
    assert sees(home, "bernd") == ALL
    assert home.verify() == []


def assignees(home: Home) -> list[int | None]:
    return [row[0] for row in home.rows("SELECT assignee FROM ticket ORDER BY id")]


def test_a_ticket_that_somebody_sees_no_more_is_not_theirs(home: Home) -> None:
    with home.archive.transaction() as session:
        dora = home.ids["dora"]
        id_ = session.scalars(select(ticket.c.id)).one()
        assigning.assign(session, id_, dora, "user:1", NOON)
    by = restrict(home, "anna")
    assert assignees(home) == [None]
    with home.archive.transaction() as session:
        restricting.name(session, home.viewer("anna"), by, [dora, home.ids["clara"]], NOON)
        assert set(assigning.able(session, id_)) >= {dora}
        assigning.assign(session, id_, dora, "user:1", NOON)
        restricting.name(session, home.viewer("anna"), by, [home.ids["clara"], dora], NOON)
    assert assignees(home) == [dora]
    with home.archive.transaction() as session:
        restricting.name(session, home.viewer("anna"), by, [], NOON)
    assert assignees(home) == [None]
    assert home.verify() == []


def test_who_takes_part_in_a_case_no_more_has_no_ticket_of_it(home: Home) -> None:
    with home.archive.transaction() as session:
        both = [f"user:{home.ids[name]}" for name in ("anna", "bernd")]
        of = cases.get(session, cases.open_(session, "Order 2031", "Chairs", "", "user:1", both, NOON), MACHINE)
        assert of
        cases.file(session, of, cases.MESSAGE, str(session.scalars(select(message.c.id)).one()), "user:1", NOON)
        id_ = session.scalars(select(ticket.c.id).where(ticket.c.scope == f"case:{of.id}")).one()
        assigning.assign(session, id_, home.ids["bernd"], "user:1", NOON)
        cases.remove_participant(session, of, f"user:{home.ids['bernd']}", "user:1", NOON)
        assert session.scalar(select(ticket.c.assignee).where(ticket.c.id == id_)) is None
    assert home.verify() == []


def test_who_may_decide_it(home: Home) -> None:
    for who in ("dora", "bernd", "clara"):
        with pytest.raises(NotThere):
            restrict(home, who)
    id_ = restrict(home, "anna", "clara")
    with pytest.raises(RestrictionTrouble, match="restricted already"):
        restrict(home)
    for who in ("dora", "bernd", "clara"):
        with pytest.raises(NotThere):
            end(home, id_, who)
    with home.archive.transaction() as session:  # another manager, who is not named, does not even see it
        members.give(session, home.ids["process helpdesk"], home.ids["dora"], Role.MANAGES, "operator", NOON)
    with pytest.raises(NotThere):
        end(home, id_, "dora")
    with pytest.raises(NotThere):
        restrict(home, "dora")
    with home.archive.transaction() as session:
        restricting.name(session, home.viewer("anna"), id_, [home.ids["dora"]], NOON)
    assert (sees(home, "clara"), sees(home, "dora")) == (set(), ALL)
    end(home, id_, "dora")
    assert home.verify() == []


def test_conversations_that_turn_out_to_be_one_are_restricted_as_one(home: Home) -> None:
    restrict(home)
    home.take("Sales", mail(subject="other", text="otherword", message_id="<3@x.example>", in_reply_to="<2@x.example>"))
    assert home.find("bernd", "otherword") == ["other"]
    between = mail(subject="between", message_id="<2@x.example>", in_reply_to="<1@outside.example>")
    home.take("Sales", between, at=NOON + 9000)
    assert home.find("bernd", "otherword OR between") == []
    assert sees(home, "bernd", "otherword") == set()
    assert home.verify() == []


def test_a_case_is_restricted_with_what_is_filed_there_and_opened_again(home: Home) -> None:
    anna, helpdesk = f"user:{home.ids['anna']}", f"process:{home.ids['process helpdesk']}"
    with home.archive.transaction() as session:
        taking_part = [helpdesk, f"user:{home.ids['bernd']}"]
        of = cases.get(session, cases.open_(session, "Order 2031", "Chairs", "", anna, taking_part, NOON), MACHINE)
        assert of
        (one,) = messages.newest(session, MACHINE, None, 9)
        words = sight.words(home.archive, session, [one.id])
        cases.file(session, of, "message", str(one.id), anna, NOON, words=words)
    assert [sees(home, who) for who in ("dora", "bernd")] == [ALL, ALL]
    with pytest.raises(NotThere), home.archive.transaction() as session:
        restricting.restrict_case(home.archive, session, home.viewer("bernd"), of.id, [], "", NOON)
    with home.archive.transaction() as session:
        named = [home.ids["clara"]]
        id_ = restricting.restrict_case(home.archive, session, home.viewer("anna"), of.id, named, "", NOON)
    home.take("Helpdesk", LATER, at=NOON + 9000)
    for word in ("secretword", "laterword"):
        found = [bool(home.find(who, word)) for who in ("anna", "dora", "bernd", "clara")]
        assert found == [True, False, False, True]
    for who, there in (("anna", True), ("clara", True), ("bernd", False), ("dora", False)):
        with home.archive.reading() as session:
            assert (cases.get(session, of.id, home.viewer(who)) is not None) == there
            assert (restricting.of_case(session, home.viewer(who), of.id) is not None) == there
    assert home.verify() == []
    end(home, id_)
    assert [sees(home, who) for who in ("anna", "dora", "bernd", "clara")] == [ALL, ALL, ALL, set()]
    assert home.find("dora", "laterword") == ["Re: private"]
    assert home.verify() == []


# Every function of the archive that reads mail for somebody, as what it yields of the one restricted mail.
WAYS: dict[str, Any] = {
    "messages.get": lambda s, v, m, c: messages.get(s, m, v),
    "messages.newest": lambda s, v, m, c: messages.newest(s, v, None, 9),
    "messages.of_ids": lambda s, v, m, c: messages.of_ids(s, [m], v),
    "messages.of_conversation": lambda s, v, m, c: messages.of_conversation(s, c, v),
    "messages.copies": lambda s, v, m, c: messages.copies(s, m, v),
    "messages.every_copy": lambda s, v, m, c: messages.every_copy(s, v),
    "export.expected": lambda s, v, m, c: export.expected(s, v),
    "export.matching": lambda s, v, m, c: export.matching(s, query.parse("secretword"), v),
    "hits.find": lambda s, v, m, c: hits.find(s, query.parse("secretword"), v),
    "hits.best": lambda s, v, m, c: hits.best(s, query.parse("secretword"), v),
    "hits.count": lambda s, v, m, c: hits.count(s, query.parse("secretword"), v).total.number,
    "tickets.page": lambda s, v, m, c: tickets.page(s, v, v.own_scopes),
    "tickets.of_conversation": lambda s, v, m, c: tickets.of_conversation(s, v, c),
    "tickets.unread": lambda s, v, m, c: len(set().union(*tickets.unread(s, v, v.own_scopes).values())),
    "tickets.newest": lambda s, v, m, c: tickets.newest(s, v, v.own_scopes),
    "tickets.active_since": lambda s, v, m, c: tickets.active_since(s, v, v.own_scopes, 0),
    "handing.sources": lambda s, v, m, c: handing.sources(s, v, c),
    "drafts.put": lambda s, v, m, c: drafts.put(s, v, s.scalar(select(ticket.c.id)), "comment", "text", NOON),
    "restricting.may_restrict": lambda s, v, m, c: restricting.may_restrict(s, v, c),
}
NOT_THOSE_NAMED = {"handing.sources"}  # what is restricted goes no further


@pytest.mark.parametrize("why", ["restricted", "removed", "pulled back"])
def test_every_way_obeys(home: Home, why: str) -> None:
    """Dora manages Helpdesk and sees the mail by every way; then by none."""
    with home.archive.transaction() as session:
        members.give(session, home.ids["process helpdesk"], home.ids["dora"], Role.MANAGES, "operator", NOON)
        (one,) = messages.newest(session, MACHINE, None, 9)

    def yields(viewer: Viewer) -> set[str]:
        with home.archive.transaction() as session:
            return {name for name, way in WAYS.items() if way(session, viewer, one.id, one.conversation)}

    if why == "pulled back":
        number = hand(home, "anna", f"user:{home.ids['clara']}", source=f"process:{home.ids['process helpdesk']}")
        # She has no copy, and decides nothing about it.
        none = {"messages.copies", "messages.every_copy", "export.expected", "restricting.may_restrict", "drafts.put"}
        assert yields(home.viewer("clara")) >= set(WAYS) - none
        with home.archive.transaction() as session:
            handing.take_back(home.archive, session, home.viewer("anna"), number, NOON)
        assert yields(home.viewer("clara")) == set()
        return
    assert yields(home.viewer("dora")) == set(WAYS)
    if why == "restricted":
        restrict(home)
        assert yields(home.viewer("anna")) == set(WAYS) - NOT_THOSE_NAMED
    else:
        with home.archive.transaction() as session:
            members.remove(session, home.ids["process helpdesk"], home.ids["dora"], "operator", NOON)
    assert yields(home.viewer("dora")) == set()
