"""Reports about mails of ours: on the recipient they are about, and nowhere else; forged ones are mails like others."""

import pytest
from sqlalchemy import select

from archive import cautions
from archive.intake import Intake
from archive.mail.reports import AWAY, COMPLAINED, DELAYED, FAILED, About
from archive.outgoing import bounced, composing, outbox, returns
from archive.outgoing.outbox import Result
from archive.people import members
from archive.people.roles import Role
from archive.people.scopes import MACHINE
from archive.post import messages
from archive.reading import Reading
from archive.sending import Letter
from archive.store.dialects import insert_missing
from archive.store.schema import seen as seen_table
from archive.store.schema import ticket
from archive.work import restricting, states, tickets

from ...mails import reports as made
from ...world import HELPDESK, copy_for, mail
from ..home import NOON, Home
from .test_outbox import EVA, claim, file, office, reply, seen, send, settle

__all__ = ["office"]

JAN = "jan@outside.example"


def sent(home: Home, **other: object) -> tuple[int, str]:
    """An answer that servers have taken for everybody; its number and Message-ID. Its ticket is done and read."""
    id_ = send(home, "anna", reply(home, **other))
    (one,) = claim(home)
    settle(home, one, {address: Result(outbox.SENT, 250, "taken") for address in one.recipients})
    anna = home.viewer("anna")
    with home.archive.transaction() as session:
        row = session.execute(select(ticket)).one()
        states.finish(session, row.id, "user:1", NOON + 62_000)
        found = tickets.of_conversation(session, anna, row.conversation)
        tickets.mark_seen(session, home.ids["anna"], found)
        insert_missing(session, seen_table, [{"user": home.ids["bernd"], "ticket": row.id, "at": NOON + 63_000}])
    return id_, seen(home, id_).message_id


def returned(home: Home, id_: int) -> dict[str, tuple[str | None, str]]:
    return {one.address: (one.returned, one.returned_says) for one in seen(home, id_).recipients}


def quiet(home: Home) -> bool:
    """One ticket, done as it was, in which nobody is waited for."""
    (row,) = home.rows("SELECT state, answered_at >= incoming_at FROM ticket")
    return row[0] == "done" and bool(row[1])


@pytest.mark.parametrize("name", made.BOUNCES)
def test_what_came_back_stands_on_the_recipient_and_opens_nothing(office: Home, name: str) -> None:
    id_, message_id = sent(office)
    before = office.rows("SELECT last_at FROM ticket")
    office.take("Helpdesk", made.BOUNCES[name](message_id))
    outcome, says = returned(office, id_)[EVA]
    assert outcome == FAILED
    assert says
    assert quiet(office)
    assert office.rows("SELECT last_at FROM ticket") == before  # nothing comes to the top of anybody's list
    assert office.rows("SELECT count(*) FROM stray") == [(0,)]
    with office.archive.reading() as session:
        readers = set(session.scalars(select(seen_table.c.user)))
        shown = outbox.of_conversation(
            session, office.viewer("anna"), office.rows("SELECT conversation FROM ticket")[0][0]
        )
        newest = messages.newest(session, MACHINE, None, 10)
    assert readers == {office.ids["bernd"]}  # whoever wrote it finds it unread
    assert [one.id for one in shown] == [id_]
    assert shown[0].recipients[0].lost
    (report,) = [one for one in newest if one.id == shown[0].recipients[0].returned_by]
    assert report.id not in (office.ids["question"], shown[0].message)
    assert office.rows("SELECT count(DISTINCT conversation) FROM message") == [(1,)]
    assert office.verify() == []


@pytest.mark.parametrize("name", made.AWAY)
def test_that_somebody_is_away_wakes_nobody(office: Home, name: str) -> None:
    id_, message_id = sent(office)
    marks, subject = made.AWAY[name]
    office.take("Helpdesk", made.away(message_id, *marks, subject=subject))
    assert returned(office, id_)[EVA] == (AWAY, subject)
    assert quiet(office)
    with office.archive.reading() as session:
        assert office.ids["anna"] in set(session.scalars(select(seen_table.c.user)))
        assert outbox.of_conversation(session, MACHINE, office.ids["question"]) == []
    assert office.verify() == []


@pytest.mark.parametrize("name", made.WRITTEN)
def test_what_a_person_wrote_is_an_answer(office: Home, name: str) -> None:
    id_, message_id = sent(office)
    marks, subject = made.WRITTEN[name]
    office.take("Helpdesk", made.away(message_id, *marks, subject=subject))
    assert returned(office, id_)[EVA] == (None, "")
    assert office.rows("SELECT state FROM ticket") == [("open",)]


