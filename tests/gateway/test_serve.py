"""Postroom at work: mail that comes while it runs is archived, and it stops when it is told to."""

import ctypes
import http.client
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from archive.store.schema import receipt

from ..conftest import Account
from ..servers.scripted import Scripted
from ..world import mail
from .conftest import Office
from .test_workers import alive, children_of, letters

MakeAccount = Callable[..., Account]
STOP_WITHIN = 5.0 * 2  # five seconds are promised, on a machine that does nothing else


@contextmanager
def running(office: Office, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = office.start(*arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(happens: Callable[[], bool], seconds: float = 30.0, instead: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, f"it did not happen in time {instead()}"
        time.sleep(0.02)


def received(office: Office) -> int:
    with office.archive.reading() as session:
        return session.scalar(select(func.count()).select_from(receipt)) or 0


def stop(process: subprocess.Popen[str], by: signal.Signals = signal.SIGTERM) -> float:
    """Seconds until it ended."""
    started = time.monotonic()
    process.send_signal(by)
    assert process.wait(30) == 0
    return time.monotonic() - started


def tracebacks(process: subprocess.Popen[str]) -> list[str]:
    """The faults of ours that one which has ended told of, each with what follows it."""
    assert process.stderr is not None
    _, *faults = process.stderr.read().split("Traceback")
    return [one[:4000] for one in faults]


def often(office: Office, account: Account | Scripted) -> int:
    """A binding that is due every second."""
    id_ = office.watch(account)
    with office.archive.transaction() as session:
        from sqlalchemy import update

        from archive.store.schema import binding

        session.execute(update(binding).values(every=1))
    return id_


@pytest.mark.databases("sqlite", "postgresql")
def test_serve_shows_pages_and_archives_mail_that_comes_while_it_runs(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    often(office, help_)
    with running(office, "serve", "--port", "0") as process:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
        assert found
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().status in (200, 302, 303)
        connection.close()
        for number in (1, 2):
            help_.server.deliver(help_.user, "INBOX", mail(subject=f"Question {number}"))
            until(lambda expected=number: received(office) == expected)  # type: ignore[misc]
        until(lambda: help_.server.count(help_.user, "Done") == 2)
        assert stop(process) < STOP_WITHIN
        assert "Traceback" not in process.stderr.read()
    assert office.settlements() == ["moved"] * 2


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_gateway_stops_at_once(office: Office, scripted: Scripted, by: signal.Signals) -> None:
    often(office, scripted)
    with running(office, "gateway") as process:
        until(lambda: scripted.verbs("UID SEARCH") != [])
        assert stop(process, by) < STOP_WITHIN
        assert tracebacks(process) == []


def test_a_signal_that_another_thread_hears_is_obeyed(office: Office, scripted: Scripted) -> None:
    """The system chooses the thread; the one that acts on it may be asleep."""
    often(office, scripted)
    with running(office, "gateway") as process:
        until(lambda: scripted.verbs("UID SEARCH") != [])
        threads = [int(entry.name) for entry in Path(f"/proc/{process.pid}/task").iterdir()]
        other = min(set(threads) - {process.pid})  # the oldest of them: it lasts
        assert ctypes.CDLL(None).tgkill(process.pid, other, signal.SIGTERM) == 0
        assert process.wait(STOP_WITHIN) == 0


def test_a_gateway_in_the_middle_of_2000_mails_stops_within_five_seconds_and_loses_nothing(
    office: Office, dovecot: MakeAccount, tmp_path: Path
) -> None:
    help_ = dovecot("helpdesk")
    server, user = help_.server, help_.user
    server.load(user, "INBOX", letters(tmp_path / "mails", 2000, 3000))
    office.watch(help_)
    with running(office, "gateway") as process:
        until(lambda: received(office) >= 200)
        children = children_of(process.pid)
        assert stop(process) < STOP_WITHIN
        until(lambda: not any(map(alive, children)))  # they end within a second of their parent
        assert tracebacks(process) == []
    taken = received(office)
    assert taken >= 200
    assert server.count(user, "INBOX") + server.count(user, "Done") == 2000
    code, (outcome,) = office.poll_by_command()
    assert code == 0, outcome
    assert outcome["seen"] == outcome["archived"] == 2000 - taken
    assert outcome["copies"] == 0
    assert len(office.messages()) == received(office) == 2000
    assert set(office.settlements()) == {"moved"}
    assert (server.count(user, "INBOX"), server.count(user, "Done")) == (0, 2000)


def test_a_stalled_server_does_not_hold_up_the_end(office: Office, scripted: Scripted) -> None:
    often(office, scripted)
    office.environment["POSTROOM_GATEWAY__TIMEOUT"] = "60"
    scripted.on("UID SEARCH", stall=30)
    with running(office, "gateway") as process:
        until(lambda: "UID SEARCH" in scripted.verbs())
        assert stop(process) < STOP_WITHIN


def test_one_stalled_server_holds_up_no_other(office: Office, scripted: Scripted, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    often(office, scripted)
    often(office, help_)
    scripted.on("UID SEARCH", stall=30)
    with running(office, "gateway") as process:
        until(lambda: "UID SEARCH" in scripted.verbs())
        help_.server.deliver(help_.user, "INBOX", mail())
        until(lambda: received(office) == 1)
        assert process.poll() is None


def test_a_poll_beside_a_running_gateway_is_no_trouble_to_either(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    often(office, help_)
    with running(office, "gateway") as process:
        for number in range(5):
            help_.server.deliver(help_.user, "INBOX", mail(subject=f"Question {number}"))
            assert office.poll_by_command()[0] == 0
        until(lambda: help_.server.count(help_.user, "Done") == 5)
        stop(process)
    assert len(office.messages()) == len(office.copies()) == 5


def test_a_pass_that_stumbles_is_put_off_and_tried_again(
    office: Office, dovecot: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours costs one pass of one binding, and stands on its row until it is mended."""
    from archive.front import now
    from gateway.clock import Clock
    from gateway.mailbox import Mailbox
    from gateway.poller import Outcome, Poller

    help_ = dovecot("helpdesk")
    help_.server.deliver(help_.user, "INBOX", mail())
    binding = often(office, help_)
    stumbles = [True]
    sizes = Mailbox.sizes

    def stumbling(*arguments: Any) -> Any:
        if stumbles:
            raise ZeroDivisionError
        return sizes(*arguments)

    monkeypatch.setattr(Mailbox, "sizes", stumbling)
    stopping = threading.Event()
    outcomes: list[Outcome] = []
    clock = Clock(office.archive, lambda: Poller(office.archive, office.connecting, now), 4, stopping, outcomes.append)
    clock.start()
    try:
        until(lambda: "stumbled over" in (office.binding(binding).trouble or ""))
        stumbles.clear()
        until(lambda: received(office) == 1)
        until(lambda: office.binding(binding).trouble is None)
    finally:
        clock.stop()
    assert "stumbled over" in (outcomes[0].trouble or "")
    assert outcomes[-1].trouble is None
