"""What was received, written out as files, each copy byte for byte: mails with an index, a zip of them, an mbox, a
Maildir. The first two say all that is known of each copy and are imported as they were."""

import ctypes
import hashlib
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from sqlalchemy import Select, exists, func, select

from .front import when
from .importing import mbox
from .importing.finding import OURS
from .mail import identity
from .people.scopes import Viewer, process_scope, user_scope, visible, visible_copy
from .post import contents, messages, sources
from .post.contents import Content
from .search import hits
from .search.query import Query
from .store.archive import Archive, Session
from .store.packs import Damaged, Place
from .store.schema import message, receipt, stray

INDEX = "index.jsonl"
MBOX = "postroom.mbox"
ZIP = "postroom.zip"
_UNFINISHED = ".unfinished"
_BATCH = 500  # copies whose rows and keys are fetched at once
_LAST_SECOND = (1 << 33) - 1  # in the year 2242
_IN_MEMORY = 4 << 20  # bytes up to which a mail is read once, larger ones twice: to be checked, and to be written


class ExportTrouble(Exception):
    """The export cannot be; the sentence says why."""


@dataclass(slots=True)
class Exported:
    """What was written."""

    copies: int = 0
    quarantined: int = 0
    bytes: int = 0
    damaged: list[str] = field(default_factory=list)  # a sentence for each copy that could not be given back


@dataclass(frozen=True, slots=True)
class _One:
    """A copy to be written: how it is listed, and where its bytes lie."""

    file: str
    sha256: bytes
    size: int
    received_at: int
    listed: dict[str, Any]
    content: Content
    trace: Place | None  # None: the content is the whole raw mail
    written: bool = False  # no copy, but what its author wrote


class _Form(Protocol):
    """A way to write copies into a folder. What was begun and not finished never looks complete."""

    def add(self, one: _One, pieces: Iterable[bytes], last: bytes) -> None:
        """Write one more copy, whose bytes have been checked; `last` is the last of them."""

    def finish(self) -> None:
        """All of it is durable and complete when this returns."""


def expected(session: Session, visible_to: Viewer) -> int:
    """How many copies there are to write, quarantined ones not counted."""
    query = select(func.count()).select_from(receipt)
    query = query.where(visible_copy(visible_to))
    return (session.scalar(query) or 0) + (session.scalar(_without_copy(select(func.count()), visible_to)) or 0)


def _without_copy(query: Select[Any], visible_to: Viewer) -> Select[Any]:
    """Messages that may be seen and of which no copy may: they were handed over, or filed under a case."""
    copies = select(receipt.c.id).where(receipt.c.message == message.c.id, visible_copy(visible_to))
    return query.select_from(message).where(visible(message.c.id, visible_to), ~exists(copies))


def matching(session: Session, asked: Query, visible_to: Viewer) -> set[int]:
    """The messages that a query finds."""
    found: set[int] = set()
    before: int | None = None
    while some := hits.find(session, asked, visible_to, before, _BATCH):
        found.update(some)
        before = min(some)
    return found


def write(
    archive: Archive,
    folder: Path,
    visible_to: Viewer,
    told: Callable[[int], None],
    form: str = "eml",
    only: set[int] | None = None,
) -> Exported:
    """Write every copy that may be seen (`only`: of these messages), for the owner alone; durable when it returns.

    The folder is made, or exists and is empty (ExportTrouble else). Each copy is checked against its receipt's
    SHA-256 before it is written; one that is damaged is left out and reported. The file, index or folder that makes
    an export what it is gets its name last: where it stands, the export is complete. `told` hears how many copies have
    been dealt with.
    """
    _make_empty(folder)
    done = Exported()
    made = FORMS[form](folder)
    for batch in _batches(archive, visible_to, only):
        _write_batch(archive, batch, made, done)
        told(done.copies + done.quarantined + len(done.damaged))
    made.finish()
    _sync(folder)
    return done


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise ExportTrouble(f"{folder} is not a folder.") from None
        if any(folder.iterdir()):
            raise ExportTrouble(f"{folder} is not empty. Name a new or an empty folder.") from None


