"""Seals what became true: committed events, and the bytes they brought, chained in batches by one sealer at a time.

Writers do not chain, that would queue them behind one lock. The sealer comes after them and takes events that are
committed and in no seal yet; on PostgreSQL a lower id may be committed after a higher one, so ids that are missing
are remembered and looked for again. Where two sealers meet, one id for the next seal lets only one of them commit.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ..store import dialects, leases
from ..store.archive import Archive, Session
from ..store.packs import FULL, Damaged, Place
from ..store.schema import blob, event, pack, seal, stretch
from . import chain, heads
from .chain import START, Range, Seal

BATCH = 4096  # events of one seal
STRETCH = 128 << 10  # bytes of a pack that one digest answers for
AT_ONCE = 64 << 20  # bytes of packs hashed for one seal
_AT_A_TIME = 2  # stretches read and hashed; neither holds up other threads
_MISSING = 1000  # ranges of missing ids that are remembered; older ones are never looked for again

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is committed and not sealed yet."""

    events: list[int]  # ids, ascending, at most BATCH
    packs: list[tuple[int, int, int]]  # pack, up to where it is sealed, up to where it is recorded


def seal_all(
    archive: Archive,
    clock: Callable[[], int],
    wait: float = 0.0,
    told: Callable[[Seal, int], None] = lambda _seal, _events: None,
) -> int:
    """Seal everything that is committed; returns how many events. Nothing to seal: nothing is written.

    Another sealer at work is waited for so many seconds, and then left to it. `told` hears of each seal and how many
    events it holds.
    """
    sealed = 0
    if _idle(archive):
        return sealed
    try:
        with leases.held(archive, "sealer", wait):
            _write_down(archive)
            while (done := _seal_batch(archive, clock)) is not None:
                told(*done)
                sealed += done[1]
    except BlockingIOError:
        pass
    except IntegrityError:  # a sealer on another machine was quicker
        pass
    return sealed


def _idle(archive: Archive) -> bool:
    """Whether taking the lease would be all that is written. A file lock is not worth asking."""
    if dialects.one_writer(archive.engine):
        return False
    line = heads.last_line(archive.folder)
    there = heads.read(line) if line else None
    with archive.reading() as session:
        last = newest(session)
        found = waiting(session, last)
    return not found.events and not found.packs and (there.seal if there else 0) == (last.id if last else 0)


@contextmanager
def paused(archive: Archive, wait: float) -> Iterator[None]:
    """Nobody seals on this machine while it lasts, and every seal has its head in the file.

    BlockingIOError where a sealer at work does not end within so many seconds.
    """
    with leases.held(archive, "sealer", wait):
        _write_down(archive)
        yield


def newest(session: Session) -> Seal | None:
    """The last seal."""
    row = session.execute(select(seal).order_by(seal.c.id.desc()).limit(1)).first()
    return of_row(row) if row else None


def of_row(row: Row[Any]) -> Seal:
    """A seal from its row."""
    return Seal(row.id, row.at, row.events, row.last, row.missing, row.leaves, row.root, row.head)


def waiting(session: Session, last: Seal | None) -> Waiting:
    """What there is to seal next."""
    after = last.last if last else 0
    ids = list(session.scalars(select(event.c.id).where(event.c.id > after).order_by(event.c.id).limit(BATCH)))
    late = chain.read_ranges(last.missing) if last else []
    for start in range(0, len(late), 100):
        between = [event.c.id.between(first, end) for first, end in late[start : start + 100]]
        ids += session.scalars(select(event.c.id).where(or_(*between)).limit(BATCH))
    return Waiting(sorted(ids)[:BATCH], list(grown(session)))


def grown(session: Session) -> Iterator[tuple[int, int, int]]:
    """Packs with recorded bytes behind the last sealed ones."""
    for row in session.execute(select(pack.c.id, pack.c.sealed).where(pack.c.sealed < FULL).order_by(pack.c.id)):
        of_pack = (blob.c.id >= row.id << 32) & (blob.c.id < (row.id + 1) << 32)
        found = session.execute(select(blob).where(of_pack).order_by(blob.c.id.desc()).limit(1)).first()
        if found is None:
            continue
        end = Place(found.id, found.size, found.stored, found.position).end
        if end > row.sealed:
            yield row.id, row.sealed, end


