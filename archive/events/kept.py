"""Reading kept bytes again: packs as they lie there, without any key, and with it what every copy was.

Each function looks at one piece of work and returns what it found, so that pieces can be shared among processes.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select

from ..mail import cutting, identity
from ..post import contents
from ..post.contents import Content
from ..store.archive import Archive, Session
from ..store.keys import KeyTrouble
from ..store.packs import HEADER, Damaged, Place, header_of
from ..store.schema import blob, message, pack, receipt, stretch

WHOLE = 16 << 20  # bytes up to which a content is held in memory while its copies are read
_STEP = 128 << 10
_WIDTHS = range(4, 1001, 4)  # characters a line of a leaf may have (`archive.mail.cutting`)
# What reading says where a row sends it to a place that is none.
_FAULTS = (Damaged, ValueError, OSError, OverflowError)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was."""

    where: str  # message 17, blob 42, event 3
    says: str  # a sentence


@dataclass(frozen=True, slots=True)
class Read:
    """What was read, and what was found."""

    bytes: int
    copies: int
    findings: tuple[Finding, ...]


# --- packs, without a key -----------------------------------------------------------------------------------------


def read_pack(archive: Archive, number: int, only: frozenset[int] | None = None) -> Read:
    """A pack's sealed stretches, the head of each record, and whether each blob has a key. `only`: these stretches."""
    with archive.reading() as session:
        sealed = session.scalar(select(pack.c.sealed).where(pack.c.id == number))
        stretches = session.execute(select(stretch).where(stretch.c.pack == number).order_by(stretch.c.start)).all()
        blobs = [contents.place(row) for row in session.execute(select(blob).where(_in(number)).order_by(blob.c.id))]
    found = list(_continuous(number, sealed, stretches))
    found += _keyed(archive, number, blobs) if only is None else []
    size = 0
    ends = iter(_ends(stretches, blobs, number))
    waiting = iter(sorted(blobs, key=lambda place: place.position))
    following = next(waiting, None)
    carried = b""
    for start, end, digest in ends:
        if only is not None and start not in only:
            continue
        try:
            data = b"".join(archive.blobs.stretch(number, start, end))
        except Damaged as error:
            where = f"pack {number}, bytes {start} to {end}{_blobs_in(blobs, start, end)}"
            found.append(Finding(where, str(error)))
            break
        size += len(data)
        if digest is not None and hashlib.sha256(data).digest() != digest:
            where = f"pack {number}, bytes {start} to {end}{_blobs_in(blobs, start, end)}"
            found.append(Finding(where, "They are not what was sealed."))
        if only is not None:
            continue
        at, data = start - len(carried), carried + data
        while following is not None and following.position + HEADER <= at + len(data):
            offset = following.position - at
            if offset < 0 or not header_of(following, data[offset : offset + HEADER]):
                found.append(Finding(f"blob {following.blob}", "Its record does not begin where its row says."))
            following = next(waiting, None)
        carried = data[-HEADER:]
    return Read(size, 0, tuple(found))


def _in(number: int) -> Any:
    return (blob.c.id >= number << 32) & (blob.c.id < (number + 1) << 32)


def _continuous(number: int, sealed: int | None, stretches: Sequence[Any]) -> Iterator[Finding]:
    if sealed is None:
        yield Finding(f"pack {number}", "It has blobs and no row.")
    at = 0
    for row in stretches:
        if row.start != at or row.end <= row.start:
            yield Finding(f"pack {number}, stretch at {row.start}", f"The one before it ends at {at}.")
        at = row.end
    if sealed is not None and sealed != at:
        yield Finding(f"pack {number}", f"Its row says that {sealed} bytes are sealed; {at} are.")


def _ends(stretches: Sequence[Any], blobs: Sequence[Place], number: int) -> Iterator[tuple[int, int, bytes | None]]:
    """All recorded bytes in order: sealed stretches, and what comes behind them, without a digest."""
    at = 0
    for row in stretches:
        if row.start >= at and row.end > row.start:
            yield row.start, row.end, row.digest
            at = row.end
    # A row that was altered may claim any end; no pack is longer than its last sound record.
    recorded = max((place.end for place in blobs if place.pack == number), default=0)
    while at < min(recorded, 1 << 40):
        yield at, min(at + _STEP, recorded), None
        at += _STEP


def _blobs_in(blobs: Sequence[Place], start: int, end: int) -> str:
    ids = [place.blob for place in blobs if place.position < end and place.end > start]
    if not ids:
        return ""
    return f" (blob {ids[0]})" if len(ids) == 1 else f" (blobs {ids[0]} to {ids[-1]})"


def _keyed(archive: Archive, number: int, blobs: Sequence[Place]) -> Iterator[Finding]:
    keys = set(archive.keys.of_pack(number))
    for place in blobs:
        if place.blob not in keys:
            yield Finding(f"blob {place.blob}", "Its key is not in the key store.")


# --- contents, with the key ---------------------------------------------------------------------------------------


def read_copies(archive: Archive, messages: Sequence[int]) -> Read:
    """Messages and all their copies byte for byte: content key, keyed hashes of leaves, SHA-256 of each receipt."""
    with archive.reading() as session:
        rows = _chosen(session, message, message.c.id, messages)
        copies: dict[int, list[Any]] = {}
        for row in _chosen(session, receipt, receipt.c.message, messages):
            copies.setdefault(row.message, []).append(row)
        kept = contents.of(session, messages)
        traces = contents.places(session, [row.trace for some in copies.values() for row in some])
        hashes = _hashes(session, kept)
    looked = _Looked(archive, hashes, [*(b for one in kept.values() for b in one.blobs), *traces])
    for row in rows:
        content = kept.get(row.id)
        if content is None:
            looked.found.append(Finding(f"message {row.id}", "There is no row of the blob of its skeleton."))
            continue
        looked.message(row, content, copies.get(row.id, []), traces)
    return looked.result()


