"""Blobs in append-only packs: compressed, each encrypted under its own key, many in one file.

A record is a header (magic, flags, blob id, lengths) and the ciphertext: AES-256-GCM in chunks of 1 MiB, so that
large blobs are written and read in a stream. A key is used for one blob only, so the chunk's number is its nonce;
the last chunk says so in its nonce, or a cut-off tail would go unseen. A record is never changed.
"""

import contextlib
import fcntl
import os
import secrets
import stat
import struct
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import compression
from .keys import KEY_BYTES, sync_folder

CHUNK = 1 << 20  # bytes of plaintext a chunk
TAG = 16
FULL = 256 << 20  # a pack that has grown past this many bytes is not opened for writing again
_HEADER = struct.Struct(">4sBxxxQQQ")  # magic, flags, blob id, size as given, bytes of ciphertext
HEADER = _HEADER.size  # bytes before a record's ciphertext
_MAGIC = b"PrB1"
_COMPRESSED = 1
_WORTH_IT = 0.97  # compressed to less than this share of its size, or kept as it is
_ONE_GO = 4 << 20  # up to this size a blob is sealed in memory
_GATHERED = 1 << 20  # bytes of records that are written in one go
_NUMBER = "number"  # a file beside the packs: which folder this is, wherever it is moved or mounted


class Damaged(Exception):
    """Stored bytes are not what was stored, or are gone."""


class NotReady(Exception):
    """An archive or its store cannot be opened; the sentence names the remedy."""


class StoreTrouble(OSError):
    """The store cannot be used now, or refuses; the sentence says why. What was stored may be whole all the same."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a blob lies: what its row in the database says."""

    blob: int
    size: int  # bytes as given
    stored: int  # bytes of ciphertext
    position: int  # of the record in its pack

    @property
    def pack(self) -> int:
        """The pack that holds it."""
        return self.blob >> 32

    @property
    def end(self) -> int:
        """The first byte behind the record."""
        return self.position + _HEADER.size + self.stored


def header_of(place: Place, header: bytes) -> bool:
    """Whether these are the first HEADER bytes of the record that is said to lie there; needs no key."""
    return len(header) == HEADER and header == _HEADER.pack(
        _MAGIC, header[len(_MAGIC)], place.blob, place.size, place.stored
    )


@dataclass(frozen=True, slots=True)
class Sealed:
    """A blob ready to be appended."""

    place: Place
    key: bytes


class Writer(Protocol):
    """Appends blobs to one pack that nobody else writes."""

    @property
    def pack(self) -> int:
        """The pack written to."""

    @property
    def end(self) -> int:
        """How long the pack is in bytes, with what was added and not synced."""

    @property
    def full(self) -> bool:
        """Whether the pack has grown enough: it is to be closed, and another one opened."""

    def add(self, pieces: Iterable[bytes | memoryview], size: int) -> Sealed:
        """Seal and append a blob given in pieces, `size` bytes in all. The same bytes again make another blob.

        ValueError where the pieces are not `size` bytes. One that fails leaves the writer as it was.
        """

    def sync(self) -> None:
        """All that was added is durable when this returns. Without anything added it does nothing.

        A writer whose sync failed (OSError) is to be closed: what was added may be lost even if a later one succeeds.
        """

    def close(self) -> None:
        """Give the pack back; never fails, harmless to repeat. What was added since the last sync may be lost."""


class BlobStore(Protocol):
    """Where packs lie: `LocalPacks`, `S3Packs` (s3.py). Both keep one contract (tests/contracts).

    OSError where the store cannot be used, StoreTrouble where there is a sentence for it.
    """

    def writer(self, pack: int) -> Writer | None:
        """A writer of this pack, which is made where missing; None where somebody else writes it or it is full."""

    def read(self, place: Place, key: bytes) -> Iterator[bytes]:
        """The blob's bytes in order, piece by piece, each checked; Damaged where they are absent or altered."""

    def stretch(self, pack: int, start: int, end: int) -> Iterator[bytes]:
        """A pack's bytes as they lie there, those from start to before end, in pieces; Damaged where it has fewer."""

    def bytes_stored(self) -> int:
        """What all packs take, in bytes."""

    def tried(self) -> str:
        """Write, read and list something small, and take it away; says so in a sentence. OSError if it fails."""


