"""Who may see what: owner, colleague, stranger."""

import pytest

from archive.people import scopes
from archive.people.roles import Role
from archive.people.scopes import MACHINE, Viewer
from archive.post import messages
from archive.work import handing, tickets

from ...world import copy_for, mail
from ..home import NOON, Home


@pytest.fixture
def home(home: Home) -> Home:
    """Mail to Helpdesk, to Sales, to both, and Anna's own; Dora is Anna's colleague at Helpdesk."""
    from archive.people import members, users

    with home.archive.transaction() as session:
        home.ids["dora"] = users.add(session, "dora@demo.example", "Dora", NOON)
        members.give(session, home.ids["process helpdesk"], home.ids["dora"], Role.WORKS, "operator", NOON)
    both = mail(subject="both")
    home.take("Helpdesk", mail(subject="helpdesk"), copy_for("helpdesk@demo.example", both))
    home.take("Sales", mail(subject="sales"), copy_for("sales@demo.example", both))
    home.take("Anna", mail(subject="private"))
    return home


SEES = {
    "anna": {"helpdesk", "both", "private"},
    "dora": {"helpdesk", "both"},
    "bernd": {"sales", "both"},
    "clara": set(),
}


@pytest.mark.parametrize("who", SEES)
def test_everybody_sees_exactly_what_came_to_them_by_every_way(home: Home, who: str) -> None:
    viewer = home.viewer(who)
    everything = {f"process:{n}" for n in range(5)} | {f"user:{n}" for n in range(9)}
    with home.archive.reading() as session:
        all_ids = {one.id: one.subject for one in messages.newest(session, MACHINE, None, 100)}
        assert {one.subject for one in messages.newest(session, viewer, None, 100)} == SEES[who]
        assert {one.subject for one in messages.of_ids(session, all_ids, viewer).values()} == SEES[who]
        got = [messages.get(session, id_, viewer) for id_ in all_ids]
        assert {one.subject for one in got if one} == SEES[who]
        assert {one.subject for one in tickets.page(session, viewer, everything)} == SEES[who]
        for id_, subject in all_ids.items():
            one = messages.get(session, id_, MACHINE)
            assert one is not None
            seen = {each.subject for each in messages.of_conversation(session, one.conversation, viewer)}
            assert seen == {subject} & SEES[who]
            assert bool(tickets.of_conversation(session, viewer, one.conversation)) == (subject in SEES[who])
            assert bool(messages.copies(session, id_, viewer)) == (subject in SEES[who])
        delivered = messages.deliveries(session, all_ids, viewer)
        assert {all_ids[id_] for id_ in delivered} == SEES[who]
        unread = tickets.unread(session, viewer, everything)
        assert sum(map(len, unread.values())) == len(SEES[who])
        assert set(unread) <= (viewer.scopes or set())


def test_nobody_sees_another_copys_transport_headers(home: Home) -> None:
    raws = {who: b"".join(home.raws(home.viewer(who)).values()) for who in ("anna", "bernd")}
    assert b"Delivered-To: helpdesk@" in raws["anna"]
    assert b"sales@" not in raws["anna"]
    assert b"Delivered-To: sales@" in raws["bernd"]
    assert b"Delivered-To: helpdesk@" not in raws["bernd"]


def test_bcc_is_shown_to_nobody_but_those_whose_copy_has_it(home: Home) -> None:
    """Sales was in Bcc: the copy that came there says so, and Helpdesk's has nothing of it. Clara has neither copy."""
    blind = mail(subject="blind")
    home.take("Helpdesk", copy_for("helpdesk@demo.example", blind))
    home.take("Sales", b"Bcc: sales@demo.example\r\n" + copy_for("sales@demo.example", blind))
    with home.archive.reading() as session:
        one = next(each for each in messages.newest(session, MACHINE, None, 100) if each.subject == "blind")
    clara = f"user:{home.ids['clara']}"
    with home.archive.transaction() as session:
        source = f"process:{home.ids['process helpdesk']}"
        handing.hand(home.archive, session, home.viewer("anna"), one.conversation, source, clara, "", NOON)
    shown = {}
    for who in ("anna", "bernd", "clara"):
        viewer = home.viewer(who)
        with home.archive.reading() as session:
            found = messages.get(session, one.id, viewer)
            assert found
            assert "sales@" not in str(found)
            copies = messages.copies(session, one.id, viewer)
            traces = [messages.trace(home.archive, session, each) for each in copies]
            raws = [b"".join(messages.raw(home.archive, session, each)) for each in copies]
            written = b"".join(messages.written(home.archive, session, one.id))
        shown[who] = b"".join([*traces, *raws, written])
        assert written == blind
    assert {who for who, said in shown.items() if b"sales@" in said or b"Bcc" in said} == {"bernd"}
    assert {who for who, said in shown.items() if b"Delivered-To: helpdesk@" in said} == {"anna"}
    assert home.verify() == []


def test_another_persons_copy_is_as_if_it_were_not_there(home: Home) -> None:
    with home.archive.reading() as session:
        copies = messages.every_copy(session, MACHINE)
        bernds = {one.receipt for one in messages.every_copy(session, home.viewer("bernd"))}
        for one in copies:
            assert (messages.copy(session, one.receipt, home.viewer("bernd")) is not None) == (one.receipt in bernds)
            assert messages.copy(session, one.receipt, home.viewer("clara")) is None


def test_who_leaves_a_process_sees_its_mail_no_more(home: Home) -> None:
    from archive.store.schema import membership

    with home.archive.transaction() as session:
        session.execute(membership.delete().where(membership.c.user == home.ids["dora"]))
    with home.archive.reading() as session:
        assert messages.newest(session, home.viewer("dora"), None, 10) == []


def test_scopes_are_those_of_memberships_and_the_own_mail() -> None:
    everything = {"user:3", "process:7", "process:9", "case:12", "restricted:4"}
    assert scopes.scopes(3, {7, 9}, {12}, {4}) == everything
    assert not Viewer("user:3", 3, frozenset({"user:3"})).sees("user:33")
    assert MACHINE.sees("process:1")


@pytest.mark.parametrize("role", Role)
def test_a_role_may_what_those_before_it_may_and_handing_in_is_not_reading(home: Home, role: Role) -> None:
    from archive.store.schema import membership

    helpdesk = f"process:{home.ids['process helpdesk']}"
    with home.archive.transaction() as session:
        session.execute(membership.update().where(membership.c.user == home.ids["dora"]).values(role=role.value))
    viewer = home.viewer("dora")
    assert viewer.sees(helpdesk) == (role is not Role.HANDS_IN)
    assert [one for one in Role if viewer.may(one, helpdesk)] == list(Role)[: list(Role).index(role) + 1]
    assert not any(viewer.may(one, "process:99") for one in Role)
    assert viewer.may(Role.MANAGES, f"user:{home.ids['dora']}")


def test_a_role_that_nobody_knows_is_none(home: Home) -> None:
    from archive.store.schema import membership

    with home.archive.transaction() as session:
        session.execute(membership.update().where(membership.c.user == home.ids["dora"]).values(role="emperor"))
    assert home.viewer("dora").scopes == frozenset({f"user:{home.ids['dora']}"})
