"""Two installations that answer each other by themselves, over real mail servers: it ends, whatever happens.

Each has an archive of its own, polls by IMAP and sends by SMTP. What carries mail between them is the embedded server
(pymap, aiosmtpd), which may lose what says that a mail was sent by itself.
"""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import pytest

from archive import rereading
from archive.front import now
from archive.outgoing import auto_replies, identities, templates
from archive.outgoing.templates import Text
from archive.people import processes
from archive.post import bindings
from archive.store import migrate
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from archive.work import rulebook
from archive.work.rules import Action, Condition, Rule
from gateway.demo.server import MailServer
from gateway.poller import Poller
from gateway.sender import Sender

from .conftest import QUICK

DAY = 86_400_000
TEXT = Text("We have your mail; ticket {{ticket}}.", "Received [{{ticket}}]")


class Installation:
    """One organisation that answers whatever comes to its address."""

    def __init__(self, folder: Path, server: MailServer, address: str) -> None:
        (folder / "locks").mkdir(parents=True)
        self.address, self.ahead = address, 0
        self.archive = Archive(folder, InstallationKey.new())
        migrate.upgrade(self.archive)
        login = address.replace("@", "%40")
        with self.archive.transaction() as session:
            bindings.add_mailbox(
                session, self.archive, "box", f"imap+plain://{login}@127.0.0.1:{server.imap_port}",
                f"smtp+plain://{login}@127.0.0.1:{server.smtp_port}", server.passwords[address], now(),
            )  # fmt: skip
            (box,) = bindings.mailboxes(session)
            of = processes.add(session, "help", "Help", (address,), (), now())
            identities.add(session, address, box, now(), name="Help", process=of.id)
            self.binding = bindings.add(session, box, "INBOX", "Done", now(), process=of.id)
            made = templates.put(session, None, of.id, "Thanks", {"en": TEXT}, "operator", now())
            every = (Condition("sender", "wildcard", ("*",)),)
            rulebook.add(session, Rule("answer", every, (Action("reply", str(made)),)), "operator", now())

    def clock(self) -> int:
        return now() + self.ahead

    def work(self) -> int:
        """Take what came, read it again, answer it; how many left."""
        poller = Poller(self.archive, QUICK, self.clock, lease_wait=0.5)
        try:
            outcome = poller.poll(self.binding)
            assert outcome.trouble is None, outcome
        finally:
            poller.close()
        while rereading.pass_(self.archive, 100, self.clock).read:
            pass
        done = Sender(self.archive, QUICK, self.clock, threading.Event()).round()
        assert done.troubles == ()
        return done.sent

    def __enter__(self) -> "Installation":
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.archive.close()


Pair = Callable[..., tuple[Installation, Installation, MailServer]]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made: list[Installation] = []
    servers: list[MailServer] = []

    def make(lost: Callable[[bytes], bytes] = lambda raw: raw) -> tuple[Installation, Installation, MailServer]:
        """Each has a server of its own; what leaves one is delivered to the other, less what is `lost`."""
        one, other = "help@one.example", "help@other.example"
        first = MailServer([one], outside=lambda to, raw: second.deliver(to, lost(raw)))
        second = MailServer([other], outside=lambda to, raw: first.deliver(to, lost(raw)))
        for server in (first, second):
            server.start()
            servers.append(server)
        made.extend([Installation(tmp_path / "1", first, one), Installation(tmp_path / "2", second, other)])
        for each in made:
            assert each.work() == 0  # what is there when a folder is first looked at was there before
        return made[0], made[1], first

    yield make
    for one in made:
        one.archive.close()
    for server in servers:
        server.stop()


def first_mail(of: Installation, to: Installation) -> bytes:
    return (
        f"Return-Path: <{of.address}>\r\nFrom: {of.address}\r\nTo: {to.address}\r\nSubject: Hello\r\n"
        f"Message-ID: <first@one.example>\r\n\r\nHow are you, my dear?\r\n"
    ).encode()


def exchange(one: Installation, other: Installation, rounds: int, step: int = 0) -> list[int]:
    sent = [0, 0]
    for _ in range(rounds):
        for number, each in enumerate((one, other)):
            sent[number] += each.work()
            each.ahead += step
    return sent


def test_two_installations_end_after_one_mail(pair: Pair) -> None:
    one, other, server = pair()
    server.deliver(one.address, first_mail(other, one))
    assert exchange(one, other, 4, DAY + 1) == [1, 0], "the answer says that it is one"


ROBOT = re.compile(rb"(?mi)^(?:auto-submitted|x-auto-response-suppress|x-postroom-reply):[^\n]*\n")


def _anonymous(raw: bytes) -> bytes:
    """Nothing is left that says what it is, and a server on the way writes a return path of its own."""
    head, _, body = raw.partition(b"\r\n\r\n")
    sender = re.search(rb"(?mi)^From: .*<([^>]*)>", head)
    assert sender
    head = re.sub(rb"(?mi)^return-path:[^\n]*\n", b"", ROBOT.sub(b"", head + b"\r\n")).rstrip(b"\r\n")
    return b"Return-Path: <" + sender[1] + b">\r\n" + head + b"\r\n\r\n" + body


def test_where_nothing_tells_it_from_a_persons_it_ends_that_day(pair: Pair) -> None:
    one, other, server = pair(_anonymous)
    server.deliver(one.address, first_mail(other, one))
    sent = exchange(one, other, 6)
    assert sent == [1, 1]


def test_and_where_it_goes_on_every_day_budgets_stop_it_and_show_what_was_sent(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_replies, "LATEST", 30 * DAY)  # the clock of the mail servers does not run ahead
    one, other, server = pair(_anonymous)
    server.deliver(one.address, first_mail(other, one))
    sent = exchange(one, other, 5, DAY + 1)
    assert sent == [3, 3]
    with one.archive.reading() as session:
        brakes = [*auto_replies.brakes(session)]
    with other.archive.reading() as session:
        brakes += auto_replies.brakes(session)
    assert {each.kind for each in brakes} == {auto_replies.CORRESPONDENT}
    assert [len(each.evidence) for each in brakes] == [3] * len(brakes)
