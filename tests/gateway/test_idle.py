"""Servers that tell of news by themselves: mail is taken at once, and nothing is lost whatever becomes of the line."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from archive.front import now
from archive.post import bindings
from archive.store.schema import binding as binding_table
from gateway import lanes, rounds
from gateway.clock import Clock
from gateway.mailbox import Connecting
from gateway.poller import Outcome, Poller

from ..conftest import Account
from ..servers.scripted import Scripted
from ..world import mail
from .conftest import Office
from .test_serve import received, until

MakeAccount = Callable[..., Account]


@dataclass
class AtWork:
    """A gateway in this process."""

    clock: Clock
    outcomes: list[Outcome] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)  # of trouble, as they came

    @property
    def waiting(self) -> int:
        """How many connections wait for news."""
        return len(self.clock._rounds._listening)


@contextmanager
def at_work(
    office: Office, *, keep: int = 50, look_every: int = 300, at_once: int = 4, connecting: Connecting | None = None
) -> Iterator[AtWork]:
    stopping = threading.Event()
    outcomes: list[Outcome] = []
    kinds: list[str] = []

    def report(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if outcome.trouble:
            with office.archive.reading() as session:
                kinds.extend(one.trouble_kind or "" for one in bindings.in_trouble(session))

    def make() -> Poller:
        return Poller(
            office.archive,
            connecting or office.connecting,
            now,
            lease_wait=0.0,
            look_every=look_every,
            stopping=stopping,
        )

    one = AtWork(Clock(office.archive, make, at_once, stopping, report, keep=keep), outcomes, kinds)
    one.clock.start()
    try:
        yield one
    finally:
        one.clock.stop()


def every(office: Office, seconds: int) -> None:
    with office.archive.transaction() as session:
        session.execute(update(binding_table).values(every=seconds))


@pytest.mark.databases("sqlite", "postgresql")
def test_mail_is_taken_when_the_server_tells_of_it(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    office.watch(help_)
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        until(lambda: gateway.waiting == 1)
        for number in (1, 2, 3):
            help_.server.deliver(help_.user, "INBOX", mail(subject=f"Question {number}"))
            until(lambda expected=number: received(office) == expected)  # type: ignore[misc]
        until(lambda: help_.server.count(help_.user, "Done") == 3)
    assert office.settlements() == ["moved"] * 3
    assert gateway.outcomes[0].seen == 0


def test_news_are_taken_over_the_connection_that_told_of_them(office: Office, scripted: Scripted) -> None:
    office.watch(scripted)
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        for number in (1, 2):
            until(lambda: gateway.waiting == 1)
            with scripted.lock:
                scripted.folder("INBOX").add(mail(subject=f"Question {number}"))
            until(lambda expected=number: received(office) == expected)  # type: ignore[misc]
    assert scripted.connections == 1
    assert scripted.offences == []


def test_news_that_come_in_pieces_are_understood(office: Office, scripted: Scripted) -> None:
    scripted.in_pieces = True
    office.watch(scripted)
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        until(lambda: gateway.waiting == 1)
        with scripted.lock:
            scripted.folder("INBOX").add(mail())
        until(lambda: received(office) == 1)
    assert scripted.connections == 1


@pytest.mark.parametrize(
    "said",
    [b"* BYE enough", b"", b"\x00\xff nothing that means anything", b"* 17 EXISTS", b"* 99999999999999999999 EXISTS"],
    ids=["bye", "cut", "garbage", "untrue", "absurd"],
)
def test_whatever_an_idling_server_says_nothing_is_lost(office: Office, scripted: Scripted, said: bytes) -> None:
    scripted.on("IDLE", "", untagged=[b"+ idling", *([said] if said else [])], cut=True, times=2)
    office.watch(scripted)
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        until(lambda: len(scripted.verbs("IDLE")) == 3)
        until(lambda: gateway.waiting == 1)
        with scripted.lock:
            scripted.folder("INBOX").add(mail())
        until(lambda: received(office) == 1)
    assert [one.trouble for one in gateway.outcomes] == [None] * len(gateway.outcomes)
    assert scripted.offences == []


def test_mail_that_comes_while_the_last_look_ends_is_not_overlooked(office: Office, scripted: Scripted) -> None:
    """The server tells of it once, with its answer to another question, and not again while it idles."""

    def comes() -> None:
        scripted.folder("INBOX").add(mail())

    scripted.on("UID SEARCH", do=True, then=comes, times=1)
    office.watch(scripted)
    every(office, 3600)
    with at_work(office, look_every=3600):
        until(lambda: received(office) == 1)


def test_a_person_may_poll_what_the_gateway_listens_to(office: Office, scripted: Scripted) -> None:
    binding = office.watch(scripted)
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        until(lambda: gateway.waiting == 1)
        office.poll_well(binding, lease_wait=20)
        assert gateway.waiting == 0


def test_what_is_paused_is_not_listened_to(office: Office, scripted: Scripted) -> None:
    office.watch(scripted)
    with at_work(office) as gateway:
        until(lambda: gateway.waiting == 1)
        with office.archive.transaction() as session:
            session.execute(update(binding_table).values(paused_at=now()))
        until(lambda: gateway.waiting == 0)


def test_who_only_waits_for_news_writes_nothing_but_its_own_row(office: Office, dovecot: MakeAccount) -> None:
    help_ = dovecot("helpdesk")
    binding = office.watch(help_)
    every(office, 1)
    with at_work(office, look_every=1) as gateway:
        until(lambda: gateway.waiting == 1)
        until(lambda: len(gateway.outcomes) >= 2)
        others = ("binding", "seal", "installation")  # what became true before is sealed and indexed meanwhile
        before = office.everything(others)
        looked = len(gateway.outcomes)
        until(lambda: len(gateway.outcomes) >= looked + 3)
        assert office.everything(others) == before
    assert office.binding(binding).empty_polls >= 5


def test_a_server_that_is_started_anew_is_soon_looked_at_again(office: Office, scripted: Scripted) -> None:
    """It cuts what waits, and lets nobody in for a moment."""
    binding = office.watch(scripted, every=3600)
    scripted.on("IDLE", "", untagged=[b"+ idling", b"* BYE restarting"], cut=True, times=1)
    scripted.on("GREETING", "", cut=True, times=1, skip=1)
    with at_work(office, look_every=3600) as gateway:
        until(lambda: gateway.kinds == ["cut"])
        with scripted.lock:
            scripted.folder("INBOX").add(mail())
        until(lambda: received(office) == 1 and office.binding(binding).trouble is None)


def test_where_a_server_tells_late_all_its_folders_are_looked_at_more_often(
    office: Office, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dovecot does when the system gives it no more notices of changed files: half a minute, and nobody is told why."""
    monkeypatch.setattr(lanes, "LATE_LOOK", 0.5)
    monkeypatch.setattr(rounds, "TARDY_MS", 1_000)
    with scripted.lock:
        scripted.folder("Other")
    for folder in ("INBOX", "Other"):
        office.watch(scripted, name="box", folder=folder)
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        until(lambda: gateway.waiting == 2)
        looks = len(gateway.outcomes)
        scripted.tells_after = 2.5
        bring(scripted, "INBOX", 1)
        until(lambda: len(gateway.outcomes) == looks + 1)  # told, at last
        assert received(office) == 1
        scripted.tells_after = 3600
        for number, folder in ((2, "Other"), (3, "INBOX")):
            bring(scripted, folder, number)
            until(lambda expected=number: received(office) == expected)  # type: ignore[misc]
    assert scripted.offences == []


