"""A binding is polled by one gateway at a time, on however many machines."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.store import leases
from archive.store.archive import Archive, Session

from .trouble import Busy

Fence = Callable[[Session], None]


@contextmanager
def held(archive: Archive, binding: int, name: str, wait: float) -> Iterator[Fence]:
    """Hold a binding's lease; waits so many seconds for it, then Busy, naming who has it.

    Gives what to call in the transaction before anything that cannot be undone: Busy where the lease was lost.
    """
    program = f"{Path(sys.argv[0]).name} {' '.join(sys.argv[1:2])}"
    who = f"{program} (process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%H:%M:%S')})"
    lease = leases.held(archive, f"binding-{binding}", wait, who)
    try:
        one = lease.__enter__()
    except BlockingIOError as error:
        raise Busy("busy", binding=name, who=str(error) or "somebody else") from None

    def fence(session: Session) -> None:
        try:
            one.check(session)
        except leases.Lost:
            raise Busy("busy", binding=name, who="another machine") from None

    try:
        yield fence
    finally:
        lease.__exit__(None, None, None)
