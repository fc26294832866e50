"""Mail that nobody should have to read, mail that cannot be recorded, and an archive that cannot write."""

import errno
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from archive import intake
from archive.events import log
from archive.mail import reader
from archive.post import messages
from archive.store import packs

from ..conftest import Account
from ..servers.scripted import Scripted
from ..world import HOSTILE, mail
from .conftest import Office

MakeAccount = Callable[..., Account]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_is_kept_byte_for_byte(office: Office, scripted: Scripted, name: str) -> None:
    raw = HOSTILE[name]()
    neighbours = [mail(subject="before"), mail(subject="after")]
    for one in (neighbours[0], raw, neighbours[1]):
        scripted.folder("INBOX").add(one)
    outcome = office.poll_well(office.watch(scripted))
    assert (outcome.archived, outcome.quarantined, outcome.moved) == (3, 0, 3)
    assert [hashlib.sha256(one).digest() for one in office.raws()] == [
        hashlib.sha256(one).digest() for one in (neighbours[0], raw, neighbours[1])
    ]
    assert [one.sha256 for one in office.copies()][1] == hashlib.sha256(raw).digest()
    assert scripted.folder("Done").raws == [neighbours[0], raw, neighbours[1]]
    for message in office.messages():
        assert "\r" not in message.subject
        assert "\n" not in message.subject


def test_hostile_mail_comes_back_from_a_real_server_as_that_server_gave_it(
    office: Office, dovecot: MakeAccount
) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    refused = []
    for name, make in HOSTILE.items():
        try:
            server.deliver(user, "INBOX", make())
        except Exception:
            refused.append(name)
    assert len(refused) <= 2, refused
    given = [one.raw for one in server.mails(user, "INBOX")]
    outcome = office.poll_well(office.watch(help_))
    assert (outcome.seen, outcome.moved, outcome.quarantined) == (len(given), len(given), 0)
    assert sorted(office.raws()) == sorted(given)


