"""The archive opened: database, key store and packs, and the transactions on them.

Whoever opens a transaction closes it; functions elsewhere in `archive` take `session` first and never commit.
On SQLite one writer at a time: intake takes the writer lock around its transaction, a person's write first takes
the turnstile, which intake has to pass before it may take the writer lock again, so that nobody at a page waits
for more than the batch in hand. PostgreSQL needs none of this.
"""

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import NoSuchModuleError

from .keys import InstallationKey, KeyStore
from .packs import BlobStore, LocalPacks

# Core only: rows in, rows out, nothing cached that another worker may have changed.
Session = Connection

PAGE_BYTES = 8192
CACHE_KIB = 32768


class NotReady(Exception):
    """The archive cannot be opened; the sentence names the remedy."""


class Archive:
    """One installation's archive. Open it once in a worker; threads may share it."""

    def __init__(self, folder: Path, key: InstallationKey, database_url: str | None = None) -> None:
        self.folder = folder
        self.key = key
        self.database_url = database_url or f"sqlite:///{folder / 'archive.sqlite'}"
        self.engine = engine(self.database_url)
        self.on_sqlite = self.engine.dialect.name == "sqlite"
        self.keys = KeyStore(engine(_beside(self.database_url, "keys")), key)
        self.blobs: BlobStore = LocalPacks(folder / "blobs")
        self.written = False  # whether anything was, through this one
        self._locks = folder / "locks"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A person's or a command's write: all of it is durable when the block ends, or none."""
        with ExitStack() as locks:
            if self.on_sqlite:
                locks.enter_context(locked(self._locks / "turnstile"))
                locks.enter_context(locked(self._locks / "writer"))
            with self.engine.execution_options(writes=True).begin() as session:
                self.written = True
                yield session

    @contextmanager
    def intake(self) -> Iterator[Session]:
        """As `transaction`, for batches of arriving mail: lets waiting people go first."""
        with ExitStack() as locks:
            if self.on_sqlite:
                with locked(self._locks / "turnstile"):
                    pass
                locks.enter_context(locked(self._locks / "writer"))
            with self.engine.execution_options(writes=True).begin() as session:
                self.written = True
                yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent view; writes nothing and waits for nobody."""
        with self.engine.begin() as session:
            yield session

    def close(self) -> None:
        """Give back connections."""
        self.engine.dispose()
        self.keys.close()

    def disk(self) -> "shutil._ntuple_diskusage":
        """Free and used bytes where the data lies."""
        return shutil.disk_usage(self.folder)


def engine(url: str) -> Engine:
    """A database by its URL, set up as this archive needs it; NotReady where no driver is installed."""
    options: dict[str, Any] = {}
    if make_url(url).get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": 60, "check_same_thread": False}
    try:
        made = create_engine(url, **options)
    except (NoSuchModuleError, ImportError) as error:
        scheme = url.split(":", 1)[0]
        raise NotReady(f'database.url: no driver for "{scheme}" ({error}); install postroom[postgres]') from None
    if made.dialect.name == "sqlite":
        event.listen(made, "connect", _prepare_sqlite)
        event.listen(made, "begin", _begin_sqlite)
    return made


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{CACHE_KIB}",
        "wal_autocheckpoint = 4000",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A read that later writes would fail at once if somebody else wrote in between: writers say so at the start.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _beside(url: str, name: str) -> str:
    """The URL of the key store that belongs to an archive's database: never the same file or schema."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(database=str(Path(parsed.database or "").with_name(f"{name}.sqlite"))).render_as_string(False)
    return parsed.set(database=f"{parsed.database}_{name}").render_as_string(hide_password=False)


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
