"""Intake by several processes, large mail, and what happens when one of them ends."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive.front import now
from archive.post import bindings
from gateway.poller import Poller
from gateway.taking import BATCH_BYTES, BATCH_MAILS, LARGE, cut
from gateway.workers import Workers
from gateway.workers import _work as true_work

from ..conftest import Account
from ..servers.scripted import Scripted
from ..world import large, mail
from .conftest import ROOT, Office

MakeAccount = Callable[..., Account]


def letters(folder: Path, count: int, size: int = 0) -> list[Path]:
    """Files of so many mails with LF line ends."""
    folder.mkdir()
    files = []
    for number in range(count):
        file = folder / f"{number}.eml"
        file.write_bytes(mail(subject=f"Question {number}", text="x" * size or "Hello").replace(b"\r\n", b"\n"))
        files.append(file)
    return files


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_batches_are_worth_a_transaction_and_fit_into_memory() -> None:
    assert list(cut([])) == []
    (one,) = cut([(1, 20), (2, 30), (3, 10)])
    assert (one.uids, one.size, one.large) == ((1, 2, 3), 60, False)
    assert [len(batch.uids) for batch in cut((uid, 1) for uid in range(1, 1201))] == [BATCH_MAILS, BATCH_MAILS, 200]
    by_size = list(cut((uid, BATCH_BYTES // 2 - 1) for uid in range(1, 6)))
    assert [batch.uids for batch in by_size] == [(1, 2), (3, 4), (5,)]
    mixed = list(cut([(1, 5), (2, LARGE), (3, 5)]))
    assert sorted((batch.uids, batch.large) for batch in mixed) == [((1, 3), False), ((2,), True)]


@pytest.mark.databases("sqlite", "postgresql")
def test_three_hundred_mails_by_workers_one_of_which_is_killed(
    office: Office, dovecot: MakeAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All archived, none doubled, all moved."""
    from gateway import poller

    monkeypatch.setattr("gateway.taking.BATCH_MAILS", 25)
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.load(user, "INBOX", letters(tmp_path / "mails", 300, 3000))
    binding = office.watch(help_)
    workers = Workers(office.archive.folder, office.archive.key, office.archive.database_url, 2)
    killed: list[int] = []

    def kill_one(done: int, _of: int) -> None:
        if not killed and done >= 25:
            victim = next(one.process for one in workers._workers if one.orders)
            assert victim.pid
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    assert poller.WORTH_WORKERS <= 300
    outcome = office.poll_well(binding, workers=workers, told=kill_one)
    assert killed
    assert (outcome.seen, outcome.archived + outcome.known, outcome.copies) == (300, 300, 0)
    assert outcome.moved == 300
    assert len(office.messages()) == len(office.copies()) == 300
    assert office.settlements() == ["moved"] * 300
    assert {one.raw for one in server.mails(user, "Done")} == set(office.raws())
    assert server.count(user, "INBOX") == 0
    assert not any(map(alive, killed))


