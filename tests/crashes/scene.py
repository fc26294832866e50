"""The scene of a crash: forty mails on a real server, an archive, and `postroom poll` that will not survive."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from archive import installation
from archive.events import log
from archive.post import bindings

from ..archive.home import NOON as NOON_MS
from ..archive.home import Home, furnish
from ..command_line import call
from ..servers.dovecot import Dovecot
from ..servers.imap import PASSWORD, Mail
from ..servers.postgresql import PostgreSQL
from ..world import HOSTILE, NOON, copy_for, mail

PROOF = bool(os.environ.get("PROOF"))
ROOT = Path(__file__).resolve().parents[2]
DONE = "Done"
WORD = "unmistakable"  # followed by the mail's number, it stands in one content only


def forty_mails() -> list[bytes]:
    """Ordinary mail, threads, copies of one mail, one twice the same, hostile ones, large and empty ones."""
    raws = [
        mail(
            subject=f"Letter {n}",
            text=f"{WORD}{n}\r\n" + "words and words\r\n" * (n % 7),
            message_id=f"<{n}@outside.example>",
            in_reply_to=f"<{n - 3}@outside.example>" if n % 3 == 0 and n else "",
        )
        for n in range(25)
    ]
    plan = ("plan.pdf", hashlib.shake_256(b"plan").digest(30_000))
    raws += [
        mail(subject="plan", text=f"{WORD}{n}", attachments=[plan], message_id=f"<{n}@outside.example>")
        for n in range(70, 73)
    ]
    raws += [copy_for(f"{name}@demo.example", raws[n]) for n, name in ((2, "helpdesk"), (2, "support"), (20, "help"))]
    raws.append(raws[5])
    raws += [mail(subject="large", text=f"{WORD}50 " + hashlib.sha512(b"x").hexdigest() * 6000, message_id="<50@x>")]
    raws += [
        HOSTILE[name]() for name in ("nul bytes", "no header", "broken base64", "refers to itself", "only line ends")
    ]
    raws += [
        mail(subject="", text=f"{WORD}60", message_id=None),
        mail(text=f"{WORD}61", message_id="<5@outside.example>"),
    ]
    assert len(raws) == 40
    return raws


FORTY = forty_mails()


SIX = FORTY[:3] + FORTY[25:27] + FORTY[28:29]  # threads, a copy, an attachment that two mails have


@dataclass
class Scene:
    """One account, one archive, one binding INBOX → Done."""

    server: Dovecot
    user: str
    home: Home
    originals: Counter[bytes] = field(default_factory=Counter)

    @property
    def environment(self) -> dict[str, str]:
        url = {"POSTROOM_DATABASE__URL": self.home.url} if self.home.url else {}
        return {**os.environ, "POSTROOM_DATA": str(self.home.folder), **url}

    def deliver(self, raws: Sequence[bytes]) -> None:
        with self.server.connect(self.user) as client:
            for number, raw in enumerate(raws):
                flags = [rb"\Seen", rb"\Flagged"] if number % 4 == 1 else []
                client.append("INBOX", raw, flags, NOON + timedelta(minutes=number))
        # As the server gives them: a Maildir keeps no CR before LF, nor NULs.
        self.originals.update(one.raw for one in self.watched())

    def watched(self) -> list[Mail]:
        return self.server.mails(self.user, "INBOX")

    def processed(self) -> list[Mail]:
        return self.server.mails(self.user, DONE)

    def runner(self, *options: str, command: Sequence[str] = ("poll", "--json")) -> list[str]:
        return [sys.executable, "-m", "tests.crashes.runner", *options, "--", *command]

    def start(self, *options: str, command: Sequence[str] = ("poll", "--json")) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.runner(*options, command=command),
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def die(self, where: str, *options: str) -> None:
        """A pass that kills itself there; it has to get there."""
        child = self.start("--die", where, *options)
        out, err = child.communicate(timeout=120)
        assert child.returncode == -signal.SIGKILL, (where, child.returncode, out, err)

    def poll(self) -> dict[str, Any]:
        """The real command, which has to succeed; in a process of its own where time does not matter."""
        if PROOF:
            done = subprocess.run(
                [sys.executable, "-m", "postroom", "poll", "--json"],
                env=self.environment,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        else:
            done = call(self.environment, "poll", "--json")
        assert done.returncode == 0, (done.stdout, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def set_up(server: Dovecot, user: str, template: Home, folder: Path, raws: Sequence[bytes] = FORTY) -> Scene:
    """A fresh account with mail in it and an archive that watches it."""
    server.add_user(user, listen=False)
    home = template.copy_to(folder / "data")
    home.archive.key.write(folder / "data.key")
    with home.archive.transaction() as session:
        bindings.add_mailbox(session, home.archive, "box", server.url(user), None, PASSWORD, NOON_MS)
        box = bindings.mailbox_by_name(session, "box")
        assert box is not None
        bindings.add(session, box, "INBOX", DONE, NOON_MS, process=home.ids["process helpdesk"])
    home.close()
    scene = Scene(server, user, home)
    scene.deliver(raws)
    return scene


def furnish_for_commands(folder: Path, server: PostgreSQL | None = None) -> Home:
    """An archive that commands accept: with its key's fingerprint, and no other bindings than the scene's own."""
    home = furnish(folder, server)
    with home.archive.transaction() as session:
        installation.put(session, installation.KEY, home.archive.key.fingerprint)
        gone = {
            "binding": {str(one.id): None for one in bindings.every(session)},
            "mailbox": {str(one.id): None for one in bindings.mailboxes(session)},
        }
        session.exec_driver_sql("DELETE FROM binding")
        session.exec_driver_sql("DELETE FROM mailbox")
        removed = log.Event("bindings.removed", log.OPERATOR, log.OPERATOR, rows=gone)
        log.write(session, [removed], NOON_MS)
    home.close()
    return home


def workers_of(child: "subprocess.Popen[str]") -> list[int]:
    """The running processes a command has started, itself not among them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != child.pid:
            with contextlib.suppress(OSError, IndexError):
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(group) == child.pid and state != "Z" and b"spawn_main" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def kill(child: "subprocess.Popen[str]") -> None:
    """The parent alone: its workers have to notice."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    child.wait(30)


def wait_for(file: Path, child: "subprocess.Popen[str]", seconds: float = 60) -> None:
    """Until a pass has begun."""
    end = time.monotonic() + seconds
    while not file.exists():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
