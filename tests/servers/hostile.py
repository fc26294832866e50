"""An SMTP server on the loopback interface that treats those who send as badly as servers do, and counts what it got.

What happens to a mail follows from its recipients (`gone`, `grey`, `spam` in the address) and from chance, drawn from a
seed. It knows of each mail how often it took it, whether it said so, and whether the sender had gone on by then: so
whoever sends again although it must know better is told apart from whoever cannot know.
"""

import random
import re
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_MESSAGE_ID = re.compile(rb"^message-id:[ \t\r\n]*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)
_END = b"\r\n.\r\n"


@dataclass(frozen=True)
class Chances:
    """How often each of a thousand mails meets it."""

    cut_early: int = 0  # the connection, before the last dot
    closing: int = 0  # 421 instead of an answer to MAIL
    later: int = 0  # 451 after the last dot
    cut_late: int = 0  # taken, and cut before saying so
    said_late: int = 0  # taken, and said so when the sender has gone
    stall: int = 0  # says nothing any more, and has not taken it
    confused: int = 0  # 250 instead of 354 to DATA, and nothing is taken
    surplus: int = 0  # taken, and said so twice
    doubled: int = 0  # two answers to MAIL


@dataclass
class Mail:
    """What became of one Message-ID."""

    raw: bytes
    taken: int = 0
    untold: int = 0  # of those: the sender was not told
    known: set[str] = field(default_factory=set)  # for whom the sender was told, and has gone on since
    again: int = 0  # taken for somebody although the sender knew
    altered: bool = False
    recipients: Counter[str] = field(default_factory=Counter)  # how often taken for each


class Hostile:
    """One server; a context manager. `patience` is how many seconds senders wait for an answer."""

    def __init__(self, chances: Chances, patience: float, seed: int = 1, pipelining: bool | None = None) -> None:
        self.mails: dict[bytes, Mail] = {}
        self.refused: dict[str, bool] = {}  # for good; whether the sender has gone on since
        self.asked_again: list[str] = []  # although they had refused for good, and the sender knew
        self.did: Counter[str] = Counter()  # each kind of badness
        self.connections = self.most = 0
        self._chances, self._patience, self._pipelining = chances, patience, pipelining
        self._chance = random.Random(seed)
        self._greyed: set[str] = set()
        self._now = 0
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    @property
    def url(self) -> str:
        """How Postroom addresses it."""
        return f"smtp+plain://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                self.connections += 1
                self._now += 1
                self.most = max(self.most, self._now)
                pipelining = self.connections % 2 == 0 if self._pipelining is None else self._pipelining
            threading.Thread(target=self._serve, args=(client, pipelining), daemon=True).start()

    def _serve(self, client: socket.socket, pipelining: bool) -> None:
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Talk(self, client, pipelining).go()
        except OSError:
            pass  # gone
        finally:
            client.close()
            with self._guard:
                self._now -= 1

    def _draw(self) -> str:
        """What this mail meets."""
        with self._guard:
            drawn, so_far = self._chance.random() * 1000, 0
        for name in Chances.__dataclass_fields__:
            so_far += getattr(self._chances, name)
            if drawn < so_far:
                return name
        return ""

    def _recipient(self, address: str) -> bytes:
        with self._guard:
            if self.refused.get(address):
                self.asked_again.append(address)
            if "gone" in address:
                self.refused.setdefault(address, False)
                self.did["refused"] += 1
                return b"550 5.1.1 no such user\r\n"
            if "grey" in address and address not in self._greyed:
                self._greyed.add(address)
                self.did["greylisted"] += 1
                return b"451 4.7.1 greylisted, come back later\r\n"
        return b"250 ok\r\n"

    def _take(self, raw: bytes, recipients: list[str]) -> Mail:
        found = _MESSAGE_ID.search(raw)
        assert found, raw[:200]
        with self._guard:
            mail = self.mails.setdefault(found[1], Mail(raw))
            mail.taken += 1
            mail.again += bool(mail.known & set(recipients))
            mail.altered |= mail.raw != raw
            mail.recipients.update(recipients)
            return mail


class _Talk:
    """One connection."""

    def __init__(self, server: Hostile, client: socket.socket, pipelining: bool) -> None:
        self._server, self._client, self._pipelining = server, client, pipelining
        self._waiting = b""
        self._refused: list[str] = []  # on this connection, and nothing has come since
        self._told: tuple[Mail, list[str]] | None = None  # the same

    def go(self) -> None:
        self._client.sendall(b"220 hostile\r\n")
        recipients: list[str] = []
        meets = ""
        while (line := self._until(b"\r\n")) is not None:
            verb = line[:4].upper()
            if verb in (b"MAIL", b"QUIT", b"RSET", b"NOOP"):
                self._went_on()
            if verb == b"EHLO":
                more = b"250-PIPELINING\r\n" if self._pipelining else b""
                self._say(b"250-hostile\r\n" + more + b"250-8BITMIME\r\n250 SIZE 52428800\r\n")
            elif verb == b"MAIL":
                recipients, meets = [], self._server._draw()
                self._server.did.update([meets] if meets else [])
                if meets == "closing":
                    self._say(b"421 4.3.2 closing\r\n")
                    return
                self._say(b"250 ok\r\n" * (2 if meets == "doubled" else 1))
            elif verb == b"RCPT":
                address = line[9:].split(b">")[0].decode()
                answer = self._server._recipient(address)
                if answer.startswith(b"250"):
                    recipients.append(address)
                elif answer.startswith(b"550"):
                    self._refused.append(address)
                self._say(answer)
            elif verb == b"DATA" and not recipients:
                self._say(b"554 no valid recipients\r\n")
            elif verb == b"DATA":
                if meets == "cut_early":
                    return
                if meets == "confused":
                    self._say(b"250 ok\r\n")
                    continue
                self._say(b"354 go on\r\n")
                raw = self._until(_END)
                if raw is None or not self._end(raw, recipients, meets):
                    return
            elif verb == b"QUIT":
                self._say(b"221 bye\r\n")
                return
            else:
                self._say(b"250 ok\r\n")

    def _end(self, raw: bytes, recipients: list[str], meets: str) -> bool:
        """After the last dot; False: the connection is over."""
        if meets == "stall":
            self._server._over.wait(self._server._patience * 1.5)
            return False
        if meets == "later":
            self._say(b"451 4.3.0 try later\r\n")
            return True
        if any("spam" in one for one in recipients):
            self._refused += recipients
            with self._server._guard:
                for one in recipients:
                    if self._server.refused.setdefault(one, False):
                        self._server.asked_again.append(one)
                self._server.did["refused after the mail"] += 1
            self._say(b"554 5.7.1 spam\r\n")
            return True
        mail = self._server._take(raw, recipients)
        if meets in ("cut_late", "said_late"):
            mail.untold += 1
            if meets == "said_late":
                self._server._over.wait(self._server._patience * 1.5)
                self._say(b"250 taken\r\n")
            return False
        self._say(b"250 taken\r\n" * (2 if meets == "surplus" else 1))
        self._told = mail, recipients
        return True

    def _went_on(self) -> None:
        """The sender has heard what was said of the mail before: it begins another, or says good-bye."""
        with self._server._guard:
            for one in self._refused:
                self._server.refused[one] = True
            if self._told is not None:
                mail, recipients = self._told
                mail.known.update(recipients)
        self._refused, self._told = [], None

    def _say(self, answer: bytes) -> None:
        self._client.sendall(answer)

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._waiting:
            more = self._client.recv(1 << 16)
            if not more:
                return None
            self._waiting += more
        line, _, self._waiting = self._waiting.partition(end)
        return line