def test_a_mail_that_ends_every_worker_is_kept_unread_and_its_neighbours_are_archived(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies over one mail whenever it reads it, as a parser written in C could make it."""
    monkeypatch.setattr("gateway.poller.WORTH_WORKERS", 1)
    help_ = dovecot("helpdesk")
    raws = [mail(subject="fine"), mail(subject="kill the reader"), mail(subject="fine too")]
    help_.server.deliver(help_.user, "INBOX", *raws)
    binding = office.watch(help_)
    workers = Workers(office.archive.folder, office.archive.key, office.archive.database_url, 2)
    # Workers are fresh interpreters: what they run has to come by import.
    monkeypatch.setattr("gateway.workers._work", deadly_work)
    outcome = office.poll_well(binding, workers=workers)
    assert (outcome.seen, outcome.moved, outcome.quarantined) == (3, 3, 0)
    assert sorted(office.raws()) == sorted(raws)
    (unread,) = [one for one in office.messages() if one.reader == 0]
    assert "ended the worker" in unread.problems[0]


def deadly_work(*arguments: Any) -> None:
    """A worker in which reading one mail ends the process."""
    from archive.mail import facts

    read = facts.read

    def deadly(raw: Any) -> Any:
        if b"kill the reader" in bytes(raw):
            os._exit(11)
        return read(raw)

    facts.read = deadly
    true_work(*arguments)


def test_workers_are_given_the_password_of_today(
    office: Office, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection over which the news came was signed in with the one before."""
    monkeypatch.setattr("gateway.poller.WORTH_WORKERS", 1)
    binding = office.watch(scripted)
    workers = Workers(office.archive.folder, office.archive.key, office.archive.database_url, 1)
    poller = Poller(office.archive, office.connecting, now, workers)
    try:
        kept = poller.look(binding, keep=True).kept
        assert kept
        scripted.password = "another"
        with office.archive.transaction() as session:
            bindings.set_password(session, office.archive, office.binding(binding).mailbox, "another", now())
        with scripted.lock:
            scripted.folder("INBOX").add(mail())
        assert poller.look(binding, kept).outcome.archived == 1
        assert scripted.verbs("LOGIN") == ["LOGIN"] * 2
    finally:
        poller.close()


def test_workers_end_within_a_second_of_their_parent(office: Office, scripted: Scripted) -> None:
    """Also those that wait for an answer of the mail server and would not notice otherwise."""
    for number in range(600):
        scripted.folder("INBOX").add(b"Subject: %d\r\n\r\n" % number)
    office.environment["POSTROOM_GATEWAY__TIMEOUT"] = "60"
    scripted.on("UID FETCH", stall=60, skip=2, times=2)  # the sizes of 600 mails are two answers
    office.watch(scripted)
    process = office.start("poll", "--json")
    try:
        deadline = time.monotonic() + 30
        while scripted.verbs().count("UID FETCH") < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        children = children_of(process.pid)
        assert len(children) >= 2  # and the tracker that multiprocessing starts
        assert all(map(alive, children))
    finally:
        process.kill()
        process.communicate()
    deadline = time.monotonic() + 1.0
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, children))
    code, (outcome,) = office.poll_by_command()
    assert code == 0, outcome
    assert len(office.messages()) == len(office.copies()) == 600
    assert set(office.settlements()) == {"moved"}
    assert len(scripted.folder("Done").mails) == 600


def children_of(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


def test_a_mail_of_60_mb_needs_less_than_200_mb(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    raw = large(60 << 20)
    help_.server.deliver(help_.user, "INBOX", mail(subject="before"), raw, mail(subject="after"))
    office.watch(help_)
    # In a process of its own whose only children are the command and its workers: their largest peak is told.
    measure = textwrap.dedent("""
        import resource, subprocess, sys
        code = subprocess.run(sys.argv[1:]).returncode
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
        sys.exit(code)
    """)
    done = subprocess.run(
        [sys.executable, "-c", measure, *office.command("poll", "--json")],
        env=office.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stderr.split()[-1]) < 200 * 1024  # KiB
    (copy,) = [one for one in office.copies() if one.size > 1 << 20]
    assert (copy.size, copy.sha256) == (len(raw), hashlib.sha256(raw).digest())
    out = subprocess.run(
        office.command("messages", "raw", str(copy.message)),
        env=office.environment,
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert hashlib.sha256(out).digest() == hashlib.sha256(raw).digest()
    moved = help_.server.mails(help_.user, "Done")
    assert sorted(len(one.raw) for one in moved)[-1] == len(raw)
    assert office.settlements() == ["moved"] * 3
    assert list((office.folder / "spool").iterdir()) == []


def test_a_stop_in_the_middle_finishes_what_is_in_hand_and_moves_it(
    office: Office, dovecot: MakeAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.taking.BATCH_MAILS", 20)
    help_ = dovecot("helpdesk")
    help_.server.load(help_.user, "INBOX", letters(tmp_path / "mails", 100))
    binding = office.watch(help_)
    stopping = threading.Event()

    def stop(done: int, _of: int) -> None:
        if done >= 40:
            stopping.set()

    outcome = office.poll_well(binding, stopping=stopping, told=stop)
    assert outcome.archived == outcome.moved == 40
    assert None not in office.settlements()
    assert help_.server.count(help_.user, "INBOX") == 60
    assert office.poll_well(binding).archived == 60
    assert len(office.messages()) == 100
