"""Leases: a binding is polled by one gateway at a time. On one machine the lease is a file lock, so a dead holder's is
free at once (DESIGN §5)."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.store.archive import locked

from .trouble import Busy


@contextmanager
def held(locks: Path, binding: int, name: str, wait: float) -> Iterator[None]:
    """Hold a binding's lease; waits so many seconds for it, then Busy, naming who has it."""
    who = (
        f"{Path(sys.argv[0]).name} {' '.join(sys.argv[1:2])} (process {os.getpid()}, since {time.strftime('%H:%M:%S')})"
    )
    lease = locked(locks / f"binding-{binding}", wait, who)
    try:
        lease.__enter__()
    except BlockingIOError as error:
        raise Busy("busy", binding=name, who=str(error) or "somebody else") from None
    try:
        yield
    finally:
        lease.__exit__(None, None, None)
