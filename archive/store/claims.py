"""Who is keeping which leaf just now, so that workers who meet the same attachment at once do not both keep it.

A claim is a lock on one byte of a file that is always empty, at a place that the leaf's hash says; it falls with its
holder. Claims of one batch are taken all at once, and nobody waits for a batch that came later: there is no circle.
They hold between the workers of one machine, and spare disk only: without them a leaf is kept twice, which is harmless.
"""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .archive import locked

_LOOKS = 0.01  # seconds between two looks whether a claim is free


class Claims:
    """What one batch has claimed of the leaves it wants to keep, and what others have."""

    def __init__(self, locks: Path, descriptor: int) -> None:
        self._locks = locks
        self._descriptor = descriptor

    def take(self, hashes: Iterable[bytes]) -> set[bytes]:
        """Claim what is free; returns what others are keeping now."""
        with locked(self._locks / "claiming"):
            return {one for one in hashes if not self._taken(one)}

    def wait(self, hashes: Iterable[bytes], longest: float) -> None:
        """Wait until nobody else keeps any of these any more, `longest` seconds in all."""
        end = time.monotonic() + longest
        for one in hashes:
            while not self._taken(one) and time.monotonic() < end:
                time.sleep(_LOOKS)

    def _taken(self, hashed: bytes) -> bool:
        place = int.from_bytes(hashed[:8], "big") >> 2  # a file's last byte is 2 ** 63
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:  # held, or more of them than the system grants: then as if it were held
            return False
        return True


@contextmanager
def claiming(locks: Path) -> Iterator[Claims]:
    """Claims in the archive's folder of locks, until the block ends."""
    descriptor = os.open(locks / "leaves", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield Claims(locks, descriptor)
    finally:
        os.close(descriptor)
