"""The archive opened: database, key store and packs, and the transactions on them.

Whoever opens a transaction closes it; functions elsewhere in `archive` take `session` first and never commit.
On SQLite one writer at a time: intake takes the writer lock around its transaction, a person's write first takes
the turnstile, which intake has to pass before it may take the writer lock again, so that nobody at a page waits
for more than the batch in hand. PostgreSQL needs none of this.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from . import dialects
from .dialects import Overtaken
from .keys import InstallationKey, KeyStore
from .packs import BlobStore, LocalPacks, NotReady

# Core only: rows in, rows out, nothing cached that another worker may have changed.
Session = Connection

_TRIES = 8  # of a transaction that was overtaken

T = TypeVar("T")


class Archive:
    """One installation's archive. Open it once in a worker; threads may share it."""

    def __init__(
        self, folder: Path, key: InstallationKey, database_url: str | None = None, blobs_url: str | None = None
    ) -> None:
        self.folder = folder
        self.key = key
        self.database_url = database_url or f"sqlite:///{folder / 'archive.sqlite'}"
        self.engine = engine(self.database_url)
        self.keys = KeyStore(dialects.key_store(self.engine), key)
        self.blobs_url = blobs_url
        self.blobs = _blobs(folder, blobs_url)
        self.written = False  # whether anything was, through this one
        self._locks = folder / "locks"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A person's or a command's write: all of it is durable when the block ends, or none."""
        with ExitStack() as locks:
            if dialects.one_writer(self.engine):
                locks.enter_context(locked(self._locks / "turnstile"))
                locks.enter_context(locked(self._locks / "writer"))
            with dialects.writing(self.engine).begin() as session:
                self.written = True
                yield session

    @contextmanager
    def intake(self) -> Iterator[Session]:
        """As `transaction`, for batches of arriving mail: lets waiting people go first."""
        with ExitStack() as locks:
            if dialects.one_writer(self.engine):
                with locked(self._locks / "turnstile"):
                    pass
                locks.enter_context(locked(self._locks / "writer"))
            with dialects.writing(self.engine).begin() as session:
                self.written = True
                yield session

    def recording(self, work: Callable[[Session], T]) -> T:
        """As `intake`, for work that rests on what it reads: done again from its start where somebody was quicker.

        IntegrityError where that does not help, what stands in the way being there for good.
        """
        for left in reversed(range(_TRIES)):
            try:
                with dialects.contended(), self.intake() as session:
                    if left < _TRIES - 1:
                        dialects.stand_in_line(session)
                    return work(session)
            except Overtaken as error:
                # On SQLite nobody is quicker, there is one writer.
                if left == 0 or dialects.one_writer(self.engine):
                    raise error.__cause__ or error from None
        raise AssertionError

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent view; writes nothing and waits for nobody."""
        with dialects.reading(self.engine).begin() as session:
            yield session

    def close(self) -> None:
        """Give back connections."""
        self.engine.dispose()
        self.keys.close()

    def disk(self) -> "shutil._ntuple_diskusage":
        """Free and used bytes where the data lies."""
        return shutil.disk_usage(self.folder)


def _blobs(folder: Path, url: str | None) -> BlobStore:
    """Where packs lie; NotReady where the URL will not do."""
    if url is None:
        return LocalPacks(folder / "blobs")
    from . import s3  # its library is slow to load, and need not be there

    return s3.S3Packs(folder, s3.bucket(url))


def engine(url: str) -> Engine:
    """A database by its URL, set up as this archive needs it; NotReady where that cannot be."""
    scheme = url.split(":", 1)[0]
    try:
        return dialects.engine(url)
    except ArgumentError:
        raise NotReady("database.url: this is no URL like postgresql://user@host/name.") from None
    except (NoSuchModuleError, ImportError) as error:
        raise NotReady(f'database.url: no driver for "{scheme}" ({error}); install postroom[postgres]') from None


@contextmanager
def locked(path: Path, wait: float | None = None, says: str = "") -> Iterator[None]:
    """Hold an exclusive lock on a file; free at once when its holder dies.

    `wait` is the longest time in seconds to wait for it (None: for ever), BlockingIOError after that, its text what
    the holder wrote with `says`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if wait is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _lock_within(descriptor, wait)
        if says:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, says.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock_within(descriptor: int, wait: float) -> None:
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise BlockingIOError(os.pread(descriptor, 200, 0).decode(errors="replace")) from None
            time.sleep(0.05)
        else:
            return
