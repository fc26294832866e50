"""The main story on every real server: each has ways of its own, and what must always hold holds on all of them."""

import imaplib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest
from imapclient import IMAPClient

from archive.post import receipts
from gateway.mailbox import Mailbox, Moved
from gateway.taking import LARGE
from gateway.trouble import Unreachable

from ..conftest import IMAP_SERVERS, on_servers
from ..mails import difficult
from ..servers.cyrus import Cyrus
from ..servers.imap import Account, ImapServer
from ..servers.imap import Mail as Kept
from ..world import HOSTILE, copy_for, large, mail
from .conftest import Office

MakeAccount = Callable[..., Account]
on_all_kinds = pytest.mark.parametrize("any_server", on_servers(*IMAP_SERVERS), indirect=True)


@contextmanager
def listening() -> Iterator[list[str]]:
    """The lines that clients in this process send meanwhile."""
    said: list[bytes] = []
    honest = imaplib.IMAP4.send

    def send(self: imaplib.IMAP4, data: bytes) -> None:
        said.append(bytes(data))
        honest(self, data)

    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imaplib.IMAP4, "send", send)
        yield lines
    lines += b"".join(said).decode("latin-1").splitlines()


def poll_well(office: Office, binding: int, account: Account, *given: str) -> tuple[int, int]:
    """A pass in which nothing may go wrong or break a rule; returns how many mails were archived and moved."""
    with listening() as lines:
        outcome = office.poll_well(binding)
    assert lines
    verbs = {(match[1] or "") + match[2].upper() for line in lines if (match := re.match(r"\S+ (UID )?(\w+)", line))}
    assert not verbs & {"EXPUNGE", "CLOSE", "DELETE", "RENAME", "STORE", "COPY", "MOVE", "FETCH"}
    opened = {match[1] for line in lines if (match := re.match(r'\S+ (?:SELECT|EXAMINE) "?(.*?)"?$', line))}
    assert opened <= set(given), "a folder that was not given was opened"
    assert not any(r"\Seen" in line or "BODY[" in line for line in lines)
    return outcome.archived + outcome.copies, outcome.moved


def deliver(account: Account, folder: str, raws: Iterable[bytes]) -> int:
    """As many of these mails as the server accepts; returns how many it refused."""
    refused = 0
    with account.server.connect(account.user) as client:
        for raw in raws:
            try:
                client.append(folder, raw)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error:
                refused += 1
    return refused


def mails(account: Account, folder: str) -> list[Kept]:
    return account.server.mails(account.user, folder)


def raws(found: Iterable[Kept]) -> Counter[bytes]:
    return Counter(one.raw for one in found)


def done(account: Account) -> str:
    """The processed folder as it is called there."""
    return account.server.path("Done")


def watch(office: Office, account: Account, folder: str = "INBOX") -> int:
    return office.watch(account, folder, processed=done(account))


def hundred_and_more() -> list[bytes]:
    """Ordinary mails, copies of them, and every difficult one of the house, with the line ends of mail."""
    ordinary = [mail(subject=f"Question {number}") for number in range(20)]
    copies = [copy_for("helpdesk@demo.example", raw) for raw in ordinary[:5]]
    kinds = (difficult.SUBJECTS, difficult.PEOPLE, difficult.SHAPES, difficult.ATTACHMENTS)
    odd = [one.raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for kind in kinds for one in kind.values()]
    return [*ordinary, *copies, *odd, *(make() for make in HOSTILE.values())]


