"""A private, throw-away Dovecot 2.3 on the loopback interface, with many users and in many kinds.

It needs nothing but the program `dovecot`, runs as root (mail then belongs to an unprivileged user id) and as an
ordinary user, and ends when the program that started it ends, however that happens.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from imapclient import IMAPClient
from imapclient.imap_utf7 import encode as encode_folder_name

from .certificates import Authority, Certificate
from .imap import PASSWORD, ImapServer, chunks, client_of
from .ports import free_port, wait_for_greeting

Format = Literal["maildir", "mdbox", "sdbox"]

# Of mail processes when Dovecot runs as root; the ids need no accounts. One for each server: a user may have 128 of
# what tells of changed files (inotify), and whoever comes later is told of new mail half a minute late.
_MAIL_UIDS = range(50_000, 60_000)
# Logs in with this before the user's name reach the same mail without being written down as a client's commands.
_TESTER = "tester--"
_START_SECONDS = 15.0
_STOP_SECONDS = 15.0
# Dovecot's longest socket name, below its folder, has about 30 bytes of the 107 that a unix socket's path may have.
_LONGEST_FOLDER = 70
_SERVICES = (
    *("anvil", "auth", "auth-worker", "config", "dict", "dns-client"),
    *("imap-hibernate", "imap-login", "imap", "ipc", "log", "stats"),
)


def program() -> str | None:
    """Where the program is; None when it is not installed."""
    return shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Dovecot(ImapServer):
    """One server; as a context manager it is stopped and all its mail removed at the end."""

    def __init__(
        self,
        *,
        format: Format = "maildir",
        separator: str = ".",
        prefix: str = "",
        capability: str | None = None,
        tls: bool = True,
        certificate: Certificate | None = None,
        extra: str = "",
        folder: Path | None = None,
    ) -> None:
        """Writes the configuration; `start` starts it.

        `separator` and `prefix` are those of the namespace ("." and "INBOX." for a server in the style of Courier).
        `capability` replaces the whole capability line, the commands themselves still work: look in `commands` that
        they were not sent. `tls=False` offers neither STARTTLS nor TLS. `extra` is appended to the configuration.
        `folder`, when given, has to be short (70 bytes) and empty and is removed at the end like a made one.
        """
        self.format = format
        self.separator = separator
        self.prefix = prefix
        self.folder = folder or _short_folder()
        if len(os.fsencode(self.folder)) > _LONGEST_FOLDER:
            raise ValueError(f"{self.folder}: too long a path for Dovecot's unix sockets")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # the mail processes pass through it under another user id
        self.log = self.folder / "log"
        self.port = 0
        self.tls_port = 0
        self._capability = capability
        self._extra = extra
        self._keeper: subprocess.Popen[bytes] | None = None
        self._users: dict[str, str] = {}
        self._own_uid = os.geteuid()
        mail_uid = random.choice(_MAIL_UIDS)
        self._uid = mail_uid if self._own_uid == 0 else self._own_uid
        self._gid = mail_uid if self._own_uid == 0 else os.getegid()
        self.certificate: Certificate | None = None
        if tls:
            self.certificate = certificate or Authority(self.folder / "tls").good()
        for name in ("state", "mail", "users"):
            (self.folder / name).mkdir()
        self._own(self.folder / "mail")

    # Life and death

    def start(self) -> None:
        """Starts it and waits for its greeting; a restarted server keeps its ports. RuntimeError with its log."""
        assert self._keeper is None
        executable = program()
        if executable is None:
            raise RuntimeError("dovecot is not installed: apt-get install dovecot-imapd")
        chosen = self.port != 0
        for _ in range(1 if chosen else 5):
            if not chosen:
                self.port = free_port()
                self.tls_port = free_port() if self.certificate else 0
            configuration = self.folder / "dovecot.conf"
            configuration.write_text(self._configuration())
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            # The shell holds the other end of a pipe of ours: when we are gone, it ends Dovecot.
            self._keeper = subprocess.Popen(
                [
                    "/bin/sh",
                    "-c",
                    'exec 3<&0; "$@" 3<&- & child=$!; (cat <&3 >/dev/null; kill $child 2>/dev/null) & wait $child',
                    "sh",
                    *(executable, "-F", "-c", str(configuration)),
                ],
                stdin=subprocess.PIPE,
                stdout=self.log.open("ab"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            deadline = time.monotonic() + _START_SECONDS
            while self._keeper.poll() is None and time.monotonic() < deadline:
                if wait_for_greeting(self.port, b"* OK", seconds=0.5):
                    return
            self.stop()
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        raise RuntimeError(f"Dovecot did not start:\n{log[-2000:]}")

    def stop(self) -> None:
        """Stops it as an operator would; connected clients are cut off. Harmless when it is not running."""
        if self._keeper is None:
            return
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        try:
            self._keeper.wait(_STOP_SECONDS)
            self._keeper = None
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Ends it at once, in the middle of everything; `start` starts it again."""
        assert self._keeper is not None  # everything it started is in the keeper's process group
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._keeper.pid, signal.SIGKILL)
        self._keeper.wait(_STOP_SECONDS)
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        self._keeper = None

    def restart(self) -> None:
        """Stops and starts it again with the same mail on the same ports."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends it at once and removes everything it kept."""
        if self._keeper is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[int]:
        """The ids of all its running operating-system processes, to add up what it costs."""
        assert self._keeper is not None
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    session = (entry / "stat").read_text().rpartition(")")[2].split()[3]
                    if int(session) == self._keeper.pid:
                        found.append(int(entry.name))
        return found

    # Users

    def add_user(self, name: str, password: str = PASSWORD, *, listen: bool = True) -> str:
        """A user who can sign in from now on, or an existing one with another password; returns the name.

        With `listen` all that is said is written down for `commands`, which makes Dovecot several times slower.
        """
        assert not set(name) & set(":/%")
        self._users[name] = password
        home = self._home(name)
        if not home.exists():
            for folder in (home, home / "rawlog") if listen else (home,):
                folder.mkdir()
                self._own(folder)
        self._write_user(name)
        return name

    def url(self, user: str, kind: Literal["plain", "starttls", "tls"] = "plain") -> str:
        """How Postroom addresses a mailbox: `imap+plain://user@127.0.0.1:port`, an @ in the name as %40."""
        quoted = urllib.parse.quote(user, safe="")
        if kind == "plain":
            return f"imap+plain://{quoted}@127.0.0.1:{self.port}"
        if kind == "starttls":
            return f"imap+starttls://{quoted}@localhost:{self.port}"
        return f"imaps://{quoted}@localhost:{self.tls_port}"

    def commands(self, user: str) -> list[str]:
        """Every line that clients sent after signing in as this user, oldest first, literals' lines included.

        What `connect` and the methods below send is not in it.
        """
        lines: list[tuple[float, str]] = []
        for file in (self._home(user) / "rawlog").glob("*.in"):
            for line in file.read_bytes().splitlines():
                when, _, text = line.partition(b" ")
                with contextlib.suppress(ValueError):
                    lines.append((float(when), text.decode("latin-1")))
        return [text for _, text in sorted(lines, key=lambda line: line[0])]

    def selected(self, user: str) -> set[str]:
        """The folders that clients opened as this user, by SELECT or EXAMINE, as named on the wire."""
        found = set()
        for line in self.commands(user):
            match = re.match(r'\S+ (?:SELECT|EXAMINE) (?:"([^"]*)"|(\S+))', line, re.IGNORECASE)
            if match:
                found.add(match[1] if match[1] is not None else match[2])
        return found

    # Looking and delivering, as the tester

    @contextlib.contextmanager
    def connect(self, user: str) -> Iterator[IMAPClient]:
        """A signed-in connection of the test's own that leaves no trace in `commands`."""
        with client_of(self.port) as client:
            if self._users[user].isascii():
                client.login(_TESTER + user, self._users[user])
            else:
                client.plain_login(_TESTER + user, self._users[user])
            yield client

    def load(self, user: str, folder: str, files: Iterable[Path], *, link: bool = False) -> int:
        """Copies files into a Maildir's folder past the server, the quick way for very many; returns how many.

        Line ends are changed to LF as a delivery agent does; the server gives CRLF. With `link` the files, which must
        have LF ends, are linked instead where the file system can, and change their owner. The folder's index is
        written before this returns, so that nobody's first look pays for it.
        """
        assert self.format == "maildir"
        with self.connect(user) as client:  # a fresh user's Maildir has to be made by Dovecot, for its owner
            client.select_folder("INBOX", readonly=True)
        if folder != "INBOX":
            self.create(user, folder)
        current = self._maildir(user, folder) / "cur"
        current.mkdir(parents=True, exist_ok=True)
        self._own(current)
        start = int(time.time())
        count = 0
        for file in files:
            target = current / f"{start}.M{count:07d}P{os.getpid()}.postroom:2,"
            linked = False
            if link:
                with contextlib.suppress(OSError):  # on another file system
                    target.hardlink_to(file)
                    linked = True
            if not linked:
                target.write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))
            self._own(target)
            count += 1
        with self.connect(user) as client:
            client.select_folder(folder, readonly=True)
            # Sizes and dates are cached by Dovecot when they are first asked for.
            uids = client.search()
            for chunk in chunks(uids, 500):
                client.fetch(chunk, ["RFC822.SIZE", "INTERNALDATE"])
        return count

    def change_uidvalidity(self, user: str, folder: str) -> int:
        """The same mails under a new UIDVALIDITY and new UIDs, as after a server was moved; returns the new one."""
        before = self.uidvalidity(user, folder)
        with self.connect(user) as client:
            mails = self.mails(user, folder)
            if self.format == "maildir":
                maildir = self._maildir(user, folder)
                for file in maildir.glob("dovecot*"):
                    if file.name != "dovecot-uidvalidity" and not file.name.startswith("dovecot-uidvalidity."):
                        file.unlink()
            else:
                assert folder != "INBOX", "only a Maildir's INBOX can be made anew"
                client.delete_folder(folder)
                client.create_folder(folder)
                for mail in mails:
                    client.append(folder, mail.raw, sorted(mail.flags), mail.internaldate)
        after = self.uidvalidity(user, folder)
        assert after != before
        return after

    # Files

    def _home(self, user: str) -> Path:
        return self.folder / "mail" / urllib.parse.quote(user, safe="@+-_.")

    def _maildir(self, user: str, folder: str) -> Path:
        """Maildir++: every folder is one level below, its name's parts joined by dots, in modified UTF-7."""
        root = self._home(user) / "Maildir"
        name = folder.removeprefix(self.prefix)
        if name.upper() == "INBOX":
            return root
        encoded: str = encode_folder_name(name).decode("ascii")
        return root / ("." + encoded.replace(self.separator, "."))

    def _own(self, path: Path) -> None:
        if self._own_uid == 0:
            os.chown(path, self._uid, self._gid)

    def _write_user(self, name: str) -> None:
        """A file for each user and for the tester as that user: Dovecot looks for changes in a file it has read only
        once a second, but for a file it has not read at once.
        """
        home = self._home(name)
        fields = f"{{PLAIN}}{self._users[name]}:{self._uid}:{self._gid}::{home}:"
        for user, more in ((name, f":userdb_rawlog_dir={home}/rawlog"), (_TESTER + name, ":")):
            file = self.folder / "users" / user
            new = file.with_suffix(".new")
            new.write_text(f"{user}:{fields}{more}\n")
            new.chmod(0o644)
            known = file.exists()
            new.replace(file)
        if known:
            time.sleep(1.1)

    def _configuration(self) -> str:
        internal, login, group = "dovecot", "dovenull", "dovecot"
        rootless = ""
        if self._own_uid != 0:
            internal = login = _account_name(self._uid)
            group = _group_name(self._gid)
            # Without root nothing may chroot or change its user; every service has to say so itself.
            rootless = "".join(f"service {service} {{\n  chroot =\n  user = {internal}\n}}\n" for service in _SERVICES)
        location = "maildir:~/Maildir" if self.format == "maildir" else f"{self.format}:~/{self.format}"
        tls = "ssl = no\n"
        if self.certificate:
            tls = f"ssl = yes\nssl_cert = <{self.certificate.certificate}\nssl_key = <{self.certificate.key}\n"
        capability = f"protocol imap {{\n  imap_capability = {self._capability}\n}}\n" if self._capability else ""
        return f"""\
protocols = imap
listen = 127.0.0.1
base_dir = {self.folder}/run
state_dir = {self.folder}/state
instance_name = throw-away-{self.port}
log_path = {self.log}
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
default_process_limit = 1000
default_client_limit = 5000
first_valid_uid = 1
mail_location = {location}
mail_fsync = never
mail_max_userip_connections = 0
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
shutdown_clients = yes
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {self.folder}/users/%u
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {self.folder}/users/%u
}}
namespace inbox {{
  inbox = yes
  separator = {self.separator}
  prefix = {self.prefix}
}}
service imap-login {{
  service_count = 0
  process_min_avail = 1
  client_limit = 4000
  inet_listener imap {{
    port = {self.port}
  }}
  inet_listener imaps {{
    port = {self.tls_port}
    ssl = {"yes" if self.tls_port else "no"}
  }}
}}
service imap {{
  process_limit = 1000
  service_count = 100
}}
service anvil {{
  client_limit = 5000
  # Wrong passwords would slow down the sign-ins of all other tests, which come from the same address.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  client_limit = 5000
}}
{tls}{capability}{rootless}{self._extra}
"""


def _short_folder() -> Path:
    """A new folder with a short name, for the sake of the unix sockets in it."""
    preferred = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="pr-imap-", dir=preferred if len(preferred) < 40 else "/tmp"))


def _account_name(uid: int) -> str:
    import pwd

    return pwd.getpwuid(uid).pw_name


def _group_name(gid: int) -> str:
    import grp

    return grp.getgrgid(gid).gr_name
