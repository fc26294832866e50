"""What servers have said of mails of ours and the database does not know yet: a file of lines for each mailbox.

A line is written when the server has answered, before the last dot of the next mail: whoever is killed in between has
it there, so that one mail at most on a connection is sent twice. It is made durable beside, while the next mails are on
their way: after a power cut those few may go out again that came after the last sync, `AHEAD` at most. Lines whose
claim holds no more say nothing: a slate that could not be wiped does no harm.
"""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from archive.outgoing.outbox import Result, Said

AHEAD = 16  # lines that may not be durable yet
_TOGETHER = AHEAD // 2  # lines that are made durable at once, where they come quickly
_WITHIN = 0.01  # seconds, where they do not
_FOLDER = "sending"
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Slate:
    """One mailbox's; for one thread, which holds the lease on sending."""

    def __init__(self, folder: Path, box: int) -> None:
        (folder / _FOLDER).mkdir(mode=0o700, exist_ok=True)
        path = folder / _FOLDER / f"{box}.slate"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._written = self._durable = 0  # lines
        self._fault: OSError | None = None
        self._over = False
        self._news = threading.Condition()
        self._syncing = threading.Thread(target=self._sync, name=f"slate {box}", daemon=True)
        self._syncing.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._news:
            self._over = True
            self._news.notify_all()
        self._syncing.join()
        os.close(self._file)

    def write(self, said: Said) -> None:
        """Note an answer, and wait while too many are not durable. OSError where that cannot be."""
        line = f"{_line(said)}\n".encode()
        if os.write(self._file, line) != len(line):
            raise OSError("No room to note that a mail was sent.")
        with self._news:
            self._written += 1
            if self._written - self._durable in (1, _TOGETHER, AHEAD + 1):
                self._news.notify_all()
            self._news.wait_for(lambda: self._fault is not None or self._written - self._durable <= AHEAD)
            if self._fault is not None:
                fault, self._fault = self._fault, None
                raise fault

    def wipe(self) -> None:
        """The database knows all of it."""
        os.ftruncate(self._file, 0)

    def _sync(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._over or self._written > self._durable)
                self._news.wait_for(lambda: self._over or self._written - self._durable >= _TOGETHER, _WITHIN)
                if self._over:
                    return
                until = self._written
            fault = None
            try:
                os.fdatasync(self._file)
            except OSError as error:
                fault = error
            with self._news:
                self._durable, self._fault = until, fault
                self._news.notify_all()


def left(folder: Path) -> Iterator[tuple[Path, list[Said]]]:
    """What stands on the slates of an archive's folder; the last line of one who died may be half of one."""
    for path in sorted((folder / _FOLDER).glob("*.slate")):
        found = []
        for line in path.read_bytes().split(b"\n"):
            try:
                found.append(_read(line))
            except (ValueError, TypeError, AttributeError):
                continue
        if found:
            yield path, found


def _line(said: Said) -> str:
    results = {address: [one.state, one.code, one.answer] for address, one in said.results.items()}
    return _encode([said.id, said.claim.hex(), said.at, results])


def _read(line: bytes) -> Said:
    id_, claim, at, results = json.loads(line)
    return Said(id_, bytes.fromhex(claim), {address: Result(*one) for address, one in results.items()}, at)