def read_whole(archive: Archive, table: Table, ids: Sequence[int]) -> Read:
    """Mails kept in one piece (in quarantine, or ours) byte for byte: the SHA-256 of each."""
    with archive.reading() as session:
        rows = _chosen(session, table, table.c.id, ids)
        places = contents.places(session, [row.blob for row in rows])
    looked = _Looked(archive, {}, list(places))
    for row in rows:
        looked.whole(table.name, row, places.get(row.blob))
    return looked.result()


def _chosen(session: Session, table: Any, column: Any, ids: Sequence[int]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(ids), 500):
        found += session.execute(select(table).where(column.in_(ids[start : start + 500])).order_by(table.c.id))
    return found


def _hashes(session: Session, kept: Mapping[int, Content]) -> dict[int, bytes]:
    leaves = sorted({place.blob for one in kept.values() for _, place in one.leaves})
    found: dict[int, bytes] = {}
    for start in range(0, len(leaves), 500):
        query = select(blob.c.id, blob.c.hash).where(blob.c.id.in_(leaves[start : start + 500]))
        found.update((row.id, row.hash) for row in session.execute(query))
    return found


class _Looked:
    """What reading some messages has found so far."""

    def __init__(self, archive: Archive, hashes: Mapping[int, bytes], blobs: Iterable[int]) -> None:
        self.found: list[Finding] = []
        self._archive = archive
        self._secret = archive.key.content_hash_key
        self._hashes = hashes
        self._keys = self._opened(list(dict.fromkeys(blobs)))
        self._bytes = self._copies = 0
        self._wrong_leaves: set[int] = set()

    def result(self) -> Read:
        """All of it."""
        return Read(self._bytes, self._copies, tuple(self.found))

    def _opened(self, blobs: Sequence[int]) -> dict[int, bytes]:
        try:
            return self._archive.keys.get(blobs)
        except KeyTrouble:
            pass
        keys: dict[int, bytes] = {}
        for one in blobs:
            try:
                keys |= self._archive.keys.get([one])
            except KeyTrouble as error:
                self.found.append(Finding(f"blob {one}", str(error)))
        return keys

    def message(self, row: Any, content: Content, copies: Sequence[Any], traces: Mapping[int, Place]) -> None:
        """One message with its copies."""
        where = f"message {row.id}"
        if not all(cut.width in _WIDTHS and 0 <= cut.start < cut.end for cut, _ in content.leaves):
            self.found.append(Finding(where, "The rows of its leaves make no sense."))
            return
        try:
            again = self._content(content)
            digest = identity.keyed_hash(again(), self._secret)
        except _FAULTS as error:
            self.found.append(Finding(where, str(error)))
            return
        if digest != row.content_key:
            self.found.append(Finding(where, "Its content is not the one it was archived under."))
        if not copies:
            self.found.append(Finding(where, "It has no receipt."))
        for copy in copies:
            self._copy(copy, again, traces.get(copy.trace))

    def _content(self, content: Content) -> Callable[[], Iterator[bytes]]:
        """The content as often as it is wanted: read once, where it fits into memory."""
        if content.size > WHOLE:
            for _, place in content.leaves:
                self._check_leaf(place.blob, contents.read_blob(self._archive, self._keys, place))
            return lambda: contents.read(self._archive, self._keys, content)
        leaves = []
        for cut, place in content.leaves:
            plain = b"".join(contents.read_blob(self._archive, self._keys, place))
            self._check_leaf(place.blob, [plain])
            leaves.append((cut, [plain]))
        skeleton = contents.read_blob(self._archive, self._keys, content.skeleton)
        whole = b"".join(cutting.join(skeleton, leaves))
        return lambda: iter((whole,))

    def _check_leaf(self, of: int, plain: Iterable[bytes]) -> None:
        if identity.keyed_hash(plain, self._secret) != self._hashes.get(of) and of not in self._wrong_leaves:
            self._wrong_leaves.add(of)
            self.found.append(Finding(f"blob {of}", "Its keyed hash is not that of its bytes."))

    def _copy(self, row: Any, again: Callable[[], Iterator[bytes]], place: Place | None) -> None:
        where = f"receipt {row.id}"
        if place is None:
            self.found.append(Finding(where, "There is no row of the blob of its transport headers."))
            return
        try:
            trace = b"".join(contents.read_blob(self._archive, self._keys, place))
            self._compare(where, identity.join(again(), trace), row.sha256, row.size)
        except _FAULTS as error:
            self.found.append(Finding(where, str(error)))

    def whole(self, of: str, row: Any, place: Place | None) -> None:
        """One mail that is kept in one piece."""
        where = f"{of} {row.id}"
        if place is None:
            self.found.append(Finding(where, "There is no row of its blob."))
            return
        try:
            self._compare(where, contents.read_blob(self._archive, self._keys, place), row.sha256, row.size)
        except _FAULTS as error:
            self.found.append(Finding(where, str(error)))

    def _compare(self, where: str, pieces: Iterable[bytes], sha256: bytes, size: int) -> None:
        digest, length = hashlib.sha256(), 0
        for piece in pieces:
            digest.update(piece)
            length += len(piece)
        self._bytes += length
        self._copies += 1
        if digest.digest() != sha256 or length != size:
            self.found.append(Finding(where, "Its bytes are not what was received."))
