"""Tickets that become one, by their mail or by hand, and are taken apart: nothing that people did gets lost."""

from typing import Any

import pytest
from sqlalchemy import insert, select, update

from archive.events import log, proof
from archive.store.schema import case, case_item, draft, message, ticket
from archive.work import comments, merging, reminders, snoozes, splitting, states, tags, tickets, views, watching
from archive.work.merging import CannotMerge
from archive.work.splitting import CannotSplit
from archive.work.views import View

from ...world import copy_for, mail
from ..home import NOON, Home

DAY = 86_400_000


def rows(home: Home) -> list[Any]:
    with home.archive.reading() as session:
        return list(session.execute(select(ticket).order_by(ticket.c.id)))


def two(home: Home, name: str = "Helpdesk") -> list[int]:
    """Two conversations that a third mail will tie together."""
    home.take(name, mail(subject="first", message_id="<1@x>"))
    home.take(name, mail(subject="second", message_id="<3@x>", in_reply_to="<2@x>"))
    return [row.id for row in rows(home)]


def subjects(home: Home, who: str, view: View) -> list[str]:
    with home.archive.reading() as session:
        viewer = home.viewer(who)
        return [one.subject for one in views.page(session, viewer, view, viewer.scopes or (), NOON + 1)]


def test_what_hangs_on_a_ticket_goes_with_it(home: Home) -> None:
    kept, gone = two(home)
    anna, bernd = home.ids["anna"], home.ids["bernd"]
    with home.archive.transaction() as session:
        for id_ in (kept, gone):
            tags.put(session, [id_], ["both", f"of {id_}"], "user:1", NOON)
            comments.add(session, id_, anna, f"about {id_}" if id_ == kept else f"@Anna about {id_}", NOON)
            session.execute(insert(draft).values(user=anna, ticket=id_, kind="comment", text=f"{id_}", at=NOON))
        watching.watch(session, gone, bernd, "user:2", NOON)
        reminders.add(session, gone, anna, NOON + DAY, NOON, unless_answered=True)
        snoozes.put(session, anna, [gone], NOON + DAY, NOON)
        states.finish(session, kept, "user:1", NOON)
        made = session.scalar(
            insert(case)
            .values(
                reference="C", folded="c", title="", client="", state="open", created_at=1, created_by="x", last_at=1
            )
            .returning(case.c.id)
        )
        session.execute(insert(case_item).values(case=made, kind="ticket", item=str(gone), at=NOON, by="user:1"))
        filed = proof.joined(
            proof.of_ids(session, "case", [made or 0]), proof.stored(session, "case_item", case_item.c.case == made)
        )
        log.write(session, [log.Event("case.filed", "user:1", f"case:{made}", rows=filed)], NOON)
    assert home.verify() == []
    home.take("Helpdesk", mail(subject="between", message_id="<2@x>", in_reply_to="<1@x>"))
    (one,) = [row for row in rows(home) if row.scope.startswith("process:")]
    assert (one.id, one.state, one.messages, one.comments) == (kept, "open", 3, 2)
    with home.archive.reading() as session:
        assert [said.text for said in comments.of_ticket(session, kept)] == [f"about {kept}", f"@Anna about {gone}"]
        assert comments.naming(session, anna, [kept, gone]) == {kept}
        assert [tag.name for tag in tags.of_tickets(session, [kept])[kept]] == ["both", f"of {kept}", f"of {gone}"]
        assert [who for who, _ in watching.of(session, kept)] == [anna, bernd]
        assert len(reminders.of_tickets(session, anna, [kept])) == 1
        assert session.scalar(select(draft.c.text)) == f"{kept}\n\n{gone}", "what was typed on both stays"
        assert session.scalar(select(case_item.c.item)) == str(kept)
    for table in ("draft", "snooze", "case_item"):
        assert home.count(table) == 1
    assert home.verify() == []