def test_a_mail_the_reader_stumbles_over_is_archived_raw_and_says_so(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reader.read

    def stumbles(raw: Any, *more: Any) -> Any:
        if b"stumbling block" in bytes(raw):
            raise RecursionError("too deep for me")
        return read(raw, *more)

    monkeypatch.setattr(reader, "read", stumbles)
    help_ = dovecot("helpdesk")
    raws = [mail(subject="fine"), mail(subject="stumbling block"), mail(subject="fine too")]
    help_.server.deliver(help_.user, "INBOX", *raws)
    outcome = office.poll_well(office.watch(help_))
    assert (outcome.archived, outcome.quarantined, outcome.moved) == (3, 0, 3)
    assert office.raws() == raws
    (one,) = [one for one in office.messages() if one.reader == 0]
    assert "could not be read (RecursionError)" in one.problems[0]
    assert one.subject == ""
    with office.archive.reading() as session:
        (copy,) = messages.copies(session, one.id, office.anna)
        assert b"".join(messages.raw(office.archive, session, copy)) == raws[1]
    shown = office.run("messages", "raw", str(one.id), "--as", "anna@demo.example")
    assert shown.stdout.encode().replace(b"\n", b"\r\n") == raws[1]


def no_record_of(monkeypatch: pytest.MonkeyPatch, *raws: bytes) -> None:
    """Recording fails for these mails, and for a batch that holds one, as a fault of ours would make it."""
    record = intake.record

    def fails(session: Any, origin: Any, prepared: Sequence[intake.Prepared], *more: Any, **named: Any) -> Any:
        if any(bytes(one.arrival.raw) in raws for one in prepared):
            raise KeyError("nobody thought of this")
        return record(session, origin, prepared, *more, **named)

    monkeypatch.setattr(intake, "record", fails)


def test_a_mail_that_cannot_be_recorded_is_quarantined_and_its_neighbours_are_archived(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    bad = mail(subject="the one")
    raws = [mail(subject="before"), bad, mail(subject="after")]
    server.deliver(user, "INBOX", *raws)
    binding = office.watch(help_)
    with monkeypatch.context() as patch:
        no_record_of(patch, bad)
        outcome = office.poll_well(binding)
        assert (outcome.seen, outcome.archived, outcome.quarantined, outcome.moved) == (3, 2, 1, 2)
        assert office.raws() == [raws[0], raws[2]]
        assert [one.raw for one in server.mails(user, "INBOX")] == [bad]
        (kept,) = office.quarantined()
        assert (kept.uid, kept.tries, kept.sha256, kept.size) == (2, 1, hashlib.sha256(bad).digest(), len(bad))
        assert kept.reason == "KeyError: 'nobody thought of this'"
        with office.archive.reading() as session:
            assert b"".join(messages.read_blob(office.archive, session, kept.blob)) == bad
        assert office.binding(binding).waiting == 1
        assert office.binding(binding).trouble is None
        assert office.events().count("message.quarantined") == 1

        # Tried again on the next two passes, then left alone.
        assert [office.poll_well(binding).quarantined for _ in range(4)] == [1, 1, 0, 0]
        assert office.quarantined()[0].tries == 3
        quiet = office.everything()
        office.poll_well(binding)
        assert office.everything() == quiet
        assert office.binding(binding).waiting == 1

        # Its button: one more try, and then left alone again.
        with office.archive.transaction() as session:
            assert intake.try_again(session, kept.id, log.OPERATOR, 1)
        assert [office.poll_well(binding).quarantined for _ in range(2)] == [1, 0]

    # The fault is mended: nothing happens by itself, the button brings it in.
    assert office.poll_well(binding).seen == 0
    with office.archive.transaction() as session:
        assert intake.try_again(session, kept.id, log.OPERATOR, 2)
    outcome = office.poll_well(binding)
    assert (outcome.archived, outcome.moved) == (1, 1)
    assert office.quarantined() == []
    assert sorted(office.raws()) == sorted(raws)
    assert server.count(user, "INBOX") == 0
    assert office.binding(binding).waiting == 0
    with office.archive.transaction() as session:
        assert not intake.try_again(session, kept.id, log.OPERATOR, 3)


def test_a_quarantined_mail_that_can_be_recorded_next_time_needs_no_button(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    help_ = dovecot("helpdesk")
    raw = mail()
    help_.server.deliver(help_.user, "INBOX", raw)
    binding = office.watch(help_)
    with monkeypatch.context() as patch:
        no_record_of(patch, raw)
        office.poll_well(binding)
    assert office.poll_well(binding).archived == 1
    assert office.quarantined() == []
    assert office.raws() == [raw]


def test_quarantined_bytes_are_exported(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    help_ = dovecot("helpdesk")
    raws = [mail(subject="fine"), mail(subject="the one")]
    help_.server.deliver(help_.user, "INBOX", *raws)
    with monkeypatch.context() as patch:
        no_record_of(patch, raws[1])
        office.poll_well(office.watch(help_))
    done = office.run("export", str(tmp_path / "out"), "--format", "eml")
    assert done.returncode == 0, done.stderr
    assert sorted(file.read_bytes() for file in (tmp_path / "out").rglob("*.eml")) == sorted(raws)


FULL = OperationalError("INSERT", {}, Exception("database or disk is full"))
LOCKED = OperationalError("INSERT", {}, Exception("database is locked"))
NO_ROOM = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(
    ("fault", "says"),
    [(FULL, "no room left"), (LOCKED, "database is locked"), (NO_ROOM, "no room left"), (BROKEN, "Input/output error")],
    ids=["database full", "database locked", "disk full", "disk broken"],
)
@pytest.mark.parametrize("where", ["pack", "record"])
def test_an_archive_that_cannot_write_moves_and_quarantines_nothing(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch, fault: Exception, says: str, where: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise fault

    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    raws = [mail(subject=f"Question {number}") for number in range(3)]
    server.deliver(user, "INBOX", *raws)
    binding = office.watch(help_)
    with monkeypatch.context() as patch:
        if where == "pack":
            patch.setattr(packs.LocalWriter, "sync", fails)
        else:
            patch.setattr(intake, "record", fails)
        outcome = office.poll(binding)
    assert says in (outcome.trouble or "")
    assert outcome.trouble == office.binding(binding).trouble
    assert not office.binding(binding).permanent
    assert (outcome.archived, outcome.moved, outcome.quarantined) == (0, 0, 0)
    assert office.quarantined() == []
    assert office.messages() == []
    assert [one.raw for one in server.mails(user, "INBOX")] == raws
    assert server.count(user, "Done") == 0 if "Done" in server.folders(user) else True

    assert office.poll_well(binding).archived == 3
    assert office.binding(binding).trouble is None
    assert office.raws() == raws


@pytest.mark.parametrize("answer", ["NO [SERVERBUG] cannot read this mail", "nothing"])
def test_a_mail_the_server_does_not_give_is_named_and_its_neighbours_are_archived(
    office: Office, scripted: Scripted, answer: str
) -> None:
    """A damaged mail on the server blocks nobody, and is not passed over in silence."""
    inbox = scripted.folder("INBOX")
    raws = [mail(subject=f"Question {number}") for number in range(5)]
    for raw in raws:
        inbox.add(raw)
    damaged = inbox.mails[2]

    def without(given: bytes) -> bytes:
        if damaged.raw not in given:
            return given
        if answer == "nothing":
            at = given.index(b"* 3 FETCH")
            return (
                given[:at] + given[given.index(b"* 4 FETCH") :]
                if b"* 4 FETCH" in given
                else given[given.index(b"OK") - 8 :]
            )
        tag = given.rsplit(b"\r\n", 2)[-2].split(b" ")[0]
        return tag + b" " + answer.encode() + b"\r\n"

    scripted.on("UID FETCH", alter=without)
    binding = office.watch(scripted)
    outcome = office.poll(binding)
    assert outcome.archived == 4
    assert outcome.moved == 4
    assert "did not give 1 of the mails" in (outcome.trouble or "")
    assert "UID 3" in (outcome.trouble or "")
    assert inbox.raws == [damaged.raw]
    assert office.binding(binding).trouble == outcome.trouble
    scripted.honest()
    assert office.poll_well(binding).archived == 1
    assert sorted(office.raws()) == sorted(raws)


def test_a_reader_that_answers_nonsense_costs_one_mail_its_index_only(
    office: Office, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Surrogates, NUL and numbers out of range never reach the database as they are."""
    scripted.folder("INBOX").add(
        b"Subject: =?utf-8?q?=ED=A0=80=00?=\r\nFrom: \xed\xa0\x80 <\x00@x>\r\n"
        b"Date: Mon, 02 Nov 999999 12:00:00 +0000\r\n\r\n\xed\xa0\x80\0\r\n"
    )
    outcome = office.poll_well(office.watch(scripted))
    assert (outcome.archived, outcome.quarantined) == (1, 0)