def _batches(archive: Archive, visible_to: Viewer, only: set[int] | None) -> Iterator[list[_One]]:
    """Quarantined mails, then copies by receipt, those that were there at the start."""
    with archive.reading() as session:
        last: int = session.scalar(select(func.max(receipt.c.id))) or 0
        held = messages.quarantined(session) if only is None else []
        yield [
            _quarantined(session, one)
            for one in held
            if visible_to.sees(
                process_scope(one.scope_process) if one.scope_process is not None else user_scope(one.scope_user or 0)
            )
        ]
    query = messages.with_origin(select(receipt, *messages.ORIGIN).select_from(receipt))
    query = query.order_by(receipt.c.id).limit(_BATCH)
    query = query.where(visible_copy(visible_to))
    after = 0
    while True:
        with (
            archive.reading() as session
        ):  # a short view for each batch, so that the database's log can be cut meanwhile
            some = session.execute(query.where(receipt.c.id > after, receipt.c.id <= last)).all()
            rows = [row for row in some if only is None or row.message in only]
            kept = contents.of(session, {row.message for row in rows})
            traces = contents.places(session, [row.trace for row in rows])
            stood = _places(session, {row.message for row in rows}, visible_to)
        if not some:
            break
        yield [_copy(row, kept[row.message], traces[row.trace], stood[row.message]) for row in rows]
        after = some[-1].id
    yield from _written(archive, visible_to, only)


def _written(archive: Archive, visible_to: Viewer, only: set[int] | None) -> Iterator[list[_One]]:
    """Messages of which one has no copy, as their authors wrote them: without what the way to others added."""
    after = 0
    while True:
        with archive.reading() as session:
            query = _without_copy(select(message.c.id, message.c.arrived_at), visible_to).where(message.c.id > after)
            some = session.execute(query.order_by(message.c.id).limit(_BATCH)).all()
            rows = [row for row in some if only is None or row.id in only]
            kept = contents.of(session, [row.id for row in rows])
            stood = _places(session, {row.id for row in rows}, visible_to)
            yield [_as_written(archive, session, row, kept[row.id], stood[row.id]) for row in rows]
        if not some:
            return
        after = some[-1].id


def _as_written(archive: Archive, session: Session, row: Any, content: Content, stood: Mapping[str, Any]) -> _One:
    digest = hashlib.sha256()
    try:
        for piece in messages.written(archive, session, row.id):
            digest.update(piece)
        sha256 = digest.digest()
    except Damaged:
        sha256 = b""  # nothing has it: it is left out, and told of
    file = f"message-{row.id:019}.eml"
    listed = {
        "message": str(row.id), "binding": None, "folder": None, "uidvalidity": None, "uid": None,
        "received": when(row.arrived_at),
        "source": {"kind": sources.FOLDER, "name": "handed over", "place": file}, **stood,
    }  # fmt: skip
    return _One(file, sha256, content.size, row.arrived_at, listed, content, None, written=True)


def _quarantined(session: Session, one: messages.Quarantined) -> _One:
    name = f"{one.mailbox}/{one.folder}"
    listed = _listed(None, messages.Origin(sources.BINDING, name, None, one.uidvalidity, one.uid, False), one)
    whole = Content(messages.place_of(session, one.blob), ())
    return _One(f"quarantine-{one.id:010}.eml", one.sha256, one.size, one.received_at, listed, whole, None)


