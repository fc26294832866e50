"""A private, throw-away Cyrus IMAP server on the loopback interface, from the unpacked Debian package.

Its ways: folders below `INBOX/` or beside it, quotas by folder, no mail with NUL bytes or bare line feeds, and names
in which it does not like every character. It ends when the program that started it ends.
"""

import contextlib
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from imapclient import IMAPClient

from . import unpacked
from .imap import PASSWORD, ImapServer, client_of
from .keeper import Keeper
from .ports import free_port, wait_for_greeting

PACKAGE = "cyrus-imapd"
_ADMIN = "keeper"
_ACCOUNT = "mail"  # root may not run the server; every Debian has this one
_PROGRAMS = ("master", "imapd", "idled", "ctl_cyrusdb")
_START_SECONDS = 30.0


def missing() -> str | None:
    """Why it cannot be started, None where it can."""
    return unpacked.missing(PACKAGE)


class Cyrus(ImapServer):
    """One server; as a context manager it is stopped and all its mail removed at the end."""

    def __init__(self, *, separator: Literal["/", "."] = "/", beside: bool = False) -> None:
        """`beside`: folders stand beside INBOX and not below it (Cyrus calls that altnamespace)."""
        self.separator = separator
        self.prefix = "" if beside else f"INBOX{separator}"
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="pr-cyrus-", dir="/tmp"))  # a socket's path has to be short
        self.log = self.folder / "log"
        self._beside = beside
        self._users = {_ADMIN: PASSWORD}
        self._keeper: Keeper | None = None
        self._doorman: socket.socket | None = None
        self._account = _ACCOUNT if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        # The account that runs it may not be able to look into the checkout.
        source = unpacked.root(PACKAGE)
        for name in _PROGRAMS:
            shutil.copy2(source / "usr/lib/cyrus/bin" / name, self.folder)
        (self.folder / "lib").mkdir()
        for file in source.rglob("lib*.so*"):
            shutil.copy2(file, self.folder / "lib")
        for name in ("state", "mail", "sockets"):
            (self.folder / name).mkdir()

    def start(self) -> None:
        """Starts it and waits for its greeting. RuntimeError with its log."""
        self._answer_for_passwords()
        for _ in range(5):
            self.port = free_port()
            self._configure()
            self._keeper = Keeper(
                [
                    str(self.folder / "master"),
                    *("-C", str(self.folder / "imapd.conf"), "-M", str(self.folder / "cyrus.conf")),
                    *("-p", str(self.folder / "state" / "pid"), "-D"),
                ],
                self.log,
                {"LD_LIBRARY_PATH": str(self.folder / "lib")},
                cwd=self.folder,
            )
            deadline = time.monotonic() + _START_SECONDS
            while self._keeper.running() and time.monotonic() < deadline:
                if wait_for_greeting(self.port, b"* OK", seconds=0.5):
                    return
            self._keeper.close()
        log = self.log.read_text(errors="replace")
        self.close()
        raise RuntimeError(f"Cyrus did not start:\n{log[-2000:]}")

    def close(self) -> None:
        """Ends it and removes everything it kept."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        if self._doorman is not None:
            with contextlib.suppress(OSError):
                self._doorman.shutdown(socket.SHUT_RDWR)
            self._doorman.close()
            self._doorman = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_user(self, name: str, password: str = PASSWORD) -> str:
        """A user who can sign in from now on; returns the name."""
        assert not set(name) & set("./%@"), "this Cyrus has no domains"
        self._users[name] = password
        with self._administering() as admin:
            # A new mailbox comes with its owner's first sign-in elsewhere; here an administrator makes it.
            admin.create_folder(f"user{self.separator}{name}")
        return name

    def limit(self, user: str, folder: str, kilobytes: int) -> None:
        """No more than so much mail in this folder and below it."""
        below = folder.removeprefix(self.prefix)
        name = self.separator.join(["user", user, *([] if folder == "INBOX" else [below])])
        with self._administering() as admin:
            admin._imap.setquota(f'"{name}"', f"(STORAGE {kilobytes})")

    @contextlib.contextmanager
    def _administering(self) -> Iterator[IMAPClient]:
        with client_of(self.port) as client:
            client.login(_ADMIN, PASSWORD)
            yield client

    def _configure(self) -> None:
        state = self.folder / "state"
        (self.folder / "imapd.conf").write_text(f"""\
configdirectory: {state}
defaultpartition: default
partition-default: {self.folder}/mail
cyrus_user: {self._account}
cyrus_group: {_group_of(self._account)}
admins: {_ADMIN}
allowplaintext: yes
sasl_mech_list: PLAIN
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {self.folder}/sockets/passwords
idlesocket: {self.folder}/sockets/idle
unixhierarchysep: {"yes" if self.separator == "/" else "no"}
altnamespace: {"yes" if self._beside else "no"}
virtdomains: off
skiplist_unsafe: yes
failedloginpause: 0
""")
        configuration = f"-C {self.folder}/imapd.conf"
        (self.folder / "cyrus.conf").write_text(f"""\
START {{
  recover cmd="{self.folder}/ctl_cyrusdb {configuration} -r"
}}
SERVICES {{
  imap cmd="{self.folder}/imapd {configuration} -U 50" listen="127.0.0.1:{self.port}" prefork=1 maxchild=100
}}
DAEMON {{
  idled cmd="{self.folder}/idled {configuration}"
}}
EVENTS {{
}}
""")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", self._account, str(self.folder)], check=True)
        self.folder.chmod(0o755)

    def _answer_for_passwords(self) -> None:
        """Stands in for saslauthd: four strings with their lengths come (user, password, service, realm), OK goes."""
        if self._doorman is not None:
            return
        path = self.folder / "sockets" / "passwords"
        self._doorman = socket.socket(socket.AF_UNIX)
        self._doorman.bind(str(path))
        path.chmod(0o777)
        self._doorman.listen(64)
        threading.Thread(target=self._answer, args=(self._doorman,), daemon=True).start()

    def _answer(self, doorman: socket.socket) -> None:
        while True:
            try:
                connection, _ = doorman.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as asked:
                user, password, *_ = (asked.read(*struct.unpack("!H", asked.read(2))) for _ in range(4))
                known = self._users.get(user.decode())
                answer = b"OK" if known is not None and known.encode() == password else b"NO"
                connection.sendall(struct.pack("!H", len(answer)) + answer)


def _group_of(account: str) -> str:
    import grp

    return grp.getgrgid(pwd.getpwnam(account).pw_gid).gr_name
