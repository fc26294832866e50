"""Archives for measuring: made anew, and filled by `postroom import` with made-up mail."""

import itertools
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tests.servers.imap import PASSWORD

from . import mail as made_up
from .ingest import POSTROOM, PROCESSED, WATCHED, Ground, say
from .measure import Cost, run

ADMIN = "admin@office.example"
AN_IMPORT = 50_000  # mails in one file
_AT_MOST = 1 << 30  # bytes in one file, and a mail more


def new(data: Path) -> None:
    """A new archive with one process, whatever was there before."""
    shutil.rmtree(data, ignore_errors=True)
    Path(f"{data}.key").unlink(missing_ok=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    postroom(data, "init", "--admin", ADMIN, "--no-input")
    postroom(
        data, "process", "add", "office", "--name", "Office", "--address", "office@office.example", "--owner", ADMIN
    )


def fill(data: Path, mails: Iterator[bytes], count: int) -> None:
    """Import so many mails, each as it stands in an mbox; says on stderr how far it is."""
    started, taken = time.perf_counter(), 0
    file = data.parent / "part.mbox"
    mails = itertools.islice(mails, count)
    while some := _written(mails, file):
        rate = some / postroom(data, "import", str(file), "--process", "office").seconds
        taken += some
        say(f"{taken:9,} of {count:,} mails, {rate:,.0f}/s, {time.perf_counter() - started:,.0f} s")
    file.unlink(missing_ok=True)


def _written(mails: Iterator[bytes], file: Path) -> int:
    """Write the next mails into a file; returns how many."""
    number = size = 0
    with file.open("wb") as out:
        while number < AN_IMPORT and size < _AT_MOST and (one := next(mails, None)) is not None:
            size += out.write(one)
            number += 1
    return number


def office(seed: int) -> Iterator[bytes]:
    """The mail of the made-up office, attachments and all, as it stands in an mbox."""
    for one in made_up.Office(seed).mails():
        yield b"From office@office.example Thu Jan  1 00:00:00 2026\n" + _FROM.sub(b">From ", one) + b"\n"


_FROM = re.compile(b"^From ", re.MULTILINE)


def watch(data: Path, ground: Ground, name: str) -> None:
    """Mail on a server, and a binding that watches it."""
    ground.load(name)
    postroom(data, "mailbox", "add", name, "--imap", ground.server.url(name), "--password-stdin", say=f"{PASSWORD}\n")
    binding = ("binding", "add", "--mailbox", name, "--folder", WATCHED, "--processed", PROCESSED)
    postroom(data, *binding, "--process", "office")


def postroom(data: Path, *words: str, say: str = "") -> Cost:
    """Runs a command on an archive, with `say` on its stdin: what it cost, and what it said."""
    return run([POSTROOM, *words], env={"POSTROOM_DATA": str(data)}, say=say)
