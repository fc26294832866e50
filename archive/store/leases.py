"""Leases: what only one program does at a time, on this machine and on all others that share the database.

On one machine a lease is a file lock, so a dead holder's is free at once. Where several machines share a database it is
a row as well, with the moment it expires and a number that goes up with each holder: whoever was thought dead and comes
back holds an older number, and finds that out in the transaction before he does anything that cannot be undone.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from . import dialects
from .archive import Archive, Session, locked
from .schema import lease

LASTS = 30_000  # ms by the database's clock, unless it is renewed
_RENEWED_EVERY = 8.0  # seconds
_LOOK_EVERY = 0.5  # seconds, while somebody else holds it

_log = logging.getLogger(__name__)


class Lost(Exception):
    """Somebody else holds the lease by now."""


@dataclass
class Lease:
    """One that is held. `number` is None where a file lock is all there is."""

    name: str
    number: int | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def check(self, session: Session) -> None:
        """Lost where it is held no more. Nobody else gets it before this transaction ends."""
        if self.number is None:
            return
        mine = (lease.c.name == self.name) & (lease.c.number == self.number)
        query = select(lease.c.name).where(mine, lease.c.until > dialects.clock(session)).with_for_update(read=True)
        if session.scalar(query) is None:
            raise Lost(self.name)


@contextmanager
def held(archive: Archive, name: str, wait: float, says: str = "") -> Iterator[Lease]:
    """Hold a lease; waits so many seconds for it, then BlockingIOError, its text what the holder wrote with `says`."""
    end = time.monotonic() + wait
    locks = archive.folder / "locks"
    with locked(locks / name, wait, says):
        if dialects.one_writer(archive.engine):
            yield Lease(name)
            return
        # We have the file: whoever of this place stands in the row is dead.
        one = Lease(name, _taken(archive, name, _place(locks), says, end))
        renewing = threading.Thread(target=_renew, args=(archive, one), name=f"lease {name}", daemon=True)
        renewing.start()
        try:
            yield one
        finally:
            one._over.set()
            renewing.join()
            with contextlib.suppress(SQLAlchemyError):  # else it expires by itself
                _give_back(archive, one)


def _place(locks: Path) -> str:
    """A name of this data folder that no other has."""
    path = locks / "place"
    with locked(locks / "place.lock"):
        if not path.exists():
            new = path.with_suffix(".new")
            new.write_text(secrets.token_hex(16))
            new.rename(path)
        return path.read_text()


def _taken(archive: Archive, name: str, place: str, says: str, end: float) -> int:
    """The lease's new number; BlockingIOError at the `end` (monotonic seconds), naming the holder."""
    while True:
        with archive.intake() as session:
            dialects.insert_missing(
                session, lease, [{"name": name, "number": 0, "place": place, "holder": "", "until": 0}]
            )
            now = dialects.clock(session)
            free = update(lease).where(lease.c.name == name, or_(lease.c.until <= now, lease.c.place == place))
            taken = free.values(number=lease.c.number + 1, place=place, holder=says, until=now + LASTS)
            number: int | None = session.scalar(taken.returning(lease.c.number))
            if number is not None:
                return number
            holder = session.scalar(select(lease.c.holder).where(lease.c.name == name))
        if time.monotonic() >= end:
            raise BlockingIOError(holder)
        time.sleep(_LOOK_EVERY)


def _renew(archive: Archive, one: Lease) -> None:
    """Again and again until it is given back or lost."""
    while not one._over.wait(_RENEWED_EVERY):
        try:
            with archive.intake() as session:
                now = dialects.clock(session)
                mine = (lease.c.name == one.name) & (lease.c.number == one.number) & (lease.c.until > now)
                if not session.execute(update(lease).where(mine).values(until=now + LASTS)).rowcount:
                    _log.warning("The lease %s was lost to another machine.", one.name)
                    return
        except SQLAlchemyError as error:
            _log.warning("The lease %s could not be renewed: %s", one.name, error)


def _give_back(archive: Archive, one: Lease) -> None:
    with archive.intake() as session:
        mine = (lease.c.name == one.name) & (lease.c.number == one.number)
        session.execute(update(lease).where(mine).values(until=0))