class LocalPacks:
    """Packs as files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def writer(self, pack: int) -> "LocalWriter | None":
        """See `BlobStore.writer`."""
        if not self._folder.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self._folder.parent)
        descriptor = os.open(self._path(pack), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        now = os.fstat(file.fileno())
        if now.st_size >= FULL or not now.st_mode & stat.S_IWUSR:  # full, or given up (`LocalWriter.sync`)
            file.close()
            return None
        # Also where the file was there: whoever made it may have died before its name was durable.
        sync_folder(self._folder)
        return LocalWriter(pack, file)

    def read(self, place: Place, key: bytes) -> Iterator[bytes]:
        """See `BlobStore.read`."""
        try:
            with self._path(place.pack).open("rb") as file:
                yield from unseal(file, place, key)
        except FileNotFoundError:
            raise Damaged(f"Pack {place.pack} is gone.") from None

    def stretch(self, pack: int, start: int, end: int) -> Iterator[bytes]:
        """See `BlobStore.stretch`."""
        try:
            with self._path(pack).open("rb", buffering=0) as file:
                file.seek(start)
                while start < end:
                    piece = file.read(min(CHUNK, end - start))
                    if not piece:
                        raise Damaged(f"Pack {pack} ends at {start} bytes, before {end}.")
                    start += len(piece)
                    yield piece
        except FileNotFoundError:
            raise Damaged(f"Pack {pack} is gone.") from None

    def bytes_stored(self) -> int:
        """See `BlobStore.bytes_stored`."""
        return sum(path.stat().st_size for path in self._folder.glob("*.pack"))

    def tried(self) -> str:
        """See `BlobStore.tried`."""
        folder = self._folder if self._folder.exists() else self._folder.parent
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".tried-") as file:
            file.write(_MAGIC)
            file.flush()
            os.fsync(file.fileno())
            if Path(file.name) not in folder.iterdir() or Path(file.name).read_bytes() != _MAGIC:
                raise OSError(f"{folder} does not give back what it was given.")
        return f"{self._folder} can be written, read and listed."

    def number(self) -> str | None:
        """The number this folder was given; None where it was given none, or is not there."""
        try:
            return (self._folder / _NUMBER).read_text("ascii")
        except FileNotFoundError:
            return None

    def give_number(self) -> str:
        """Give this folder a number of its own in place of any other, durably; it is made where it is missing."""
        number = secrets.token_hex(16)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._folder, prefix=".number-", delete=False) as file:
            file.write(number)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).rename(self._folder / _NUMBER)
        sync_folder(self._folder)
        sync_folder(self._folder.parent)
        return number

    def holds(self, place: Place) -> bool:
        """Whether a pack is there and as long as a blob in it needs."""
        path = self._path(place.pack)
        return path.exists() and path.stat().st_size >= place.end

    def _path(self, pack: int) -> Path:
        return self._folder / f"{pack:06}.pack"


class LocalWriter:
    """Appends to one pack file under an exclusive lock.

    Everything is written at the place it was given, so that a write that failed half-way moves nothing that follows.
    """

    def __init__(self, pack: int, file: IO[bytes]) -> None:
        self.pack = pack
        self.end = os.fstat(file.fileno()).st_size
        self._file = file
        self._gathered = bytearray()  # the last bytes before `end`, not written yet
        self._dirty = False
        self._compressor = compression.Compressor()

    @property
    def full(self) -> bool:
        """See `Writer.full`."""
        return self.end >= FULL

    def add(self, pieces: Iterable[bytes | memoryview], size: int) -> Sealed:
        """See `Writer.add`."""
        position = self.end
        # Unique within the pack and never given again: every record takes at least a header.
        blob = self.pack << 32 | position // _HEADER.size
        key = os.urandom(KEY_BYTES)
        if size <= _ONE_GO:
            plain = b"".join(pieces)
            if len(plain) != size:
                raise ValueError(f"{len(plain)} bytes were given, not {size}")
            flags, sealed = self._seal(plain, blob, key)
            stored = len(sealed)
            self._gathered += _HEADER.pack(_MAGIC, flags, blob, size, stored)
            self._gathered += sealed
        else:
            self._write_gathered()
            stored = self._stream(pieces, size, blob, key)
        self._dirty = True
        placed = Place(blob, size, stored, position)
        self.end = placed.end
        if len(self._gathered) > _GATHERED:
            self._write_gathered()
        return Sealed(placed, key)

    def _seal(self, plain: bytes, blob: int, key: bytes) -> tuple[int, bytes]:
        flags = 0
        packed = self._compressor.compress(plain)
        if len(packed) < len(plain) * _WORTH_IT:
            flags, plain = _COMPRESSED, packed
        cipher = AESGCM(key)
        if len(plain) <= CHUNK:
            return flags, cipher.encrypt(_nonce(0, True), plain, _bound(blob, flags))
        return flags, b"".join(_encrypted(cipher, [plain], blob, flags))

    def _stream(self, pieces: Iterable[bytes | memoryview], size: int, blob: int, key: bytes) -> int:
        """A large blob, in chunks; its header comes last, when its length is known, before anything is durable."""
        first = at = self.end + _HEADER.size
        frame = self._compressor.compressed(pieces, size, CHUNK)
        for chunk in _encrypted(AESGCM(key), frame, blob, _COMPRESSED):
            self._write(chunk, at)
            at += len(chunk)
        self._write(_HEADER.pack(_MAGIC, _COMPRESSED, blob, size, at - first), self.end)
        return at - first

    def _write_gathered(self) -> None:
        if self._gathered:
            self._write(self._gathered, self.end - len(self._gathered))
            self._gathered = bytearray()

    def _write(self, data: bytes | bytearray, at: int) -> None:
        with memoryview(data) as view:
            written = 0
            while written < len(view):
                written += os.pwrite(self._file.fileno(), view[written:], at + written)

    def sync(self) -> None:
        """See `Writer.sync`."""
        if self._dirty:
            self._write_gathered()
            try:
                os.fdatasync(self._file.fileno())
            except OSError:
                # What the kernel could not write it may call written from now on: as long as it holds this file in
                # memory nobody can tell. So nobody writes into it any more, and what it holds is kept anew elsewhere.
                with contextlib.suppress(OSError):
                    os.fchmod(self._file.fileno(), stat.S_IRUSR)
                raise
            self._dirty = False

    def close(self) -> None:
        """See `Writer.close`."""
        self._file.close()


def _encrypted(cipher: AESGCM, pieces: Iterable[bytes], blob: int, flags: int) -> Iterator[bytes]:
    """Ciphertext in chunks of exactly CHUNK plaintext bytes but for the last."""
    bound = _bound(blob, flags)
    waiting = bytearray()
    number = 0
    for piece in pieces:
        waiting += piece
        while len(waiting) > CHUNK:
            yield cipher.encrypt(_nonce(number, False), bytes(waiting[:CHUNK]), bound)
            del waiting[:CHUNK]
            number += 1
    yield cipher.encrypt(_nonce(number, True), bytes(waiting), bound)


def unseal(file: IO[bytes], place: Place, key: bytes) -> Iterator[bytes]:
    """A blob's bytes from the pack that holds it, piece by piece, each checked; Damaged where they are altered."""
    file.seek(place.position)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise Damaged(f"Blob {place.blob}: its pack ends before it.")
    flags = header[len(_MAGIC)]
    if header != _HEADER.pack(_MAGIC, flags, place.blob, place.size, place.stored):
        raise Damaged(f"Blob {place.blob}: its header is not what was written.")
    chunks = _decrypted(file, place, AESGCM(key), _bound(place.blob, flags))
    left = place.size
    for piece in _decompressed(chunks, place) if flags & _COMPRESSED else chunks:
        left -= len(piece)
        yield piece
    if left:
        raise Damaged(f"Blob {place.blob}: {place.size - left} of {place.size} bytes came back.")


def _decompressed(chunks: Iterator[bytes], place: Place) -> Iterator[bytes]:
    try:
        yield from compression.decompressed(chunks, CHUNK)
    except LookupError as error:
        raise Damaged(f"Blob {place.blob}: its {error}.") from None


def _decrypted(file: IO[bytes], place: Place, cipher: AESGCM, bound: bytes) -> Iterator[bytes]:
    left, number = place.stored, 0
    while left:
        sealed = file.read(min(left, CHUNK + TAG))
        left -= len(sealed)
        try:
            yield cipher.decrypt(_nonce(number, left == 0), sealed, bound)
        except (InvalidTag, ValueError):
            raise Damaged(f"Blob {place.blob}: bytes in pack {place.pack} are not what was written.") from None
        number += 1


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _bound(blob: int, flags: int) -> bytes:
    return blob.to_bytes(8, "big") + bytes([flags])
