"""Tickets: one for each process and conversation, in order of activity, read or unread for each person."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.people import members
from archive.people.roles import Role
from archive.people.scopes import MACHINE
from archive.work import tickets
from archive.work.tickets import Cursor, Ticket

from ...world import copy_for, mail
from ..home import NOON, Home, numbered


def listed(home: Home, who: str, after: Cursor | None = None, limit: int = 50) -> list[Ticket]:
    viewer = home.viewer(who)
    with home.archive.reading() as session:
        return tickets.page(session, viewer, viewer.scopes or (), after, limit)


def test_a_conversation_is_one_ticket_and_shows_its_latest_mail(home: Home) -> None:
    home.take("Helpdesk", mail(subject="Printer", text="It smokes", message_id="<1@x>", attachments=[("a.txt", b"x")]))
    home.take("Helpdesk", mail(subject="Re: Printer", text="Still does", message_id="<2@x>", in_reply_to="<1@x>"))
    (one,) = listed(home, "anna")
    assert (one.subject, one.snippet, one.messages, one.attachments) == ("Printer", "Still does", 2, 1)
    assert (one.state, one.assignee, one.unread) == ("open", None, True)
    assert one.last_at > one.created_at


def test_a_mail_to_two_processes_is_a_ticket_for_each(home: Home) -> None:
    raw = mail(subject="both")
    home.take("Helpdesk", raw)
    home.take("Sales", copy_for("sales@demo.example", raw))
    (annas,), (bernds,) = listed(home, "anna"), listed(home, "bernd")
    assert annas.conversation == bernds.conversation
    assert annas.id != bernds.id
    with home.archive.reading() as session:
        assert len(tickets.of_conversation(session, MACHINE, annas.conversation)) == 2


def test_a_further_copy_for_the_same_process_is_no_activity(home: Home) -> None:
    raw = mail()
    home.take("Helpdesk", raw)
    (before,) = listed(home, "anna")
    home.take("Helpdesk", raw)
    assert listed(home, "anna") == [before]


def test_two_mails_of_one_conversation_in_one_batch_count_twice(home: Home) -> None:
    home.take(
        "Helpdesk", mail(message_id="<1@x>"), mail(message_id="<2@x>", in_reply_to="<1@x>"), mail(message_id="<3@y>")
    )
    assert sorted(one.messages for one in listed(home, "anna")) == [1, 2]


def test_an_old_mail_dragged_in_today_stands_on_top(home: Home) -> None:
    home.take("Helpdesk", mail(subject="of today"))
    home.take("Helpdesk", mail(subject="of 2019"), at=1_550_000_000_000)
    assert [one.subject for one in listed(home, "anna")] == ["of 2019", "of today"]


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_pages_follow_each_other_over_ties(home: Home, size: int) -> None:
    """A batch is one moment: all its tickets have the same last activity."""
    for start in (0, 10, 20):
        home.take("Helpdesk", *numbered(range(start, start + 10)))
    home.take("Anna", *numbered(range(30, 34)))
    everything = listed(home, "anna", limit=1000)
    assert len(everything) == 34
    assert len({one.last_at for one in everything}) < 34
    pages, after = [], None
    while True:
        page = listed(home, "anna", after, size)
        pages += page[:size]
        if len(page) <= size:
            break
        after = Cursor(page[size - 1].last_at, page[size - 1].id)
        assert Cursor.read(str(after)) == after
    assert pages == everything
    keys = [(one.last_at, one.id) for one in everything]
    assert keys == sorted(keys, reverse=True)


class TestCursors:
    @given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
    def test_they_come_back_from_a_url(self, at: int, id_: int) -> None:
        assert Cursor.read(str(Cursor(at, id_))) == Cursor(at, id_)

    @pytest.mark.parametrize(
        "text", ["", ".", "1", "1.", ".1", "-1.2", "1.2.3", "a.b", "١.٢", "²." + "1", "1 .2", "9" * 100 + ".1", "1.\0"]
    )
    def test_what_is_none_is_none(self, text: str) -> None:
        assert Cursor.read(text) is None

    @pytest.mark.parametrize("text", ["9223372036854775808.1", "1.9223372036854775808", "99999999999999999999.7"])
    def test_numbers_no_database_holds_are_none(self, home: Home, text: str) -> None:
        cursor = Cursor.read(text)
        assert cursor is None
        assert listed(home, "anna", cursor) == []


class TestUnread:
    def unread(self, home: Home, who: str) -> list[str]:
        return [one.subject for one in listed(home, who) if one.unread]

    def counts(self, home: Home, who: str, at_most: int = 100) -> dict[str, int]:
        viewer = home.viewer(who)
        with home.archive.reading() as session:
            found = tickets.unread(session, viewer, ["process:1", "process:2", "user:1"], at_most)
            return {scope: len(some) for scope, some in found.items()}

    def see(self, home: Home, who: str, some: list[Ticket]) -> None:
        with home.archive.transaction() as session:
            tickets.mark_seen(session, home.ids[who], some)

    def test_what_was_read_is_unread_again_when_more_comes(self, home: Home) -> None:
        home.take("Helpdesk", mail(subject="one", message_id="<1@x>"), mail(subject="two", message_id="<2@x>"))
        assert sorted(self.unread(home, "anna")) == ["one", "two"]
        self.see(home, "anna", [one for one in listed(home, "anna") if one.subject == "one"])
        assert self.unread(home, "anna") == ["two"]
        home.take("Helpdesk", mail(subject="Re: one", message_id="<3@x>", in_reply_to="<1@x>"))
        assert sorted(self.unread(home, "anna")) == ["one", "two"]

    def test_what_came_after_the_page_was_shown_stays_unread(self, home: Home) -> None:
        home.take("Helpdesk", mail(subject="one", message_id="<1@x>"))
        shown = listed(home, "anna")
        home.take("Helpdesk", mail(message_id="<2@x>", in_reply_to="<1@x>"))
        self.see(home, "anna", shown)
        assert self.unread(home, "anna") == ["one"]

    def test_an_old_page_seen_late_forgets_nothing(self, home: Home) -> None:
        home.take("Helpdesk", mail(subject="one", message_id="<1@x>"))
        shown_first = listed(home, "anna")
        home.take("Helpdesk", mail(message_id="<2@x>", in_reply_to="<1@x>"))
        self.see(home, "anna", listed(home, "anna"))
        self.see(home, "anna", shown_first)
        assert self.unread(home, "anna") == []

    def test_it_is_each_persons_own(self, home: Home) -> None:
        raw = mail(subject="both")
        home.take("Helpdesk", raw)
        home.take("Sales", copy_for("sales@demo.example", raw))
        self.see(home, "anna", listed(home, "anna"))
        assert (self.unread(home, "anna"), self.unread(home, "bernd")) == ([], ["both"])

    def test_it_can_be_taken_back(self, home: Home) -> None:
        home.take("Helpdesk", mail(subject="one"))
        self.see(home, "anna", listed(home, "anna"))
        with home.archive.transaction() as session:
            tickets.mark_unread(session, home.ids["anna"], listed(home, "anna"))
        assert self.unread(home, "anna") == ["one"]

    def test_it_is_counted_up_to_a_bound_and_for_the_own_scopes_only(self, home: Home) -> None:
        home.take("Helpdesk", *numbered(range(5)))
        home.take("Anna", *numbered(range(5, 7)))
        assert self.counts(home, "anna") == {"process:1": 5, "user:1": 2}
        assert self.counts(home, "anna", at_most=3) == {"process:1": 3, "user:1": 2}
        assert self.counts(home, "bernd") == {"process:2": 0}
        self.see(home, "anna", listed(home, "anna")[:6])
        assert sum(self.counts(home, "anna").values()) == 1


def test_tickets_of_many_conversations_and_scopes_are_found_again(home: Home) -> None:
    raws = numbered(range(1200))
    home.take("Helpdesk", *raws)
    home.take("Sales", *(copy_for("sales@demo.example", raw) for raw in raws))
    again = [
        mail(subject="more", message_id=f"<r{n}@x>", in_reply_to=f"<{n}@outside.example>", text=str(n))
        for n in range(1200)
    ]
    home.take("Sales", *again)
    counted = [row[0] for row in home.rows("SELECT messages FROM ticket ORDER BY scope, id")]
    assert [len(list(group)) for _, group in itertools.groupby(counted)] == [1200, 1200]
    assert set(counted) == {1, 2}
    assert home.clock() > NOON


def test_what_came_to_two_processes_is_one_conversation_that_is_unread(home: Home) -> None:
    raw = mail(subject="both", message_id="<both@x>")
    home.take("Helpdesk", raw)
    home.take("Sales", raw)
    with home.archive.transaction() as session:
        members.give(session, home.ids["process sales"], home.ids["anna"], Role.READS, "operator", NOON)
    with home.archive.reading() as session:
        found = tickets.unread(session, home.viewer("anna"), ["process:1", "process:2"])
    assert {scope: len(some) for scope, some in found.items()} == {"process:1": 1, "process:2": 1}
    assert len(set().union(*found.values())) == 1