def test_mail_that_was_brought_from_elsewhere_says_nothing_of_the_server(
    office: Office, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps the time at which it first arrived."""
    monkeypatch.setattr(lanes, "LATE_LOOK", 0.5)
    office.watch(scripted)
    every(office, 3600)
    with at_work(office, look_every=3600) as gateway:
        for number, age in enumerate((0, 120), 1):
            until(lambda: gateway.waiting == 1)  # this server tells nothing of what came just before
            bring(scripted, "INBOX", number, age)
            until(lambda expected=number: received(office) == expected)  # type: ignore[misc]
        until(lambda: gateway.waiting == 1)
        looks = len(gateway.outcomes)
        end = time.monotonic() + 2
        until(lambda: time.monotonic() > end)
        assert len(gateway.outcomes) == looks


def bring(server: Scripted, folder: str, number: int, age: int = 0) -> None:
    """A mail that first arrived so many seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=age)
    with server.lock:
        server.folder(folder).add(mail(subject=f"Question {number}"), when=at)


def test_a_server_that_does_not_idle_is_polled(office: Office) -> None:
    with Scripted(capabilities=("IMAP4rev1", "UIDPLUS", "MOVE")) as poor, at_work(office) as gateway:
        office.watch(poor)
        every(office, 1)
        until(lambda: len(gateway.outcomes) >= 2)
        with poor.lock:
            poor.folder("INBOX").add(mail())
        until(lambda: received(office) == 1)
        assert gateway.waiting == 0
    assert poor.verbs("IDLE") == []
