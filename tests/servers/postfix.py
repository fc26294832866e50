"""A private, throw-away Postfix on the loopback interface that relays to another server, from the unpacked package.

It needs root, and runs what root need not do as two accounts that every Debian has. It ends when the program that
started it ends.
"""

import grp
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from . import unpacked
from .keeper import Keeper
from .ports import free_port, wait_for_greeting

PACKAGE = "postfix"
_OWNER, _GROUP = "mail", "news"
_START_SECONDS = 30.0
_QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")
# Services that a relay needs; none is chrooted.
_SERVICES = (
    ("pickup", "unix", "pickup"),
    ("cleanup", "unix", "cleanup"),
    ("qmgr", "unix", "qmgr"),
    ("tlsmgr", "unix", "tlsmgr"),
    ("rewrite", "unix", "trivial-rewrite"),
    ("bounce", "unix", "bounce"),
    ("defer", "unix", "bounce"),
    ("trace", "unix", "bounce"),
    ("verify", "unix", "verify"),
    ("flush", "unix", "flush"),
    ("proxymap", "unix", "proxymap"),
    ("smtp", "unix", "smtp"),
    ("relay", "unix", "smtp"),
    ("error", "unix", "error"),
    ("retry", "unix", "error"),
    ("discard", "unix", "discard"),
    ("anvil", "unix", "anvil"),
    ("scache", "unix", "scache"),
)
# How many at a time, where it is not the usual number; 0: as many as are asked for, as the program wants it.
_LIMITS = dict.fromkeys(("pickup", "qmgr", "tlsmgr", "verify", "anvil", "scache"), "1")
_LIMITS |= dict.fromkeys(("cleanup", "bounce", "defer", "trace", "flush"), "0")


def missing() -> str | None:
    """Why it cannot be started, None where it can."""
    return "Postfix needs root" if os.geteuid() != 0 else unpacked.missing(PACKAGE)


class Postfix:
    """One relay; a context manager. `refused` are recipients it refuses, `without` what it does not offer."""

    def __init__(
        self,
        relay_to: int,
        *,
        refused: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        limit: int = 10_240_000,
    ) -> None:
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="pr-postfix-", dir="/tmp"))
        self.log = self.folder / "log"
        self._relay_to, self._refused, self._without, self._limit = relay_to, refused or {}, without, limit
        self._keeper: Keeper | None = None

    @property
    def url(self) -> str:
        """How Postroom addresses it."""
        return f"smtp+plain://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.folder.chmod(0o755)
        # The accounts that run it may not be able to look into the checkout.
        shutil.copytree(unpacked.root(PACKAGE) / "usr/lib/postfix", self.folder / "lib")
        self._make_queue()
        for _ in range(5):
            self.port = free_port()
            self._configure()
            command = [str(self.folder / "lib/sbin/master"), "-c", str(self.folder / "conf"), "-s"]
            libraries = {"LD_LIBRARY_PATH": str(self.folder / "lib")}
            self._keeper = Keeper(command, self.log, libraries, cwd=self.folder / "queue")
            deadline = time.monotonic() + _START_SECONDS
            while self._keeper.running() and time.monotonic() < deadline:
                if wait_for_greeting(self.port, b"220 ", seconds=0.5):
                    return self
            self._keeper.close()
        log = self.log.read_text(errors="replace") + self.maillog()
        self.close()
        raise RuntimeError(f"Postfix did not start:\n{log[-2000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def maillog(self) -> str:
        """What it says it did."""
        file = self.folder / "maillog"
        return file.read_text(errors="replace") if file.exists() else ""

    def close(self) -> None:
        """Ends it and removes everything it kept."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_queue(self) -> None:
        owner, group = pwd.getpwnam(_OWNER).pw_uid, grp.getgrnam(_GROUP).gr_gid
        queue = self.folder / "queue"
        for name, mode, of in (
            *((name, 0o700, -1) for name in _QUEUES), ("public", 0o710, group), ("maildrop", 0o730, group),
        ):  # fmt: skip
            (queue / name).mkdir(parents=True)
            os.chown(queue / name, owner, of)
            (queue / name).chmod(mode)
        (queue / "pid").mkdir()
        (self.folder / "data").mkdir()
        os.chown(self.folder / "data", owner, -1)

    def _configure(self) -> None:
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        (conf / "refused").write_text("".join(f"{one} {why}\n" for one, why in self._refused.items()))
        (conf / "main.cf").write_text(f"""\
compatibility_level = 3.6
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
daemon_directory = {self.folder}/lib/sbin
command_directory = {self.folder}/lib/sbin
shlib_directory = no
meta_directory = {conf}
mail_owner = {_OWNER}
default_privs = nobody
setgid_group = {_GROUP}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH={self.folder}/lib
maillog_file = {self.folder}/maillog
maillog_file_prefixes = {self.folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.example
mydestination =
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{self._relay_to}
message_size_limit = {self._limit}
mailbox_size_limit = 0
smtputf8_enable = yes
smtpd_discard_ehlo_keywords = {", ".join(self._without)}
smtpd_recipient_restrictions = check_recipient_access texthash:{conf}/refused, permit_mynetworks, reject
""")
        # type, private, unprivileged, chroot, wakeup, processes, program
        lines = [f"127.0.0.1:{self.port} inet n - n - - smtpd"]
        lines.append("postlog unix-dgram n - n - 1 postlogd")
        lines += [
            f"{name} {kind} {_private(name)} - n {_wakeup(name)} {_LIMITS.get(name, '-')} {program}"
            for name, kind, program in _SERVICES
        ]
        (conf / "master.cf").write_text("\n".join(lines) + "\n")


def _private(name: str) -> str:
    return "n" if name in ("pickup", "cleanup", "qmgr", "flush") else "-"


def _wakeup(name: str) -> str:
    return {"pickup": "60", "qmgr": "300", "tlsmgr": "1000?", "flush": "1000?"}.get(name, "-")