def test_each_recipient_has_what_is_said_of_him_and_a_complaint_is_the_last_word(office: Home) -> None:
    id_, message_id = sent(office, cc=JAN)
    office.take("Helpdesk", made.postfix(message_id, JAN, action="delayed"))
    assert (returned(office, id_)[EVA][0], returned(office, id_)[JAN][0]) == (None, DELAYED)
    office.take("Helpdesk", made.postfix(message_id, "jan@elsewhere.example", original=JAN))
    assert returned(office, id_)[JAN][0] == FAILED
    office.take("Helpdesk", made.postfix(message_id, JAN, action="delivered"))  # too late
    assert returned(office, id_)[JAN][0] == FAILED
    office.take("Helpdesk", made.complaint(message_id))
    assert returned(office, id_)[EVA] == (COMPLAINED, "abuse")
    assert quiet(office)
    assert office.verify() == []


def test_the_same_report_again_says_nothing_new(office: Home) -> None:
    _, message_id = sent(office)
    office.take("Helpdesk", made.postfix(message_id))
    events = "SELECT count(*) FROM event WHERE kind = 'outgoing.returned'"
    office.take("Helpdesk", made.postfix(message_id))  # a copy
    office.take("Helpdesk", made.gmail(message_id))  # another server on the way
    assert office.rows(events) == [(1,)]


@pytest.mark.parametrize("first", ["report", "answer"])
def test_a_report_that_comes_together_with_an_answer_is_proved(office: Home, first: str) -> None:
    """Each of them changes the ticket, and what stands in it is what the last of them made it."""
    id_, message_id = sent(office)
    both = [made.postfix(message_id), mail(subject="Thanks", from_=EVA, to=HELPDESK, in_reply_to=message_id)]
    office.take("Helpdesk", *(both if first == "report" else both[::-1]))
    assert returned(office, id_)[EVA][0] == FAILED
    assert office.rows("SELECT state, messages FROM ticket") == [("open", 4)]
    assert office.verify() == []


def test_a_copy_of_a_report_in_another_folder_wakes_nobody_either(office: Home) -> None:
    _, message_id = sent(office)
    report = made.postfix(message_id)
    office.take("Helpdesk", report)
    office.take("Sales", report)
    assert office.rows("SELECT count(*) FROM ticket WHERE state <> 'done'") == [(0,)]
    assert office.verify() == []


AWAY_MARK = "Auto-Submitted: auto-replied"


def test_who_of_us_lost_access_says_nothing_in_the_conversation_by_a_mark_of_machines(office: Home) -> None:
    id_, message_id = sent(office, cc="bernd@demo.example")
    office.take("Helpdesk", made.away(message_id, AWAY_MARK, sender="bernd@demo.example"))
    assert set(returned(office, id_).values()) == {(None, "")}
    assert office.rows("SELECT reason FROM stray") == [("no access",)]
    assert office.rows("SELECT count(*) FROM ticket WHERE state = 'open'") == [(1,)]  # somebody looks at it
    assert office.verify() == []


def test_a_report_that_somebody_else_wrote_is_a_mail(office: Home) -> None:
    id_, message_id = sent(office)
    fail = b"Authentication-Results: mail.demo.example; dmarc=fail\r\n"
    office.take("Helpdesk", fail + copy_for(HELPDESK, made.away(message_id, AWAY_MARK)))
    assert returned(office, id_)[EVA] == (None, "")
    assert office.rows("SELECT state FROM ticket") == [("open",)]


def test_that_somebody_is_away_is_no_answer_for_which_a_mail_is_not_sent(office: Home) -> None:
    _, message_id = sent(office)
    after = send(office, "anna", reply(office, not_before=NOON + 200_000, unless_answered=True))
    office.take("Helpdesk", made.away(message_id, AWAY_MARK), at=NOON + 100_000)
    (one,) = claim(office, NOON + 200_000)
    assert one.id == after


def test_a_report_makes_nobody_take_part(office: Home) -> None:
    _, message_id = sent(office)
    report = made.away(message_id, AWAY_MARK, f"Cc: {JAN}", "Message-ID: <away@outside.example>")
    again = b"From: %s\r\nSubject: %%s\r\nIn-Reply-To: <away@outside.example>\r\n\r\nHello\r\n" % JAN.encode()
    office.take("Helpdesk", report, again % b"at once")
    office.take("Helpdesk", again % b"later")
    assert office.rows("SELECT reason FROM stray") == [("stranger",)] * 2


FORGED = {
    "no token": "<1.2.3@demo.example>",
    "another installation's": composing.message_id("helpdesk@demo.example", bytes(32), NOON),
}


@pytest.mark.parametrize("name", [*FORGED, "altered", "never sent"])
@pytest.mark.parametrize("form", ["Postfix", "qmail", "Gmail"])
def test_a_forged_report_is_a_mail_and_does_nothing(office: Home, name: str, form: str) -> None:
    id_, message_id = sent(office)
    ours = composing.message_id("helpdesk@demo.example", composing.secret(office.archive), NOON)
    named = FORGED.get(name) or {"altered": message_id.replace("@", "0@"), "never sent": ours}[name]
    office.take("Helpdesk", made.BOUNCES[form](named))
    assert returned(office, id_)[EVA] == (None, "")
    assert office.rows("SELECT count(*) FROM event WHERE kind = 'outgoing.returned'") == [(0,)]
    assert office.rows("SELECT count(*), count(DISTINCT conversation) FROM message") == [(3, 2)]
    assert office.rows("SELECT count(*) FROM ticket WHERE state = 'open'") == [(1,)]  # somebody looks at it
    assert office.verify() == []