@on_all_kinds
def test_everything_a_server_holds_is_archived_once_and_moved(office: Office, any_server: MakeAccount) -> None:
    """What the server gives is what is kept, byte for byte; the second pass has nothing to do and writes nothing."""
    help_ = any_server("helpdesk")
    everything = hundred_and_more()
    refused = deliver(help_, "INBOX", everything)
    assert refused < 20
    with help_.server.connect(help_.user) as client:
        client.append("INBOX", mail(subject="given up"), [r"\Deleted"])
        client.select_folder("INBOX")
        uids = client.search()
        client.add_flags(uids[:30:3], [r"\Seen"], silent=True)
        client.add_flags(uids[1:30:3], [r"\Flagged", r"\Answered"], silent=True)
    before = mails(help_, "INBOX")
    assert len(before) >= 120
    *originals, given_up = before

    binding = watch(office, help_)
    taken, moved = poll_well(office, binding, help_, "INBOX", done(help_))
    assert taken == moved == len(originals)
    after = mails(help_, done(help_))
    assert raws(after) == raws(originals)
    assert sorted((one.raw, sorted(one.flags)) for one in after) == sorted(
        (one.raw, sorted(one.flags)) for one in originals
    )
    assert [(one.uid, one.flags) for one in mails(help_, "INBOX")] == [(given_up.uid, given_up.flags)]
    assert Counter(office.raws()) == raws(originals)
    assert set(office.settlements()) == {receipts.MOVED}
    assert office.quarantined() == []
    assert len(office.messages()) < len(originals), "the copies are no messages of their own"

    # Idle is idle.
    archived = office.everything()
    assert poll_well(office, binding, help_, "INBOX", done(help_)) == (0, 0)
    assert office.everything() == archived
    deliver(help_, "INBOX", [mail(subject="one more")])
    assert poll_well(office, binding, help_, "INBOX", done(help_)) == (1, 1)


def test_a_large_mail(office: Office, any_server: MakeAccount) -> None:
    """Taken piece by piece: 30 MB in the proof, enough to be taken so otherwise."""
    help_ = any_server("helpdesk")
    raw = large(30 << 20 if os.environ.get("PROOF") else LARGE + (1 << 20))
    help_.server.deliver(help_.user, "INBOX", raw, mail())
    binding = watch(office, help_)
    assert poll_well(office, binding, help_, "INBOX", done(help_)) == (2, 2)
    assert sorted(map(len, office.raws())) == sorted([len(raw), len(mail())])
    assert raw in office.raws()
    assert help_.server.count(help_.user, done(help_)) == 2


NAMES = [
    "Processed mail",
    "R&D",
    'the "urgent" ones',
    "back\\slash",
    "Žluťoučký kůň",
    "処理済み",
    "{7} 50% of*it ~",
    "(parentheses) [brackets]",
    "NIL",
    "Office/Orders/2026",
]


def test_folders_may_be_called_anything_the_server_allows(office: Office, any_server: MakeAccount) -> None:
    """What it does not allow is said in words, and the mail stays where it is."""
    help_ = any_server("helpdesk")
    refused = []
    for number, name in enumerate(NAMES):
        try:
            watched = help_.server.create(help_.user, help_.server.path(f"In {name}"))
        except imaplib.IMAP4.error:
            watched = "INBOX"
        deliver(help_, watched, [mail(subject=f"mail {number}")])
        binding = office.watch(help_, watched, processed=help_.server.path(f"Done {name}"), name=f"box{number}")
        outcome = office.poll(binding)
        if outcome.trouble:
            refused.append(name)
            assert f'{help_.server.path(f"Done {name}")}" cannot be made' in outcome.trouble
            assert office.binding(binding).permanent
            assert help_.server.count(help_.user, watched) == 1
            with help_.server.connect(help_.user) as client:
                client.select_folder(watched)
                client.delete_messages(client.search())
                client.expunge()
            continue
        assert (outcome.archived, outcome.moved) == (1, 1), name
        assert help_.server.count(help_.user, help_.server.path(f"Done {name}")) == 1, name
        assert help_.server.count(help_.user, watched) == 0, name
    allowed = [name for name in NAMES if not isinstance(help_.server, Cyrus) or not set('"\\%{') & set(name)]
    assert refused == [name for name in NAMES if name not in allowed]


