"""The line to a mail server: imaplib's connections, with bounds on the time and the memory one answer may take.

A server that is broken, or somebody else's, must not hold a pass for hours by a byte a second, nor fill memory with a
line, a literal or an answer that has no end.
"""

import imaplib
import io
import math
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from imapclient import IMAPClient
from imapclient.imap4 import IMAP4WithTimeout
from imapclient.tls import IMAP4_TLS, wrap_socket

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer, WriteableBuffer

LINE = 8 << 20  # bytes: a SEARCH that finds a million mails is one line
LITERAL = 64 << 20  # bytes: what we ask for is cut into batches of a quarter
ANSWER = 96 << 20  # bytes of all that comes before a command is answered
PARTS = 250_000  # lines of it: a MOVE tells one for each mail
SLOWEST = 4_000  # bytes a second
AT_LENGTH = 10  # times as long as one line may take, all lines of an answer may take: "still searching …"
_AHEAD = 1 << 18  # bytes read at a time
_NEARLY = 0.9  # of its patience has been given to a silence that ends it
_AHEAD_IDLE = 1 << 10  # while nothing is asked: thousands of lines may be held
_STILL_HERE = 64  # lines without news that are heard at a time


class TooLong(OSError):
    """An answer that memory is too dear for; the connection is of no use any more."""


class TooSlow(TimeoutError):
    """An answer that comes, but at a speed at which nothing would be done today."""


class _Ear(io.RawIOBase):
    """Reads from a socket for as long as there is time."""

    def __init__(self, line: "_Bounded") -> None:
        self._line = line
        self.sock: socket.socket = line.sock
        self.waits = True  # for what is not there yet
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        if not self.waits:
            return self._what_is_there(buffer)
        left = self._line.time_left()
        patience = self._line.patience
        if left <= 0:
            raise TooSlow
        self.sock.settimeout(min(left, patience))
        try:
            got = self.sock.recv_into(buffer)
        except TimeoutError:
            if left < patience * _NEARLY:
                raise TooSlow from None
            raise
        self._line.heard += got
        self._line.heard_of_part += got
        return got

    def _what_is_there(self, buffer: "WriteableBuffer") -> int | None:
        self.sock.settimeout(0)
        try:
            got = self.sock.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        self.ended = not got
        return got


class _Bounded(imaplib.IMAP4):
    """imaplib, reading within bounds; `patience` is how many seconds a silence may last."""

    patience: float
    until: float  # monotonic: when all has to be over, whatever comes
    told: "Callable[[bytes], None]"  # what is about to be sent
    heard = 0  # bytes since we last said something
    heard_of_part = 0  # bytes since the line or literal began that is being read
    _parts = 0
    _ear: io.BufferedReader | None = None
    _spoke_at = _part_at = 0.0

    def time_left(self) -> float:
        """Seconds for what is being read, for all of the answer, and for everything: whichever is least."""
        now = time.monotonic()
        part = self._part_at + self.patience + self.heard_of_part / SLOWEST
        answer = self._spoke_at + AT_LENGTH * self.patience + self.heard / SLOWEST
        return min(part, answer, self.until) - now

    def reach(self) -> socket.socket:
        """A socket to the first of the host's addresses that takes one."""
        failed = OSError("no address")
        for *_, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            try:
                return socket.create_connection((str(address[0]), self.port), self._patience_left())
            except TooSlow:
                raise
            except OSError as error:
                failed = error
        raise failed

    def _patience_left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TooSlow
        return min(left, self.patience)

    def send(self, data: "ReadableBuffer") -> None:
        """As imaplib's; the time and the size of an answer are counted from here."""
        self.told(bytes(data))
        self.sock.settimeout(self._patience_left())
        self.heard = self._parts = 0
        super().send(data)
        self._spoke_at = time.monotonic()

    def read(self, size: int) -> bytes:
        """A literal. TooLong before anything is allocated for it."""
        ear = self._listen()
        if size > LITERAL or self.heard + size > ANSWER:
            raise TooLong(f"{size} bytes announced")
        return ear.read(size)

    def readline(self) -> bytes:
        """A line with its end; empty where the connection has ended."""
        line = self._listen().readline(LINE + 1)
        if line and line[-1:] != b"\n" and len(line) <= LINE:
            return b""  # cut off within it
        if len(line) > LINE:
            raise TooLong(f"a line of more than {LINE} bytes")
        if self._parts > PARTS or self.heard > ANSWER:
            raise TooLong(f"an answer of more than {self._parts} lines and {self.heard} bytes")
        return line

    def _listen(self) -> io.BufferedReader:
        ear = self._ear
        if ear is None or ear.raw.sock is not self.sock:  # type: ignore[attr-defined]
            # What came before the handshake of STARTTLS, from whomever, is left in the ear that heard it.
            ear = self._ear = io.BufferedReader(_Ear(self), _AHEAD)
        self._part_at = time.monotonic()
        self._spoke_at = self._spoke_at or self._part_at  # nothing is said before the greeting
        self.heard_of_part = 0
        self._parts += 1
        return ear

    def rest(self) -> None:
        """Nothing is asked for a long time: give back the memory that reading ahead takes."""
        ear = self._ear
        if ear is not None and not self._ahead(ear):
            self._ear = io.BufferedReader(_Ear(self), _AHEAD_IDLE)

    def wake(self) -> None:
        """Something is about to be asked again."""
        ear = self._ear
        if ear is not None and not self._ahead(ear):
            self._ear = None

    def stirs(self) -> bool:
        """Whether the server says something by itself, or has gone; waits for nothing.

        Lines without news, by which it shows that it is still there, are dropped. Everything else is left where it is,
        a line of which only a part has come included, to be read with the next answer.
        """
        ear = self._ear
        if ear is None:
            return True
        for _ in range(_STILL_HERE):
            there = self._ahead(ear)
            if not there:
                return ear.raw.ended  # type: ignore[attr-defined, no-any-return]
            if not there.startswith(b"* OK ") or b"\n" not in there:
                return True
            ear.readline()
        return True

    @staticmethod
    def _ahead(ear: io.BufferedReader) -> bytes:
        """What has come and has not been read."""
        ear.raw.waits = False  # type: ignore[attr-defined]
        try:
            return ear.peek()
        except OSError:
            ear.raw.ended = True  # type: ignore[attr-defined]
            return b""
        finally:
            ear.raw.waits = True  # type: ignore[attr-defined]

    def _log(self, line: str) -> None:
        """imaplib keeps the last ten lines, however long, for a log that nobody prints."""


