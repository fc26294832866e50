"""Leases: what only one program does at a time, on this machine and on all others that share the database.

On one machine a lease is a file lock, so a dead holder's is free at once. Where several machines share a database it is
a row as well, with the moment it expires and a number that goes up with each holder: whoever was thought dead and comes
back holds an older number, and finds that out in the transaction before he does anything that cannot be undone.
However many are held, one thread renews them all.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import delete, func, or_, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError

from . import dialects
from .archive import Archive, Session, locked
from .schema import lease

LASTS = 30_000  # ms by the database's clock, unless it is renewed
_RENEWED_EVERY = 8.0  # seconds
_LOOK_EVERY = 0.5  # seconds, while somebody else holds it
_AT_ONCE = 500  # leases that one statement renews
_WANTED, _PRESENT = "wanted-", "present-"
_FORGOTTEN = 3_600_000  # ms after which the row of a program that is gone is of no more use

_log = logging.getLogger(__name__)


class Lost(Exception):
    """Somebody else holds the lease by now."""


class Lease:
    """One that is held until it is given back. `number` is None where a file lock is all there is."""

    def __init__(self, archive: Archive, name: str, number: int | None, lock: ExitStack) -> None:
        self.name = name
        self.number = number
        self.lost = False  # known to be somebody else's, or free, by now
        self._archive = archive
        self._lock = lock

    def check(self, session: Session) -> None:
        """Lost where it is held no more. Nobody else gets it before this transaction ends."""
        if self.number is None:
            return
        mine = (lease.c.name == self.name) & (lease.c.number == self.number)
        query = select(lease.c.name).where(mine, lease.c.until > dialects.clock(session)).with_for_update(read=True)
        if session.scalar(query) is None:
            self.lost = True
            raise Lost(self.name)

    def give_back(self) -> None:
        """Free for others from now on. Harmless to repeat."""
        give_back(self._archive, [self])

    def end(self) -> None:
        """Of the row somebody else takes care: the file is free."""
        self.number = None
        self._lock.close()


def give_back(archive: Archive, some: Collection[Lease]) -> None:
    """As each one's own, in one go."""
    numbered = [one for one in some if one.number is not None]
    for one in numbered:
        _renewal(archive).leave(one)
    for start in range(0, len(numbered), _AT_ONCE):
        ours = tuple_(lease.c.name, lease.c.number).in_(
            [(one.name, one.number) for one in numbered[start : start + _AT_ONCE]]
        )
        with contextlib.suppress(SQLAlchemyError), archive.intake() as session:  # else they expire by themselves
            # In one order, as whoever else gives back several: or each waits for what the other has.
            session.execute(select(lease.c.name).where(ours).order_by(lease.c.name).with_for_update(key_share=True))
            session.execute(update(lease).where(ours).values(until=0))
    for one in some:
        one.end()


def take(archive: Archive, name: str, wait: float, says: str = "") -> Lease:
    """Hold a lease; waits so many seconds for it, then BlockingIOError, its text what the holder wrote with `says`."""
    end = time.monotonic() + wait
    locks = archive.folder / "locks"
    with ExitStack() as lock:
        lock.enter_context(locked(locks / name, wait, says))
        number = None
        if not dialects.one_writer(archive.engine):
            # We have the file: whoever of this place stands in the row is dead.
            number = _taken(archive, name, _place(locks), says, end)
        one = Lease(archive, name, number, lock.pop_all())
    if number is not None:
        _renewal(archive).enter(one)
    return one


@contextmanager
def held(archive: Archive, name: str, wait: float, says: str = "") -> Iterator[Lease]:
    """As `take`, given back at the end."""
    one = take(archive, name, wait, says)
    try:
        yield one
    finally:
        one.give_back()


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