def test_a_folder_made_anew_is_a_new_generation(office: Office, any_server: MakeAccount) -> None:
    """Its mail has new numbers; what was archived is known again by what it says and announced once."""
    help_ = any_server("helpdesk")
    watched = help_.server.create(help_.user, help_.server.path("Orders"))
    some = [mail(subject=f"Order {number}") for number in range(5)]
    deliver(help_, watched, some)
    binding = watch(office, help_, watched)
    assert poll_well(office, binding, help_, watched, done(help_)) == (5, 5)
    before = help_.server.uidvalidity(help_.user, watched)
    deadline = time.monotonic() + 20
    while help_.server.uidvalidity(help_.user, watched) == before:  # some count in seconds
        assert time.monotonic() < deadline
        with help_.server.connect(help_.user) as client:
            client.delete_folder(watched)
            client.create_folder(watched)
    deliver(help_, watched, [*some, mail(subject="Order 6")])
    assert poll_well(office, binding, help_, watched, done(help_)) == (6, 6)
    assert len(office.messages()) == 6
    assert office.events().count("message.archived") == 6
    assert raws(mails(help_, done(help_))) == Counter([*some, *some, mail(subject="Order 6")])


def take_away(account: Account, folder: str, subject: str) -> None:
    """What a person does in a mail program beside us."""
    with account.server.connect(account.user) as client:
        client.select_folder(folder)
        client.delete_messages(client.search(["SUBJECT", subject]))
        client.expunge()


