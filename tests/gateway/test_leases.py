"""A binding is polled by one gateway at a time; a second one waits, and names who has it."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway import leases
from gateway.trouble import Busy

from ..conftest import Account
from ..servers.scripted import Scripted
from ..world import mail
from .conftest import Office

MakeAccount = Callable[..., Account]


def test_a_second_holder_waits_and_names_the_first(office: Office) -> None:
    with leases.held(office.archive, 7, "office/INBOX", 0):
        started = time.monotonic()
        named = rf"office/INBOX is being polled by .*process {os.getpid()} on \S+, since \d\d:\d\d:\d\d"
        with pytest.raises(Busy, match=named), leases.held(office.archive, 7, "office/INBOX", 0.3):
            pytest.fail("held twice")
        assert 0.3 <= time.monotonic() - started < 2
        with leases.held(office.archive, 8, "office/Other", 0):
            pass
    with leases.held(office.archive, 7, "office/INBOX", 0):
        pass


def test_whoever_waits_gets_it_when_it_is_free(office: Office) -> None:
    held = threading.Event()
    let_go = threading.Event()

    def first() -> None:
        with leases.held(office.archive, 7, "office/INBOX", 0):
            held.set()
            let_go.wait(10)

    holder = threading.Thread(target=first)
    holder.start()
    held.wait(10)
    threading.Timer(0.3, let_go.set).start()
    with leases.held(office.archive, 7, "office/INBOX", 10):
        assert let_go.is_set()
    holder.join()


@contextmanager
def stalled_poll(office: Office, scripted: Scripted) -> Iterator[int]:
    """A `postroom poll` in the middle of its pass; gives its process id."""
    scripted.on("UID SEARCH", stall=30, times=1)
    process = office.start("poll", "--json")
    try:
        deadline = time.monotonic() + 20
        while "UID SEARCH" not in scripted.verbs() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "UID SEARCH" in scripted.verbs()
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_a_poll_beside_another_one_names_it_and_disturbs_nothing(office: Office, scripted: Scripted) -> None:
    scripted.folder("INBOX").add(mail())
    binding = office.watch(scripted)
    before = office.binding(binding)
    with stalled_poll(office, scripted) as pid:
        outcome = office.poll(binding, lease_wait=0.5)
        assert "box1/INBOX is being polled by" in (outcome.trouble or "")
        assert f"process {pid}" in (outcome.trouble or "")
        assert scripted.connections == 1
        # Somebody else's work is no failure of the binding.
        now = office.binding(binding)
        assert (now.trouble, now.failures, now.next_at) == (None, 0, before.next_at)


def test_a_killed_holders_lease_is_free_at_once(office: Office, scripted: Scripted) -> None:
    scripted.folder("INBOX").add(mail())
    binding = office.watch(scripted)
    with stalled_poll(office, scripted) as pid:
        os.kill(pid, signal.SIGKILL)
        started = time.monotonic()
        assert office.poll_well(binding, lease_wait=5).archived == 1
        assert time.monotonic() - started < 2


@pytest.mark.databases("sqlite", "postgresql")
def test_two_polls_at_once_take_every_mail_once(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", *(mail(subject=f"Question {number}") for number in range(60)))
    office.watch(help_)
    both = [office.start("poll", "--json") for _ in range(2)]
    outcomes = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum(one["archived"] for one in outcomes) == 60
    assert sum(one["copies"] for one in outcomes) == 0
    assert len(office.messages()) == len(office.copies()) == 60
    assert help_.server.count(help_.user, "Done") == 60
