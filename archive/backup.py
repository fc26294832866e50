"""Backups of a whole archive while everything runs: the database, the key store, the heads of seals, and the packs.

The order makes it whole. The heads and the database, as it stands at one moment, while nobody seals: each seal has its
head, and each head its seal. Whatever the database refers to was durable before it was committed: so the packs up to
where this copy says, and the key store, cut to the blobs that this copy knows. What was erased in between has no key
any more, and cannot be read in the backup either.

A backup is a folder. Packs only grow, so another backup into the same folder adds what is new; databases are written
anew, and of the key store only the newest generation is kept, or what was erased would come back. The manifest names
the files that make the backup, and gets its name last: killed at any moment, the backup before is still whole.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.exc import DatabaseError

from . import installation
from .events import heads, log, sealer
from .front import when
from .people.scopes import MACHINE
from .post import contents, messages
from .search import index
from .store import dialects, migrate, transfer
from .store.archive import Archive, Session, locked
from .store.keys import InstallationKey, sync_folder
from .store.packs import Damaged, Place
from .store.schema import blob, receipt

if TYPE_CHECKING:
    from .store.s3 import S3Packs

MANIFEST = "manifest.json"
FORMAT = 1
DATABASE = "archive.sqlite"
KEYS = "keys.sqlite"
PACKS = "blobs"
_GENERATION = "generation-"
_STEP = 1 << 20
_TAIL = 64 << 10  # bytes that are compared to see whether a pack is the one that was backed up
_KEYS = 5000  # brought from one key store to another at a time
_PIECE = 256 << 20  # bytes of a pack one digest answers for; what is added has one of its own
_SEALER_WAITS = 300.0  # seconds for a sealer at work


class BackupTrouble(Exception):
    """The backup cannot be made or used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a pack up to here, behind the piece before."""

    end: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack in a backup."""

    pack: int
    file: str
    pieces: tuple[Piece, ...]

    @property
    def end(self) -> int:
        """Its length in bytes."""
        return self.pieces[-1].end if self.pieces else 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What makes a backup."""

    made_at: int  # UTC ms
    version: str  # of the database
    key: str  # fingerprint of the installation's key
    generation: str  # the folder of what is written anew each time
    files: Mapping[str, tuple[int, str]]  # in it: size in bytes and SHA-256
    packs: tuple[Pack, ...]
    copies: int  # receipts

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(size for size, _ in self.files.values()) + sum(pack.end for pack in self.packs)

    def written(self) -> bytes:
        """As it stands in its file."""
        packs = [
            {"pack": one.pack, "file": one.file, "pieces": [[piece.end, piece.sha256] for piece in one.pieces]}
            for one in self.packs
        ]
        said = {
            "format": FORMAT,
            "made": when(self.made_at),
            "made_at": self.made_at,
            "version": self.version,
            "key": self.key,
            "generation": self.generation,
            "files": {name: {"size": size, "sha256": sha256} for name, (size, sha256) in self.files.items()},
            "packs": packs,
            "copies": self.copies,
        }
        return json.dumps(said, indent=1).encode() + b"\n"


def read(folder: Path) -> Manifest:
    """The manifest of a backup; BackupTrouble where there is no whole one."""
    try:
        said = json.loads((folder / MANIFEST).read_bytes())
        if said["format"] != FORMAT:
            raise BackupTrouble(f"{folder}: this backup was made by another version of Postroom. Use that one.")
        return _manifest(said)
    except FileNotFoundError:
        raise BackupTrouble(f"{folder}: there is no whole backup there ({MANIFEST} is missing).") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupTrouble(f"{folder / MANIFEST} is not as Postroom wrote it.") from None


def _manifest(said: dict[str, Any]) -> Manifest:
    packs = tuple(
        Pack(int(one["pack"]), _name(one["file"]), tuple(Piece(int(end), str(sha)) for end, sha in one["pieces"]))
        for one in said["packs"]
    )
    files = {_name(name): (int(of["size"]), str(of["sha256"])) for name, of in said["files"].items()}
    if not {DATABASE, KEYS} <= set(files):
        raise ValueError
    return Manifest(
        int(said["made_at"]),
        str(said["version"]),
        str(said["key"]),
        _name(said["generation"]),
        files,
        packs,
        int(said["copies"]),
    )


def _name(text: str) -> str:
    if not text or text.startswith(".") or "/" in text or "\0" in text:
        raise ValueError
    return text


def make(archive: Archive, folder: Path, now: int, told: Callable[[int, int], None]) -> Manifest:
    """Back the archive up into a folder: a new or an empty one, or one with an earlier backup of the same archive.

    Durable and complete when it returns. BackupTrouble where it cannot be, Damaged where a pack has lost bytes. `told`
    hears how many bytes of packs have been copied, of how many.
    """
    before = _folder_for(archive, folder)
    try:
        with locked(folder / ".lock", wait=0):
            before = read(folder) if before else None
            _sweep(folder, before)
            return _make(archive, folder, before, now, told)
    except BlockingIOError:
        raise BackupTrouble(f"{folder}: another backup is being made there.") from None


def _folder_for(archive: Archive, folder: Path) -> Manifest | None:
    """The folder, made where missing; the backup that is in it."""
    data = archive.folder.resolve()
    if folder.resolve().is_relative_to(data) or data.is_relative_to(folder.resolve()):
        raise BackupTrouble(f"{folder} lies in the data folder or around it. Choose another, best on another disk.")
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise BackupTrouble(f"{folder} is not a folder.") from None
    if (folder / MANIFEST).exists():
        before = read(folder)
        if before.key != archive.key.fingerprint:
            raise BackupTrouble(f"{folder} holds the backup of another archive. Choose another folder.")
        return before
    strange = [
        path.name
        for path in folder.iterdir()
        if path.name not in (".lock", PACKS, f".{MANIFEST}") and not path.name.startswith(_GENERATION)
    ]
    if strange:
        raise BackupTrouble(f"{folder} holds other things ({', '.join(sorted(strange)[:3])}). Choose an empty folder.")
    return None


def _sweep(folder: Path, whole: Manifest | None) -> None:
    """Take away what an interrupted backup left, and generations that are past: their keys must not stay."""
    for path in folder.glob(f"{_GENERATION}*"):
        if whole is None or path.name != whole.generation:
            for inner in path.iterdir():
                inner.unlink()
            path.rmdir()
    kept = {pack.file for pack in whole.packs} if whole else set()
    for path in (folder / PACKS).glob("*"):
        if path.name not in kept:
            path.unlink()


def _make(
    archive: Archive, folder: Path, before: Manifest | None, now: int, told: Callable[[int, int], None]
) -> Manifest:
    number = int(before.generation.removeprefix(_GENERATION)) + 1 if before else 1
    generation = folder / f"{_GENERATION}{number:06}"
    generation.mkdir(mode=0o700)
    (folder / PACKS).mkdir(mode=0o700, exist_ok=True)
    _copy_what_is_sealed(archive, generation)
    with closing(sqlite3.connect(generation / DATABASE)) as database:
        places = _last_places(database)
        version, copies = _facts(database)
    known = {pack.pack: pack for pack in before.packs} if before else {}
    total, done = sum(place.end for place in places), 0
    packs = []
    for place in places:
        packs.append(_copy_pack(archive, folder / PACKS, place, known.get(place.pack), number))
        done += place.end
        told(done, total)
    _copy_keys(archive, generation)
    files = {path.name: _digest(path) for path in sorted(generation.iterdir())}
    manifest = Manifest(now, version, archive.key.fingerprint, generation.name, files, tuple(packs), copies)
    _settle(folder, generation, manifest)
    return manifest


def _copy_what_is_sealed(archive: Archive, generation: Path) -> None:
    try:
        with sealer.paused(archive, _SEALER_WAITS):
            written = archive.folder / heads.NAME
            if written.exists():
                _copy(_pieces_of(written), generation / heads.NAME)
            path = dialects.file(archive.engine)
            if path is None:
                _copy_rows(archive, generation)
            else:
                _copy_database(path, generation / DATABASE)
    except BlockingIOError:
        raise BackupTrouble("Sealing what happened takes too long. Call the backup again later.") from None


def _settle(folder: Path, generation: Path, manifest: Manifest) -> None:
    """From here on this is the backup."""
    for inner in (generation, folder / PACKS, folder):
        sync_folder(inner)
    unfinished = folder / f".{MANIFEST}"
    _copy([manifest.written()], unfinished)
    unfinished.rename(folder / MANIFEST)
    sync_folder(folder)
    _sweep(folder, manifest)
    sync_folder(folder)


def _copy_rows(archive: Archive, generation: Path) -> None:
    """A server's database as it stands at one moment, as a file: so a backup is put back into either kind."""
    for name in (DATABASE, KEYS):
        _copy([b""], generation / name)
    copy = _in_file(archive, generation)
    try:
        migrate.upgrade(copy)
        with archive.reading() as source, copy.transaction() as target:
            transfer.copy(source, target)
            index.begin_anew(target)
    finally:
        copy.close()
    _close_file(generation / DATABASE)


