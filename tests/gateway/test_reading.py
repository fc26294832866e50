"""A mail that hangs, swells or kills its reader while a few mails are taken beside everything else."""

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from archive import reading, reindexing
from archive.people import sessions
from archive.reading import Reading

from ..archive.test_reading import work
from ..conftest import Account
from ..world import mail
from .conftest import Office
from .test_serve import often, received, stop, until
from .test_workers import alive, children_of

MakeAccount = Callable[..., Account]


@pytest.mark.parametrize("deed", ["hang", "swell", "kill"])
def test_its_neighbours_arrive_and_it_is_kept_raw_and_marked(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    monkeypatch.setattr(reading, "_work", work)
    help_ = dovecot("helpdesk")
    raws = [mail(subject="before"), mail(subject=f"{deed} the reader"), mail(subject="after")]
    help_.server.deliver(help_.user, "INBOX", *raws)
    binding = office.watch(help_)
    own = Reading(seconds=1)
    try:
        outcome = office.poll_well(binding, reading=own)
    finally:
        own.close()
    assert (outcome.seen, outcome.archived, outcome.moved, outcome.quarantined) == (3, 3, 3, 0)
    assert sorted(office.raws()) == sorted(raws)
    assert sorted(one.subject for one in office.messages()) == ["", "after", "before"]
    (unread,) = [one for one in office.messages() if one.reader == 0]
    assert "ended the worker" in unread.problems[0]
    assert help_.server.count(help_.user, "INBOX") == 0


def test_that_no_process_can_be_started_leaves_the_mail_where_it_is(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail())
    binding = office.watch(help_)
    with monkeypatch.context() as broken:
        broken.setattr("archive.confinement.sys.executable", "/nowhere/python")
        outcome = office.poll(binding, reading=Reading())
    assert "cannot be read here just now" in (outcome.trouble or "")
    assert not office.binding(binding).permanent
    assert help_.server.count(help_.user, "INBOX") == 1
    own = Reading()
    try:
        assert office.poll_well(binding, reading=own).archived == 1
    finally:
        own.close()


@contextmanager
def serving(office: Office) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.failing_reader", "serve", "--port", "0"],
        env=office.environment,
        cwd=office.folder.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_serve_goes_on_and_never_reads_that_mail_again(office: Office, dovecot: MakeAccount) -> None:
    """Neither for the second reading, nor for the index, nor for a page."""
    help_ = dovecot("helpdesk")
    often(office, help_)
    with serving(office) as process:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
        assert found
        until(lambda: office.binding(1).succeeded_at is not None)
        assert children_of(process.pid) == [], "nobody reads before there is something to read"
        help_.server.deliver(help_.user, "INBOX", mail(subject="before"), mail(subject="hang the reader"))
        until(lambda: received(office) == 2, 120)
        help_.server.deliver(help_.user, "INBOX", mail(subject="after"))
        until(lambda: received(office) == 3, 60)
        until(lambda: help_.server.count(help_.user, "Done") == 3)
        until(lambda: all(one.read_twice for one in office.messages()), 90)
        (unread,) = [one for one in office.messages() if one.reader == 0]
        assert "first reader could not read it" in unread.ambiguous[0]
        until(lambda: in_full(office), 60)
        assert "hang the reader" in page(office, int(found[1]), f"/conversations/{unread.conversation}")
        assert stop(process) < 5
    assert set(office.settlements()) == {"moved"}


def in_full(office: Office) -> bool:
    with office.archive.reading() as session:
        return not reindexing.waiting(session)


def page(office: Office, port: int, address: str) -> str:
    with office.archive.transaction() as session:
        token = sessions.start(session, office.names["anna"], "a browser", int(time.time() * 1000))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", address, headers={"Cookie": f"postroom={token}"})
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read().decode()


def test_who_reads_ends_within_a_second_of_serve(office: Office, dovecot: MakeAccount) -> None:
    """Idle as well as over a mail; what was in hand is taken by the next."""
    help_ = dovecot("helpdesk")
    often(office, help_)
    with serving(office) as process:
        help_.server.deliver(help_.user, "INBOX", mail(subject="before"))
        until(lambda: received(office) == 1, 60)
        idle = children_of(process.pid)
        assert len(idle) >= 1
        help_.server.deliver(help_.user, "INBOX", mail(subject="hang the reader"))
        until(lambda: office.binding(1).waiting == 0 and any(map(busy, children_of(process.pid))), 60)
        children = children_of(process.pid)
    deadline = time.monotonic() + 1.0
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, children))
    assert office.poll_by_command()[0] == 0
    assert len(office.messages()) == 2


def busy(pid: int) -> bool:
    """Whether a process has just used the processor: who reads one small mail has long finished."""

    def used() -> int:
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return 0
        return int(fields[11])  # clock ticks of its own

    before = used()
    time.sleep(0.5)
    return used() > before + 10
