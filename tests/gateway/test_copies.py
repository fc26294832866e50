"""The same or not the same: copies of a mail, repeated and missing Message-IDs, and threads."""

import itertools
from collections.abc import Callable

import pytest

from archive.mail import identity
from archive.post import messages
from archive.work import tickets

from ..conftest import Account
from ..servers.scripted import Scripted
from ..world import HELPDESK, NOON, SALES, copy_for, mail
from .conftest import Office

MakeAccount = Callable[..., Account]


@pytest.mark.databases("sqlite", "postgresql")
def test_the_same_mail_at_two_addresses_is_kept_once(office: Office, dovecot: MakeAccount) -> None:
    """Helpdesk and Sales both receive it: one message, two receipts, two deliveries, two tickets."""
    help_, sales = dovecot("helpdesk"), dovecot("sales")
    raw = mail(to=f"{HELPDESK}, {SALES}", subject="Offer for a printer", attachments=[("offer.pdf", b"%PDF" * 500)])
    first, second = copy_for(HELPDESK, raw), copy_for(SALES, raw)
    help_.server.deliver(help_.user, "INBOX", first)
    sales.server.deliver(sales.user, "INBOX", second)
    to_help = office.watch(help_, process="helpdesk")
    to_sales = office.watch(sales, process="sales")
    outcomes = office.poll_well(to_help), office.poll_well(to_sales)
    assert [(one.archived, one.copies, one.moved) for one in outcomes] == [(1, 0, 1), (0, 1, 1)]

    one = office.message()
    anna, bernd, clara = office.anna, office.bernd, office.clara
    assert [len(office.rows(table)) for table in ("message", "receipt", "delivery", "ticket")] == [1, 2, 2, 2]
    assert office.find("printer", anna) == office.find("printer", bernd) == [one.id]
    assert office.find("printer", clara) == []
    assert office.messages(clara) == []
    assert office.raws(anna) == [first]
    assert office.raws(bernd) == [second]
    with office.archive.reading() as session:
        (annas,), (bernds,) = (messages.copies(session, one.id, viewer) for viewer in (anna, bernd))
        traces = [
            identity.trace_headers(messages.trace(office.archive, session, each)).decode() for each in (annas, bernds)
        ]
        content = b"".join(messages.content(office.archive, session, one.id))
        assert messages.copy(session, bernds.receipt, anna) is None
    assert HELPDESK in traces[0]
    assert SALES not in traces[0]
    assert SALES in traces[1]
    assert HELPDESK not in traces[1]
    assert content == raw
    assert office.events("copy.received") == [f"message:{one.id}"]
    assert office.events("message.archived") == [f"message:{one.id}"]


def test_the_same_mail_twice_in_one_folder_is_one_message_with_two_receipts(
    office: Office, dovecot: MakeAccount
) -> None:
    help_ = dovecot("helpdesk")
    raw = mail(subject="dragged in twice")
    help_.server.deliver(help_.user, "INBOX", raw, raw, copy_for(HELPDESK, raw))
    outcome = office.poll_well(office.watch(help_))
    assert (outcome.seen, outcome.archived, outcome.copies, outcome.moved) == (3, 1, 2, 3)
    assert len(office.rows("message")) == len(office.rows("delivery")) == len(office.rows("ticket")) == 1
    assert office.rows("ticket")[0].messages == 1
    assert office.raws() == [raw, raw, copy_for(HELPDESK, raw)]
    assert help_.server.count(help_.user, "Done") == 3


