"""Intake workers: one process a core, each with its own connection to the mail server and its own pack.

They are spawned, never forked from a threaded process, and end within a second of their parent. One that dies or
hangs costs its batch a second try, mail by mail; a mail that ends a worker alone is kept without being read.
"""

import contextlib
import ctypes
import gc
import itertools
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
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
from .journal import Journal
from .mailbox import Connecting, Mailbox
from .taking import Batch, take
from .trouble import Trouble, Unreachable

_SLOWEST = 2.0  # seconds a mail may take
_SLOWEST_BYTES = 200_000  # bytes a second, where the line is slow
_SPARE = 60.0  # seconds any batch may take
_AHEAD = 2  # batches a worker is given: it goes on while the originals of the last one are moved
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # as malloc.h names them; each in bytes
_GRACE = 2.5  # seconds for what is in hand when everything has to stop


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
    orders: deque[Order] = field(default_factory=deque)  # the first is in hand, the next waits in the pipe
    until: float = 0.0  # when the one in hand has taken too long


class Workers:
    """As many workers as there are cores, for one binding at a time; they run only while there is much to take."""

    def __init__(
        self, folder: Path, key: InstallationKey, database_url: str, count: int, blobs_url: str | None = None
    ) -> None:
        self._archive = (folder, key, database_url, blobs_url)
        self._count = count
        self._workers: list[_Worker] = []
        self._busy = threading.Lock()

    def free(self) -> bool:
        """Whether nobody uses them; `run` waits where this is not so."""
        return not self._busy.locked()

    def run(self, orders: Iterable[Order], done: Callable[[Taken], None], stopping: threading.Event) -> None:
        """Have everything taken, telling `done` of each batch; Trouble at the first that server or archive fail."""
        waiting: deque[Order] = deque()  # to be tried again
        with self._busy:
            try:
                self._workers = [self._spawn() for _ in range(self._count)]
                # Made one by one as they are handed out: sizes are asked for while the first mails are taken already.
                coming = itertools.takewhile(lambda _: not stopping.is_set(), orders)
                while self._hand_out(waiting, coming) or any(worker.orders for worker in self._workers):
                    if stopping.is_set():
                        self._stop_soon(waiting)
                    self._hear(waiting, done)
            finally:
                self._end_all()  # whatever one is still at is not settled; nothing is lost

    def _spawn(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, *self._archive), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _hand_out(self, waiting: deque[Order], coming: Iterator[Order]) -> bool:
        """Give work to whoever has room; whether there was any."""
        given = False
        for depth in range(1, _AHEAD + 1):
            for worker in self._workers:
                if len(worker.orders) >= depth:
                    continue
                order = waiting.popleft() if waiting else next(coming, None)
                if order is None:
                    return given
                given = True
                worker.orders.append(order)
                if len(worker.orders) == 1:
                    worker.until = _until(order.batch)
                with contextlib.suppress(OSError):  # it died in between; `_hear` sees it too
                    worker.pipe.send(order)
        return given

    def _hear(self, waiting: deque[Order], done: Callable[[Taken], None]) -> None:
        busy = [worker for worker in self._workers if worker.orders]
        soonest = min(worker.until for worker in busy)
        ready = wait([worker.pipe for worker in busy], min(1.0, max(0.0, soonest - time.monotonic())))
        for worker in busy:
            if worker.pipe in ready:
                try:
                    answer = worker.pipe.recv()
                except (EOFError, OSError):
                    self._replace(worker, waiting)
                    continue
                if isinstance(answer, Trouble):
                    raise answer
                worker.orders.popleft()
                worker.until = _until(worker.orders[0].batch) if worker.orders else 0.0
                done(answer)
            elif worker.until <= time.monotonic():
                worker.process.kill()
                self._replace(worker, waiting)

    def _replace(self, worker: _Worker, waiting: deque[Order]) -> None:
        """A worker died over a batch: try its mails one by one, each in a worker that may die again."""
        fatal, *rest = worker.orders
        self._workers.remove(worker)
        _end(worker)
        uids = fatal.batch.uids
        self._workers.append(self._spawn())
        waiting.extendleft(reversed(rest))
        if len(uids) > 1:
            waiting.extendleft(replace(fatal, batch=replace(fatal.batch, uids=(uid,))) for uid in reversed(uids))
        elif not fatal.batch.fatal:
            waiting.appendleft(replace(fatal, batch=replace(fatal.batch, fatal=True)))
        else:
            raise Unreachable("fatal", uid=uids[0])

    def _stop_soon(self, waiting: deque[Order]) -> None:
        waiting.clear()
        for worker in self._workers:
            worker.until = min(worker.until, time.monotonic() + _GRACE)

    def _end_all(self) -> None:
        for worker in self._workers:
            if worker.orders:
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


def _work(
    pipe: "Connection[Any, Any]", folder: Path, key: InstallationKey, database_url: str, blobs_url: str | None
) -> None:
    """A worker's life: it takes what it is told to until its parent has no more."""
    os.umask(0o077)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _settle()
    intake = Intake(Archive(folder, key, database_url, blobs_url))
    mailbox: Mailbox | None = None
    try:
        while True:
            order: Order = pipe.recv()
            try:
                mailbox = mailbox or _open(order, intake.archive)
                answer: Taken | Trouble = take(intake, mailbox, order.binding, order.uidvalidity, order.batch, now)
            except Trouble as trouble:
                answer = trouble
            pipe.send(answer)
    except (EOFError, OSError, KeyboardInterrupt):
        pass  # the parent has no more to do
    finally:
        intake.close()
        if mailbox is not None:
            mailbox.close()


def _settle() -> None:
    """Keep Python's collector from walking over each batch again and again, and memory from going back to the system
    between two mails: together a tenth of a batch's time."""
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):  # glibc's
        for option, value in ((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 64 << 20), (_TOP_PAD, 4 << 20)):
            libc.mallopt(option, value)


def _open(order: Order, archive: Archive) -> Mailbox:
    of, days = order.binding, order.connecting.journal_days
    mailbox = Mailbox(order.account, order.connecting, Journal(archive, of.mailbox.id, of.id, now, days))
    if mailbox.select(order.binding.folder, readonly=True).uidvalidity != order.uidvalidity:
        mailbox.close()
        raise Unreachable("made anew", binding=order.binding.name)
    return mailbox


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
