"""Intake workers: one process a core, each with its own connection to the mail server and its own pack.

They are spawned, never forked from a threaded process, and end within a second of their parent. One that dies or
hangs costs its batch a second try, mail by mail; a mail that kills a worker alone is reported, its neighbours go on.
"""

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from archive.front import now
from archive.intake import Intake, Taken
from archive.post.bindings import Binding
from archive.store.archive import Archive
from archive.store.keys import InstallationKey

from .accounts import Account
from .mailbox import Connecting, Mailbox
from .taking import Batch, take
from .trouble import Trouble, Unreachable

_SLOWEST = 2.0  # seconds a mail may take
_SLOWEST_BYTES = 200_000  # bytes a second, where the line is slow
_SPARE = 60.0  # seconds any batch may take
_AHEAD = 2  # batches a worker is given: it goes on while the originals of the last one are moved


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is asked to take."""

    account: Account
    connecting: Connecting
    binding: Binding
    uidvalidity: int
    batch: Batch


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: "Connection[Any, Any]"
    batches: deque[Batch] = field(default_factory=deque)  # the first is in hand, the next waits in the pipe
    until: float = 0.0


@dataclass
class Workers:
    """A set of workers for one binding at a time. Not for two threads at once."""

    folder: Path
    key: bytes
    database_url: str
    count: int
    _workers: list[_Worker] = field(default_factory=list)

    def start(self) -> None:
        """Have all workers running; returns at once, they come up by themselves."""
        while len(self._workers) < self.count:
            self._workers.append(self._spawn())

    def _spawn(self) -> _Worker:
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(theirs, self.folder, self.key, self.database_url), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def run(self, order: Callable[[Batch], Order], batches: Iterable[Batch], done: Callable[[Taken], None]) -> None:
        """Have all batches taken, telling `done` of each; Trouble at the first that server or archive fail."""
        self.start()
        waiting = deque(batches)
        try:
            while waiting or any(worker.batches for worker in self._workers):
                for _ in range(_AHEAD):
                    for worker in self._workers:
                        if waiting and len(worker.batches) < _AHEAD:
                            self._hand(worker, order, waiting.popleft())
                self._hear(waiting, done)
        except BaseException:
            self.stop()  # whatever they are at is not settled; nothing is lost
            raise

    def _hand(self, worker: _Worker, order: Callable[[Batch], Order], batch: Batch) -> None:
        worker.batches.append(batch)
        if len(worker.batches) == 1:
            worker.until = _until(batch)
        with suppress(OSError):  # it died in between: `_hear` sees the same
            worker.pipe.send(order(batch))

    def _hear(self, waiting: deque[Batch], done: Callable[[Taken], None]) -> None:
        busy = [worker for worker in self._workers if worker.batches]
        soonest = min(worker.until for worker in busy)
        ready = wait([worker.pipe for worker in busy], max(0.0, soonest - time.monotonic()))
        for worker in busy:
            if worker.pipe in ready:
                try:
                    answer = worker.pipe.recv()
                except (EOFError, OSError):
                    self._replace(worker, waiting)
                    continue
                if isinstance(answer, Trouble):
                    raise answer
                worker.batches.popleft()
                worker.until = _until(worker.batches[0]) if worker.batches else 0.0
                done(answer)
            elif worker.until <= time.monotonic():
                worker.process.kill()
                self._replace(worker, waiting)

    def _replace(self, worker: _Worker, waiting: deque[Batch]) -> None:
        """A worker died over a batch: try its mails one by one, each in a worker that may die again."""
        fatal, *rest = worker.batches
        self._workers.remove(worker)
        _end(worker)
        self._workers.append(self._spawn())
        if len(fatal.uids) == 1:
            raise Unreachable(f"A mail (UID {fatal.uids[0]}) ended the worker that took it. It stays where it is.")
        waiting.extendleft(reversed(rest))
        waiting.extendleft(Batch((uid,), fatal.size) for uid in reversed(fatal.uids))

    def stop(self) -> None:
        """End all workers; harmless to repeat."""
        for worker in self._workers:
            if worker.batches:
                worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            _end(worker)
        self._workers.clear()


def _until(batch: Batch) -> float:
    return time.monotonic() + _SPARE + _SLOWEST * len(batch.uids) + batch.size / _SLOWEST_BYTES


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.join(2)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


def _work(pipe: "Connection[Any, Any]", folder: Path, key: bytes, database_url: str) -> None:
    """A worker's life."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    archive = Archive(folder, InstallationKey(key), database_url)
    intake = Intake(archive)
    mailbox: Mailbox | None = None
    at: tuple[object, ...] | None = None
    try:
        while True:
            order: Order = pipe.recv()
            try:
                if mailbox is None or at != (order.account, order.binding.folder):
                    if mailbox is not None:
                        mailbox.close()
                    mailbox, at = None, None
                    mailbox = Mailbox(order.account, order.connecting)
                    selected = mailbox.select(order.binding.folder, readonly=True)
                    if selected.uidvalidity != order.uidvalidity:
                        raise Unreachable(f"{order.binding.name} was made anew just now; the next pass looks again.")
                    at = (order.account, order.binding.folder)
                pipe.send(take(intake, mailbox, order.binding, order.uidvalidity, order.batch, now))
            except Trouble as trouble:
                at = None
                pipe.send(type(trouble)(*trouble.args))
    except (EOFError, OSError, KeyboardInterrupt):
        pass  # the parent has no more to do
    finally:
        intake.close()
        if mailbox is not None:
            mailbox.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
