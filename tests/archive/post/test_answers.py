"""What was answered, by whom and from where: told from the Sent folder of a process."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from archive.people.scopes import Viewer
from archive.post import answers, bindings, messages
from archive.post.answers import Person, Written
from archive.store.schema import binding, delivery, event, event_detail, receipt, seen, ticket
from archive.work import tickets

from ...world import BERND, SALES, mail
from ...world import Person as Sender
from ..home import NOON, Home

MINUTE = 60_000
ASKS = mail(subject="Where is it?", to=SALES, message_id="<asks@outside.example>")
REPLY = mail(
    subject="Re: Where is it?",
    from_=Sender("Bernd", SALES),
    to="eva@outside.example",
    in_reply_to="<asks@outside.example>",
    message_id="<reply@demo.example>",
)


@pytest.fixture
def home(home: Home) -> Home:
    """The Sent folder of Sales is read; Bernd is called Bernd there."""
    with home.archive.transaction() as session:
        (box,) = bindings.mailboxes(session)
        made = bindings.add(session, box, "Sent", "", NOON, process=home.ids["process sales"], sent=True)
        home.ids["Sent"] = made
    return home


def of_sales(home: Home) -> Any:
    """Its only ticket."""
    scope = f"process:{home.ids['process sales']}"
    with home.archive.reading() as session:
        return session.execute(select(ticket).where(ticket.c.scope == scope)).one()


def answered(home: Home, viewer: Viewer) -> dict[str, answers.Answered]:
    """By subject."""
    with home.archive.reading() as session:
        there = {one.id: one.subject for one in messages.newest(session, viewer, None, 50)}
        return {there[id_]: one for id_, one in answers.of(session, there, viewer).items()}


def test_an_answer_from_another_mail_program_is_seen(home: Home) -> None:
    """Bernd answers at his own desk, from the address of Sales: the mail and the ticket say so."""
    home.take("Sales", ASKS)
    before = of_sales(home)
    assert before.answered_at is None
    home.take("Sent", REPLY, at=NOON + 5 * MINUTE)
    found = answered(home, home.viewer("bernd"))
    assert list(found) == ["Where is it?"], "and not the answer itself"
    one = found["Where is it?"]
    assert (one.name, one.address, one.at) == ("Bernd", "sales@demo.example", NOON + 5 * MINUTE)
    row = of_sales(home)
    assert (row.answered_at, row.first_answer_at) == (NOON + 5 * MINUTE, NOON + 5 * MINUTE)
    assert (row.answered_by, row.answered_from) == (home.ids["bernd"], "sales@demo.example")
    assert (row.state, row.messages, row.last_message > before.last_message) == (before.state, 2, True)
    assert answered(home, home.viewer("anna")) == {}, "who may not see the mail is told nothing"
    with home.archive.reading() as session:
        (unread,) = tickets.page(session, home.viewer("bernd"), [row.scope])
        assert not unread.unread, "what one wrote oneself is nothing new"
        assert session.scalar(select(delivery.c.reason).where(delivery.c.message == one.by_message)) == "sent"
        settled = session.scalar(select(receipt.c.settlement).where(receipt.c.message == one.by_message))
    assert settled == "sent"
    assert home.verify() == []


def test_the_same_answer_again_changes_nothing(home: Home) -> None:
    """Sent twice into the folder, as some mail programs do, and to Sales as a copy for itself."""
    home.take("Sales", ASKS)
    home.take("Sent", REPLY, at=NOON + MINUTE)
    row, events = of_sales(home), home.count("event")
    home.take("Sent", REPLY, at=NOON + 2 * MINUTE)
    assert home.count("event") == events + 2, "one more copy, and that it is settled"
    home.take("Sales", REPLY, at=NOON + 3 * MINUTE)
    assert of_sales(home)._mapping == row._mapping
    assert home.count("answer") == 1
    assert home.verify() == []


def test_an_answer_that_is_seen_before_its_question(home: Home) -> None:
    home.take("Sent", REPLY, at=NOON + 5 * MINUTE)
    row = of_sales(home)
    assert (row.state, row.done_by, row.answered_at) == ("done", f"binding:{home.ids['Sent']}", None)
    home.take("Sales", ASKS, at=NOON)
    assert answered(home, home.viewer("bernd"))["Where is it?"].name == "Bernd"
    row = of_sales(home)
    assert (row.answered_at, row.first_answer_at, row.messages) == (NOON + 5 * MINUTE, NOON + 5 * MINUTE, 2)
    assert home.verify() == []


def test_a_copy_for_oneself_counts_once_its_sent_folder_is_read(home: Home) -> None:
    """The answer came to the process's own INBOX first: that proves nothing, its copy in Sent does."""
    home.take("Sales", ASKS)
    home.take("Sales", REPLY)
    assert answered(home, home.viewer("bernd")) == {}, "From may say anything"
    home.take("Sent", REPLY, at=NOON + MINUTE)
    assert answered(home, home.viewer("bernd"))["Where is it?"].at == NOON + MINUTE
    assert home.verify() == []


