"""Runs `postroom` and dies on the way: by SIGKILL, before or after the n-th call of a named step.

    python -m tests.crashes.runner --die "before move 1" -- poll --json

The product knows nothing of it; what is named in STEPS is wrapped from outside. Beside dying it can write down every
step (`--log`), watch that the order *bytes durable, rows committed, original moved* is kept (`--watch`), take away what
a power cut would take (`--cut`), and break that order on purpose, to see the tests notice (`--mutant`).
"""

import argparse
import functools
import importlib
import os
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# In the order in which a pass meets them: step, module, what is wrapped. `commit` is wrapped by itself.
STEPS = {
    "generation": ("archive.post.bindings", "select_generation"),
    "fetch": ("gateway.mailbox", "Mailbox.fetch"),
    "open pack": ("archive.intake", "Intake._open_writer"),
    "blob": ("archive.store.packs", "LocalWriter.add"),
    "durable": ("archive.store.packs", "LocalWriter.sync"),
    "keys": ("archive.store.keys", "KeyStore.add"),
    "messages": ("archive.intake", "_write_messages"),
    "receipts": ("archive.intake", "_write_receipts"),
    "search": ("archive.search.fts5", "add"),
    "scopes": ("archive.search.fts5", "change_scopes"),
    "tickets": ("archive.work.tickets", "note"),
    "events": ("archive.events.log", "write"),
    "unused keys": ("archive.store.keys", "KeyStore.destroy"),
    "commit": ("", ""),
    "create folder": ("gateway.mailbox", "Mailbox.create_folder"),
    "position": ("archive.post.bindings", "about_to_move"),
    "move": ("gateway.mailbox", "Mailbox.move"),
    "IMAP MOVE": ("imapclient", "IMAPClient.move"),
    "IMAP COPY": ("imapclient", "IMAPClient.copy"),
    "IMAP STORE": ("imapclient", "IMAPClient.add_flags"),
    "IMAP EXPUNGE": ("imapclient", "IMAPClient.uid_expunge"),
    "settle": ("archive.post.receipts", "settle"),
    "succeeded": ("archive.post.bindings", "succeeded"),
}
# A pass by itself, an intake worker of it, the confined reader of it, a pass over a connection that was kept.
TRACED = ("pass", "worker", "reader", "kept")
MUTANTS = ("no fdatasync", "moved too early")
Reached = Callable[[str, str, int], None]  # when, step, number


def main() -> None:
    arguments = _arguments()
    data = Path(os.environ["POSTROOM_DATA"])
    disk = Disk(data)
    _make_small(arguments.batch, arguments.moves, arguments.workers)
    if arguments.mutant:
        _break(arguments.mutant)
    _watch(disk, arguments.watch)
    _wrap_steps(_killer(arguments.die, arguments.log, disk if arguments.cut else None))
    if arguments.trace:
        _trace(arguments.of, arguments.trace, arguments.inject)
    if arguments.started:
        _tell_start(arguments.started)

    import postroom

    sys.argv = ["postroom", *arguments.command]
    postroom.main()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--die", metavar="WHEN STEP N", help="before or after, a step, which call of it")
    parser.add_argument("--log", type=Path, help="write every step into this file")
    parser.add_argument("--watch", type=Path, help="write every breach of the order into this file")
    parser.add_argument("--started", type=Path, help="make this file when the pass begins")
    parser.add_argument("--cut", action="store_true", help="dying takes along what no sync had made durable")
    parser.add_argument("--trace", type=Path, help="write the system calls of one thread into this file")
    parser.add_argument("--of", choices=TRACED, default="pass", help="which thread")
    parser.add_argument("--inject", default="", help="what strace does to it")
    parser.add_argument("--mutant", choices=MUTANTS)
    parser.add_argument("--batch", type=int, default=10, help="mails a batch")
    parser.add_argument("--moves", type=int, default=15, help="originals a move waits for")
    parser.add_argument("--workers", type=int, help="mails from which on workers are started")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _make_small(batch: int, moves: int, workers: int | None) -> None:
    """A pass over a few mails, with as many batches and moves as one over thousands."""
    from gateway import poller, taking

    taking.BATCH_MAILS = batch
    poller.MOVE_AT = moves
    if workers is not None:
        poller.WORTH_WORKERS = workers


def _killer(die: str | None, log: Path | None, cut: "Disk | None") -> Reached:
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if log else None

    def reached(when: str, step: str, number: int) -> None:
        here = f"{when} {step} {number}"
        if opened is not None:
            os.write(opened, f"{here}\n".encode())
        if here == die:
            if cut is not None:
                cut.lose_power()
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def _wrap_steps(reached: Reached) -> None:
    for step, (module, name) in STEPS.items():
        if step == "commit":
            _wrap_commits(reached)
            continue
        owner: Any = importlib.import_module(module)
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        _wrap(owner, last, step, reached)


def _wrap(owner: Any, name: str, step: str, reached: Reached) -> None:
    original = getattr(owner, name)
    calls = Counter[str]()

    @functools.wraps(original)
    def called(*arguments: Any, **named: Any) -> Any:
        calls[step] += 1
        number = calls[step]
        reached("before", step, number)
        result = original(*arguments, **named)
        reached("after", step, number)
        return result

    setattr(owner, name, called)


def _wrap_commits(reached: Reached) -> None:
    from archive.store.archive import Archive, Session

    original = Archive.intake
    calls = Counter[str]()

    @contextmanager
    def intake(self: Archive) -> Iterator[Session]:
        with original(self) as session:
            yield session
            calls["commit"] += 1
            number = calls["commit"]
            reached("before", "commit", number)
        reached("after", "commit", number)

    Archive.intake = intake  # type: ignore[method-assign]


