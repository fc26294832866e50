"""Blobs in append-only packs: compressed, each encrypted under its own key, many in one file.

A record is a header (magic, flags, blob id, lengths) and the ciphertext: AES-256-GCM in chunks of 1 MiB, so that
large blobs are written and read in a stream. A key is used for one blob only, so the chunk's number is its nonce;
the last chunk says so in its nonce, or a cut-off tail would go unseen. A record is never changed.
"""

import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .keys import KEY_BYTES, sync_folder

CHUNK = 1 << 20  # bytes of plaintext a chunk
TAG = 16
FULL = 256 << 20  # a pack that has grown past this many bytes is not opened for writing again
_HEADER = struct.Struct(">4sBxxxQQQ")  # magic, flags, blob id, size as given, bytes of ciphertext
_MAGIC = b"PrB1"
_COMPRESSED = 1
_WORTH_IT = 0.97  # compressed to less than this share of its size, or kept as it is
_ONE_GO = 4 << 20  # up to this size a blob is sealed in memory


class Damaged(Exception):
    """Stored bytes are not what was stored, or are gone."""


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

    def add(self, pieces: Iterable[bytes | memoryview], size: int) -> Sealed:
        """Seal and append a blob given in pieces, `size` bytes in all. The same bytes again make another blob."""

    def sync(self) -> None:
        """All that was added is durable when this returns. Without anything added it does nothing."""

    def close(self) -> None:
        """Give the pack back. What was added since the last sync may be lost."""


class BlobStore(Protocol):
    """Where packs lie. Implementations: `LocalPacks`; object stores follow the same contract (tests/contracts)."""

    def writer(self, pack: int) -> Writer | None:
        """A writer of this pack, which is made where missing; None where somebody else writes it or it is full."""

    def read(self, place: Place, key: bytes) -> Iterator[bytes]:
        """The blob's bytes in order, piece by piece, each checked; Damaged where they are absent or altered."""

    def bytes_stored(self) -> int:
        """What all packs take, in bytes."""


class LocalPacks:
    """Packs as files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def writer(self, pack: int) -> "LocalWriter | None":
        """See `BlobStore.writer`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(pack)
        fresh = not path.exists()
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        if os.fstat(file.fileno()).st_size >= FULL:
            file.close()
            return None
        if fresh:
            sync_folder(self._folder)
        return LocalWriter(pack, file)

    def read(self, place: Place, key: bytes) -> Iterator[bytes]:
        """See `BlobStore.read`."""
        try:
            with self._path(place.pack).open("rb") as file:
                yield from _unseal(file, place, key)
        except FileNotFoundError:
            raise Damaged(f"Pack {place.pack} is gone.") from None

    def bytes_stored(self) -> int:
        """See `BlobStore.bytes_stored`."""
        return sum(path.stat().st_size for path in self._folder.glob("*.pack"))

    def _path(self, pack: int) -> Path:
        return self._folder / f"{pack:06}.pack"


class LocalWriter:
    """Appends to one pack file under an exclusive lock."""

    def __init__(self, pack: int, file: IO[bytes]) -> None:
        self.pack = pack
        self._file = file
        self._end = file.seek(0, os.SEEK_END)
        self._dirty = False
        self._compressor = zstandard.ZstdCompressor(level=3)

    def add(self, pieces: Iterable[bytes | memoryview], size: int) -> Sealed:
        """See `Writer.add`."""
        position = self._end
        # Unique within the pack and never given again: every record takes at least a header.
        blob = self.pack << 32 | position // _HEADER.size
        key = os.urandom(KEY_BYTES)
        self._dirty = True
        if size <= _ONE_GO:
            flags, sealed = self._seal(b"".join(pieces), blob, key)
            stored = len(sealed)
            self._file.write(_HEADER.pack(_MAGIC, flags, blob, size, stored))
            self._file.write(sealed)
        else:
            stored = self._stream(pieces, size, blob, key)
        self._end = position + _HEADER.size + stored
        return Sealed(Place(blob, size, stored, position), key)

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
        """A large blob: header first with a length of 0, put right when it is known, before anything is durable."""
        self._file.write(_HEADER.pack(_MAGIC, _COMPRESSED, blob, size, 0))
        compressor = self._compressor.chunker(size=size, chunk_size=CHUNK)
        stored = 0
        for chunk in _encrypted(AESGCM(key), _compressed(compressor, pieces), blob, _COMPRESSED):
            stored += self._file.write(chunk)
        self._file.seek(self._end)
        self._file.write(_HEADER.pack(_MAGIC, _COMPRESSED, blob, size, stored))
        self._file.seek(0, os.SEEK_END)
        return stored

    def sync(self) -> None:
        """See `Writer.sync`."""
        if self._dirty:
            self._file.flush()
            os.fdatasync(self._file.fileno())
            self._dirty = False

    def close(self) -> None:
        """See `Writer.close`."""
        self._file.close()


def _compressed(chunker: "zstandard.ZstdCompressionChunker", pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    for piece in pieces:
        yield from chunker.compress(piece)
    yield from chunker.finish()  # type: ignore[no-untyped-call]  # zstandard types only compress()


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


def _unseal(file: IO[bytes], place: Place, key: bytes) -> Iterator[bytes]:
    file.seek(place.position)
    header = file.read(_HEADER.size)
    try:
        magic, flags, blob, size, _ = _HEADER.unpack(header)
    except struct.error:
        raise Damaged(f"Blob {place.blob}: its pack ends before it.") from None
    if magic != _MAGIC or blob != place.blob or size != place.size:
        raise Damaged(f"Blob {place.blob}: its header is not what was written.")
    chunks = _decrypted(file, place, AESGCM(key), _bound(blob, flags))
    if not flags & _COMPRESSED:
        yield from chunks
        return
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    left = place.size
    for chunk in chunks:
        # Written by us and authenticated, so its size is known: nothing here can grow past it.
        plain = decompressor.decompress(chunk)
        left -= len(plain)
        if plain:
            yield plain
    if left:
        raise Damaged(f"Blob {place.blob}: {place.size - left} of {place.size} bytes came back.")


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
