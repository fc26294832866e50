"""Taking a batch of mails from files: read, see when each came, give to the archive. The same here and in a worker."""

import hashlib
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import IO

from ..intake import Arrival, Imported, Intake
from ..mail import dates, identity
from ..mail.mapped import Mapped
from ..post import sources
from ..store.archive import Archive
from . import mbox
from .finding import Item, Skip

BATCH_MAILS = 500
BATCH_BYTES = 16 << 20
LARGE = 8 << 20  # bytes from which on a mail goes through a file, alone
_STEP = 1 << 20
_HEAD = 1 << 18  # bytes of a mail in which its dates are looked for
_DAY_MS = 86_400_000
_RECEIVED = re.compile(rb"^received[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE)
_DATE = re.compile(rb"^date[ \t]*:([^\n]*(?:\n[ \t][^\n]*)?)", re.IGNORECASE | re.MULTILINE)
# zipfile raises NotImplementedError for a compression it does not know, RuntimeError for what is encrypted.
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Batch:
    """Mails to be taken together, each with its source."""

    items: tuple[Item, ...]
    sources: tuple[int, ...]  # of each item
    fatal: bool = False  # one mail that ended a worker: taken without being read

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(one.size for one in self.items)

    def singly(self) -> "list[Batch]":
        """Its mails one by one."""
        return [Batch((item,), (source,)) for item, source in zip(self.items, self.sources, strict=True)]


@dataclass(slots=True)
class Answer:
    """What became of a batch."""

    archived: int = 0  # new messages
    copies: int = 0  # further copies of known ones
    known: int = 0  # imported or received before
    bytes: int = 0  # of what has a receipt from now on
    read: int = 0  # bytes looked at
    skipped: list[Skip] = field(default_factory=list)

    def add(self, other: "Answer") -> None:
        """Count another batch in; what is skipped is told, not kept."""
        self.archived += other.archived
        self.copies += other.copies
        self.known += other.known
        self.bytes += other.bytes
        self.read += other.read


def cut(items: Iterable[Item], source_of: Callable[[Item], int]) -> Iterator[Batch]:
    """Mails in batches that are worth a transaction and fit into memory, in their order."""
    waiting: list[Item] = []
    size = 0

    def batch(some: Sequence[Item]) -> Batch:
        return Batch(tuple(some), tuple(map(source_of, some)))

    for item in items:
        large = item.size >= LARGE
        if waiting and (large or len(waiting) == BATCH_MAILS or size + item.size > BATCH_BYTES):
            yield batch(waiting)
            waiting, size = [], 0
        if large:
            yield batch([item])
        else:
            waiting.append(item)
            size += item.size
    if waiting:
        yield batch(waiting)


def take(
    intake: Intake,
    files: "Files",
    scope: str,
    batch: Batch,
    clock: Callable[[], int],
    turn: Callable[[], None] = lambda: None,
) -> Answer:
    """Have a batch archived. One of ARCHIVE_FAULTS where the archive cannot write; what is wrong with a file is told.

    `turn` as `Intake.take_files` has it.
    """
    answer = Answer(read=batch.size)
    there: list[_Read] = []
    for number, (item, source) in enumerate(zip(batch.items, batch.sources, strict=True)):
        try:
            raw = files.read(item)
        except _UNREADABLE as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            answer.skipped.append(Skip(item.shown, f"It cannot be read: {said}."))
            continue
        sha256 = hashlib.sha256(raw).digest()
        if item.sha256 is not None and sha256.hex() != item.sha256:
            answer.skipped.append(Skip(item.shown, "Its bytes are not those that were exported."))
            continue
        there.append(_Read(number, item, source, raw, sha256))
    fresh = _unknown(intake.archive, there)
    answer.known = len(there) - len(fresh)
    if not fresh:
        return answer
    now = clock()
    origin = Imported(scope, {one.number: (one.source, one.item.place) for one in fresh}, now)
    arrivals = [
        Arrival(
            one.number,
            one.raw,
            arrived_at(one.raw, one.item, now),
            one.item.wanted_id,
            one.item.stray,
            one.item.beside,
            one.item.joined_by,
        )
        for one in fresh
    ]
    taken = intake.take_files(origin, arrivals, clock, read=not batch.fatal, turn=turn)
    answer.archived, answer.copies, answer.bytes = len(taken.archived), len(taken.copies), taken.bytes
    answer.known += len(taken.known)
    answer.skipped += [
        Skip(batch.items[number].shown, f"It could not be recorded: {why}.") for number, why in taken.refused.items()
    ]
    return answer


@dataclass(frozen=True, slots=True)
class _Read:
    number: int
    item: Item
    source: int
    raw: identity.Raw
    sha256: bytes


def _unknown(archive: Archive, read: Sequence[_Read]) -> list[_Read]:
    """Those without a receipt: looked up before anything is read or kept, so that going on costs little."""
    with archive.reading() as session:
        wanted = [(one.source, one.item.place, one.sha256) for one in read]
        there = sources.receipted(session, wanted)
    return [one for one, place in zip(read, wanted, strict=True) if place not in there]


class Files:
    """Gives the bytes of mails; large ones mapped, from a file without a name. The file read last stays open, for an
    mbox or a zip has many."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._file: tuple[str, IO[bytes]] | None = None
        self._zip: tuple[str, zipfile.ZipFile] | None = None

    def close(self) -> None:
        """Give back what is open; harmless to repeat."""
        for one in (self._file, self._zip):
            if one is not None:
                one[1].close()
        self._file = self._zip = None

    def read(self, item: Item) -> identity.Raw:
        """A mail's bytes; one of _UNREADABLE where they cannot be had."""
        return self._small(item) if item.size < LARGE else self._large(item)

    def _small(self, item: Item) -> bytes:
        raw = b"".join(self._pieces(item))
        raw = raw[:-1] if item.cut and raw.endswith(b"\n") else raw
        return mbox.unquoted(raw) if item.quoted else raw

    def _large(self, item: Item) -> identity.Raw:
        with tempfile.TemporaryFile(dir=spool(self._data)) as file:
            for piece in self._pieces(item):
                file.write(piece)
            if item.cut:
                file.truncate(file.tell() - 1)
            file.flush()
            raw = Mapped(file.fileno())
        return self._without_quotes(raw) if item.quoted else raw

    def _without_quotes(self, raw: mmap) -> identity.Raw:
        with tempfile.TemporaryFile(dir=spool(self._data)) as file, memoryview(raw) as view:
            at = 0
            for quote in mbox.added(raw):
                file.write(view[at:quote])
                at = quote + 1
            if not at:
                return raw
            file.write(view[at:])
            file.flush()
            return Mapped(file.fileno())

    def _pieces(self, item: Item) -> Iterator[bytes]:
        if item.member is None:
            file = self._opened(item.path)
            file.seek(item.start)
            yield from _exactly(file, item.size)
        else:
            with closing(self._unzipped(item.path).open(item.member)) as member:
                yield from _exactly(member, item.size)
                member.read(1)  # its checksum is compared at the end

    def _opened(self, path: str) -> IO[bytes]:
        if self._file is None or self._file[0] != path:
            self.close()
            self._file = path, open(path, "rb")  # noqa: PTH123, SIM115  stays open
        return self._file[1]

    def _unzipped(self, path: str) -> zipfile.ZipFile:
        if self._zip is None or self._zip[0] != path:
            self.close()
            self._zip = path, zipfile.ZipFile(path)
        return self._zip[1]


def _exactly(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        piece = file.read(min(size, _STEP))
        if not piece:
            raise EOFError("it is shorter than it was")
        size -= len(piece)
        yield piece


def spool(data: Path) -> Path:
    """Where large mails pass through: beside the archive, where there is room for them."""
    folder = data / "spool"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def arrived_at(raw: identity.Raw, item: Item, now: int) -> int:
    """When a mail came (UTC ms), by the witness who could know best: never after `now`, never before 1970.

    An export's own word; the last hop's Received header, the newest one, which our server wrote; the separator or the
    Maildir's file name, written at delivery; the author's Date header; the file's own time.
    """
    if item.received_at is not None:
        return item.received_at
    head = bytes(raw[:_HEAD])
    head = head[: identity.header_end(head)]
    for witness in (_last_hop(head), item.came_at, _dated(head), _modified(item)):
        if witness is not None and 0 < witness * 1000 < now + _DAY_MS:
            return min(witness * 1000, now)
    return now


def _last_hop(head: bytes) -> int | None:
    found = _RECEIVED.search(head)
    date = found[1].rpartition(b";")[2] if found else b""
    return dates.seconds(_one_line(date)) if date else None


def _dated(head: bytes) -> int | None:
    found = _DATE.search(head)
    return dates.seconds(_one_line(found[1])) if found else None


def _one_line(text: bytes) -> str:
    return b" ".join(text[-300:].split()).decode("latin-1")


def _modified(item: Item) -> int | None:
    if item.kind not in (sources.FOLDER, sources.MAILDIR):
        return None
    try:
        return int(Path(item.path).stat().st_mtime)
    except OSError:
        return None