def test_merged_by_hand_and_taken_apart(home: Home) -> None:
    first, second = two(home)
    with home.archive.transaction() as session:
        assert merging.merge(session, second, first, "user:1", NOON)
        assert not merging.merge(session, second, first, "user:1", NOON)
    assert subjects(home, "anna", View.OPEN) == ["first"]
    one, other = rows(home)
    assert (one.messages, other.merged_into) == (2, first)
    home.take("Helpdesk", mail(subject="more", text="news", message_id="<4@x>", in_reply_to="<3@x>"))
    one, other = rows(home)
    assert (one.messages, one.snippet, other.messages) == (3, "news", 2), "what comes to either shows"
    assert home.verify() == []
    with home.archive.transaction() as session:
        assert merging.conversations(session, [first]) == [other.conversation]
        assert merging.take_apart(session, second, "user:1", NOON)
        assert not merging.take_apart(session, second, "user:1", NOON)
    one, other = rows(home)
    assert (one.messages, other.messages, other.merged_into) == (1, 2, None)
    assert sorted(subjects(home, "anna", View.OPEN)) == ["first", "second"]
    assert home.verify() == []


def test_a_ticket_that_was_done_is_open_when_mail_comes_to_a_part_of_it(home: Home) -> None:
    first, second = two(home)
    with home.archive.transaction() as session:
        merging.merge(session, second, first, "user:1", NOON)
        states.finish(session, first, "user:1", NOON)
    home.take("Helpdesk", mail(message_id="<4@x>", in_reply_to="<3@x>"))
    assert rows(home)[0].state == "open"
    assert home.verify() == []


def test_mail_ties_together_what_was_merged_by_hand(home: Home) -> None:
    first, second = two(home)
    with home.archive.transaction() as session:
        merging.merge(session, first, second, "user:1", NOON)
    home.take("Helpdesk", mail(message_id="<2@x>", in_reply_to="<1@x>"))
    (one,) = rows(home)
    assert (one.merged_into, subjects(home, "anna", View.OPEN)) == (None, [one.subject])
    assert home.verify() == []


def test_only_tickets_of_one_process_can_be_one(home: Home) -> None:
    first, second = two(home)
    home.take("Sales", mail(message_id="<9@x>"))
    third = rows(home)[-1].id
    with home.archive.transaction() as session:
        for id_, into, kind in ((third, first, "scope"), (first, first, "itself"), (first, 99, "scope")):
            with pytest.raises(CannotMerge) as why:
                merging.merge(session, id_, into, "user:1", NOON)
            assert why.value.kind == kind
        merging.merge(session, first, second, "user:1", NOON)
        with pytest.raises(CannotMerge):
            merging.merge(session, second, first, "user:1", NOON)


def test_a_conversation_is_split_for_everybody_and_put_together_again(home: Home) -> None:
    home.take("Helpdesk", mail(subject="printer", message_id="<1@x>"))
    late = mail(subject="and the phone", message_id="<2@x>", in_reply_to="<1@x>")
    home.take("Helpdesk", late, at=NOON + 5000)
    home.take("Sales", copy_for("sales@demo.example", late), at=NOON + 5000)
    anna = home.viewer("anna")
    before = rows(home)
    with home.archive.transaction() as session:
        first, second = session.scalars(select(message.c.id).order_by(message.c.id))
        with pytest.raises(CannotSplit):
            splitting.split(session, first, first, anna, NOON)
        with pytest.raises(CannotSplit):
            splitting.split(session, first, second, home.viewer("clara"), NOON)
        assert splitting.split(session, first, second, anna, NOON) == second
    after = rows(home)
    assert [(one.scope, one.conversation, one.messages) for one in after] == [
        (before[0].scope, first, 1),
        (before[1].scope, second, 1),
        (before[0].scope, second, 1),
    ]
    assert home.verify() == []
    home.take("Helpdesk", mail(message_id="<5@x>", in_reply_to="<2@x>"), at=NOON + 9000)
    assert rows(home)[-1].messages == 2, "answers go where the mail went"
    with home.archive.transaction() as session:
        splitting.put_back(session, second, first, "user:1", NOON)
    assert [(one.conversation, one.messages) for one in rows(home)] == [(first, 3), (first, 1)]
    assert home.verify() == []


