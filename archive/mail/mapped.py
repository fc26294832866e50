"""Large mails as maps of files whose pages do not stay in memory.

What is read of a map counts as the process's own until the kernel needs it. Whoever takes in a mail of 1 GB reads it
several times, for its hash, its parts, its words; so pages are given back all the time, and come again when they are
wanted: from the file, which the kernel holds in its cache as long as there is room.
"""

import contextlib
import threading
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from weakref import WeakSet

_EVERY = 0.01  # seconds; in these not much more than 50 MB are read
_WINDOW = 8 << 20  # bytes that are searched without letting others work


class Mapped(mmap):
    """A file that is only read, as `bytes` are."""

    def __new__(cls, descriptor: int) -> "Mapped":
        """The whole file, which must not be empty."""
        made = super().__new__(cls, descriptor, 0, access=ACCESS_READ)
        _keep_small(made)
        return made

    def find(self, sub: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]  # as used here
        """As `bytes.find`, for places within the file."""
        end = len(self) if end is None else min(end, len(self))
        while start < end:
            stop = min(start + _WINDOW, end)
            found = super().find(sub, start, min(stop + len(sub) - 1, end))
            if found >= 0:
                return found
            self.madvise(MADV_DONTNEED)
            start = stop
        return -1


_maps: WeakSet[Mapped] = WeakSet()
_lock = threading.Lock()
_worker: threading.Thread | None = None


def _keep_small(one: Mapped) -> None:
    global _worker  # noqa: PLW0603  one thread, while there are maps
    with _lock:
        _maps.add(one)
        if _worker is None or not _worker.is_alive():
            _worker = threading.Thread(target=_give_back, name="pages of large mails", daemon=True)
            _worker.start()


def _give_back() -> None:
    global _worker  # noqa: PLW0603
    pause = threading.Event()
    while True:
        with _lock:
            maps = list(_maps)
            if not maps:
                _worker = None
                return
        for one in maps:
            with contextlib.suppress(ValueError):  # closed
                one.madvise(MADV_DONTNEED)
        del maps, one
        pause.wait(_EVERY)