class _Renewal:
    """Renews all that is held of one archive, from the first lease to the last."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._held: set[Lease] = set()
        self._changed = threading.Condition()
        self._running = False

    def enter(self, one: Lease) -> None:
        """Renew this one too."""
        with self._changed:
            self._held.add(one)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="leases", daemon=True).start()

    def leave(self, one: Lease) -> None:
        """This one no more."""
        with self._changed:
            self._held.discard(one)
            if not self._held:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._held, _RENEWED_EVERY)
                if not self._held:
                    self._running = False
                    return
                held = list(self._held)
            for start in range(0, len(held), _AT_ONCE):
                try:
                    self._renew({(one.name, one.number): one for one in held[start : start + _AT_ONCE]})
                except SQLAlchemyError as error:
                    _log.warning("Leases could not be renewed: %s", error)

    def _renew(self, some: dict[tuple[str, int | None], Lease]) -> None:
        ours = tuple_(lease.c.name, lease.c.number).in_(list(some))
        with self._archive.intake() as session:
            now = dialects.clock(session)
            valid = ours & (lease.c.until > now)
            still = {row[0] for row in session.execute(select(lease.c.name).where(valid))}
            # Who is just checking one holds its row; nobody takes it meanwhile, and the next round renews it.
            free = select(lease.c.name).where(valid).with_for_update(skip_locked=True)
            session.execute(update(lease).where(ours, lease.c.name.in_(free)).values(until=now + LASTS))
        with self._changed:
            for (name, _), one in some.items():
                if name not in still and one in self._held:
                    self._held.discard(one)
                    one.lost = True
                    _log.warning("The lease %s was lost to another machine.", name)


_renewals: WeakKeyDictionary[Archive, _Renewal] = WeakKeyDictionary()
_guard = threading.Lock()


def _renewal(archive: Archive) -> _Renewal:
    with _guard:
        return _renewals.setdefault(archive, _Renewal(archive))


# --- who holds what, and how many there are ---------------------------------------------------------------------------


def want(archive: Archive, name: str, seconds: float) -> None:
    """Ask whoever holds a lease without being at work to give it back; heeded for so many seconds (`wanted`)."""
    with archive.intake() as session:
        row = {"name": _WANTED + name, "number": 0, "place": "", "holder": "", "until": 0}
        dialects.insert_missing(session, lease, [row])
        until = dialects.clock(session) + int(seconds * 1000)
        session.execute(update(lease).where(lease.c.name == _WANTED + name).values(until=until))


def wanted(session: Session) -> set[str]:
    """Names of leases that somebody waits for."""
    waited_for = lease.c.name.like(f"{_WANTED}%") & (lease.c.until > dialects.clock(session))
    return {row[0].removeprefix(_WANTED) for row in session.execute(select(lease.c.name).where(waited_for))}


def orphaned(session: Session, prefix: str) -> set[str]:
    """Names of leases that expired: their holders died, or lost the database. None where file locks are all."""
    expired = (lease.c.until > 0) & (lease.c.until <= dialects.clock(session))
    return {row[0] for row in session.execute(select(lease.c.name).where(lease.c.name.like(f"{prefix}%"), expired))}


def enter(archive: Archive) -> Lease | None:
    """Count this program among those `present` until the lease is given back; None where file locks are all."""
    if dialects.one_writer(archive.engine):
        return None
    token = secrets.token_hex(8)
    with archive.intake() as session:
        gone = lease.c.name.like(f"{_PRESENT}%") & (lease.c.until < dialects.clock(session) - _FORGOTTEN)
        session.execute(delete(lease).where(gone))
    number = _taken(archive, _PRESENT + token, token, "", 0.0)
    one = Lease(archive, _PRESENT + token, number, ExitStack())
    _renewal(archive).enter(one)
    return one


def present(session: Session) -> int:
    """How many programs share the work; 0 where file locks are all."""
    there = lease.c.name.like(f"{_PRESENT}%") & (lease.c.until > dialects.clock(session))
    return session.scalar(select(func.count()).where(there)) or 0