def _places(session: Session, ids: set[int], visible_to: Viewer) -> dict[int, dict[str, Any]]:
    """In whose conversation each of these messages is, and why: what its own words do not tell for certain.

    Named is the message of that conversation whose copy is written first, so that an import has it by then.
    """
    rows = session.execute(
        select(message.c.id, message.c.conversation, message.c.joined_by).where(message.c.id.in_(ids))
    )
    of = {row.id: row for row in rows}
    query = select(message.c.conversation, func.min(receipt.c.id).label("first"))
    query = query.join(receipt, receipt.c.message == message.c.id).where(visible_copy(visible_to))
    talks = {row.conversation for row in of.values()}
    copies = query.where(message.c.conversation.in_(talks)).group_by(message.c.conversation).subquery()
    named = select(copies.c.conversation, receipt.c.message).join(receipt, receipt.c.id == copies.c.first)
    first = {row.conversation: row.message for row in session.execute(named)}
    strays = _strays(session, ids)
    found: dict[int, dict[str, Any]] = {}
    for id_, row in of.items():
        found[id_] = {"joined_by": row.joined_by}
        if first.get(row.conversation, id_) != id_:
            found[id_]["beside"] = str(first[row.conversation])
        if id_ in strays:
            found[id_]["stray"] = strays[id_]
    return found


def _strays(session: Session, ids: set[int]) -> dict[int, dict[str, str]]:
    """Which of these messages are not in the conversation that they name, and whom they name."""
    own, near = message.alias(), message.alias()
    query = select(stray).join(own, own.c.id == stray.c.message).join(near, near.c.id == stray.c.near)
    query = query.where(stray.c.message.in_(ids), own.c.conversation != near.c.conversation)
    return {row.message: {"near": str(row.near), "reason": row.reason} for row in session.execute(query)}


def _copy(row: Any, content: Content, trace: Place, stood: Mapping[str, Any]) -> _One:
    listed = {**_listed(str(row.message), messages.origin(row), row), **stood}
    return _One(f"{row.id:010}.eml", row.sha256, row.size, row.received_at, listed, content, trace)


def _listed(message_id: str | None, origin: messages.Origin, of: Any) -> dict[str, Any]:
    bound = origin.kind == sources.BINDING
    listed: dict[str, Any] = {
        "message": message_id,
        "binding": origin.name if bound else None,
        "folder": origin.folder,
        "uidvalidity": origin.uidvalidity,
        "uid": origin.uid,
        "received": when(of.received_at),
    }
    if not bound:
        listed["source"] = {"kind": origin.kind, "name": origin.name, "place": origin.place}
    return listed


def _write_batch(archive: Archive, batch: Sequence[_One], form: _Form, done: Exported) -> None:
    blobs = {blob for one in batch for blob in one.content.blobs} | {one.trace.blob for one in batch if one.trace}
    keys = archive.keys.get(blobs)
    for one in batch:
        try:
            pieces, last = _checked(archive, keys, one)
        except Damaged as error:
            done.damaged.append(f"{one.file} is left out ({_place(one.listed)}): {error}")
            continue
        form.add(one, pieces, last)
        done.bytes += one.size
        if one.trace is None and not one.written:
            done.quarantined += 1
        else:
            done.copies += 1


def _place(listed: dict[str, Any]) -> str:
    if "source" in listed:
        return f"{listed['source']['name']}, {listed['source']['place']}"
    return f"{listed['binding']}, UID {listed['uid']}"


def _pieces(archive: Archive, keys: dict[int, bytes], one: _One) -> Iterable[bytes]:
    content = contents.read(archive, keys, one.content)
    if one.trace is None:
        return content
    return identity.join(content, b"".join(contents.read_blob(archive, keys, one.trace)))


def _checked(archive: Archive, keys: dict[int, bytes], one: _One) -> tuple[Iterable[bytes], bytes]:
    """The bytes and the last of them; Damaged where they are not what was received."""
    digest = hashlib.sha256()
    last = b""
    held: list[bytes] = []
    for piece in _pieces(archive, keys, one):
        digest.update(piece)
        last = piece[-1:] or last
        if one.size <= _IN_MEMORY:
            held.append(piece)
    if digest.digest() != one.sha256:
        raise Damaged("Its bytes are not what was received.")
    return (held if one.size <= _IN_MEMORY else _pieces(archive, keys, one)), last


