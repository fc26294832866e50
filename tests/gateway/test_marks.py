"""Originals of answered mails on a real Dovecot: marked where the binding and the folder allow it, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from archive.outgoing import marks, outbox
from archive.people.scopes import process_scope
from archive.post import bindings, decisions, journal
from archive.store import schema
from gateway.mailbox import Mailbox, Selected

from ..conftest import Account
from ..servers.smtp import Smtp
from ..world import mail
from .conftest import Office
from .test_sending import Outbox


class Answering:
    """Helpdesk watches a folder, and answers what comes."""

    def __init__(self, office: Office, account: Account, smtp: Smtp) -> None:
        self.office, self.account = office, account
        self.box = Outbox(office, smtp.url)
        self.binding = office.watch(account, name="box")

    def take(self, *subjects: str) -> None:
        with self.account.server.connect(self.account.user) as client:
            for one in subjects:
                client.append("INBOX", mail(subject=one, message_id=f"<{one}@outside.example>"))
        self.office.poll_well(self.binding)

    def answer(self, subject: str) -> None:
        (one,) = [each for each in self.office.messages() if each.subject == subject]
        scope = process_scope(self.office.names["helpdesk"])
        self.box.queue(kind=outbox.REPLY, answers=one.id, scope=scope)
        assert self.box.round().sent == 1

    def flags(self, folder: str) -> dict[str, bool]:
        """By Message-ID: whether it is marked; and nothing was read."""
        with self.account.server.connect(self.account.user) as client:
            client.select_folder(folder, readonly=True)
            found = client.fetch(client.search(), ["FLAGS", "ENVELOPE"])
            assert not any(b"\\Seen" in one[b"FLAGS"] for one in found.values())
            return {one[b"ENVELOPE"].subject.decode(): b"\\Answered" in one[b"FLAGS"] for one in found.values()}

    def outcomes(self) -> list[str | None]:
        return [row.outcome for row in self.office.rows("answered_mark")]


@pytest.fixture
def answering(office: Office, dovecot: Callable[..., Account], smtp: Smtp) -> Answering:
    return Answering(office, dovecot(), smtp)


def test_the_original_of_an_answered_mail_is_marked_and_no_other(answering: Answering) -> None:
    answering.take("first", "second")
    answering.answer("first")
    assert answering.flags("Done") == {"first": False, "second": False}  # after the answer, not before
    answering.box.later()
    answering.box.round()
    assert answering.flags("Done") == {"first": True, "second": False}
    assert answering.outcomes() == [marks.MARKED]
    with answering.office.archive.reading() as session:
        box = bindings.get(session, answering.binding).mailbox
        entries = journal.entries(session, box.id, [answering.binding], 0, None, 50)
        lines = [line for _, entry in entries for line in entry.lines]
    assert any("STORE" in one and "Answered" in one for one in lines)  # the owner of the mailbox sees it
    assert answering.office.call("verify").returncode == 0
    before = answering.office.everything()
    answering.box.round()
    assert answering.office.everything() == before  # nothing is left to do


def test_a_binding_may_leave_originals_alone(answering: Answering) -> None:
    office = answering.office
    assert office.call("binding", "answered", "box/INBOX", "--off").returncode == 0
    answering.take("first", "second")
    answering.answer("first")
    answering.box.later()
    answering.box.round()
    assert answering.flags("Done") == {"first": False, "second": False}
    assert answering.outcomes() == []
    with office.archive.transaction() as session:
        decisions.mark_answered(session, [bindings.get(session, answering.binding)], True, "operator", 1)
    answering.answer("second")
    answering.box.later()
    answering.box.round()
    assert answering.flags("Done") == {"first": False, "second": True}
    assert office.call("verify").returncode == 0


def test_it_is_found_by_what_it_is_and_left_where_it_is_gone(answering: Answering) -> None:
    """Somebody put one away, and something else under its Message-ID in its place; another was put back."""
    answering.take("first", "second")
    with answering.account.server.connect(answering.account.user) as client:
        client.select_folder("Done")
        uids = {one[b"ENVELOPE"].subject: uid for uid, one in client.fetch(client.search(), ["ENVELOPE"]).items()}
        client.delete_messages([uids[b"first"]])
        client.expunge()
        client.append("Done", mail(subject="another", message_id="<first@outside.example>", text="Not the same"))
        client.move([uids[b"second"]], "INBOX")
    answering.answer("first")
    answering.answer("second")
    answering.box.later()
    answering.box.round()
    assert answering.flags("Done") == {"another": False}
    assert answering.flags("INBOX") == {"second": True}
    assert sorted(one or "" for one in answering.outcomes()) == [marks.GONE, marks.MARKED]


def test_where_the_folder_keeps_no_such_mark_none_is_set(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    answering.take("first")
    answering.answer("first")
    select = Mailbox.select

    def without(self: Mailbox, folder: str, *, readonly: bool = False) -> Selected:
        return replace(select(self, folder, readonly=readonly), answered=False)

    monkeypatch.setattr(Mailbox, "select", without)
    answering.box.later()
    answering.box.round()
    assert answering.outcomes() == [marks.NOT_KEPT]
    monkeypatch.undo()
    assert answering.flags("Done") == {"first": False}


def test_a_server_that_is_away_is_asked_again_and_holds_up_nothing(answering: Answering) -> None:
    answering.take("first")
    answering.answer("first")
    here = schema.mailbox.update().where(schema.mailbox.c.name == "box")
    with answering.office.archive.transaction() as session:
        session.execute(here.values(imap="imap+plain://x@127.0.0.1:1"))
    answering.box.later()
    answering.box.queue()
    assert answering.box.round().sent == 1
    (row,) = answering.office.rows("answered_mark")
    assert (row.outcome, row.tries, row.next_at > answering.box.clock()) == (None, 1, True)
    with answering.office.archive.transaction() as session:
        session.execute(here.values(imap=answering.account.url))
    answering.box.later()
    answering.box.round()
    assert answering.flags("Done") == {"first": True}
