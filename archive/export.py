"""Everything that was received, written out as files: each copy byte for byte, and an index that says what each is."""

import ctypes
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sqlalchemy import func, select

from .front import when
from .mail import identity
from .people.scopes import Viewer, process_scope, user_scope
from .post import contents, messages, sources
from .post.contents import Content
from .store.archive import Archive, Session
from .store.packs import Damaged, Place
from .store.schema import receipt

INDEX = "index.jsonl"
_BATCH = 500  # copies whose rows and keys are fetched at once


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
    listed: dict[str, Any]
    content: Content
    trace: Place | None  # None: the content is the whole raw mail


def expected(session: Session, visible_to: Viewer) -> int:
    """How many copies there are to write, quarantined ones not counted."""
    query = select(func.count()).select_from(receipt)
    if visible_to.scopes is not None:
        query = query.where(receipt.c.scope.in_(sorted(visible_to.scopes)))
    return session.scalar(query) or 0


def write(archive: Archive, folder: Path, visible_to: Viewer, told: Callable[[int], None]) -> Exported:
    """Write every copy that may be seen, and the index, for the owner alone; durable when it returns.

    The folder is made, or exists and is empty (ExportTrouble else). Each file is checked against its receipt's
    SHA-256; one that is damaged is left out and reported. The index gets its name last: where it stands, the export
    is complete. `told` hears how many copies have been dealt with.
    """
    _make_empty(folder)
    done = Exported()
    unfinished = folder / f".{INDEX}"
    with _create(unfinished) as index:
        for batch in _batches(archive, visible_to):
            _write_batch(archive, folder, batch, index, done)
            told(done.copies + done.quarantined + len(done.damaged))
        index.flush()
        os.fsync(index.fileno())
    _sync(folder)
    unfinished.rename(folder / INDEX)
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


def _batches(archive: Archive, visible_to: Viewer) -> Iterator[list[_One]]:
    """Quarantined mails, then copies by receipt, those that were there at the start."""
    with archive.reading() as session:
        last: int = session.scalar(select(func.max(receipt.c.id))) or 0
        yield [
            _quarantined(session, one)
            for one in messages.quarantined(session)
            if visible_to.sees(
                process_scope(one.scope_process) if one.scope_process is not None else user_scope(one.scope_user or 0)
            )
        ]
    query = messages.with_origin(select(receipt, *messages.ORIGIN).select_from(receipt))
    query = query.order_by(receipt.c.id).limit(_BATCH)
    if visible_to.scopes is not None:
        query = query.where(receipt.c.scope.in_(sorted(visible_to.scopes)))
    after = 0
    while True:
        with (
            archive.reading() as session
        ):  # a short view for each batch, so that the database's log can be cut meanwhile
            rows = session.execute(query.where(receipt.c.id > after, receipt.c.id <= last)).all()
            kept = contents.of(session, {row.message for row in rows})
            traces = contents.places(session, [row.trace for row in rows])
        if not rows:
            return
        yield [_copy(row, kept[row.message], traces[row.trace]) for row in rows]
        after = rows[-1].id


def _quarantined(session: Session, one: messages.Quarantined) -> _One:
    name = f"{one.mailbox}/{one.folder}"
    listed = _listed(None, messages.Origin(sources.BINDING, name, None, one.uidvalidity, one.uid, False), one)
    whole = Content(messages.place_of(session, one.blob), ())
    return _One(f"quarantine-{one.id:010}.eml", one.sha256, listed, whole, None)


def _copy(row: Any, content: Content, trace: Place) -> _One:
    return _One(f"{row.id:010}.eml", row.sha256, _listed(str(row.message), messages.origin(row), row), content, trace)


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


def _write_batch(archive: Archive, folder: Path, batch: Sequence[_One], index: IO[bytes], done: Exported) -> None:
    blobs = {blob for one in batch for blob in one.content.blobs} | {one.trace.blob for one in batch if one.trace}
    keys = archive.keys.get(blobs)
    for one in batch:
        path = folder / one.file
        try:
            with _create(path) as file:
                done.bytes += _copy_out(_pieces(archive, keys, one), file, one)
        except Damaged as error:
            path.unlink()
            done.damaged.append(f"{one.file} is left out ({_place(one.listed)}): {error}")
            continue
        entry = {"file": one.file, "sha256": one.sha256.hex(), **one.listed}
        index.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        if one.trace is None:
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


def _copy_out(pieces: Iterable[bytes], file: IO[bytes], one: _One) -> int:
    """The bytes written; Damaged where they are not what was received."""
    digest = hashlib.sha256()
    size = 0
    for piece in pieces:
        digest.update(piece)
        size += file.write(piece)
    if digest.digest() != one.sha256:
        raise Damaged("Its bytes are not what was received.")
    return size


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
