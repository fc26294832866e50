"""A private, throw-away Courier IMAP server on the loopback interface, from the unpacked Debian package.

Everything after signing in is Courier's own `imapd`. The signing in stands here: Courier's asks a daemon behind a
socket whose place is compiled into it. Its ways: folders below `INBOX.`, no MOVE, no UIDNEXT when a folder is opened,
a line end is added where a mail has none at its end.
"""

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.parse
from pathlib import Path

from . import unpacked
from .imap import PASSWORD, ImapServer
from .keeper import Keeper

PACKAGE = "courier-imap"
CAPABILITY = (
    "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"  # as shipped
)
_LOGIN = re.compile(rb'(?i)(\S+) LOGIN "?((?:[^"\\ ]|\\.)+)"? "?((?:[^"\\]|\\.)*?)"?\r\n')


def missing() -> str | None:
    """Why it cannot be started, None where it can."""
    return unpacked.missing(PACKAGE)


class Courier(ImapServer):
    """One server; as a context manager it is stopped and all its mail removed at the end."""

    separator = "."
    prefix = "INBOX."

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pr-courier-"))
        self.port = 0
        self._users: dict[str, str] = {}
        self._root = unpacked.root(PACKAGE)
        self._libraries = unpacked.libraries(self._root)
        self._watcher: Keeper | None = None
        self._listener: socket.socket | None = None
        self._sessions: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Starts listening."""
        # imapd locks its folders through Gamin, which watches files; for want of it each sign-in takes a second.
        watcher = self._root / "usr/libexec/gam_server"
        if watcher.exists() and self._watcher is None:
            environment = {"LD_LIBRARY_PATH": self._libraries}
            self._watcher = Keeper([str(watcher), "--notimeout", self.folder.name], self.folder / "log", environment)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Ends it and removes everything it kept."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for session in self._sessions:
            session.kill()
            session.wait()
        self._sessions.clear()
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_user(self, name: str, password: str = PASSWORD) -> str:
        """A user who can sign in from now on; returns the name."""
        self._users[name] = password
        for folder in ("cur", "new", "tmp"):
            (self._home(name) / "Maildir" / folder).mkdir(parents=True)
        return name

    def limit(self, user: str, folder: str, kilobytes: int) -> None:
        """No more than so much mail in all folders together: Courier counts them in one."""
        # Maildir++: the quota, then a line of bytes and mails for each change, added up.
        (self._home(user) / "Maildir" / "maildirsize").write_text(f"{kilobytes << 10}S\n{0:12d} {0:12d}\n")

    def _home(self, user: str) -> Path:
        return self.folder / urllib.parse.quote(user, safe="@+-_.")

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._welcome, args=(connection,), daemon=True).start()

    def _welcome(self, connection: socket.socket) -> None:
        """What Courier's imaplogin does: talks until somebody has signed in, then hands over to imapd."""
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"* OK [CAPABILITY %b] Courier-IMAP ready.\r\n" % CAPABILITY.encode())
            while line := _line(connection):
                tag, _, verb = line.strip().partition(b" ")
                login = _LOGIN.fullmatch(line)
                if login and self._users.get(_plain(login[2])) == _plain(login[3]):
                    self._hand_over(connection, _plain(login[2]), login[1].decode())
                    return
                untagged, answer = b"", b"NO Error in IMAP command received by server."
                if login:
                    answer = b"NO Login failed."
                elif verb.upper() == b"CAPABILITY":
                    untagged, answer = b"* CAPABILITY %b\r\n" % CAPABILITY.encode(), b"OK CAPABILITY completed"
                elif verb.upper() == b"LOGOUT":
                    untagged, answer = b"* BYE Courier-IMAP server shutting down\r\n", b"OK LOGOUT completed"
                connection.sendall(untagged + tag + b" " + answer + b"\r\n")
                if verb.upper() == b"LOGOUT":
                    return

    def _hand_over(self, connection: socket.socket, user: str, tag: str) -> None:
        with open(self.folder / "log", "ab") as log:
            session = subprocess.Popen(
                [self._root / "usr/bin/imapd", "Maildir"],
                cwd=self._home(user),
                env={
                    "LD_LIBRARY_PATH": self._libraries,
                    "HOME": str(self._home(user)),
                    "AUTHENTICATED": user,
                    "AUTHADDR": user,
                    "IMAPLOGINTAG": tag,
                    "PROTOCOL": "IMAP",
                    "GAM_CLIENT_ID": self.folder.name,
                    "TCPREMOTEIP": "127.0.0.1",
                    "TCPREMOTEPORT": "0",
                    "IMAP_CAPABILITY": CAPABILITY,
                    "IMAP_KEYWORDS": "1",
                    "IMAP_ACL": "1",
                    "IMAP_IDLE_TIMEOUT": "60",
                    "IMAP_USELOCKS": "1",
                    "IMAP_TRASHFOLDERNAME": "Trash",
                    "IMAP_EMPTYTRASH": "Trash:7",
                },
                stdin=connection.fileno(),
                stdout=connection.fileno(),
                stderr=log,
            )
        self._sessions.append(session)
        connection.close()
        session.wait()


def _line(connection: socket.socket) -> bytes:
    """Byte by byte, for what follows belongs to imapd."""
    line = b""
    while not line.endswith(b"\n") and len(line) < 8192:
        byte = connection.recv(1)
        if not byte:
            return b""
        line += byte
    return line


def _plain(quoted: bytes) -> str:
    return re.sub(rb"\\(.)", rb"\1", quoted).decode()
