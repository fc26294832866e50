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

PREFIX = "binding-"  # of the names of bindings' leases
_YIELDS_WITHIN = 2.0  # seconds in which a gateway that only waits for news notices that somebody else wants to poll

Fence = Callable[[Session], None]


class Held:
    """A binding's lease, until it is given back."""

    def __init__(self, lease: leases.Lease, name: str) -> None:
        self.lease = lease
        self._name = name

    @property
    def lost(self) -> bool:
        """Whether another machine is known to have it by now."""
        return self.lease.lost

    def fence(self, session: Session) -> None:
        """To be called in the transaction before anything that cannot be undone: Busy where the lease was lost."""
        try:
            self.lease.check(session)
        except leases.Lost:
            raise Busy("busy", binding=self._name, who="another machine") from None

    def give_back(self) -> None:
        """Somebody else may have it. Harmless to repeat."""
        self.lease.give_back()


def take(archive: Archive, binding: int, name: str, wait: float) -> Held:
    """Hold a binding's lease; waits so many seconds for it, then Busy, naming who has it.

    A gateway that holds it only while it waits for news is asked to give it back.
    """
    program = f"{Path(sys.argv[0]).name} {' '.join(sys.argv[1:2])}"
    who = f"{program} (process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%H:%M:%S')})"
    named = f"{PREFIX}{binding}"
    try:
        try:
            return Held(leases.take(archive, named, 0.0, who), name)
        except BlockingIOError:
            if not wait:
                raise
            leases.want(archive, named, wait + _YIELDS_WITHIN)
            return Held(leases.take(archive, named, wait, who), name)
    except BlockingIOError as error:
        raise Busy("busy", binding=name, who=str(error) or "somebody else") from None


@contextmanager
def held(archive: Archive, binding: int, name: str, wait: float) -> Iterator[Fence]:
    """As `take`, given back at the end; gives what to call before anything that cannot be undone."""
    one = take(archive, binding, name, wait)
    try:
        yield one.fence
    finally:
        one.give_back()
