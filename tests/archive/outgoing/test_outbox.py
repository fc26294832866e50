"""The outbox: queued, taken back, claimed, and what became of it for each recipient."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from archive import installation, sending
from archive.intake import Ours
from archive.mail import reports
from archive.outgoing import composing, identities, outbox, retries, returns
from archive.outgoing.composing import Attachment, Unwritable
from archive.outgoing.outbox import Claimed, Result, Said
from archive.people import members, scopes
from archive.people.roles import Role
from archive.people.scopes import MACHINE, Viewer, process_scope
from archive.post import bindings, messages
from archive.sending import Letter
from archive.store.archive import Session
from archive.store.dialects import hold
from archive.store.schema import answer, outgoing, ticket
from archive.work import history, restricting, splitting, strays

from ..home import NOON, Home

QUESTION = (
    b"From: Eva <eva@outside.example>\r\nTo: helpdesk@demo.example\r\nSubject: Invoice\r\n"
    b"Message-ID: <1@outside.example>\r\nReferences: <0@outside.example>\r\n\r\nWhere is it?\r\n"
)
GATEWAY = bytes(16)


@pytest.fixture
def office(home: Home) -> Home:
    """Helpdesk and Sales have addresses to send from; Eva has asked something."""
    with home.archive.transaction() as session:
        bindings.add_mailbox(
            session, home.archive, "out", "imap+plain://out@127.0.0.1", "smtp+plain://127.0.0.1:25", "secret", NOON
        )
        box = bindings.mailbox_by_name(session, "out")
        assert box
        for slug in ("helpdesk", "sales"):
            home.ids[slug] = identities.add(
                session, f"{slug}@demo.example", box, NOON,
                name=slug.title(), process=home.ids[f"process {slug}"], sent_folder="Sent",
            )  # fmt: skip
    home.take("Helpdesk", QUESTION)
    (home.ids["question"],) = (row[0] for row in home.rows("SELECT id FROM message"))
    return home


def reply(home: Home, **other: object) -> Letter:
    values: dict[str, object] = {
        "identity": home.ids["helpdesk"], "kind": outbox.REPLY, "to": "Eva <eva@outside.example>",
        "subject": "Re: Invoice", "text": "Here.", "answers": home.ids["question"],
        "scope": process_scope(home.ids["process helpdesk"]), "undo": 0,
    }  # fmt: skip
    return Letter(**{**values, **other})  # type: ignore[arg-type]


def send(home: Home, name: str, letter: Letter) -> int:
    return sending.send(home.archive, lambda session: scopes.viewer(session, home.ids[name]), letter, home.clock())


def claim(home: Home, at: int = NOON + 60_000) -> list[Claimed]:
    with home.archive.transaction() as session:
        return [one for box in outbox.due(session, at) for one in outbox.claim(session, box, GATEWAY, at, 10)]


def settle(home: Home, one: Claimed, results: Mapping[str, Result], at: int = NOON + 61_000) -> None:
    """As the sender does: what somebody has got becomes a message after that was written down."""
    with home.archive.transaction() as session:
        assert outbox.settle(session, [Said(one.id, one.claim, results, at)]) == {one.id}
    file(home, at)


def file(home: Home, at: int) -> None:
    with home.archive.reading() as session:
        some = [one for box in outbox.due(session, at) for one in outbox.unfiled(session, box, at, 10)]
    for one in some:
        with home.archive.reading() as session:
            raw, source = sending.raw(home.archive, session, one.blob), outbox.source_of(session, one.sender)
        replies = {one.id: one.replies_to} if one.replies_to else {}
        ours = Ours(one.scope, one.author, source, at, partial(_became, at=at), replies)
        home.intake.take_ours(ours, {one.id: raw}, home.clock)


def _became(session: Session, messages: Mapping[int, int], at: int) -> None:
    outbox.became(session, messages, at)


def seen(home: Home, id_: int, viewer: Viewer = MACHINE) -> outbox.Outgoing:
    with home.archive.reading() as session:
        found = outbox.get(session, id_, viewer)
    assert found
    return found


EVA = "eva@outside.example"


def test_of_two_answers_at_the_same_instant_one_sees_the_other(office: Home) -> None:
    """Both look before either is there, unless one of them has to wait for the other."""
    met = threading.Barrier(2)
    with office.archive.reading() as session:
        question = messages.get(session, office.ids["question"], MACHINE)
    assert question

    class Newer(Exception):
        pass

    def look(session: Session) -> None:
        there = outbox.since(session, MACHINE, question.conversation, NOON - 1)
        with suppress(threading.BrokenBarrierError):
            met.wait(3)
        if there:
            raise Newer

    def answer(text: str) -> int | None:
        try:
            return sending.send(
                office.archive, lambda session: scopes.viewer(session, office.ids["anna"]), reply(office, text=text),
                NOON, look,
            )  # fmt: skip
        except Newer:
            return None

    with ThreadPoolExecutor(2) as both:
        made = [one for one in both.map(answer, ("One", "Two")) if one is not None]
    assert len(made) == 1
    assert [row[0] for row in office.rows("SELECT id FROM outgoing")] == made
    assert office.verify() == []


def test_an_answer_is_queued_sent_and_stands_in_the_conversation_once(office: Home) -> None:
    id_ = send(office, "anna", reply(office, text="**Here**", attachments=[Attachment("a.txt", "text/plain", b"x")]))
    assert seen(office, id_).state == outbox.QUEUED
    (one,) = claim(office)
    assert one.recipients == (EVA,)
    assert claim(office) == []  # it is somebody's
    settle(office, one, {EVA: Result(outbox.SENT, 250, "taken")})

    sent = seen(office, id_, office.viewer("anna"))
    assert (sent.state, sent.sent_copy, sent.author_name) == (outbox.SENT, outbox.WAITING, "Anna")
    with office.archive.reading() as session:
        question = messages.get(session, office.ids["question"], MACHINE)
        assert question
        first, second = messages.of_conversation(session, question.conversation, office.viewer("anna"))
        assert (first.id, second.id) == (question.id, sent.message)
        assert messages.of_conversation(session, question.conversation, office.viewer("bernd")) == []
        (copy,) = messages.copies(session, second.id, MACHINE)
        raw = office.raw(copy)
        row = session.execute(select(ticket)).one()
        answered = session.execute(select(answer)).one()
    assert b"In-Reply-To: <1@outside.example>" in raw
    assert b"References: <0@outside.example>\r\n <1@outside.example>" in raw
    assert (row.answered_by, row.answered_from) == (office.ids["anna"], "helpdesk@demo.example")
    assert (row.messages, row.first_answer_at) == (2, row.answered_at)
    assert (answered.message, answered.by_message, answered.user) == (question.id, second.id, office.ids["anna"])
    assert composing.is_ours(second.message_id, sending.secret(office.archive))
    # Its copy comes back from the Sent folder: the same message.
    before = office.count("message")
    office.take("Helpdesk", raw)
    assert office.count("message") == before
    assert office.verify() == []


def test_a_mail_is_taken_back_before_it_begins_and_not_after(office: Home) -> None:
    id_ = send(office, "anna", reply(office, undo=8000))
    assert claim(office, NOON + 5000) == []
    with office.archive.transaction() as session:
        assert outbox.cancel(session, id_, "user:1", NOON + 5000)
        assert not outbox.cancel(session, id_, "user:1", NOON + 5001)
    assert claim(office) == []
    assert seen(office, id_).state == outbox.CANCELLED
    later = send(office, "anna", reply(office))
    assert len(claim(office)) == 1
    with office.archive.transaction() as session:
        assert not outbox.cancel(session, later, "user:1", NOON + 70_000)
    assert office.verify() == []


def test_send_later_waits_and_is_not_sent_when_they_answer_first(office: Home) -> None:
    id_ = send(office, "anna", reply(office, not_before=NOON + 3_600_000, unless_answered=True))
    other = send(office, "anna", reply(office, not_before=NOON + 3_600_000))
    assert claim(office, NOON + 3_500_000) == []
    office.take(
        "Helpdesk",
        b"From: eva@outside.example\r\nIn-Reply-To: <1@outside.example>\r\nMessage-ID: <2@o>\r\n\r\nFound it.\r\n",
        at=NOON + 1_000_000,
    )
    assert [one.id for one in claim(office, NOON + 3_600_000)] == [other]
    assert seen(office, id_).state == outbox.CANCELLED
    assert office.verify() == []


def test_they_answer_first_however_they_write_their_address(office: Home) -> None:
    letter = reply(office, to="EVA@Outside.example", not_before=NOON + 3_600_000, unless_answered=True)
    id_ = send(office, "anna", letter)
    office.take(
        "Helpdesk",
        b"From: eva@Outside.example\r\nIn-Reply-To: <1@outside.example>\r\nMessage-ID: <2@o>\r\n\r\nFound it.\r\n",
        at=NOON + 1_000_000,
    )
    assert claim(office, NOON + 3_600_000) == []
    assert seen(office, id_).state == outbox.CANCELLED


def test_what_is_to_go_later_goes_no_earlier_because_somebody_is_in_a_hurry(office: Home) -> None:
    id_ = send(office, "anna", reply(office, not_before=NOON + 3_600_000))
    with office.archive.transaction() as session:
        assert not outbox.hurry(session, id_, "user:2", NOON + 1)
    assert claim(office, NOON + 60_000) == []


def test_a_conversation_that_was_split_since_is_the_one_that_counts(office: Home) -> None:
    """Whether it is restricted, whether they answered, and whose ticket is called back."""
    more = b"From: eva@outside.example\r\nIn-Reply-To: <1@outside.example>\r\nMessage-ID: <2@o>\r\n\r\nAlso: that.\r\n"
    office.take("Helpdesk", more, at=NOON + 30_000)
    (second,) = (row[0] for row in office.rows("SELECT id FROM message WHERE message_id LIKE '%2@o%'"))
    (old,) = (row[0] for row in office.rows("SELECT DISTINCT conversation FROM message"))
    failing = send(office, "anna", reply(office, answers=second))
    waiting = send(office, "anna", reply(office, answers=second, not_before=NOON + 3_600_000, unless_answered=True))
    with office.archive.transaction() as session:
        members.give(session, office.ids["process helpdesk"], office.ids["bernd"], Role.WORKS, "operator", NOON)
        new = splitting.split(session, old, second, office.viewer("anna"), NOON + 1)
        (split,) = session.scalars(select(ticket.c.id).where(ticket.c.conversation == new))
    (one,) = claim(office)
    settle(office, one, {EVA: Result(outbox.FAILED, 550, "no")})
    assert office.rows("SELECT subject FROM event WHERE kind = 'ticket.answer_failed'") == [(f"ticket:{split}",)]
    third = more.replace(b"<1@outside.example>", b"<2@o>").replace(b"ID: <2@o>", b"ID: <3@o>")
    office.take("Helpdesk", third, at=NOON + 1_000_000)
    assert claim(office, NOON + 3_600_000) == []
    assert seen(office, waiting).state == outbox.CANCELLED
    assert seen(office, failing, office.viewer("bernd"))
    with office.archive.transaction() as session:
        restricting.restrict(office.archive, session, office.viewer("anna"), new, [], "", NOON + 2)
    with office.archive.reading() as session:
        assert outbox.get(session, failing, office.viewer("anna")) is not None
        assert outbox.get(session, failing, office.viewer("bernd")) is None
    assert office.verify() == []


def stray(home: Home, number: int, sender: str = "jan@else.example", named: str = "<1@outside.example>") -> int:
    """A stranger's mail that names another one, and so stands beside that one's conversation."""
    raw = f"From: {sender}\r\nTo: helpdesk@demo.example\r\nSubject: Stray {number}\r\nReferences: {named}\r\n"
    home.take(
        "Helpdesk",
        f"{raw}Message-ID: <{number}@else.example>\r\n\r\nI ask, too.\r\n".encode(),
        at=NOON + 5_000 + number * 1_000,
    )
    (row,) = home.rows("SELECT id FROM message WHERE subject = ?", f"Stray {number}")
    return int(row[0])


def apart(home: Home, conversation: int) -> list[int]:
    """What the page of a conversation shows of the outbox."""
    with home.archive.reading() as session:
        return [one.id for one in outbox.of_conversation(session, home.viewer("anna"), conversation)]


def test_what_waits_stands_where_its_conversation_went(office: Home) -> None:
    """Joined with another, and taken apart again."""
    anna, question = office.viewer("anna"), office.ids["question"]
    jans = stray(office, 2)
    first, second = (send(office, "anna", reply(office, undo=8000, answers=one)) for one in (question, jans))
    assert (apart(office, question), apart(office, jans)) == ([first], [second])
    with office.archive.transaction() as session:
        assert strays.join(session, anna, jans, NOON + 10_000) == question
    assert (apart(office, question), apart(office, jans)) == ([first, second], [])
    assert seen(office, second).conversation == question
    with office.archive.transaction() as session:
        assert splitting.split(session, question, jans, anna, NOON + 11_000) == jans
    assert (apart(office, question), apart(office, jans)) == ([first], [second])
    assert seen(office, second).conversation == jans
    with office.archive.transaction() as session:
        splitting.put_back(session, jans, question, "user:1", NOON + 12_000)
    assert (apart(office, question), apart(office, jans)) == ([first, second], [])
    assert office.verify() == []


def test_a_new_mail_that_one_did_not_get_says_so_in_the_conversation_it_began(office: Home) -> None:
    letter = reply(office, kind=outbox.NEW, answers=None, to="a@x.example, b@x.example", subject="News")
    id_ = send(office, "anna", letter)
    (one,) = claim(office)
    said = {"a@x.example": Result(outbox.SENT, 250, "ok"), "b@x.example": Result(outbox.FAILED, 550, "no")}
    settle(office, one, said)
    message = seen(office, id_).message or 0
    assert (apart(office, message), seen(office, id_).conversation) == ([id_], message)
    jans = stray(office, 2, named=one.message_id)  # a token of ours: it is let in
    (there,) = office.rows("SELECT conversation FROM message WHERE id = ?", jans)
    assert there == (message,)
    # Who knows the Message-ID of ours may give it to a mail; taken out again, that one has nothing to do with ours.
    raw = f"From: x@y.example\r\nSubject: Forged\r\nMessage-ID: {one.message_id}\r\n\r\nx\r\n".encode()
    office.take("Helpdesk", raw, at=NOON + 90_000)
    ((forged, there),) = office.rows("SELECT id, conversation FROM message WHERE subject = 'Forged'")
    assert there == message
    with office.archive.transaction() as session:
        assert splitting.split(session, message, forged, office.viewer("anna"), NOON + 91_000) == forged
    assert (apart(office, message), apart(office, forged)) == ([id_], [])


def test_who_got_one_of_ours_in_bcc_takes_part_where_it_stands_by_now(office: Home) -> None:
    anna, question = office.viewer("anna"), office.ids["question"]
    jans = stray(office, 2)
    send(office, "anna", reply(office, answers=jans, to="jan@else.example", bcc="kim@else.example"))
    (one,) = claim(office)
    settle(office, one, dict.fromkeys(one.recipients, Result(outbox.SENT, 250, "ok")))

    def lands(number: int) -> int:
        """Where Kim's mail goes, who names what Eva asked."""
        id_ = stray(office, number, "kim@else.example")
        return int(office.rows("SELECT conversation FROM message WHERE id = ?", id_)[0][0])

    assert lands(3) not in (question, jans), "Kim got nothing of Eva's conversation"
    with office.archive.transaction() as session:
        strays.join(session, anna, jans, NOON + 10_000)
    assert lands(4) == question
    with office.archive.transaction() as session:
        assert splitting.split(session, question, jans, anna, NOON + 11_000) == jans
    assert lands(5) not in (question, jans)
    assert office.verify() == []


