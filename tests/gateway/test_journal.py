"""The journal of what was sent to a mail server, beside what a line in between heard."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from archive.post import bindings, decisions, journal
from archive.post.journal import Entry
from gateway.journal import Scribe
from gateway.mailbox import Connecting
from gateway.workers import Workers

from ..conftest import Account
from ..servers.between import Between, Overhearing
from ..world import mail
from .conftest import QUICK, Office

MakeAccount = Callable[..., Account]


@dataclass(frozen=True)
class Through:
    """An account reached through a line in between."""

    url: str
    password: str


def through(account: Account, line: Between) -> Through:
    port = urlsplit(account.url).port
    return Through(account.url.replace(f":{port}", f":{line.port}"), account.password)


def entries(office: Office) -> list[Entry]:
    """The oldest first, what is only counted yet last."""
    with office.archive.reading() as session:
        found = journal.entries(session, 1, None, 0, None, 1000)
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def lines(office: Office) -> list[str]:
    return [line for one in entries(office) for line in list(one.lines) * one.times]


def port_of(account: Account) -> int:
    return urlsplit(account.url).port or 0


@pytest.mark.databases("sqlite", "postgresql")
def test_every_command_is_told_and_nothing_else(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", *(mail(subject=f"Question {number}") for number in range(3)))
    with Overhearing(port_of(help_)) as line:
        binding = office.watch(through(help_, line), processed="Žluté složky")
        assert office.poll_well(binding).archived == 3
        for _ in range(3):
            office.poll_well(binding)
        help_.server.deliver(help_.user, "INBOX", mail(subject="Later"))
        office.poll_well(binding)
        assert lines(office) == line.commands()
    found = entries(office)
    assert {"LOGIN …", "LOGOUT"} <= set(found[0].lines) | set(found[-1].lines)
    assert not any(help_.password in one for one in lines(office))
    (idle,) = [one for one in found if one.times > 1]
    assert idle.times == 3
    assert (idle.archived, idle.moved) == (0, 0)
    assert sum(one.archived for one in found) == sum(one.moved for one in found) == 4


def test_an_empty_look_writes_nothing_but_the_bindings_row(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_)
    office.poll_well(binding)
    before = office.everything()
    for _ in range(4):
        office.poll_well(binding)
    assert office.everything() == before
    (only,) = entries(office)
    assert only.times == 5
    assert office.rows("journal") == []


def test_a_server_that_always_refuses_fills_no_table(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_, folder="Nowhere")
    for _ in range(5):
        assert office.poll(binding).trouble
    assert office.rows("journal") == []
    (only,) = entries(office)
    assert (only.times, only.archived) == (5, 0)
    assert any(line.startswith("SELECT") for line in only.lines)


def test_a_sign_in_that_fails_says_so_and_one_that_goes_well_does_not(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(Through(help_.url, "wrong"))
    for _ in range(2):
        assert office.poll(binding).trouble
    with office.archive.transaction() as session:
        bindings.set_password(session, office.archive, bindings.mailbox_of(session, 1), help_.password, 0)
    office.poll_well(binding)
    help_.server.deliver(help_.user, "INBOX", mail())
    office.poll_well(binding)
    failed, *others = entries(office)
    assert (failed.refused, failed.times, failed.archived) == (True, 2, 0)
    assert not any(one.refused for one in others)
    assert sum(one.archived for one in others) == 1


def test_workers_tell_what_they_send(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", *(mail(subject=f"Question {number}") for number in range(250)))
    with Overhearing(port_of(help_)) as line:
        binding = office.watch(through(help_, line))
        archive = office.archive
        workers = Workers(archive.folder, archive.key, archive.database_url, 1)
        assert office.poll_well(binding, workers=workers).archived == 250
        said = line.commands()
    assert sorted(lines(office)) == sorted(said)  # two connections at once


def test_what_changes_anything_is_written_down_before_it_is_sent(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail())
    written: list[bool] = []

    class Watching(Overhearing):
        def _look(self, data: bytes, losing: threading.Event) -> None:
            super()._look(data, losing)
            if b" UID MOVE " in data:
                written.append(any("UID MOVE" in one for one in lines(office)))

    with Watching(port_of(help_)) as line:
        office.poll_well(office.watch(through(help_, line)))
    assert written == [True]


def test_after_the_set_time_it_is_swept(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_)
    help_.server.deliver(help_.user, "INBOX", mail(subject="Old"))
    office.poll_well(binding)
    old = {row.id for row in office.rows("journal")}
    with office.archive.transaction() as session:
        entry = Entry(1, binding, 0, 0, 1, ["NOOP"], 0, 0)
        journal.add(session, 1, entry, 90)
    assert len(office.rows("journal")) == len(old) + 1
    help_.server.deliver(help_.user, "INBOX", mail(subject="New"))
    office.poll_well(binding, connecting=Connecting(timeout=QUICK.timeout, journal_days=1))
    assert "NOOP" not in lines(office)
    assert {row.id for row in office.rows("journal")} > old


def test_trying_a_mailbox_out_is_told_too(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.create(help_.user, "Done")
    office.watch(help_, name="office")
    assert office.call("mailbox", "test", "office").returncode == 0
    (entry,) = entries(office)
    assert entry.binding is None
    assert entry.lines[-1] == "LOGOUT"


def test_a_disconnected_folder_keeps_its_journal(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_)
    office.poll_well(binding)
    with office.archive.transaction() as session:
        decisions.disconnect(session, [bindings.get(session, binding)], "user:1", 0)
    assert entries(office)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([b"ABCD1 LOGIN anna ", b'"secret"\r\n'], ["LOGIN …"]),
        ([b"ABCD1 LOGIN {4}\r\n", b"an\r\n", b" {3+}\r\nabc\r\n"], ["LOGIN …"]),
        ([b"ABCD1 AUTHENTICATE PLAIN\r\n", b"AGFubmEAc2VjcmV0\r\n", b"\r\n"], ["AUTHENTICATE PLAIN", "…"]),
        ([b"ABCD1 AUTHENTICATE XOAUTH2 dXNlcj1hbm5h\r\n"], ["AUTHENTICATE XOAUTH2 …"]),
        ([b"ABCD1 AUTHENTICATE PLAIN\r\nABCD2\r\n"], ["AUTHENTICATE PLAIN", "…"]),
        ([b"ABCD1 IDLE\r\n", b"DONE\r\n"], ["IDLE", "DONE"]),
        ([b"ABCD1 SELECT {6}\r\n", b"secret", b"\r\nABCD2 NOOP\r\n"], ["SELECT {6}…", "NOOP"]),
        ([b'ABCD1 SELECT "a\x1b[2Jb"\r\n'], ['SELECT "a…[2Jb"']),
        ([b"ABCD1 NO", b"OP\r", b"\n"], ["NOOP"]),
    ],
)
def test_lines_are_made_of_pieces_and_secrets_are_masked(sent: list[bytes], told: list[str]) -> None:
    scribe = Scribe()
    assert [line for piece in sent for line in scribe.lines(piece)] == told


def test_a_command_without_end_takes_no_memory() -> None:
    scribe = Scribe()
    for _ in range(1000):
        assert scribe.lines(b"ABCD1 " + b"x" * 10_000) == []
    (line,) = scribe.lines(b"\r\n")
    assert len(line) < 9000