def test_somebody_takes_mail_away_while_it_is_taken_in(
    office: Office, any_server: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    help_ = any_server("helpdesk")
    deliver(help_, "INBOX", [mail(subject=f"Question{number}") for number in range(6)])
    honest = Mailbox.move

    def move(self: Mailbox, uids: Iterable[int], to: str) -> Moved:
        take_away(help_, "INBOX", "Question3")
        return honest(self, uids, to)

    monkeypatch.setattr(Mailbox, "move", move)
    binding = watch(office, help_)
    office.poll(binding)
    monkeypatch.undo()
    office.poll_well(binding)
    assert sorted(filter(None, office.settlements())) == ["moved"] * 5 + ["taken away"]
    assert help_.server.count(help_.user, "INBOX") == 0
    assert help_.server.count(help_.user, done(help_)) == 5
    assert len(office.raws()) == 6


def test_an_answer_lost_after_the_move_is_made_up_for_by_looking(
    office: Office, any_server: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    help_ = any_server("helpdesk")
    some = [mail(subject=f"Question {number}") for number in range(6)]
    deliver(help_, "INBOX", some)
    honest = Mailbox.move

    def move(self: Mailbox, uids: Iterable[int], to: str) -> Moved:
        honest(self, uids, to)
        raise Unreachable("cut", server="it", doing="UID MOVE", answer="gone")

    monkeypatch.setattr(Mailbox, "move", move)
    binding = watch(office, help_)
    assert office.poll(binding).trouble
    assert set(office.settlements()) == {None}
    monkeypatch.undo()
    poll_well(office, binding, help_, "INBOX", done(help_))
    assert set(office.settlements()) == {"moved"}
    assert raws(mails(help_, done(help_))) == Counter(some)
    assert mails(help_, "INBOX") == []


def test_copies_whose_originals_were_not_taken_away_yet_are_not_made_twice(
    office: Office, any_server: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a move is a copy and a deletion, and the line breaks between the two; also where MOVE would be there."""
    help_ = any_server("helpdesk")
    some = [mail(subject=f"Question {number}") for number in range(6)]
    deliver(help_, "INBOX", some)

    def finish_move(self: Mailbox, uids: Iterable[int]) -> None:
        raise Unreachable("cut", server="it", doing="UID STORE", answer="gone")

    monkeypatch.setattr(Mailbox, "moving", "uidplus")
    with monkeypatch.context() as broken:
        broken.setattr(Mailbox, "finish_move", finish_move)
        binding = watch(office, help_)
        assert office.poll(binding).trouble
    assert help_.server.count(help_.user, "INBOX") == help_.server.count(help_.user, done(help_)) == 6
    poll_well(office, binding, help_, "INBOX", done(help_))
    assert set(office.settlements()) == {"moved"}
    assert raws(mails(help_, done(help_))) == Counter(some)
    assert mails(help_, "INBOX") == []


def test_a_processed_folder_that_somebody_makes_at_the_same_moment(
    office: Office, any_server: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    help_ = any_server("helpdesk")
    deliver(help_, "INBOX", [mail()])
    honest = Mailbox.create_folder

    def create_folder(self: Mailbox, name: str) -> str:
        help_.server.create(help_.user, done(help_))
        return honest(self, name)

    monkeypatch.setattr(Mailbox, "create_folder", create_folder)
    binding = watch(office, help_)
    assert poll_well(office, binding, help_, "INBOX", done(help_)) == (1, 1)


def room(server: ImapServer) -> bool:
    """Whether the tests can make room scarce on it."""
    return type(server).limit is not ImapServer.limit


def test_no_room_left_in_the_processed_folder(office: Office, any_server: MakeAccount) -> None:
    """The mail is archived, its original stays; it is moved when there is room again, and archived no second time."""
    help_ = any_server("helpdesk")
    if not room(help_.server):
        pytest.skip("this server was started without quotas")
    some = [mail(subject=f"Question {number}", text="word " * 2000) for number in range(4)]
    deliver(help_, "INBOX", some)
    help_.server.create(help_.user, done(help_))
    help_.server.limit(help_.user, done(help_), 1)
    binding = watch(office, help_)
    outcome = office.poll(binding)
    assert outcome.trouble is not None
    assert "no room" in outcome.trouble
    assert not office.binding(binding).permanent
    assert (outcome.archived, outcome.moved) == (4, 0)
    assert raws(mails(help_, "INBOX")) == Counter(some)
    assert mails(help_, done(help_)) == []
    help_.server.limit(help_.user, done(help_), 1 << 20)
    assert poll_well(office, binding, help_, "INBOX", done(help_)) == (0, 4)
    assert raws(mails(help_, done(help_))) == Counter(some)
    assert len(office.raws()) == 4
    assert office.binding(binding).trouble is None


@on_all_kinds
def test_folders_are_found_and_made_by_the_command_line(office: Office, any_server: MakeAccount) -> None:
    """With slashes, as people write them, whatever the server joins names by."""
    help_ = any_server("helpdesk")
    added = office.call("mailbox", "add", "box", "--imap", help_.url, "--password-stdin", stdin=help_.password)
    assert added.returncode == 0, added.stderr
    watched = help_.server.create(help_.user, help_.server.path("Office/Orders"))
    deliver(help_, watched, [mail()])
    bound = office.call(
        *("binding", "add", "--mailbox", "box", "--folder", "Office/Orders"),
        *("--process", "helpdesk", "--processed", "Erledigt/Für 2026"),
    )
    assert bound.returncode == 0, bound.stderr
    (binding,) = [row.id for row in office.rows("binding")]
    assert office.poll_well(binding).moved == 1
    assert help_.server.count(help_.user, help_.server.path("Erledigt/Für 2026")) == 1


def test_a_wrong_password(office: Office, any_server: MakeAccount) -> None:
    help_ = any_server("helpdesk")
    binding = office.watch(Account(help_.server, help_.user, "not hers"))
    outcome = office.poll(binding)
    assert outcome.trouble is not None
    assert "refuses the password" in outcome.trouble
    assert office.binding(binding).permanent
    assert "not hers" not in outcome.trouble


def test_a_mail_program_beside_us_sees_nothing_strange(office: Office, any_server: MakeAccount) -> None:
    """Its connection stays open with the watched folder selected during the whole pass, and goes on afterwards."""
    help_ = any_server("helpdesk")
    deliver(help_, "INBOX", [mail(subject=f"Question {number}") for number in range(3)])
    binding = watch(office, help_)
    with help_.server.connect(help_.user) as program:
        program.select_folder("INBOX")
        assert poll_well(office, binding, help_, "INBOX", done(help_)) == (3, 3)
        assert seen_empty(program)
        program.append("INBOX", mail(subject="from the program"))
        assert poll_well(office, binding, help_, "INBOX", done(help_)) == (1, 1)


def seen_empty(program: IMAPClient) -> bool:
    program.noop()
    return list(program.search()) == []