def _in_file(archive: Archive, generation: Path) -> Archive:
    return Archive(archive.folder, archive.key, f"sqlite:///{generation / DATABASE}")


def _close_file(path: Path) -> None:
    """What was written is in the file itself, durably."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    _sync(path)


def _copy_database(path: Path, to: Path) -> None:
    """A database as it stands at one moment; whoever writes to it meanwhile waits for nothing."""
    os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path, timeout=60)) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)  # all in one step: in more, every write in between would make it begin anew
        copy.execute("PRAGMA journal_mode = DELETE")
    _sync(to)


def _copy_keys(archive: Archive, generation: Path) -> None:
    """The keys of the blobs that the copy knows, and no others: the numbers of later ones will be given again."""
    to = generation / KEYS
    path = dialects.file(archive.engine)
    if path is None:
        copy = _in_file(archive, generation)
        _bring_keys(archive, copy)
        copy.close()
        _close_file(generation / DATABASE)
        _close_file(to)
        return
    _copy_database(path.with_name(KEYS), to)
    with closing(sqlite3.connect(to, isolation_level=None)) as keys:
        keys.execute("PRAGMA secure_delete = ON")
        keys.execute("ATTACH DATABASE ? AS copy", (str(generation / DATABASE),))
        keys.execute("DELETE FROM blob_key WHERE blob NOT IN (SELECT id FROM copy.blob)")
        keys.execute("DETACH DATABASE copy")
    _sync(to)


def _bring_keys(source: Archive, target: Archive) -> None:
    """The keys of all blobs that the target's rows name, in place of any that are there."""
    with target.reading() as session:
        for some in session.execution_options(yield_per=_KEYS).scalars(select(blob.c.id)).partitions():
            target.keys.destroy(some)
            target.keys.add(source.keys.wrapped(some))