def test_the_first_and_the_latest_answer(home: Home) -> None:
    """Eva asks again; the second answer names both of her mails."""
    home.take("Sales", ASKS)
    home.take("Sent", REPLY, at=NOON + MINUTE)
    again = mail(subject="And now?", in_reply_to="<reply@demo.example>", message_id="<again@outside.example>")
    home.take("Sales", again, at=NOON + 2 * MINUTE)
    references = ["<asks@outside.example>", "<reply@demo.example>", "<again@outside.example>"]
    other = Sender("Sales", "offers@demo.example")
    home.take("Sent", mail(subject="Re: And now?", from_=other, references=references), at=NOON + 3 * MINUTE)
    found = answered(home, home.viewer("bernd"))
    assert {subject: one.at for subject, one in found.items()} == {
        "Where is it?": NOON + MINUTE,
        "And now?": NOON + 3 * MINUTE,
    }
    row = of_sales(home)
    assert (row.first_answer_at, row.answered_at) == (NOON + MINUTE, NOON + 3 * MINUTE)
    assert (row.answered_by, row.answered_from) == (None, "offers@demo.example"), "nobody is called Sales"
    with home.archive.reading() as session:
        told = session.scalars(
            select(event_detail.c.details)
            .join(event, event.c.id == event_detail.c.event)
            .where(event.c.kind == "ticket.answered")
            .order_by(event.c.id)
        ).all()
    assert [json.loads(one)["name"] for one in told] == ["Bernd", "Sales"]
    assert home.verify() == []


def test_what_was_sent_before_brings_nothing_to_the_top(home: Home) -> None:
    """Import mode: the folder held it when it was first read."""
    home.take("Sales", ASKS)
    before = of_sales(home)
    with home.archive.transaction() as session:
        session.execute(binding.update().values(uidvalidity=7, before_uidnext=100))
    home.take("Sent", REPLY, mail(subject="An offer", from_=BERND), at=NOON + MINUTE)
    scope = f"process:{home.ids['process sales']}"
    with home.archive.reading() as session:
        rows = {row.subject: row for row in session.execute(select(ticket).where(ticket.c.scope == scope))}
    assert rows["Where is it?"].last_at == before.last_at
    assert rows["Where is it?"].answered_at == NOON + MINUTE
    assert rows["An offer"].state == "done"
    assert home.verify() == []


def test_an_answer_that_sales_gave_is_not_told_to_helpdesk(home: Home) -> None:
    """The question came to both; Anna sees it, and nothing of an answer she may not see."""
    home.take("Sales", ASKS)
    home.take("Helpdesk", ASKS)
    home.take("Sent", REPLY, at=NOON + MINUTE)
    assert answered(home, home.viewer("anna")) == {}
    scope = f"process:{home.ids['process helpdesk']}"
    with home.archive.reading() as session:
        assert session.scalar(select(ticket.c.answered_at).where(ticket.c.scope == scope)) is None
        assert session.scalar(select(seen.c.user).where(seen.c.user == home.ids["anna"])) is None
    assert home.verify() == []


@pytest.mark.parametrize(
    ("name", "address", "really", "who"),
    [
        ("Bernd", "sales@demo.example", (), 2),
        ("bernd ", "sales@demo.example", (), 2),
        ("", "BERND@demo.example", (), 2),
        ("Sales", "sales@demo.example", ("bernd@demo.example",), 2),
        ("Anna", "sales@demo.example", ("bernd@demo.example",), 2),  # what the server says counts for more
        ("Sales", "sales@demo.example", (), None),
        ("Jan", "sales@demo.example", (), None),  # there are two
        ("", "", (), None),
    ],
)
def test_who_wrote_it(name: str, address: str, really: tuple[str, ...], who: int | None) -> None:
    people = [
        Person(1, "anna@demo.example", "Anna"),
        Person(2, "bernd@demo.example", "Bernd"),
        Person(3, "jan@demo.example", "Jan"),
        Person(4, "jan2@demo.example", "Jan"),
    ]
    assert answers.author(Written(9, NOON, name, address, (), really), people) == who


def test_who_was_signed_in_is_read_from_sender(home: Home) -> None:
    home.take("Sales", ASKS)
    headers = [("Sender", "bernd@demo.example")]
    raw = mail(subject="Re", from_=Sender("Sales", SALES), in_reply_to="<asks@outside.example>", headers=headers)
    home.take("Sent", raw)
    assert of_sales(home).answered_by == home.ids["bernd"]
