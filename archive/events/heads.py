"""The heads of seals, written down outside the database: a tail cut off from the log there is missed here.

One JSON object a line, only ever appended, durable before `append` returns, for the owner alone. Whoever wants more
certainty copies the last line elsewhere now and then, to paper if need be.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..store.keys import sync_folder

NAME = "heads.jsonl"
_LONGEST = 4096  # bytes of a line


@dataclass(frozen=True, slots=True)
class Head:
    """A seal as it was written down."""

    seal: int
    at: int  # UTC ms
    last: int  # the newest event sealed so far
    head: str  # hexadecimal

    def line(self) -> bytes:
        """As it stands in the file."""
        return json.dumps({"seal": self.seal, "at": self.at, "last": self.last, "head": self.head}).encode() + b"\n"


def append(folder: Path, heads: Iterable[Head]) -> None:
    """Write heads down."""
    lines = b"".join(one.line() for one in heads)
    path = folder / NAME
    fresh = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":  # the last one was cut off by a crash
            lines = b"\n" + lines
        os.write(descriptor, lines)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if fresh:
        sync_folder(folder)


def last_line(folder: Path) -> bytes | None:
    """The last line of the file, as it is; None where there is none."""
    try:
        with (folder / NAME).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LONGEST))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    return next((line for line in reversed(lines) if line), None)


def lines(folder: Path) -> Iterator[tuple[int, bytes]]:
    """Every line that is not empty, with its number."""
    try:
        with (folder / NAME).open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST):
                number += 1
                if line != b"\n":
                    yield number, line
    except FileNotFoundError:
        return


def read(line: bytes) -> Head | None:
    """A line of the file; None where it is none that `append` wrote, to the letter."""
    try:
        said = json.loads(line)
        found = Head(said["seal"], said["at"], said["last"], said["head"])
        return found if found.line() == line.removesuffix(b"\n") + b"\n" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