def _tell_start(path: Path) -> None:
    from gateway.poller import Poller

    original = Poller.poll

    def poll(self: Poller, binding: int, *, asked_for: bool = True) -> Any:
        path.touch()
        return original(self, binding, asked_for=asked_for)

    Poller.poll = poll  # type: ignore[method-assign]


def _trace(of: str, log: Path, inject: str) -> None:
    """The first of its kind: what takes a killed one's place is left in peace."""
    from archive.confinement import Worker
    from gateway.poller import Poller
    from gateway.workers import Workers

    from . import strace

    begun = threading.Lock()

    def begin(thread: int) -> None:
        if begun.acquire(blocking=False):
            strace.attach(thread, log, inject)

    owner, name = {
        "pass": (Poller, "look"),
        "kept": (Poller, "look"),
        "worker": (Workers, "_spawn"),
        "reader": (Worker, "__init__"),
    }[of]
    original = getattr(owner, name)

    @functools.wraps(original)
    def called(*arguments: Any, **named: Any) -> Any:
        if of == "pass" or (of == "kept" and arguments[2:] and arguments[2] is not None):
            begin(threading.get_native_id())
        result = original(*arguments, **named)
        if of == "worker":
            begin(result.process.pid)
        elif of == "reader":
            begin(arguments[0].process.pid)
        return result

    setattr(owner, name, called)


class Disk:
    """What of the packs would survive a power cut: what was there at the start, and what was synced since."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.durable = {path: path.stat().st_size for path in self._packs()}
        self._fdatasync = os.fdatasync
        os.fdatasync = self._noting  # type: ignore[assignment]

    def _packs(self) -> Iterator[Path]:
        return (self.data / "blobs").resolve().glob("*.pack")

    def _noting(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self._fdatasync(descriptor)
        self.durable[Path(f"/proc/self/fd/{descriptor}").resolve()] = size

    def lose_power(self) -> None:
        """SIGKILL alone loses nothing that was written; this takes what a machine without power loses.

        SQLite's own files are left as they are: that it syncs before it acknowledges is its promise under FULL.
        """
        for path in self._packs():
            os.truncate(path, min(self.durable.get(path, 0), path.stat().st_size))

    def rows(self, statement: str, *values: object, database: str = "archive") -> list[Any]:
        """What is committed, as another program sees it."""
        connection = sqlite3.connect(self.data / f"{database}.sqlite", timeout=30)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


def _watch(disk: Disk, breaches: Path | None) -> None:
    if breaches is None:
        return
    breaches.touch()

    def breach(sentence: str) -> None:
        with breaches.open("a") as file:
            file.write(sentence + "\n")

    _watch_commits(disk, breach)
    _watch_moves(disk, breach)


def _watch_commits(disk: Disk, breach: Callable[[str], None]) -> None:
    """Invariant 5, first half: what a committed row refers to is durable, and so is its key."""
    from archive.store.archive import Archive, Session

    original = Archive.intake

    @contextmanager
    def intake(self: Archive) -> Iterator[Session]:
        with original(self) as session:
            yield session
        keys = {row[0] for row in disk.rows("SELECT blob FROM blob_key", database="keys")}
        for blob, position, stored in disk.rows("SELECT id, position, stored FROM blob"):
            pack = (self.folder / "blobs" / f"{blob >> 32:06}.pack").resolve()
            if disk.durable.get(pack, 0) < position + 32 + stored:
                breach(f"blob {blob} is committed and not durable")
            if blob not in keys:
                breach(f"blob {blob} is committed and its key is not")

    Archive.intake = intake  # type: ignore[method-assign]


def _watch_moves(disk: Disk, breach: Callable[[str], None]) -> None:
    """Invariant 5, second half: an original is touched only when its receipt is committed."""
    from imapclient import IMAPClient

    def watch(name: str) -> None:
        original = getattr(IMAPClient, name)

        @functools.wraps(original)
        def called(self: IMAPClient, uids: Any, *arguments: Any, **named: Any) -> Any:
            receipted = {row[0] for row in disk.rows("SELECT uid FROM receipt")}
            for uid in sorted(_uids(uids) - receipted):
                breach(f"UID {uid} is touched by {name} and has no receipt")
            return original(self, uids, *arguments, **named)

        setattr(IMAPClient, name, called)

    for name in ("move", "copy", "add_flags", "uid_expunge"):
        watch(name)


def _uids(named: Any) -> set[int]:
    if not isinstance(named, str | bytes):
        return set(named)
    text = named if isinstance(named, str) else named.decode()
    found: set[int] = set()
    for run in text.split(","):
        first, _, last = run.partition(":")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _break(mutant: str) -> None:
    from archive.store.packs import LocalWriter

    poller: Any = importlib.import_module("gateway.poller")
    if mutant == "no fdatasync":

        def sync(self: LocalWriter) -> None:
            self._write_gathered()

        LocalWriter.sync = sync  # type: ignore[method-assign]
        return

    take = poller.take

    def moved_too_early(intake: Any, mailbox: Any, binding: Any, *others: Any) -> Any:
        archived = intake.take

        def late(*arguments: Any, **named: Any) -> Any:
            mailbox.move([one.uid for one in arguments[2]], binding.processed)
            return archived(*arguments, **named)

        intake.take = late
        try:
            if mailbox.find_folder(binding.processed) is None:
                mailbox.create_folder(binding.processed)
            return take(intake, mailbox, binding, *others)
        finally:
            del intake.take

    poller.take = moved_too_early


if __name__ == "__main__":
    main()
