"""One import: what stands at the paths, taken batch by batch. Interrupted and called again, it goes on.

Every mail's receipt says which file it came from and where in it; what has one is known and passed over. So nothing
is written down beside the receipts about how far an import is.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..events import log
from ..intake import Intake
from ..post import sources
from ..store.archive import Archive
from .finding import Item, Quoting, Skip, find, size
from .taking import Answer, Batch, Files, cut, take
from .workers import Workers

WORTH_WORKERS = 16 << 20  # bytes from which on other cores are worth starting


@dataclass
class Summary:
    """What an import did."""

    counts: Answer = field(default_factory=Answer)
    failed: int = 0  # mails that were to be taken and are not
    passed_over: int = 0  # other things that lay there


@dataclass
class Import:
    """One import for one process or person."""

    archive: Archive
    scope: str
    clock: Callable[[], int]
    skipped: Callable[[Skip], None]  # hears of everything that is not taken
    told: Callable[[int, int], None] = lambda _done, _of: None  # progress, bytes
    workers: int | None = None  # None: one a core, where there is much; 0: none
    _sources: dict[tuple[str, str], int] = field(default_factory=dict)

    def run(self, paths: Sequence[Path], quoting: Quoting = "auto") -> Summary:
        """Take everything at these paths. One of ARCHIVE_FAULTS or `workers.Failed` where the archive cannot write."""
        shown = [os.fsencode(path.absolute()).decode(errors="replace") for path in paths]
        self._note("import.started", {"paths": shown, "scope": self.scope})
        summary = Summary()
        total = size(paths)

        def skip(one: Skip) -> None:
            summary.failed += one.mail
            summary.passed_over += not one.mail
            self.skipped(one)

        def done(answer: Answer) -> None:
            summary.counts.add(answer)
            for one in answer.skipped:
                skip(one)
            self.told(min(summary.counts.read, total), total)

        batches = cut(self._items(paths, quoting, skip), self._source)
        count = (
            (len(os.sched_getaffinity(0)) if total >= WORTH_WORKERS else 0) if self.workers is None else self.workers
        )
        try:
            self._by_workers(batches, done, count) if count else self._here(batches, done)
        finally:
            counts = summary.counts
            self._note(
                "import.finished",
                {
                    "paths": shown,
                    "archived": counts.archived,
                    "copies": counts.copies,
                    "known": counts.known,
                    "failed": summary.failed,
                },
            )
        return summary

    @staticmethod
    def _items(paths: Sequence[Path], quoting: Quoting, skip: Callable[[Skip], None]) -> Iterator[Item]:
        for path in paths:
            for one in find(path, quoting):
                if isinstance(one, Skip):
                    skip(one)
                else:
                    yield one

    def _source(self, item: Item) -> int:
        key = item.kind, item.name
        if key not in self._sources:
            with self.archive.intake() as session:
                self._sources[key] = sources.at(session, *key, self.scope, self.clock())
        return self._sources[key]

    def _here(self, batches: Iterator[Batch], done: Callable[[Answer], None]) -> None:
        intake, files = Intake(self.archive), Files(self.archive.folder)
        try:
            for batch in batches:
                done(take(intake, files, self.scope, batch, self.clock))
        finally:
            files.close()
            intake.close()

    def _by_workers(self, batches: Iterator[Batch], done: Callable[[Answer], None], count: int) -> None:
        workers = Workers(self.archive, self.scope, count)
        try:
            workers.run(batches, done)
        finally:
            workers.close()

    def _note(self, kind: str, details: dict[str, object]) -> None:
        with self.archive.transaction() as session:
            log.write(session, [log.Event(kind, log.OPERATOR, "archive", details)], self.clock())