def _seal_batch(archive: Archive, clock: Callable[[], int]) -> tuple[Seal, int] | None:
    """One more seal, and how many events it holds; None where there is nothing to seal."""
    with archive.reading() as session:
        last = newest(session)
        found = waiting(session, last)
        if not found.events and not found.packs:
            return None
        rows = _events(session, found.events)
    stretches = _stretches(archive, found.packs)
    if not rows and not stretches:
        return None
    made = _made(last, rows, stretches, clock())
    with archive.intake() as session:
        session.execute(insert(seal), [_row(made)])
        if stretches:
            session.execute(insert(stretch), [{**one, "seal": made.id} for one in stretches])
        for one in stretches:
            session.execute(update(pack).where(pack.c.id == one["pack"]).values(sealed=one["end"]))
    _write_down(archive)
    return made, len(rows)


def _events(session: Session, ids: Sequence[int]) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    for start in range(0, len(ids), 500):
        found += session.execute(select(event).where(event.c.id.in_(ids[start : start + 500])))
    return sorted(found, key=lambda row: int(row.id))


def _stretches(archive: Archive, packs: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """The bytes that have come to packs, each stretch with its digest, in order."""
    if not packs:
        return []
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        return _read_stretches(archive, packs, threads)


def _read_stretches(
    archive: Archive, packs: Sequence[tuple[int, int, int]], threads: ThreadPoolExecutor
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    left = AT_ONCE
    for one, start, recorded in packs:
        until = min(recorded, start + left)
        left -= until - start
        try:
            places = [(at, min(at + STRETCH, until)) for at in range(start, until, STRETCH)]
            for (at, end), digest in zip(places, threads.map(partial(_digest, archive, one), places), strict=True):
                found.append({"pack": one, "start": at, "end": end, "digest": digest})
        except Damaged as error:  # verify says the same; events are sealed all the same
            _log.warning("Pack %s cannot be sealed: %s", one, error)
    return found


def _digest(archive: Archive, of_pack: int, place: tuple[int, int]) -> bytes:
    digest = hashlib.sha256()
    for piece in archive.blobs.stretch(of_pack, *place):
        digest.update(piece)
    return digest.digest()


def _made(last: Seal | None, rows: Sequence[Row[Any]], stretches: Sequence[dict[str, Any]], now: int) -> Seal:
    leaves = [chain.event_leaf(r.id, r.at, r.kind, r.actor, r.subject, r.commitment) for r in rows]
    leaves += [chain.stretch_leaf(s["pack"], s["start"], s["end"], s["digest"]) for s in stretches]
    ids = [int(row.id) for row in rows]
    before = last.last if last else 0
    missing = chain.without(chain.read_ranges(last.missing) if last else [], set(ids))
    missing += _between(before, [one for one in ids if one > before])
    unheaded = Seal(
        id=last.id + 1 if last else 1,
        at=now,
        events=chain.write_ranges(chain.ranges(ids)),
        last=max([before, *ids]),
        missing=chain.write_ranges(missing[-_MISSING:]),
        leaves=b"".join(leaves),
        root=chain.root(leaves),
        head=b"",
    )
    return Seal(**{**_row(unheaded), "head": chain.head(last.head if last else START, unheaded)})


def _between(before: int, ids: Sequence[int]) -> list[Range]:
    """The ids that are not there."""
    found: list[Range] = []
    for one in ids:
        if one > before + 1:
            found.append((before + 1, one - 1))
        before = one
    return found


def _row(one: Seal) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Seal.__dataclass_fields__}


def _write_down(archive: Archive) -> None:
    """Have every head in the file that follows the last one there: also those a crash kept from it."""
    line = heads.last_line(archive.folder)
    there = heads.read(line) if line else None
    after = there.seal if there else 0
    with archive.reading() as session:
        if (session.scalar(select(func.max(seal.c.id))) or 0) <= after:
            return
        query = select(seal.c.id, seal.c.at, seal.c.last, seal.c.head).where(seal.c.id > after).order_by(seal.c.id)
        fresh = [heads.Head(row.id, row.at, row.last, row.head.hex()) for row in session.execute(query)]
    heads.append(archive.folder, fresh)