class _Folder:
    """A file for each copy, and an index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = _create(folder / f".{INDEX}")

    def add(self, one: _One, pieces: Iterable[bytes], last: bytes) -> None:
        """See `_Form.add`."""
        with _create(self._folder / one.file) as file:
            file.writelines(pieces)
        self._index.write(_line(one))

    def finish(self) -> None:
        """See `_Form.finish`."""
        self._index.close()
        _sync(self._folder)
        (self._folder / f".{INDEX}").rename(self._folder / INDEX)


def _line(one: _One) -> bytes:
    entry = {"file": one.file, "sha256": one.sha256.hex(), **one.listed}
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


class _Zip:
    """The same in one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = _create(folder / _UNFINISHED)
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED)
        self._index = _create(folder / f".{INDEX}")

    def add(self, one: _One, pieces: Iterable[bytes], last: bytes) -> None:
        """See `_Form.add`."""
        self._write(one.file, one.received_at, one.size, pieces)
        self._index.write(_line(one))

    def finish(self) -> None:
        """See `_Form.finish`."""
        self._index.close()
        unfinished = self._folder / f".{INDEX}"
        with unfinished.open("rb") as index:
            pieces = iter(lambda: index.read(1 << 20), b"")
            self._write(INDEX, time.time_ns() // 1_000_000, unfinished.stat().st_size, pieces)
        self._zip.close()
        self._file.close()
        unfinished.unlink()
        _sync(self._folder)
        (self._folder / _UNFINISHED).rename(self._folder / ZIP)

    def _write(self, name: str, at: int, size: int, pieces: Iterable[bytes]) -> None:
        moment = time.gmtime(min(max(at // 1000, 315_532_800), 4_354_819_198))  # a zip knows 1980 to 2107 only
        info = zipfile.ZipInfo(name, moment[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self._zip.open(info, "w", force_zip64=size > 1 << 30) as member:
            for piece in pieces:
                member.write(piece)


class _Mbox:
    """One file, quoted as mboxrd; its separators say so, and when each copy was received."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = _create(folder / _UNFINISHED)

    def add(self, one: _One, pieces: Iterable[bytes], last: bytes) -> None:
        """See `_Form.add`."""
        cut = last != b"\n"
        self._file.write(mbox.separator(one.received_at, cut=cut))
        self._file.writelines(mbox.quoted(pieces))
        self._file.write(b"\n\n" if cut else b"\n")

    def finish(self) -> None:
        """See `_Form.finish`."""
        self._file.close()
        _sync(self._folder)
        (self._folder / _UNFINISHED).rename(self._folder / MBOX)


class _Maildir:
    """A file for each copy, named by when it was received."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for part in ("tmp", "new", "cur"):
            (folder / _UNFINISHED / part).mkdir(mode=0o700, parents=True)

    def add(self, one: _One, pieces: Iterable[bytes], last: bytes) -> None:
        """See `_Form.add`."""
        name = f"{max(one.received_at, 0) // 1000:010}.{Path(one.file).stem}{OURS}:2,"
        path = self._folder / _UNFINISHED / "cur" / name
        with _create(path) as file:
            file.writelines(pieces)
        os.utime(path, (min(max(one.received_at // 1000, 0), _LAST_SECOND),) * 2)

    def finish(self) -> None:
        """See `_Form.finish`."""
        _sync(self._folder)
        for part in ("tmp", "new", "cur"):
            (self._folder / _UNFINISHED / part).rename(self._folder / part)
        (self._folder / _UNFINISHED).rmdir()


FORMS: Mapping[str, Callable[[Path], _Form]] = {"eml": _Folder, "mbox": _Mbox, "maildir": _Maildir, "zip": _Zip}


def _create(path: Path) -> IO[bytes]:
    """A new file for its owner alone; FileExistsError where something stands there."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")


def _sync(folder: Path) -> None:
    """Everything in the folder's file system is durable: one call, where fsync of each file takes a commit each."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "syncfs"):  # not on Linux
            os.sync()
        elif libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)