def test_a_report_about_somebody_who_never_got_it_does_nothing(office: Home) -> None:
    id_, message_id = sent(office, cc=JAN)
    office.take("Helpdesk", made.postfix(message_id, "boss@elsewhere.example"))
    assert set(returned(office, id_).values()) == {(None, "")}
    assert office.rows("SELECT count(*) FROM ticket WHERE state = 'open'") == [(1,)]  # for people to look at


def test_whom_a_report_is_about() -> None:
    def about(*addresses: str) -> About:
        return About(addresses, FAILED, "5.1.1", "")

    both = [EVA, JAN]
    assert set(returns.match([about("EVA@outside.example")], both)) == {EVA}
    assert set(returns.match([about("x@y.example", JAN)], both)) == {JAN}
    assert returns.match([about("x@y.example")], both) == {}
    assert returns.match([about()], both) == {}
    assert set(returns.match([about("x@y.example")], [EVA])) == {EVA}  # who went on to somewhere else
    assert returns.match([about(EVA)], []) == {}


def test_a_mail_that_waits_to_be_sent_has_not_come_back(office: Home) -> None:
    id_ = send(office, "anna", reply(office))
    office.take("Helpdesk", made.postfix(seen(office, id_).message_id))
    assert returned(office, id_)[EVA] == (None, "")


def test_after_two_failures_whoever_writes_to_that_address_is_told(office: Home) -> None:
    def told(at: int = NOON) -> dict[str, int]:
        with office.archive.reading() as session:
            return returns.undeliverable(session, ["Eva@Outside.example", EVA, JAN], MACHINE, at)

    for number in (1, 2):
        _, message_id = sent(office)
        office.take("Helpdesk", made.postfix(message_id, action="delayed"))
        assert told() == {}
        office.take("Helpdesk", made.exim(message_id))
        assert told() == ({EVA: 2} if number == 2 else {})
    assert told(NOON + 200 * 86_400_000) == {}  # that was long ago
    with office.archive.reading() as session:
        assert list(bounced.among(session, ["EVA@outside.example", JAN], MACHINE)) == [EVA]
    assert office.verify() == []


def test_of_mail_that_one_may_not_see_nothing_is_told(office: Home) -> None:
    for _ in range(2):
        _, message_id = sent(office)
        office.take("Helpdesk", made.postfix(message_id))
    lookalike = Letter(office.ids["sales"], outbox.NEW, "x@outsiide.example", "New", "Hello", undo=0)

    def told(name: str) -> tuple[dict[str, int], list[str], list[str]]:
        viewer = office.viewer(name)
        with office.archive.reading() as session:
            few = returns.undeliverable(session, [EVA], viewer, NOON)
            alike = [one.about for one in cautions.of(session, viewer, lookalike)]
            return few, list(bounced.among(session, [EVA], viewer)), alike

    all_ = ({EVA: 2}, [EVA], ["outsiide.example outside.example"])
    assert (told("anna"), told("bernd")) == (all_, ({}, [], []))
    with office.archive.transaction() as session:
        members.give(session, office.ids["process helpdesk"], office.ids["bernd"], Role.WORKS, "operator", NOON)
    assert told("bernd") == all_
    anna = office.viewer("anna")
    with office.archive.transaction() as session:
        restricting.restrict(office.archive, session, anna, office.ids["question"], [], "", NOON)
    assert (told("anna"), told("bernd")) == (all_, ({}, [], []))


def test_reports_come_through_a_reading_worker_too(office: Home) -> None:
    id_, message_id = sent(office)
    reading = Reading(workers=1)
    intake = Intake(office.archive, reading)
    try:
        office.take("Helpdesk", made.exchange(message_id), intake=intake)
    finally:
        intake.close()
        reading.close()
    assert returned(office, id_)[EVA][0] == FAILED


def test_what_comes_back_before_our_mail_stands_in_the_archive_is_found_with_it(office: Home) -> None:
    letter = Letter(office.ids["helpdesk"], outbox.NEW, EVA, "New", "Hello", undo=0)
    id_ = send(office, "anna", letter)
    (one,) = claim(office)
    with office.archive.transaction() as session:
        outbox.settle(session, [outbox.Said(one.id, one.claim, {EVA: Result(outbox.SENT, 250, "")}, NOON)])
    office.take("Helpdesk", made.postfix(seen(office, id_).message_id))
    assert returned(office, id_)[EVA][0] == FAILED
    assert office.rows("SELECT count(*) FROM ticket WHERE state = 'open'") == [(1,)]  # Eva's question
    file(office, NOON + 1000)
    query = "SELECT count(*), count(DISTINCT conversation) FROM message WHERE subject <> 'Invoice'"
    assert office.rows(query) == [(2, 1)]
    assert office.verify() == []
