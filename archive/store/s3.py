"""Packs in a bucket of any S3-compatible store: what a pack file is on a disk is here a run of objects.

A worker seals its batch into a file of its own, which is sent when the batch is to be durable: one object, or several
of 16 MiB, each named by its place in the pack. An object is written once, on the condition that none has its name, and
what the server says it has got (its ETag, or the bytes read back) is compared with what was sent. An answer that got
lost is replaced by looking. Where batches are small, the objects of many are now and then written again as one, named
by its two ends: what such a name stands for never changes, so that at every moment each byte can be read.

Credentials come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what a machine in a cloud is
given); none is kept, and none can stand in the URL, which is shown and logged.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

from . import packs
from .packs import Damaged, LocalWriter, NotReady, Place, StoreTrouble

if TYPE_CHECKING:
    from obstore import Bytes
    from obstore.store import S3Store

OBJECT = 16 << 20  # bytes of an object at most
_WINDOW = 4 << 20  # bytes that are read at once
_MANY = 64  # so many small objects at a pack's end are written again as one
_SMALL = (128 << 10, 8 << 20)  # what counts as small, in bytes: first of single batches, then of what was made of them
_OWNER = "owner"
_PACKS_KNOWN = 256  # whose objects are remembered
_CONNECT = timedelta(seconds=5)
_ANSWER = timedelta(seconds=120)  # for one object, however slow the line
_RETRIES = 3
_RETRY = timedelta(seconds=20)  # from the first try; after that no more

_log = logging.getLogger(__name__)
_Got = TypeVar("_Got")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where objects go."""

    bucket: str
    prefix: str
    endpoint: str | None = None  # none: Amazon's own
    region: str = "us-east-1"
    by_host: bool = False  # the bucket stands in the host's name, not in the path

    @property
    def name(self) -> str:
        """What it is called, wherever it is reached."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


def bucket(url: str) -> Bucket:
    """The bucket a URL names: `s3://bucket/prefix?endpoint=https://…&region=…&style=host`; NotReady for any other."""
    try:
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        at = urlsplit(asked.get("endpoint", "https://s3"))
        fine = parts.scheme == "s3" and bool(parts.hostname) and not parts.fragment and at.scheme in ("http", "https")
        fine = fine and bool(at.hostname) and at.path in ("", "/") and not at.query and not at.fragment
        fine = fine and asked.keys() <= {"endpoint", "region", "style"} and asked.get("style", "path") in _STYLES
    except ValueError:
        fine = False
    if not fine or not url.isprintable():
        raise NotReady("blobs.url: something like s3://bucket/prefix?endpoint=https://objects.example.org is wanted.")
    if "@" in parts.netloc or "@" in at.netloc:
        raise NotReady("blobs.url: credentials stand in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not in the URL.")
    endpoint = asked.get("endpoint")
    by_host = asked.get("style", "path" if endpoint else "host") == "host"
    region = asked.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return Bucket(parts.netloc, parts.path.strip("/"), endpoint and endpoint.rstrip("/"), region, by_host)


_STYLES = ("host", "path")


@dataclass(frozen=True, slots=True)
class _Object:
    start: int  # of its first byte in the pack
    end: int
    name: str
    merged: bool  # its name says both ends


class S3Packs:
    """Packs in a bucket. Each belongs to the data folder that began it, whichever other may know the bucket."""

    def __init__(self, folder: Path, at: Bucket) -> None:
        self.at = at
        self._folder = folder
        self._known: dict[int, list[_Object]] = {}
        self._store = _opened(at)

    def writer(self, pack: int) -> "S3Writer | None":
        """See `BlobStore.writer`."""
        descriptor = os.open(self._locks() / f"pack-{pack:06}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        lock = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._owned(pack):
                objects = self._listed(pack)
                if max((one.end for one in objects), default=0) < packs.FULL:
                    return S3Writer(self, pack, lock, objects, self._spool())
        except BlockingIOError:
            pass
        except BaseException:
            lock.close()
            raise
        lock.close()
        return None

    def read(self, place: Place, key: bytes) -> Iterator[bytes]:
        """See `BlobStore.read`. StoreTrouble where the store does not answer."""
        span = _Span(self.stretch(place.pack, place.position, place.end), place.position)
        return packs.unseal(cast(IO[bytes], span), place, key)

    def stretch(self, pack: int, start: int, end: int) -> Iterator[bytes]:
        """See `BlobStore.stretch`. StoreTrouble where the store does not answer."""
        while start < end:
            piece = self._some(pack, start, min(end, start + _WINDOW))
            start += len(piece)
            yield piece

    def bytes_stored(self) -> int:
        """See `BlobStore.bytes_stored`."""
        return sum(size for _, size in self._everything(""))

    def tried(self) -> str:
        """See `BlobStore.tried`."""
        name, data = f"tried-{secrets.token_hex(8)}", secrets.token_bytes(64)
        self._put(name, data)
        try:
            if self._range(name, 10, 20) != data[10:20] or not any(there == name for there, _ in self._everything("")):
                raise StoreTrouble(f"The object store {self.at.name} does not give back what it was given.")
        finally:
            self._delete([name])
        return f"{self.at.name} can be written, read and listed."

    def put_back(self, pack: int, pieces: Iterable[bytes]) -> None:
        """Write a whole pack that is not there yet, as a backup has it; repeated after an interruption it goes on.

        StoreTrouble where another pack of this number is there.
        """
        if any(one.merged or one.start % OBJECT for one in self._listed(pack)) or not self._owned(pack):
            raise StoreTrouble(f"{self.at.name} holds another pack {pack}. Choose an empty prefix in blobs.url.")
        start, waiting = 0, bytearray()
        for piece in pieces:
            waiting += piece
            while len(waiting) >= OBJECT:
                self._put(_name(pack, start), bytes(waiting[:OBJECT]))
                del waiting[:OBJECT]
                start += OBJECT
        if waiting:
            self._put(_name(pack, start), bytes(waiting))
        self._known.pop(pack, None)

    # --- what a writer needs ---

    def append(self, pack: int, start: int, data: bytes) -> _Object:
        """Write an object of at most OBJECT bytes at a pack's end; durable and as it was sent when this returns."""
        name = _name(pack, start)
        self._put(name, data)
        return _Object(start, start + len(data), name, False)

    def merge(self, pack: int, some: list[_Object]) -> _Object:
        """Write objects that follow each other as one, and take them away."""
        start, end = some[0].start, some[-1].end
        name = _name(pack, start, end)
        self._put(name, b"".join(self.stretch(pack, start, end)))
        self._known.pop(pack, None)
        self._delete([one.name for one in some])
        return _Object(start, end, name, True)

    # --- objects ---

    def _some(self, pack: int, start: int, end: int) -> bytes:
        """Bytes from start on, up to the end of the object they are in; Damaged where there is none."""
        for objects in self._looks(pack):
            covering = [one for one in objects if one.start <= start < one.end]
            if not covering:
                continue
            # What a name with two ends stands for is certain; of others the later one was written after a crash.
            one = max(covering, key=lambda each: (each.merged, each.start))
            wanted = min(end, one.end) - start
            with contextlib.suppress(FileNotFoundError):  # merged by its writer since
                found = self._range(one.name, start - one.start, start - one.start + wanted)
                if len(found) == wanted:
                    return found
        self._known.pop(pack, None)
        raise Damaged(f"Pack {pack} has nothing at byte {start} in {self.at.name}.")

    def _looks(self, pack: int) -> Iterator[list[_Object]]:
        """What is remembered of a pack's objects, and then what is there."""
        known = self._known.get(pack)
        if known is not None:
            yield known
        if len(self._known) >= _PACKS_KNOWN:
            self._known.clear()
        self._known[pack] = found = self._listed(pack)
        yield found

    def _listed(self, pack: int) -> list[_Object]:
        found = []
        for name, size in self._everything(f"{pack:06}/"):
            first, _, last = name.rpartition("/")[2].partition("-")
            with contextlib.suppress(ValueError):  # the owner's mark
                start = int(first, 16)
                if not last or int(last, 16) == start + size:
                    found.append(_Object(start, start + size, name, bool(last)))
        return sorted(found, key=lambda one: (one.start, one.end))

    def _everything(self, prefix: str) -> Iterator[tuple[str, int]]:
        import obstore

        pages = obstore.list(self._store, prefix or None)
        while page := self._asked(lambda: next(pages, None)):
            yield from ((one["path"], one["size"]) for one in page)

    def _put(self, name: str, data: bytes) -> None:
        """Write an object that is not there, or is there with the same bytes."""
        import obstore
        from obstore.exceptions import BaseError

        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()  # what an ETag is
        try:
            tag = obstore.put(self._store, name, data, mode="create", use_multipart=False)["e_tag"]
        except (BaseError, OSError) as error:
            # Already there, or no answer: it may have been written all the same, so it is looked for.
            try:
                tag = obstore.head(self._store, name)["e_tag"]
            except (BaseError, OSError):
                raise self._trouble(error) from None
        if (tag or "").strip('"') != digest and self._asked(lambda: bytes(self._whole(name))) != data:
            raise StoreTrouble(f"The object store {self.at.name} has other bytes than it was given ({name}).")

    def _whole(self, name: str) -> "Bytes":
        import obstore

        return obstore.get(self._store, name).bytes()

    def _range(self, name: str, start: int, end: int) -> bytes:
        """FileNotFoundError where there is no such object; fewer bytes where it is shorter."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            return bytes(obstore.get_range(self._store, name, start=start, end=end))
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            if " 416 Range Not Satisfiable" in _first_line(error):
                return b""
            raise self._trouble(error) from None

    def _delete(self, names: list[str]) -> None:
        import obstore

        self._asked(lambda: obstore.delete(self._store, names))

    def _owned(self, pack: int) -> bool:
        """Whether a pack is this data folder's: nobody's becomes so."""
        name, ours = f"{pack:06}/{_OWNER}", self._machine()
        try:
            return self._range(name, 0, 64) == ours
        except FileNotFoundError:
            pass
        try:
            self._put(name, ours)
        except StoreTrouble:
            with contextlib.suppress(FileNotFoundError):
                return self._range(name, 0, 64) == ours
            raise
        return True

    def _machine(self) -> bytes:
        """What tells this data folder from others that know the bucket: one that a backup was put back into."""
        descriptor = os.open(self._locks() / "machine", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (found := os.pread(descriptor, 64, 0)):
                found = secrets.token_hex(16).encode()
                os.pwrite(descriptor, found, 0)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return found

    def _locks(self) -> Path:
        folder = self._folder / "locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _spool(self) -> Path:
        folder = self._folder / "spool"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _asked(self, ask: Callable[[], _Got]) -> _Got:
        from obstore.exceptions import BaseError

        try:
            return ask()
        except (BaseError, OSError) as error:
            raise self._trouble(error) from None

    def _trouble(self, error: Exception) -> StoreTrouble:
        """A sentence for people; what the library says after the first line is for its makers."""
        if isinstance(error, StoreTrouble):
            return error
        told = _CODE.search(str(error))  # Amazon breaks the line before it
        code = told[1] if told else ""
        if code == "NoSuchBucket":
            return StoreTrouble(f"There is no bucket for {self.at.name}. Make it, or mend blobs.url.")
        if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
            why = f" ({code})" if code else ""
            return StoreTrouble(
                f"The object store {self.at.name} refuses us{why}. Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
                "and the rights of that key."
            )
        return StoreTrouble(f"The object store {self.at.name} does not answer as it should: {code or _said(error)}.")


class S3Writer(LocalWriter):
    """Seals into a file of its own, and sends what is in it when that is to be durable."""

    def __init__(self, store: S3Packs, pack: int, lock: IO[bytes], objects: list[_Object], spool: Path) -> None:
        self._lock = lock
        super().__init__(pack, cast(IO[bytes], tempfile.TemporaryFile(dir=spool, buffering=0)))  # noqa: SIM115  close()
        self._store = store
        self._objects = objects
        self.end = self._sent = max((one.end for one in objects), default=0)

    def _write(self, data: bytes | bytearray, at: int) -> None:
        super()._write(data, at - self._sent)

    def sync(self) -> None:
        """See `Writer.sync`."""
        if not self._dirty:
            return
        self._write_gathered()
        for start in range(self._sent, self.end, OBJECT):
            data = self._file_bytes(start, min(start + OBJECT, self.end))
            self._objects.append(self._store.append(self.pack, start, data))
        os.ftruncate(self._file.fileno(), 0)
        self._sent = self.end
        self._dirty = False
        self._merge()

    def _file_bytes(self, start: int, end: int) -> bytes:
        data = os.pread(self._file.fileno(), end - start, start - self._sent)
        if len(data) != end - start:
            raise OSError(f"{end - start} bytes were sealed, {len(data)} came back")
        return data

    def _merge(self) -> None:
        """Keep the number of objects small; what fails here costs nothing but that."""
        for small in _SMALL:
            some = _to_merge(self._objects, small)
            if len(some) < _MANY:
                continue
            try:
                merged = self._store.merge(self.pack, some)
            except (StoreTrouble, Damaged) as error:
                _log.warning("Objects of pack %s were not made one: %s", self.pack, error)
                return
            at = self._objects.index(some[0])
            self._objects[at : at + len(some)] = [merged]

    def close(self) -> None:
        """See `Writer.close`."""
        super().close()
        self._lock.close()


def _to_merge(objects: list[_Object], small: int) -> list[_Object]:
    """The first of the small objects at the end of a pack, up to OBJECT bytes, where they follow each other."""
    last = len(objects)
    first = last
    while first and objects[first - 1].end - objects[first - 1].start < small:
        first -= 1
        if first + 1 < last and objects[first].end != objects[first + 1].start:
            return []  # two at one place, or a gap: left as it is
    if last - first < _MANY:
        return []
    some: list[_Object] = []
    for one in objects[first:]:
        if one.end - objects[first].start > OBJECT:
            break
        some.append(one)
    return some


class _Span:
    """A stretch of a pack as a file that is read from the beginning."""

    def __init__(self, pieces: Iterator[bytes], start: int) -> None:
        self._pieces = pieces
        self._start = start
        self._waiting = bytearray()

    def seek(self, position: int) -> int:
        """Only to where it begins."""
        if position != self._start:
            raise ValueError(position)
        return position

    def read(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        while len(self._waiting) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._waiting += piece
        found = bytes(self._waiting[:size])
        del self._waiting[:size]
        return found


def _opened(at: Bucket) -> "S3Store":
    try:
        from obstore.store import S3Store
    except ImportError:
        raise NotReady("blobs.url: S3 needs a library that is not installed; install postroom[s3]") from None
    return S3Store(
        at.bucket,
        prefix=at.prefix or None,
        endpoint=at.endpoint,
        region=at.region,
        virtual_hosted_style_request=at.by_host,
        client_options={
            "allow_http": bool(at.endpoint) and str(at.endpoint).startswith("http://"),
            "connect_timeout": _CONNECT,
            "timeout": _ANSWER,
        },
        retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY},
    )


def _name(pack: int, start: int, end: int | None = None) -> str:
    return f"{pack:06}/{start:010x}" if end is None else f"{pack:06}/{start:010x}-{end:010x}"


_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _said(error: Exception) -> str:
    """Without where it was sent: a sentence of what happened."""
    line = _first_line(error)
    return line.rpartition(" - ")[2].strip().rstrip(".")[:200] or type(error).__name__
