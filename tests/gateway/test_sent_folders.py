"""Sent folders of processes are read, and left exactly as they are."""

from collections.abc import Callable

import pytest

from archive.front import now
from archive.people.scopes import MACHINE
from archive.post import answers, bindings, journal, ledger

from ..conftest import Account
from ..world import BERND, mail
from .conftest import Office

MakeAccount = Callable[..., Account]

ASKS = mail(subject="Where is it?", message_id="<asks@outside.example>")


def reply(number: int) -> bytes:
    return mail(subject=f"Re: {number}", from_=BERND, in_reply_to="<asks@outside.example>", text=f"answer {number}")


def read_sent(office: Office, name: str) -> int:
    with office.archive.transaction() as session:
        box = bindings.mailbox_by_name(session, name)
        assert box
        return bindings.add(session, box, "Sent", "", now(), process=office.names["helpdesk"], sent=True)


def flags(account: Account, folder: str) -> dict[int, tuple[bytes, ...]]:
    """What stands in a folder, with its flags; looking changes none."""
    with account.server.connect(account.user) as client:
        client.select_folder(folder, readonly=True)
        return {uid: said[b"FLAGS"] for uid, said in client.fetch(client.search(), ["FLAGS"]).items()}


def commands(office: Office, id_: int) -> list[str]:
    with office.archive.reading() as session:
        box = bindings.get(session, id_).mailbox
        return [line for _, entry in journal.entries(session, box.id, [id_], 0, None, 100) for line in entry.lines]


@pytest.mark.databases("sqlite", "postgresql")
def test_an_answer_in_sent_is_seen_and_nothing_is_touched(office: Office, dovecot: MakeAccount) -> None:
    """Two old mails are there, then an answer is sent: it is seen, all three stay, and no flag changes."""
    help_ = dovecot("help")
    help_.server.create(help_.user, "Sent")
    help_.server.deliver(help_.user, "Sent", mail(subject="old 1", from_=BERND), mail(subject="old 2", from_=BERND))
    inbox = office.watch(help_, "INBOX", name="help")
    sent = read_sent(office, "help")
    office.poll_well(inbox)  # what comes after the first pass is new mail
    help_.server.deliver(help_.user, "INBOX", ASKS)
    office.poll_well(inbox)
    assert office.poll_well(sent).archived == 2
    before = flags(help_, "Sent")
    help_.server.deliver(help_.user, "Sent", reply(1))
    outcome = office.poll_well(sent)
    assert (outcome.seen, outcome.archived, outcome.moved) == (1, 1, 0)

    after = flags(help_, "Sent")
    assert {uid: after[uid] for uid in before} == before
    assert len(after) == 3
    assert all(b"\\Seen" not in one for one in after.values())
    said = commands(office, sent)
    assert any(line.startswith("EXAMINE") for line in said)
    for verb in ("SELECT", "UID MOVE", "UID COPY", "UID STORE", "UID EXPUNGE", "CREATE", "STATUS"):
        assert not any(line.startswith(verb) for line in said), verb
    with office.archive.reading() as session:
        found = {one.subject: one for one in office.messages()}
        (told,) = answers.of(session, [one.id for one in found.values()], MACHINE).values()
        assert (told.message, told.by_message) == (found["Where is it?"].id, found["Re: 1"].id)
        lines = list(ledger.lines(session, sent))
    assert [(one.outcome, one.settled) for one in lines] == [(ledger.ARCHIVED, True)] * 3
    states = {one.subject: one.state for one in office.rows("ticket")}
    assert (states["Where is it?"], states["old 1"], states["old 2"]) == ("open", "done", "done")


def test_only_what_is_new_is_looked_at(office: Office, dovecot: MakeAccount) -> None:
    """Nothing is moved away, so the folder only grows: a pass asks from where the last one ended."""
    help_ = dovecot("help")
    help_.server.create(help_.user, "Sent")
    help_.server.deliver(help_.user, "Sent", *(reply(n) for n in range(5)))
    office.watch(help_, "INBOX", name="help")
    sent = read_sent(office, "help")
    assert office.poll_well(sent).archived == 5
    row = office.binding(sent)
    assert office.poll_well(sent).seen == 0
    again = office.binding(sent)
    assert (again.processed_uidnext, again.processed_uidvalidity) == (6, row.uidvalidity)
    assert any(line.startswith("UID SEARCH UID 6:*") for line in commands(office, sent))
    help_.server.deliver(help_.user, "Sent", reply(5))
    assert office.poll_well(sent).archived == 1

    help_.server.change_uidvalidity(help_.user, "Sent")
    outcome = office.poll_well(sent)
    assert (outcome.archived, outcome.copies) == (0, 6), "the folder was made anew: the same mails are further copies"
    assert office.poll_well(sent).seen == 0