def _last_places(database: sqlite3.Connection) -> list[Place]:
    """The last blob of every pack: up to where it is referred to."""
    query = "SELECT id, size, stored, position FROM blob WHERE id IN (SELECT max(id) FROM blob GROUP BY id >> 32)"
    return [Place(*row) for row in database.execute(f"{query} ORDER BY id")]


def _facts(database: sqlite3.Connection) -> tuple[str, int]:
    (version,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    (copies,) = database.execute("SELECT count(*) FROM receipt").fetchone()
    return version, copies


def _copy_pack(archive: Archive, folder: Path, last: Place, known: Pack | None, number: int) -> Pack:
    """Add what a pack has grown by; one that is not what was backed up before is written anew, beside that."""
    if known is None or not _the_same(archive, folder / known.file, known, last):
        known = Pack(last.pack, f"{last.pack:06}-{number:06}.pack", ())
    with (folder / known.file).open("ab") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(known.end)  # what an interrupted backup added
        pieces = list(known.pieces)
        while (start := pieces[-1].end if pieces else 0) < last.end:
            end = min(last.end, start + _PIECE)
            digest = hashlib.sha256()
            for piece in archive.blobs.stretch(last.pack, start, end):
                digest.update(piece)
                file.write(piece)
            pieces.append(Piece(end, digest.hexdigest()))
        file.flush()
        os.fsync(file.fileno())
    return Pack(last.pack, known.file, tuple(pieces))


def _the_same(archive: Archive, path: Path, known: Pack, last: Place) -> bool:
    """Whether a pack goes on where its backup ends: an archive that was restored may have gone another way."""
    start = max(0, known.end - _TAIL)
    try:
        with path.open("rb") as file:
            file.seek(start)
            backed_up = file.read(known.end - start)
        return last.end >= known.end and b"".join(archive.blobs.stretch(last.pack, start, known.end)) == backed_up
    except (FileNotFoundError, Damaged):
        return False


def _pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_STEP):
            yield piece


