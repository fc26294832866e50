"""What every real IMAP server of the tests offers: users, and looking and delivering as the tester."""

import contextlib
import datetime
import socket
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from imapclient import IMAPClient

PASSWORD = "correct horse"  # of every user, unless told otherwise


@dataclass(frozen=True)
class Mail:
    """One mail as the server holds it."""

    uid: int
    flags: frozenset[str]
    raw: bytes
    internaldate: datetime.datetime


class ImapServer(ABC):
    """A server with users; `separator` and `prefix` are those of a user's own folders."""

    separator: str
    prefix: str
    port: int
    _users: dict[str, str]  # names and passwords

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Starts it and waits until it can be spoken to."""

    @abstractmethod
    def close(self) -> None:
        """Ends it and removes everything it kept."""

    @abstractmethod
    def add_user(self, name: str, password: str = PASSWORD) -> str:
        """A user who can sign in from now on; returns the name."""

    def url(self, user: str) -> str:
        """How Postroom addresses a mailbox."""
        return f"imap+plain://{urllib.parse.quote(user, safe='')}@127.0.0.1:{self.port}"

    def limit(self, user: str, folder: str, kilobytes: int) -> None:
        """No more than so much mail in a folder, at least; NotImplementedError where it was started without quotas."""
        raise NotImplementedError  # servers with quotas say

    @contextlib.contextmanager
    def connect(self, user: str) -> Iterator[IMAPClient]:
        """A signed-in connection of the test's own."""
        with client_of(self.port) as client:
            client.login(user, self._users[user])
            yield client

    def path(self, folder: str) -> str:
        """A folder's full name on this server: `path("Done/2026")` is `INBOX.Done.2026` where that is the style."""
        if folder.upper() == "INBOX":
            return "INBOX"
        return self.prefix + folder.replace("/", self.separator)

    def create(self, user: str, folder: str) -> str:
        """Makes a folder, named as on the server, unless it is there; returns the name."""
        with self.connect(user) as client:
            if not _there(client, folder):
                client.create_folder(folder)
        return folder

    def folders(self, user: str) -> list[str]:
        """The names of all folders, sorted."""
        with self.connect(user) as client:
            return sorted(str(name) for _, _, name in client.list_folders())

    def deliver(
        self,
        user: str,
        folder: str,
        *raws: bytes,
        flags: Sequence[str] = (),
        when: datetime.datetime | None = None,
    ) -> None:
        """Puts mails into a folder, which is made when missing, byte for byte and with the given INTERNALDATE."""
        with self.connect(user) as client:
            if folder != "INBOX" and not _there(client, folder):
                client.create_folder(folder)
            for raw in raws:
                client.append(folder, raw, flags, when)

    def mails(self, user: str, folder: str) -> list[Mail]:
        """All mails of a folder by UID, read without changing anything; none when there is no such folder."""
        with self.connect(user) as client:
            if not _there(client, folder):
                return []
            client.select_folder(folder, readonly=True)
            found = []
            for chunk in chunks(client.search(), 200):
                for uid, data in client.fetch(chunk, ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"]).items():
                    flags = frozenset(flag.decode() for flag in data[b"FLAGS"] if flag.lower() != rb"\recent")
                    found.append(Mail(uid, flags, data[b"BODY[]"], data[b"INTERNALDATE"]))
            return sorted(found, key=lambda mail: mail.uid)

    def count(self, user: str, folder: str) -> int:
        """How many mails are in a folder."""
        with self.connect(user) as client:
            return int(client.folder_status(folder, ["MESSAGES"])[b"MESSAGES"])

    def uidvalidity(self, user: str, folder: str) -> int:
        """The folder's UIDVALIDITY."""
        with self.connect(user) as client:
            return int(client.folder_status(folder, ["UIDVALIDITY"])[b"UIDVALIDITY"])


@contextlib.contextmanager
def client_of(port: int) -> Iterator[IMAPClient]:
    """A connection that is not signed in yet; it is signed out at the end."""
    client = IMAPClient("127.0.0.1", port, ssl=False, timeout=60)
    # Without this imaplib formats every literal for a debug log that nobody reads.
    client._imap.debug = 0
    client.normalise_times = False
    client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):  # the server may be down, or the test has signed out itself
            client.logout()


def _there(client: IMAPClient, folder: str) -> bool:
    """Whether there is a folder of exactly this name; imapclient's own question takes * and % for wildcards."""
    return folder.upper() == "INBOX" or any(name == folder for _, _, name in client.list_folders())


def chunks(uids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """So many at a time."""
    for start in range(0, len(uids), size):
        yield uids[start : start + size]


@dataclass(frozen=True)
class Account:
    """A fresh user of some server."""

    server: ImapServer
    user: str
    password: str

    @property
    def url(self) -> str:
        """How Postroom addresses the mailbox."""
        return self.server.url(self.user)