def test_what_was_not_split_off_or_is_restricted_by_now_is_not_put_back(home: Home) -> None:
    late = mail(message_id="<2@x>", in_reply_to="<1@x>")
    home.take("Helpdesk", mail(message_id="<1@x>"), late, mail(message_id="<3@x>"))
    with home.archive.transaction() as session:
        first, second, other = session.scalars(select(message.c.id).order_by(message.c.id))
        with pytest.raises(CannotSplit):
            splitting.put_back(session, other, first, "user:1", NOON)
        splitting.split(session, first, second, home.viewer("anna"), NOON)
        session.execute(update(ticket).where(ticket.c.conversation == first).values(restriction=1))
        with pytest.raises(CannotSplit) as why:
            splitting.put_back(session, second, first, "user:1", NOON)
    assert why.value.kind == "restricted"
    assert len({one.conversation for one in rows(home)}) == 3


def test_a_restricted_conversation_stays_whole(home: Home) -> None:
    home.take("Helpdesk", mail(message_id="<1@x>"), mail(message_id="<2@x>", in_reply_to="<1@x>"))
    with home.archive.transaction() as session:
        session.execute(update(ticket).values(restriction=1))
        first, second = session.scalars(select(message.c.id).order_by(message.c.id))
        with pytest.raises(CannotSplit) as why:
            splitting.split(session, first, second, home.viewer("anna"), NOON)
    assert why.value.kind == "restricted"


def test_lists_by_state_and_who_has_it(home: Home) -> None:
    for number in range(4):
        home.take("Helpdesk", mail(subject=f"{number}", message_id=f"<{number}@x>"))
    anna = home.ids["anna"]
    zero, one, two_, three = (row.id for row in rows(home))
    with home.archive.transaction() as session:
        states.finish(session, zero, "user:1", NOON)
        states.wait(session, one, "user:1", NOON, until=None)
        session.execute(update(ticket).where(ticket.c.id == two_).values(assignee=anna))
    expected = {
        View.UNASSIGNED: ["3"],
        View.OPEN: ["3", "2"],
        View.MINE: ["2"],
        View.WAITING: ["1"],
        View.DONE: ["0"],
        View.ALL: ["3", "2", "1", "0"],
        View.SNOOZED: [],
        View.WATCHING: [],
        View.MENTIONS: [],
    }
    assert {view: subjects(home, "anna", view) for view in View} == expected
    assert subjects(home, "bernd", View.ALL) == []
    with home.archive.transaction() as session:
        viewer = home.viewer("anna")
        counted = views.counts(session, viewer, View, viewer.scopes or (), NOON)
        assert counted == {view: len(some) for view, some in expected.items()}
        assert set(views.counts(session, home.viewer("clara"), View, viewer.scopes or (), NOON).values()) == {0}
        snoozes.put(session, anna, [three], NOON + DAY, NOON + 100)
    assert subjects(home, "anna", View.OPEN) == ["2"]
    assert subjects(home, "anna", View.SNOOZED) == ["3"]
    home.take("Helpdesk", mail(subject="Re: 3", message_id="<7@x>", in_reply_to="<3@x>"))
    with home.archive.transaction() as session:
        session.execute(update(ticket).where(ticket.c.id == three).values(last_at=NOON + 200))
    assert subjects(home, "anna", View.OPEN) == ["3", "2"], "something came to it"
    with home.archive.transaction() as session:
        assert tickets.get(session, home.viewer("bernd"), three) is None
        assert snoozes.bring_back(session, NOON + DAY) == 1
    assert home.count("snooze") == 0