def test_who_was_passed_a_mail_takes_part_in_its_conversation(office: Home) -> None:
    letter = reply(office, kind=outbox.FORWARD, to="kim@else.example", subject="Fwd: Invoice", bcc="tom@else.example")
    send(office, "anna", letter)
    (one,) = claim(office)
    settle(office, one, dict.fromkeys(one.recipients, Result(outbox.SENT, 250, "ok")))
    for number, sender in ((2, "kim@else.example"), (3, "tom@else.example")):
        id_ = stray(office, number, sender)
        assert office.rows("SELECT conversation FROM message WHERE id = ?", id_) == [(office.ids["question"],)]


@pytest.mark.databases("postgresql")
def test_what_is_reported_waits_for_whoever_writes_down_what_became_of_the_mail(office: Home) -> None:
    id_ = send(office, "anna", reply(office))
    (one,) = claim(office)
    settle(office, one, {EVA: Result(outbox.SENT, 250, "taken")})
    about = {EVA: reports.About((EVA,), reports.FAILED, "5.1.1", "no")}
    tied = returns.Tied(id_, "operator", "process:1", one.message_id, None, about)
    with office.archive.transaction() as session:
        hold(session, outgoing, [id_])
        with office.archive.transaction() as other:
            other.execute(text("SET LOCAL lock_timeout = '200ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                returns.note(other, tied, office.ids["question"], "gateway", NOON + 62_000)
    with office.archive.transaction() as session:
        returns.note(session, tied, office.ids["question"], "gateway", NOON + 62_000)
    assert seen(office, id_).recipients[0].returned == reports.FAILED
    assert office.verify() == []


def test_who_has_got_it_gets_it_no_more_and_who_refused_neither(office: Home) -> None:
    letter = reply(office, to="a@x.example, b@x.example", cc="c@x.example", bcc="d@x.example")
    id_ = send(office, "anna", letter)
    (one,) = claim(office)
    said = {
        "a@x.example": Result(outbox.SENT, 250, "taken"),
        "b@x.example": Result(outbox.FAILED, 550, "no such user"),
        "c@x.example": Result(outbox.DEFERRED, 450, "greylisted"),
    }
    settle(office, one, said)  # of d nothing was said
    deferred = seen(office, id_)
    assert (deferred.state, deferred.message is not None) == (outbox.DEFERRED, True)
    assert claim(office, NOON + 61_500) == []
    (again,) = claim(office, deferred.next_at or 0)
    assert again.recipients == ("c@x.example", "d@x.example")
    settle(office, again, dict.fromkeys(again.recipients, Result(outbox.SENT, 250, "")))
    done = seen(office, id_)
    assert done.state == outbox.SENT
    assert [(one.address[0], one.kind, one.state, one.code) for one in done.recipients] == [
        ("a", "to", "sent", 250), ("b", "to", "failed", 550), ("c", "cc", "sent", 250), ("d", "bcc", "sent", 250),
    ]  # fmt: skip
    with office.archive.reading() as session:
        raw = sending.raw(office.archive, session, done.blob)
        question = messages.get(session, office.ids["question"], MACHINE)
        assert question
        (shown,) = outbox.of_conversation(session, office.viewer("anna"), question.conversation)
    assert b"d@x.example" not in raw
    assert shown.id == id_  # one has not got it
    assert office.count("message") == 2
    assert office.verify() == []


def test_what_fails_for_good_calls_back_to_the_ticket_and_is_never_tried_again(office: Home) -> None:
    id_ = send(office, "anna", reply(office))
    (one,) = claim(office)
    settle(office, one, {EVA: Result(outbox.FAILED, 550, "no")})
    assert seen(office, id_).state == outbox.FAILED
    with office.archive.transaction() as session:
        assert not outbox.hurry(session, id_, "operator", NOON + 10**9)
        row = session.execute(select(ticket)).one()
        assert row.last_at == NOON + 61_000
        assert history.of(session, [row.id])[-1].kind == "ticket.answer_failed", "and its history says why"
    assert claim(office, NOON + 10**10) == []
    assert office.count("message") == 1  # nobody has got it
    assert office.verify() == []


def test_what_nobody_takes_is_given_up_after_five_days(office: Home) -> None:
    id_ = send(office, "anna", reply(office))
    at, tries = NOON + 60_000, 0
    while True:
        (one,) = claim(office, at)
        tries += 1
        if tries % 2:
            with office.archive.transaction() as session:
                outbox.put_back(session, [one], ("host", {"host": "mail.x.example"}), at)
        else:
            settle(office, one, {EVA: Result(outbox.DEFERRED, 450, "later")}, at)
        found = seen(office, id_)
        if found.next_at is None:
            break
        assert at < found.next_at <= found.queued_at + retries.FOR
        at = found.next_at
    assert (found.state, at) == (outbox.FAILED, found.queued_at + retries.FOR)
    assert 30 < tries < 60
    assert found.recipients[0].answer == "later"
    assert office.verify() == []


def test_five_days_begin_when_it_could_first_go(office: Home) -> None:
    day = 86_400_000
    id_ = send(office, "anna", reply(office, not_before=NOON + 10 * day))
    (one,) = claim(office, NOON + 10 * day)
    settle(office, one, {EVA: Result(outbox.DEFERRED, 450, "later")}, NOON + 10 * day + 1000)
    assert seen(office, id_).state == outbox.DEFERRED
    (one,) = claim(office, NOON + 14 * day)
    with office.archive.transaction() as session:
        outbox.put_back(session, [one], ("host", {"host": "mail.x.example"}), NOON + 14 * day)
    assert seen(office, id_).next_at is not None


def test_what_was_held_up_for_long_is_tried_more_than_once(office: Home) -> None:
    id_ = send(office, "anna", reply(office))
    at = NOON + 6 * 86_400_000
    (one,) = claim(office, at)
    settle(office, one, {EVA: Result(outbox.DEFERRED, 450, "later")}, at)
    assert seen(office, id_).state == outbox.DEFERRED
    (one,) = claim(office, at + 200_000)
    settle(office, one, {EVA: Result(outbox.SENT, 250, "")}, at + 200_000)
    assert seen(office, id_).state == outbox.SENT


def test_what_was_not_tried_can_still_be_taken_back(office: Home) -> None:
    id_ = send(office, "anna", reply(office))
    (one,) = claim(office)
    with office.archive.transaction() as session:
        outbox.put_back(session, [one], ("host", {"host": "mail.x.example"}), NOON + 60_000)
    waiting = seen(office, id_)
    assert (waiting.trouble_kind, waiting.can_be_taken_back) == ("host", True)
    with office.archive.transaction() as session:
        assert outbox.hurry(session, id_, "operator", NOON + 61_000)
    assert len(claim(office, NOON + 61_000)) == 1


def test_nobody_writes_down_results_of_a_claim_that_was_lost(office: Home) -> None:
    send(office, "anna", reply(office))
    (one,) = claim(office)
    with office.archive.transaction() as session:
        outbox.forget_claims(session)
        said = Said(one.id, one.claim, {EVA: Result(outbox.SENT, 250, "")}, NOON + 61_000)
        assert outbox.settle(session, [said]) == set()
        assert session.scalar(select(outgoing.c.state)) == outbox.QUEUED
    (again,) = claim(office)  # with the same bytes and Message-ID
    assert (again.message_id, again.blob) == (one.message_id, one.blob)


def test_after_a_restore_nothing_leaves_until_it_is_released(office: Home) -> None:
    send(office, "anna", reply(office))
    with office.archive.transaction() as session:
        installation.put(session, installation.HELD, str(NOON))
        assert outbox.due(session, NOON + 60_000) == []
        assert outbox.claim(session, 2, GATEWAY, NOON + 60_000, 10) == []
        installation.release(session)
    assert len(claim(office)) == 1


def test_only_who_may_sends_from_an_address_and_into_a_conversation(office: Home) -> None:
    sales = process_scope(office.ids["process sales"])
    for name, letter in (
        ("bernd", reply(office)),  # sees neither the mail nor sends for Helpdesk
        ("clara", reply(office, answers=None, scope=None, kind=outbox.NEW)),
        ("anna", reply(office, answers=None, scope=sales, kind=outbox.NEW)),  # a new mail stands where its address is
        ("anna", reply(office, answers=None, scope=f"user:{office.ids['anna']}", kind=outbox.NEW)),
        ("anna", reply(office, identity=office.ids["sales"])),
        ("anna", reply(office, scope=sales)),
        ("bernd", reply(office, identity=office.ids["sales"], scope=sales)),
    ):
        with pytest.raises(LookupError):
            send(office, name, letter)
    assert office.count("outgoing") == 0
    with office.archive.transaction() as session:
        assert identities.permit(session, office.ids["sales"], office.ids["anna"], True, NOON)
        assert not identities.permit(session, office.ids["sales"], office.ids["anna"], True, NOON)
    with pytest.raises(LookupError):  # the address's own process does not have this mail
        send(office, "anna", reply(office, identity=office.ids["sales"], scope=None))
    id_ = send(office, "anna", reply(office, identity=office.ids["sales"]))
    with office.archive.reading() as session:
        assert outbox.get(session, id_, office.viewer("bernd")) is None  # it is Helpdesk's mail
    with office.archive.transaction() as session:
        assert identities.permit(session, office.ids["sales"], office.ids["anna"], False, NOON)
    with pytest.raises(LookupError):
        send(office, "anna", reply(office, identity=office.ids["sales"]))
    assert office.verify() == []


def test_an_address_that_comes_back_for_others_is_sent_from_by_nobody_it_was_lent_to(office: Home) -> None:
    id_, anna = office.ids["sales"], office.ids["anna"]
    with office.archive.transaction() as session:
        identities.permit(session, id_, anna, True, NOON)
        identities.sign(session, id_, anna, "Anna", f"user:{anna}", NOON)
        box = bindings.mailbox_by_name(session, "out")
        assert box
        for process, lent in (("sales", True), ("helpdesk", False)):
            assert identities.remove(session, id_, NOON)
            number = office.ids[f"process {process}"]
            assert identities.add(session, "sales@demo.example", box, NOON, name="S", process=number) == id_
            assert (session.scalar(text("SELECT count(*) FROM identity_right")) == 1) is lent
    with office.archive.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM identity_signature")) == 0
    assert office.verify() == []


def test_recipients_are_read_in_time_whatever_is_typed(office: Home) -> None:
    begun = time.process_time()
    for to in ('"' + '\\"' * 100_000, '"a" ' * 50_000, '"\\' * 50_000):
        with pytest.raises(Unwritable):
            sending.parsed(reply(office, to=to))
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("to", ["", "   ", "nobody", "a@x.example, b", "eva@", 'eva@x.example, "b'])
def test_a_mail_to_nobody_or_to_no_address_is_not_queued(office: Home, to: str) -> None:
    with pytest.raises(Unwritable):
        send(office, "anna", reply(office, to=to))
    assert office.count("outgoing") == 0


def test_the_default_sender_is_what_was_written_to(office: Home) -> None:
    with office.archive.reading() as session:
        usable = identities.every(session)
    helpdesk, sales = usable
    assert identities.choose(usable, ["x@y.example", "SALES@demo.example"]) == sales
    assert identities.choose(usable, [], helpdesk.scope) == helpdesk
    assert identities.choose([], ["sales@demo.example"]) is None


def test_an_answer_to_everybody_goes_to_nobody_twice_and_not_to_ourselves(office: Home) -> None:
    office.take(
        "Helpdesk",
        b"From: Eva <eva@outside.example>\r\nTo: helpdesk@demo.example, Jan <jan@x.example>\r\n"
        b"Cc: EVA@outside.example, =?utf-8?q?=C5=BDofie?= <z@x.example>\r\nSubject: Re: AW: x\r\n\r\nhi\r\n",
        at=NOON + 10_000,
    )
    with office.archive.reading() as session:
        newest = messages.newest(session, MACHINE, None, 1)[0]
        usable = identities.usable(session, office.viewer("anna"))
    begun = sending.begin(outbox.REPLY, True, newest, "hi", "Eva wrote:", usable, None)
    assert (begun.to, begun.cc) == ("Eva <eva@outside.example>", 'Jan <jan@x.example>, "Žofie" <z@x.example>')
    assert (begun.subject, begun.quote, begun.identity) == ("Re: x", "Eva wrote:\n> hi", office.ids["helpdesk"])
    assert sending.begin(outbox.REPLY, False, newest, "", "", usable, None).cc == ""
    assert sending.begin(outbox.FORWARD, False, newest, "hi", "", usable, None).to == ""


def test_tries_come_at_growing_intervals_and_do_not_come_together() -> None:
    at = [retries.next_try(tries, 0, 0, 0.5) or 0 for tries in range(1, 12)]
    assert at == sorted(at)
    assert at[0] == retries.MINUTE
    assert at[-1] == retries.LONGEST
    assert retries.next_try(3, 0, 0, 0.0) != retries.next_try(3, 0, 0, 1.0)
    assert retries.next_try(50, 0, retries.FOR - 1, 0.5) == retries.FOR
    assert retries.next_try(7, 0, retries.FOR, 0.5) is None
    assert retries.next_try(1, 0, 2 * retries.FOR, 0.5) == 2 * retries.FOR + retries.MINUTE, "held up before its first"


def test_our_answer_stands_where_the_question_does_whoever_has_its_message_id(office: Home) -> None:
    """Nosy had sent something under that Message-ID before Eva did."""
    nosy = b"From: nosy@else.example\r\nTo: helpdesk@demo.example\r\nSubject: trap\r\nMessage-ID: <2@outside.example>"
    office.take("Helpdesk", nosy + b"\r\n\r\nx\r\n")
    office.take("Helpdesk", QUESTION.replace(b"<1@", b"<2@").replace(b"References: <0@outside.example>\r\n", b""))
    ((question, conversation),) = office.rows(
        "SELECT id, conversation FROM message WHERE from_address = ? AND message_id = ?", EVA, "2@outside.example"
    )
    id_ = send(office, "anna", reply(office, answers=question))
    (one,) = claim(office)
    settle(office, one, {EVA: Result(outbox.SENT, 250, "taken")})
    sent = seen(office, id_).message
    assert office.rows("SELECT conversation FROM message WHERE id = ?", sent) == [(conversation,)]
    assert office.verify() == []


def test_who_got_it_in_bcc_takes_part(office: Home) -> None:
    send(office, "anna", reply(office, bcc="jan@outside.example"))
    (one,) = claim(office)
    settle(office, one, {address: Result(outbox.SENT, 250, "taken") for address in one.recipients})
    for who in ("jan", "ivo"):
        answer = QUESTION.replace(b"<0@", b"<1@").replace(b"Message-ID: <1@", b"Message-ID: <%s@" % who.encode())
        office.take("Helpdesk", answer.replace(b"eva@", who.encode() + b"@"))
    query = "SELECT conversation FROM message WHERE from_address = ?"
    (first,), (jan,), (ivo,) = (office.rows(query, f"{who}@outside.example")[0] for who in ("eva", "jan", "ivo"))
    assert jan == first
    assert ivo != first


def test_answers_come_to_an_address_with_a_tag_where_that_is_wanted(office: Home) -> None:
    with office.archive.transaction() as session:
        box = bindings.mailbox_by_name(session, "out")
        assert box
        process = office.ids["process helpdesk"]
        made = identities.add(session, "care@demo.example", box, NOON, process=process, tags=True)
        assert identities.get(session, made).tags
    id_ = send(office, "anna", reply(office, identity=made))
    with office.archive.reading() as session:
        raw = sending.whole(office.archive, session, seen(office, id_))
    (line,) = [line for line in raw.split(b"\r\n") if line.startswith(b"Reply-To: ")]
    (one,) = claim(office)
    settle(office, one, {EVA: Result(outbox.SENT, 250, "taken")})
    # Her program drops References, and she writes from another address.
    back = b"From: eva@home.example\r\nTo: " + line[10:] + b"\r\nSubject: Re: Invoice\r\n\r\nThanks\r\n"
    office.take("Helpdesk", back)
    assert len({row[0] for row in office.rows("SELECT conversation FROM message")}) == 1
    assert office.rows("SELECT joined_by FROM message WHERE from_address = 'eva@home.example'") == [("token",)]
    with office.archive.reading() as session:
        answered = messages.newest(session, MACHINE, None, 1)[0]
        usable = identities.usable(session, office.viewer("anna"))
    begun = sending.begin(outbox.REPLY, True, answered, "x", "", usable, None)
    assert (begun.identity, begun.cc) == (made, "")
    assert office.verify() == []
