"""Import workers: one process a core, each with a pack of its own. They read and seal side by side and record in order.

So an import leaves the same conversations and the same order of receipts however many workers there are. One that
dies or hangs costs its batch a second try, mail by mail; a mail that ends a worker alone is kept without being read.
"""

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from ..front import now
from ..intake import ARCHIVE_FAULTS, Intake
from ..store.archive import Archive
from ..store.keys import InstallationKey
from .finding import Skip
from .taking import Answer, Batch, Files, take

_SLOWEST = 2.0  # seconds a mail may take
_SLOWEST_BYTES = 1_000_000  # bytes a second, where the disk is slow
_SPARE = 60.0  # seconds any batch may take

_READY = "ready"  # everything is kept; may it be recorded?
_GO = "go"


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: "Connection[Any, Any]"


@dataclass
class _Entry:
    """A batch in the line: those in front of it are recorded first."""

    batch: Batch
    worker: _Worker | None = None
    until: float = 0.0  # when it has taken too long
    ready: bool = False
    going: bool = False


class Failed(Exception):
    """The archive cannot write; the sentence says why."""


class Workers:
    """So many workers for one import."""

    def __init__(self, archive: Archive, scope: str, count: int) -> None:
        self._archive = (archive.folder, archive.key, archive.database_url, archive.blobs_url)
        self._scope = scope
        self._workers = [self._spawn() for _ in range(count)]
        self._line: list[_Entry] = []

    def run(self, batches: Iterator[Batch], done: Callable[[Answer], None]) -> None:
        """Have all batches taken, telling `done` of each; Failed at the first for which the archive cannot write."""
        while self._hand_out(batches) or self._line:
            self._let_go()
            self._hear(done)

    def close(self) -> None:
        """End them all; whatever one is still at is not recorded, and nothing is lost."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.join(0.2 if any(one.worker is worker for one in self._line) else 3)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _spawn(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, *self._archive, self._scope), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _hand_out(self, batches: Iterator[Batch]) -> bool:
        """Give every idle worker a batch, what is to be tried again first; False where one stays idle."""
        busy = [one.worker for one in self._line if one.worker is not None]
        for worker in self._workers:
            if worker in busy:
                continue
            entry = next((one for one in self._line if one.worker is None), None)
            if entry is None:
                batch = next(batches, None)
                if batch is None:
                    return False
                entry = _Entry(batch)
                self._line.append(entry)
            entry.worker = worker
            entry.until = _until(entry.batch)
            with contextlib.suppress(OSError):  # it died in between; `_hear` sees it too
                worker.pipe.send(entry.batch)
        return True

    def _let_go(self) -> None:
        first = self._line[0] if self._line else None
        if first is not None and first.worker is not None and first.ready and not first.going:
            first.going = True
            first.until = _until(first.batch)
            with contextlib.suppress(OSError):
                first.worker.pipe.send(_GO)

    def _hear(self, done: Callable[[Answer], None]) -> None:
        at_work = {one.worker.pipe: one for one in self._line if one.worker is not None}
        for pipe in wait(list(at_work), 1.0):
            entry = at_work[pipe]  # type: ignore[index]  # wait() gives back what it was given
            try:
                said = entry.worker.pipe.recv() if entry.worker else None
            except (EOFError, OSError):
                self._replace(entry, done)
                continue
            if isinstance(said, Failed):
                raise said
            if isinstance(said, Answer):
                self._line.remove(entry)
                done(said)
            else:
                entry.ready = True
        for entry in list(self._line):
            waiting = entry.ready and not entry.going
            if entry.worker is not None and not waiting and entry.until <= time.monotonic():
                entry.worker.process.kill()
                self._replace(entry, done)

    def _replace(self, entry: _Entry, done: Callable[[Answer], None]) -> None:
        """A worker died over a batch: try its mails one by one, each in a worker that may die again."""
        worker = entry.worker
        if worker is not None:
            worker.pipe.close()
            worker.process.join()
            self._workers[self._workers.index(worker)] = self._spawn()
        at = self._line.index(entry)
        batch = entry.batch
        if len(batch.items) > 1:
            self._line[at : at + 1] = [_Entry(one) for one in batch.singly()]
        elif not batch.fatal:
            self._line[at] = _Entry(replace(batch, fatal=True))
        else:
            del self._line[at]
            done(Answer(read=batch.size, skipped=[Skip(batch.items[0].shown, "It ended the worker that took it.")]))


def _until(batch: Batch) -> float:
    return time.monotonic() + _SPARE + _SLOWEST * len(batch.items) + batch.size / _SLOWEST_BYTES


def _work(
    pipe: "Connection[Any, Any]",
    folder: Path,
    key: InstallationKey,
    database_url: str,
    blobs_url: str | None,
    scope: str,
) -> None:
    """A worker's life: it takes what it is told to until its parent has no more."""
    os.umask(0o077)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    archive = Archive(folder, key, database_url, blobs_url)
    intake, files = Intake(archive), Files(folder)
    try:
        while True:
            batch: Batch = pipe.recv()
            try:
                answer: Answer | Failed = take(intake, files, scope, batch, now, _Turn(pipe))
            except (EOFError, BrokenPipeError):
                raise
            except ARCHIVE_FAULTS as error:
                answer = Failed(f"The archive cannot write: {getattr(error, 'orig', None) or error}.")
            pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionError, KeyboardInterrupt):
        pass  # the parent has no more to do
    finally:
        files.close()
        intake.close()
        archive.close()


class _Turn:
    """Waits until this batch may be recorded; asked again it does not."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self._pipe = pipe
        self._come = False

    def __call__(self) -> None:
        if not self._come:
            self._pipe.send(_READY)
            self._pipe.recv()
            self._come = True


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