class _Plain(_Bounded, IMAP4WithTimeout):  # type: ignore[misc]  # imapclient has no types
    def __init__(self, patience: float, until: float, told: "Callable[[bytes], None]", *arguments: Any) -> None:
        self.patience, self.until, self.told = patience, until, told
        super().__init__(*arguments)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        return self.reach()


class _Encrypted(_Bounded, IMAP4_TLS):  # type: ignore[misc]
    def __init__(self, patience: float, until: float, told: "Callable[[bytes], None]", *arguments: Any) -> None:
        self.patience, self.until, self.told = patience, until, told
        super().__init__(*arguments)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        reached = self.reach()
        try:
            reached.settimeout(self._patience_left())
            return wrap_socket(reached, self.ssl_context, self.host)  # type: ignore[no-any-return]
        except BaseException:
            reached.close()
            raise


class Line(IMAPClient):  # type: ignore[misc]
    """imapclient over such a line; `timeout` is a SocketTimeout, `told` hears what is about to be sent.

    It ends `within` so many seconds, whatever the server does, unless `let_in` is called before.
    """

    def __init__(
        self,
        *arguments: Any,
        told: "Callable[[bytes], None]" = lambda _data: None,
        within: float = math.inf,
        **options: Any,
    ) -> None:
        self._told = told  # before anything else: the first command is sent while the connection is made
        self._until = time.monotonic() + within
        super().__init__(*arguments, **options)

    def _create_IMAP4(self) -> _Bounded:  # noqa: N802  # imapclient's name
        connecting = self._timeout.connect
        try:
            if self.ssl:
                context = self.ssl_context
                return _Encrypted(connecting, self._until, self._told, self.host, self.port, context, connecting)
            return _Plain(connecting, self._until, self._told, self.host, self.port, connecting)
        except imaplib.IMAP4.error as error:
            if isinstance(greeting := error.args[0], bytes):  # BYE: it does not want us now (RFC 9051 7.1.5)
                raise imaplib.IMAP4.abort(greeting.removeprefix(b"* ").decode("ascii", "replace")) from None
            raise

    def _set_read_timeout(self) -> None:
        super()._set_read_timeout()
        self._imap.patience = self._timeout.read

    def let_in(self) -> None:
        """Signed in: from here on each answer has its own time, and nothing else."""
        self._imap.until = math.inf