def _copy(pieces: Iterable[bytes], to: Path) -> None:
    """Into a new file for its owner alone, durably; one that an interrupted call left is overwritten."""
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    for piece in _pieces_of(path):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- and back ---

RESTORING = ".restoring"  # stands in the data folder while a restore is not finished, and says of which backup
_IN_SERVER = b" in the server"
_NOT_YET = "restoring.sqlite"  # the database until everything else is there and has been looked at


def put_back(folder: Path, data: Path, told: Callable[[int, int], None], blobs_url: str | None = None) -> Manifest:
    """Copy a backup into an empty data folder; every byte is compared with the manifest. Nothing is an archive yet.

    With `blobs_url` packs go into that bucket, but for those that are there already, byte for byte. BackupTrouble where
    it cannot be; `told` hears of bytes. Called again after an interruption it begins anew.
    """
    manifest = read(folder)
    _make_empty(data)
    _copy([_mark(manifest)], data / RESTORING)
    for name in (PACKS, "locks"):
        (data / name).mkdir(mode=0o700, exist_ok=True)
    done = 0
    bucket = _bucket(data, blobs_url)
    for pack in manifest.packs:
        if bucket is not None:
            _into_bucket(bucket, folder / PACKS / pack.file, pack)
        else:
            with _at_new(data / PACKS / f"{pack.pack:06}.pack") as file:
                _copy_checked(folder / PACKS / pack.file, pack.pieces, file)
        done += pack.end
        told(done, manifest.size)
    for name, (size, sha256) in manifest.files.items():
        with _at_new(data / (_NOT_YET if name == DATABASE else name)) as file:
            _copy_checked(folder / manifest.generation / name, (Piece(size, sha256),), file)
        done += size
        told(done, manifest.size)
    for inner in (data / PACKS, data):
        sync_folder(inner)
    with closing(sqlite3.connect(data / _NOT_YET)) as database:
        (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise BackupTrouble(f"The database in {folder} is damaged: {said}.")
    return manifest


def _make_empty(data: Path) -> None:
    try:
        data.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not data.is_dir():
            raise BackupTrouble(f"{data} is not a folder. Choose another with POSTROOM_DATA.") from None
        there = {path.name for path in data.iterdir()}
        if DATABASE in there or (there and RESTORING not in there):
            raise BackupTrouble(
                f"{data} is not empty. Nothing is overwritten; choose a new or empty folder with POSTROOM_DATA."
            ) from None
        data.chmod(0o700)
        for left in there - {RESTORING, "locks", PACKS}:
            (data / left).unlink()


def _at_new(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb")


def _bucket(data: Path, url: str | None) -> "S3Packs | None":
    if url is None:
        return None
    from .store import s3

    return s3.S3Packs(data, s3.bucket(url))


def _into_bucket(bucket: "S3Packs", path: Path, pack: Pack) -> None:
    """Nothing is written of a pack that is damaged in the backup, or is in the bucket as it was backed up."""
    for _ in _checked(path, pack.pieces):
        pass
    if not _is_there(bucket, pack):
        bucket.put_back(pack.pack, _checked(path, pack.pieces))


def _is_there(bucket: "S3Packs", pack: Pack) -> bool:
    start = 0
    try:
        for piece in pack.pieces:
            digest = hashlib.sha256()
            for some in bucket.stretch(pack.pack, start, piece.end):
                digest.update(some)
            if digest.hexdigest() != piece.sha256:
                return False
            start = piece.end
    except Damaged:
        return False
    return True


def _copy_checked(path: Path, pieces: Iterable[Piece], to: IO[bytes]) -> None:
    to.writelines(_checked(path, pieces))
    to.flush()
    os.fsync(to.fileno())


def _checked(path: Path, pieces: Iterable[Piece]) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            start = 0
            for piece in pieces:
                digest = hashlib.sha256()
                while start < piece.end and (some := file.read(min(_STEP, piece.end - start))):
                    digest.update(some)
                    start += len(some)
                    yield some
                if start < piece.end or digest.hexdigest() != piece.sha256:
                    raise BackupTrouble(f"{path} is damaged before byte {piece.end}: it is not what was backed up.")
    except FileNotFoundError:
        raise BackupTrouble(f"{path} is missing from the backup.") from None


def unfinished(data: Path, key: InstallationKey, blobs_url: str | None = None) -> Archive:
    """What was put back, opened to be looked at before `finish`. The key is only needed to read mail."""
    return Archive(data, key, f"sqlite:///{data / _NOT_YET}", blobs_url)


def hold(archive: Archive, manifest: Manifest, now: int) -> None:
    """Let nothing leave by itself until somebody has said so (`postroom release`): another machine may still run this
    very archive, and what it has sent since the backup is not known here."""
    with archive.transaction() as session:
        installation.put(session, installation.HELD, str(now))
        installation.settle_blobs(session, archive)
        details = {"made": when(manifest.made_at), "copies": manifest.copies}
        log.write(session, [log.Event("archive.restored", log.OPERATOR, "archive", details)], now)


def read_back(archive: Archive, count: int) -> int:
    """Read that many mails, chosen at random, and compare them with their receipts; returns how many.

    Damaged where one does not come back. What was erased while the backup was made is passed over.
    """
    with archive.reading() as session:
        some = session.scalars(select(receipt.c.id).order_by(func.random()).limit(count)).all()
        read = 0
        for number in some:
            copy = messages.copy(session, number, MACHINE)
            if copy is None or not _has_keys(archive, session, copy):
                continue
            for _ in messages.raw(archive, session, copy):
                pass
            read += 1
    return read


def _has_keys(archive: Archive, session: Session, copy: messages.Copy) -> bool:
    content = contents.of(session, [copy.message]).get(copy.message)
    blobs = {copy.trace, *(content.blobs if content else ())}
    return blobs == set(archive.keys.get(blobs))


def finish(data: Path) -> None:
    """The restored archive is one from now on; nobody has it open."""
    _close_file(data / _NOT_YET)
    (data / _NOT_YET).rename(data / DATABASE)
    sync_folder(data)
    (data / RESTORING).unlink()
    sync_folder(data)


def check_server(archive: Archive) -> None:
    """BackupTrouble where a server's database will not do to be restored into: there is an archive in it."""
    if migrate.revision(archive) is None:
        return
    with archive.reading() as session:
        if installation.get(session, installation.KEY) is not None:
            raise BackupTrouble("The database that database.url names holds an archive. Name an empty one.")


def moved_in(manifest: Manifest, data: Path, archive: Archive) -> bool:
    """Whether a restore of this backup was interrupted when all of it was in the server's database: then nothing is
    left to be done but `finish_on_server`."""
    mark = data / RESTORING
    said = mark.read_bytes() if mark.exists() else b""
    if said == _mark(manifest) + _IN_SERVER:
        return True
    if said != _mark(manifest) or not (data / _NOT_YET).exists() or migrate.revision(archive) is None:
        return False
    copy = unfinished(data, archive.key)
    try:
        with copy.reading() as ours, archive.reading() as theirs:
            held = installation.held(ours)
            return held is not None and held == installation.held(theirs)
    except DatabaseError:  # interrupted before there was a whole database in the file
        return False
    finally:
        copy.close()


def _mark(manifest: Manifest) -> bytes:
    return str(manifest.made_at).encode()


def move_in(copy: Archive, archive: Archive) -> None:
    """Bring what was put back, keys included, into a server's empty database; what is there in the end is an archive.

    Called again after an interruption it begins anew.
    """
    migrate.upgrade(copy)  # a backup may be older than this program
    migrate.upgrade(archive)
    with copy.reading() as source, archive.transaction() as target:
        transfer.copy(source, target)
        index.begin_anew(target)
        for some in source.execution_options(yield_per=_KEYS).scalars(select(blob.c.id)).partitions():
            archive.keys.destroy(some)
            archive.keys.add(copy.keys.wrapped(some))


def finish_on_server(data: Path) -> None:
    """The restored archive is one from now on, and nothing of it is left in files but packs and heads.

    Called again after an interruption it goes on.
    """
    mark = data / RESTORING
    if not mark.read_bytes().endswith(_IN_SERVER):
        with mark.open("ab") as file:
            file.write(_IN_SERVER)
            file.flush()
            os.fsync(file.fileno())
    for path in (*data.glob(f"{_NOT_YET}*"), *data.glob(f"{KEYS}*")):
        path.unlink()
    sync_folder(data)
    mark.unlink()
    sync_folder(data)