def test_a_mail_that_comes_again_later_is_a_further_copy(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    raw = mail(subject="again and again")
    binding = office.watch(help_)
    for number in range(3):
        help_.server.deliver(help_.user, "INBOX", raw)
        outcome = office.poll_well(binding)
        assert (outcome.archived, outcome.copies) == ((1, 0) if number == 0 else (0, 1))
    assert len(office.messages()) == 1
    assert len(office.copies()) == 3
    assert help_.server.count(help_.user, "Done") == 3


def test_bcc_is_seen_only_by_whom_that_copy_came_to(office: Office, dovecot: MakeAccount) -> None:
    """Helpdesk was written to openly, Sales got a blind copy that says so."""
    help_, sales = dovecot("helpdesk"), dovecot("sales")
    raw = mail(to=HELPDESK, subject="Between us")
    blind = f"Bcc: Sales <{SALES}>\r\n".encode() + raw
    help_.server.deliver(help_.user, "INBOX", raw)
    sales.server.deliver(sales.user, "INBOX", blind)
    # The blind copy comes first: what it says must not become part of the message.
    office.poll_well(office.watch(sales, process="sales"))
    office.poll_well(office.watch(help_))
    one = office.message()
    assert office.raws(office.anna) == [raw]
    assert office.raws(office.bernd) == [blind]
    assert office.find(SALES, office.anna) == []
    assert SALES not in str(one.recipients)
    with office.archive.reading() as session:
        assert b"Bcc" not in b"".join(messages.content(office.archive, session, one.id))
        (annas,) = messages.deliveries(session, [one.id], office.anna)[one.id]
    assert annas.scope == f"process:{office.names['helpdesk']}"


def test_two_contents_with_one_message_id_are_two_messages(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    id_ = "<repeated@outside.example>"
    one, other = mail(subject="one", message_id=id_), mail(subject="other", message_id=id_)
    help_.server.deliver(help_.user, "INBOX", one, other)
    assert office.poll_well(office.watch(help_)).archived == 2
    first, second = office.messages() if office.messages()[0].subject == "one" else office.messages()[::-1]
    assert first.id != second.id
    assert (first.joined_by, second.joined_by) == ("first", "repeated")
    assert first.conversation == second.conversation
    assert sorted(office.raws()) == sorted([one, other])


def test_mail_without_a_message_id_is_known_by_what_it_says(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    one, other = mail(subject="no id", message_id=None), mail(subject="no id either", message_id=None)
    help_.server.deliver(help_.user, "INBOX", one, other, copy_for(HELPDESK, one))
    outcome = office.poll_well(office.watch(help_))
    assert (outcome.archived, outcome.copies) == (2, 1)
    assert len({message.conversation for message in office.messages()}) == 2


HOSTILE_IDS = {
    "folded": b"<fold\r\n ed@outside.example>",
    "a bare CR": b"<a\rb@outside.example>",
    "a NUL": b"<a\0b@outside.example>",
    "10 kB": b"<" + b"x" * 10_000 + b"@outside.example>",
    "8-bit": "<žluťoučký@outside.example>".encode(),
    "broken UTF-8": b"<\xff\xfe\xed\xa0\x80@outside.example>",
    "IMAP": b'<"} {9999999}\\"\\\\ FETCH 1:*@outside.example>',
    "SQL": b"<'; DROP TABLE message; --@outside.example>",
    "nothing": b"<>",
    "words": b"no brackets at all",
}


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_a_hostile_message_id_is_only_a_name(office: Office, scripted: Scripted, name: str) -> None:
    id_ = HOSTILE_IDS[name]
    raw = b"From: eva@outside.example\r\nSubject: root\r\nMessage-ID: " + id_ + b"\r\n\r\nHello\r\n"
    answer = b"From: eva@outside.example\r\nSubject: Re: root\r\nReferences: " + id_ + b"\r\n\r\nYes\r\n"
    scripted.folder("INBOX").add(raw)
    scripted.folder("INBOX").add(answer)
    outcome = office.poll_well(office.watch(scripted))
    assert (outcome.archived, outcome.moved, outcome.quarantined) == (2, 2, 0)
    assert sorted(office.raws()) == sorted([raw, answer])
    assert scripted.folder("Done").raws == [raw, answer]
    assert office.poll_well(office.binding(1).id).seen == 0


THREAD = {
    "root": mail(subject="A question", message_id="<root@outside.example>"),
    "answer": mail(subject="Re: A question", message_id="<answer@demo.example>", in_reply_to="<root@outside.example>"),
    "thanks": mail(
        subject="Re: A question",
        message_id="<thanks@outside.example>",
        in_reply_to="<answer@demo.example>",
        references=["<root@outside.example>", "<answer@demo.example>"],
    ),
}


@pytest.mark.parametrize("order", list(itertools.permutations(THREAD)), ids="-".join)
def test_a_thread_is_one_conversation_in_whatever_order_it_comes(
    office: Office, scripted: Scripted, order: tuple[str, ...]
) -> None:
    binding = office.watch(scripted)
    for name in order:
        scripted.folder("INBOX").add(THREAD[name])
        office.poll_well(binding)
    assert len({one.conversation for one in office.messages()}) == 1
    (ticket,) = office.rows("ticket")
    assert ticket.messages == 3


CHAIN = [
    mail(subject=f"link {number}", message_id=f"<{number}@x.example>", in_reply_to=f"<{number - 1}@x.example>")
    for number in range(1, 5)
]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (0, 2, 1, 3), (0, 3, 1, 2), (2, 0, 3, 1)], ids=str)
@pytest.mark.parametrize("batches", [(4,), (1, 1, 1, 1), (1, 3), (2, 2), (3, 1)], ids=str)
def test_answers_that_name_only_their_parent_still_find_together(
    office: Office, scripted: Scripted, order: tuple[int, ...], batches: tuple[int, ...]
) -> None:
    """Two strands that began apart become one conversation when the mail between them arrives."""
    binding = office.watch(scripted)
    waiting = list(order)
    for count in batches:
        for number in waiting[:count]:
            scripted.folder("INBOX").add(CHAIN[number])
        del waiting[:count]
        office.poll_well(binding)
    assert len({one.conversation for one in office.messages()}) == 1
    (ticket,) = office.rows("ticket")
    assert ticket.messages == 4
    assert ticket.conversation == office.messages()[0].conversation
    assert {row.conversation for row in office.rows("thread")} == {ticket.conversation}
    assert sum(one.joined_by == "first" for one in office.messages()) == 1


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize(("read", "unread"), [((0, 1), False), ((0,), True), ((1,), True), ((), True)])
def test_strands_that_join_are_read_when_both_were(
    office: Office, scripted: Scripted, read: tuple[int, ...], unread: bool
) -> None:
    binding = office.watch(scripted)
    for number in (0, 3):
        scripted.folder("INBOX").add(CHAIN[number])
        office.poll_well(binding)
    anna = office.anna
    with office.archive.transaction() as session:
        both = sorted(tickets.page(session, anna, anna.scopes or ()), key=lambda one: one.id)
        assert len(both) == 2
        tickets.mark_seen(session, office.names["anna"], [both[index] for index in read])
    with office.archive.transaction() as session:
        gone, into = both[1].conversation, both[0].conversation
        tickets.join(session, {gone: into})
        (one,) = tickets.page(session, anna, anna.scopes or ())
    assert (one.conversation, one.messages, one.unread) == (into, 2, unread)
    assert one.last_at == max(each.last_at for each in both)
    assert one.last_message == both[1].last_message


def test_a_ghost_is_referred_to_and_never_seen(office: Office, scripted: Scripted) -> None:
    inbox = scripted.folder("INBOX")
    inbox.add(mail(subject="Re: lost", message_id="<1@x.example>", in_reply_to="<ghost@x.example>"))
    inbox.add(mail(subject="Re: lost", message_id="<2@x.example>", in_reply_to="<ghost@x.example>"))
    binding = office.watch(scripted)
    office.poll_well(binding)
    assert sorted(one.joined_by for one in office.messages()) == ["first", "parent"]
    assert len({one.conversation for one in office.messages()}) == 1
    assert sum(row.message is None for row in office.rows("thread")) == 1

    inbox.add(mail(subject="lost", message_id="<ghost@x.example>", date=NOON))
    office.poll_well(binding)
    assert sorted(one.joined_by for one in office.messages()) == ["first", "ghost", "parent"]
    assert len({one.conversation for one in office.messages()}) == 1
    assert all(row.message is not None for row in office.rows("thread"))


def test_a_conversation_gives_no_right_to_its_other_messages(office: Office, dovecot: MakeAccount) -> None:
    """Helpdesk has the question, Sales the answer: each sees the own one in the same conversation."""
    help_, sales = dovecot("helpdesk"), dovecot("sales")
    help_.server.deliver(help_.user, "INBOX", THREAD["root"])
    sales.server.deliver(sales.user, "INBOX", THREAD["answer"])
    office.poll_well(office.watch(help_))
    office.poll_well(office.watch(sales, process="sales"))
    assert len({one.conversation for one in office.messages()}) == 1
    conversation = office.messages()[0].conversation
    with office.archive.reading() as session:
        for viewer, subjects in (
            (office.anna, ["A question"]),
            (office.bernd, ["Re: A question"]),
            (office.clara, []),
        ):
            seen = messages.of_conversation(session, conversation, viewer)
            assert [one.subject for one in seen] == subjects
    assert len(office.rows("ticket")) == 2
