"""Mail handed over and taken back: what each of two people sees, by every way, and that the log answers for it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from archive import export
from archive.events import proof
from archive.events.log import Event, write
from archive.importing import finding
from archive.importing.finding import Item
from archive.people import members
from archive.people.roles import Role
from archive.people.scopes import MACHINE
from archive.post import messages
from archive.store.schema import case, case_participant, comment, delivery, installation
from archive.work import handing, tickets
from archive.work.handing import HandingTrouble, NotThere, Withdrawn

from ...world import copy_for, mail
from ..home import NOON, Home

MINUTE = 60_000
LETTER = mail(subject="private", text="secretword")


def conversation(home: Home, subject: str = "private") -> int:
    with home.archive.reading() as session:
        return next(one.conversation for one in messages.newest(session, MACHINE, None, 100) if one.subject == subject)


def hand(home: Home, who: str, to: str, at: int = NOON, note: str = "Yours?", **more: Any) -> int:
    of, viewer = more.pop("of", None) or conversation(home), home.viewer(who)
    source = more.pop("source", None) or f"user:{home.ids[who]}"
    with home.archive.transaction() as session:
        return handing.hand(home.archive, session, viewer, of, source, to, note, at, **more)


def take_back(home: Home, who: str, number: int, at: int = NOON + MINUTE) -> None:
    with home.archive.transaction() as session:
        handing.take_back(home.archive, session, home.viewer(who), number, at)


def sees(home: Home, who: str, word: str = "secretword") -> set[str]:
    """By which ways somebody comes upon the mail with a word in it."""
    viewer, found = home.viewer(who), set()
    of = {one.id for one in _everything(home) if one.snippet.startswith(word)}
    with home.archive.reading() as session:
        ways: dict[str, Callable[[], Any]] = {
            "newest": lambda: [one for one in messages.newest(session, viewer, None, 99) if one.id in of],
            "conversation": lambda: tickets.of_conversation(session, viewer, conversation(home)),
            "list": lambda: tickets.page(session, viewer, sorted(viewer.own_scopes)),
            "count": lambda: set().union(*tickets.unread(session, viewer, sorted(viewer.own_scopes)).values()),
            "news": lambda: tickets.active_since(session, viewer, sorted(viewer.own_scopes), 0),
            "search": lambda: home.find(who, word),
        }
        found = {name for name, way in ways.items() if way()}
    return found


def _everything(home: Home) -> list[messages.Message]:
    with home.archive.reading() as session:
        return messages.newest(session, MACHINE, None, 99)


ALL = {"newest", "conversation", "list", "count", "news", "search"}


def test_private_mail_is_the_owners_until_handed_over_and_again_when_pulled_back(home: Home) -> None:
    home.take("Anna", copy_for("anna@demo.example", LETTER))
    assert (sees(home, "anna"), sees(home, "bernd")) == (ALL, set())
    number = hand(home, "anna", f"user:{home.ids['bernd']}")
    assert (sees(home, "anna"), sees(home, "bernd"), sees(home, "clara")) == (ALL, ALL, set())
    assert home.verify() == []
    viewer = home.viewer("bernd")
    with home.archive.reading() as session:
        (one,) = messages.newest(session, viewer, None, 9)
        assert messages.copies(session, one.id, viewer) == [], "no copy came to him: neither do its transport headers"
        assert b"".join(messages.content(home.archive, session, one.id)) == LETTER
        (told,) = handing.of_conversation(session, viewer, one.conversation)
        assert (told.by_name, told.note, told.mails, told.subject) == ("Anna", "Yours?", 1, "private")
    take_back(home, "anna", number)
    assert (sees(home, "anna"), sees(home, "bernd")) == (ALL, set())
    with home.archive.reading() as session:
        assert handing.of_conversation(session, viewer, conversation(home)) == []
        assert session.scalar(select(delivery).where(delivery.c.scope == f"user:{home.ids['bernd']}")) is None
    home.check_index()
    assert home.verify() == []


def test_to_a_process_one_cannot_read_with_the_ticket_done_here(home: Home) -> None:
    home.take("Helpdesk", mail(subject="private", text="secretword"))
    helpdesk, sales = (f"process:{home.ids[f'process {slug}']}" for slug in ("helpdesk", "sales"))
    hand(home, "anna", sales, source=helpdesk, done_here=True)
    assert sees(home, "bernd") == ALL
    with home.archive.reading() as session:
        states = {one.scope: one.state for one in tickets.of_conversation(session, MACHINE, conversation(home))}
        assert states == {helpdesk: "done", sales: "open"}
        (told,) = handing.of_conversation(session, home.viewer("anna"), conversation(home))
        assert told.to_scope == sales, "Anna knows that Sales works on it"
        assert [one.scope for one in tickets.of_conversation(session, home.viewer("anna"), conversation(home))] == [
            helpdesk
        ]
        assert handing.of_conversation(session, home.viewer("clara"), conversation(home)) == []
    assert home.verify() == []


def test_what_comes_later_is_not_handed_over(home: Home) -> None:
    first = mail(subject="private", text="secretword", message_id="<1@outside.example>")
    home.take("Anna", first)
    hand(home, "anna", f"user:{home.ids['bernd']}")
    home.take("Anna", mail(subject="Re: private", text="laterword", in_reply_to="<1@outside.example>"), at=NOON + 9000)
    assert home.find("bernd", "laterword") == []
    with home.archive.reading() as session:
        (one,) = tickets.page(session, home.viewer("bernd"), [f"user:{home.ids['bernd']}"])
        assert (one.messages, one.subject) == (1, "private")


def test_only_the_mails_chosen_are_handed_over_and_the_rest_later(home: Home) -> None:
    home.take("Anna", mail(subject="private", text="secretword", message_id="<1@outside.example>"))
    home.take("Anna", mail(subject="Re: private", text="second", in_reply_to="<1@outside.example>"), at=NOON + 9000)
    bernd = f"user:{home.ids['bernd']}"
    with home.archive.reading() as session:
        _, last = handing.mails(session, conversation(home), f"user:{home.ids['anna']}")
    one = hand(home, "anna", bernd, only={last})
    assert home.find("bernd", "secretword OR second") == ["Re: private"]
    two = hand(home, "anna", bernd)
    assert sees(home, "bernd") == ALL
    take_back(home, "anna", one)
    assert home.find("bernd", "second") == ["Re: private"], "the second hand-over stands"
    take_back(home, "anna", two)
    assert sees(home, "bernd") == set()
    assert home.verify() == []


def test_of_a_ticket_that_stays_the_list_shows_what_is_left(home: Home) -> None:
    home.take("Anna", mail(subject="private", text="secretword", message_id="<1@outside.example>"))
    home.take("Sales", mail(subject="Re: private", text="second", in_reply_to="<1@outside.example>"), at=NOON + 9000)
    sales = f"process:{home.ids['process sales']}"
    number = hand(home, "anna", sales)
    with home.archive.reading() as session:
        (before,) = tickets.page(session, home.viewer("bernd"), [sales])
    take_back(home, "anna", number)
    with home.archive.reading() as session:
        (after,) = tickets.page(session, home.viewer("bernd"), [sales])
    assert (before.messages, after.messages, after.subject) == (2, 1, "Re: private")
    assert after.snippet.startswith("second")
    assert home.verify() == []


def test_who_has_a_copy_of_his_own_keeps_it(home: Home) -> None:
    home.take("Anna", copy_for("anna@demo.example", LETTER))
    number = hand(home, "anna", f"user:{home.ids['clara']}")
    home.take("Clara", copy_for("clara@demo.example", LETTER))
    viewer = home.viewer("anna")
    with home.archive.reading() as session:
        (said,) = handing.against(session, handing.get(session, viewer, number), NOON)
    assert str(said) == "All of it has come there in another way, too."
    with pytest.raises(HandingTrouble):
        take_back(home, "anna", number)
    raws = b"".join(home.raws(home.viewer("clara")).values())
    assert b"Delivered-To: clara@" in raws
    assert b"anna@" not in raws
    assert sees(home, "clara") == ALL


def test_a_comment_stands_against_it_and_is_named(home: Home) -> None:
    home.take("Anna", LETTER)
    number = hand(home, "anna", f"user:{home.ids['bernd']}")
    with home.archive.transaction() as session:
        (ticket,) = tickets.of_conversation(session, home.viewer("bernd"), conversation(home))
        row = {"ticket": ticket.id, "author": home.ids["bernd"], "at": NOON + 1, "text": "I call them."}
        made = session.scalar(insert(comment).values(**row).returning(comment.c.id))
        write(
            session,
            [Event("ticket.commented", "user:2", "ticket:1", {}, proof.of_ids(session, "comment", [made]))],
            NOON,
        )
    with pytest.raises(HandingTrouble, match="Bernd has commented on it"):
        take_back(home, "anna", number)
    assert sees(home, "bernd") == ALL


def test_what_was_handed_on_is_pulled_back_with_it_and_later_stands_against_it(home: Home) -> None:
    home.take("Anna", LETTER)
    number = hand(home, "anna", f"user:{home.ids['bernd']}")
    hand(home, "bernd", f"user:{home.ids['clara']}", at=NOON + MINUTE)
    assert sees(home, "clara") == ALL
    with pytest.raises(HandingTrouble, match="Bernd has handed it on"):
        take_back(home, "anna", number, at=NOON + 15 * MINUTE)
    take_back(home, "anna", number, at=NOON + 15 * MINUTE - 1)
    assert (sees(home, "bernd"), sees(home, "clara")) == (set(), set())
    with home.archive.reading() as session:
        assert handing.withdrawn(session, home.viewer("bernd"), 0) == [], "as if it had not been"
    assert home.verify() == []


def test_it_is_withdrawn_also_after_the_grace_period_that_the_house_has_set(home: Home) -> None:
    home.take("Anna", LETTER)
    with home.archive.transaction() as session:
        session.execute(insert(installation).values(name=handing.GRACE, value="1"))
        assert handing.grace(session) == MINUTE
    number = hand(home, "anna", f"user:{home.ids['bernd']}")
    with home.archive.transaction() as session:  # he has read it; that is no duty
        (ticket,) = tickets.of_conversation(session, home.viewer("bernd"), conversation(home))
        tickets.mark_seen(session, home.ids["bernd"], [ticket])
    take_back(home, "anna", number, at=NOON + 2 * MINUTE)
    assert sees(home, "bernd") == set()
    at, bernd = NOON + 2 * MINUTE, home.viewer("bernd")
    with home.archive.reading() as session:
        told = [Withdrawn(f"user:{home.ids['bernd']}", "Anna", NOON, at)]
        assert handing.withdrawn(session, bernd, at - 1) == told, "that it was, and not what it was"
        assert handing.withdrawn(session, bernd, at) == []
        assert handing.withdrawn(session, home.viewer("clara"), 0) == []
    assert [row[0] for row in home.rows("SELECT kind FROM event WHERE kind LIKE 'mail.%' ORDER BY id")] == [
        "mail.handed_over",
        "mail.withdrawn",
    ]
    assert home.verify() == []


def test_to_a_case_its_participants_see_it_and_it_is_filed(home: Home) -> None:
    home.take("Anna", LETTER)
    with home.archive.transaction() as session:
        row = {
            "reference": "Order 1", "folded": "order 1", "title": "Chairs", "client": "", "state": "open",
            "created_at": NOON, "created_by": "operator", "last_at": NOON,
        }  # fmt: skip
        made = session.scalar(insert(case).values(**row).returning(case.c.id)) or 0
        everyone = [f"user:{home.ids['anna']}", f"process:{home.ids['process sales']}"]
        session.execute(insert(case_participant), [{"case": made, "scope": scope, "since": NOON} for scope in everyone])
        rows = proof.joined(
            proof.of_ids(session, "case", [made]),
            proof.stored(session, "case_participant", case_participant.c.case == made),
        )
        write(session, [Event("case.opened", "operator", f"case:{made}", {}, rows)], NOON)
    with home.archive.reading() as session:
        offered = handing.targets(session, home.viewer("anna"))["case"]
        assert [(one.scope, one.name) for one in offered] == [(f"case:{made}", "Order 1 Chairs")]
        assert handing.targets(session, home.viewer("clara"))["case"] == []
    number = hand(home, "anna", f"case:{made}")
    assert (sees(home, "bernd"), sees(home, "clara")) == (ALL, set())
    take_back(home, "anna", number)
    assert sees(home, "bernd") == set()
    assert home.verify() == []


def test_who_may_not_work_on_it_hands_nothing_over(home: Home) -> None:
    home.take("Helpdesk", LETTER)
    helpdesk, bernd = f"process:{home.ids['process helpdesk']}", f"user:{home.ids['bernd']}"
    with home.archive.transaction() as session:
        members.give(session, home.ids["process helpdesk"], home.ids["clara"], Role.READS, "operator", NOON)
    for who in ("clara", "bernd"):
        with pytest.raises(NotThere):
            hand(home, who, bernd, source=helpdesk)
    for to in (helpdesk, "user:99", "process:99", "case:1", "restricted:1", "", f"user:{home.ids['anna']}"):
        with pytest.raises(HandingTrouble, match="Choose whom"):
            hand(home, "anna", to, source=helpdesk)
    with pytest.raises(HandingTrouble, match="at least one mail"):
        hand(home, "anna", bernd, source=helpdesk, only={1})
    number = hand(home, "anna", bernd, source=helpdesk)
    for who in ("bernd", "clara"):
        with pytest.raises(NotThere):
            take_back(home, who, number)
    with home.archive.transaction() as session:  # whoever manages the process may take it back, too
        members.give(session, home.ids["process helpdesk"], home.ids["clara"], Role.MANAGES, "operator", NOON)
    take_back(home, "clara", number)
    with pytest.raises(HandingTrouble, match="taken back already"):
        take_back(home, "clara", number)


def test_what_was_handed_over_is_exported_as_it_was_written_and_taken_in_elsewhere(home: Home, tmp_path: Path) -> None:
    home.take("Anna", copy_for("anna@demo.example", LETTER))
    hand(home, "anna", f"user:{home.ids['bernd']}")
    with home.archive.reading() as session:
        assert export.expected(session, home.viewer("bernd")) == 1
    done = export.write(home.archive, tmp_path / "out", home.viewer("bernd"), lambda _: None)
    assert (done.copies, done.quarantined, done.damaged) == (1, 0, [])
    (file,) = (tmp_path / "out").glob("message-*.eml")
    assert file.read_bytes() == LETTER
    (line,) = (json.loads(one) for one in (tmp_path / "out" / export.INDEX).read_text().splitlines())
    assert (line["file"], line["sha256"]) == (file.name, hashlib.sha256(LETTER).hexdigest())
    assert export.write(home.archive, tmp_path / "none", home.viewer("clara"), lambda _: None).copies == 0
    assert [one.place for one in finding.find(tmp_path / "out") if isinstance(one, Item)] == [file.name]
