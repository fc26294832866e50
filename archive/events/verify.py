"""Verifying: everything is read again, and whatever is not as the log of events says is found and located.

The chain of seals vouches for the events, the events vouch for every row (`proof`) and, with the stretches sealed
beside them, for every byte of every pack. None of that needs the installation's key; with it contents are read too.
What has become true since the last seal is only as certain as the rest of the database, and named.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import SystemRandom
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from ..store.archive import Archive, Session
from ..store.dialects import unsound
from ..store.keys import InstallationKey
from ..store.schema import blob, event, event_detail, message, outgoing, quarantine, seal, stretch
from . import chain, heads, kept, proof, sealer
from .chain import LEAF, START, Seal
from .kept import Finding, Read
from .replay import Scratch, played

MOST = 10_000  # findings that are kept; more are counted only
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1
_EVENTS = 2000  # read at a time
_ROWS = 1000
_COPIES = 100  # messages of one piece of work
_WORTH_WORKERS = 1000  # messages from which on other cores are worth starting

Told = Callable[[str, int, int | None], None]  # stage, done, of


@dataclass
class Verified:
    """What was read, what was found, and what nothing vouches for yet."""

    seals: int = 0
    events: int = 0
    rows: int = 0
    packs: int = 0
    packed: int = 0  # bytes of packs
    copies: int = 0
    bytes: int = 0  # of copies
    contents: bool = False  # whether copies were read, which needs the key
    unsealed: int = 0  # events
    unsealed_since: int | None = None  # the time of the first of them, UTC ms
    unsealed_first: int | None = None  # its id
    unsealed_bytes: int = 0  # of packs
    found: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, findings: Iterable[Finding]) -> None:
        """Take findings in."""
        for one in findings:
            self.found += 1
            if len(self.findings) < MOST:
                self.findings.append(one)


def verify(
    archive: Archive,
    *,
    contents: bool,
    sample: int | None = None,
    workers: int | None = None,
    told: Told = lambda _stage, _done, _of: None,
) -> Verified:
    """Read everything again. `contents` needs the installation's key; `sample`: bytes of so many messages only.

    Log and rows are read in one view of the database, bytes after that. Writes nothing but a temporary file.
    """
    done = Verified(contents=contents)
    scratch = Scratch()
    try:
        with archive.reading() as session:
            done.add(Finding("database", f"{one}.") for one in _guarded(lambda: unsound(session)))
            newest = _chain(session, scratch, done, told)
            done.add(_heads(session, archive.folder, newest))
            _events(session, scratch, newest, done, told)
            for table in proof.PROVED:
                told(f"rows of {table}", done.rows, None)
                _rows(session, scratch, table, done)
            done.add(_orphans(session))
            pieces = list(_packs(session, sample))
            done.unsealed_bytes = sum(end - start for _, start, end in sealer.grown(session))
            messages = _messages(session, sample) if contents else []
            whole = {"quarantined": quarantine, "outgoing": outgoing} if contents and sample is None else {}
            held = {kind: list(session.scalars(select(table.c.id))) for kind, table in whole.items()}
        work: list[_Piece] = [("pack", *piece) for piece in pieces]
        work += [("copies", some, None) for some in _cut(messages, _COPIES)]
        work += [(kind, some, None) for kind, ids in held.items() for some in _cut(ids, _COPIES)]
        done.packs = len(pieces)
        _read(archive, work, len(messages), workers, done, told)
    finally:
        scratch.close()
    return done


def _guarded(ask: Callable[[], list[str]]) -> list[str]:
    try:
        return ask()
    except SQLAlchemyError as error:
        return [f"It cannot be read: {getattr(error, 'orig', error)}"]


# --- the chain ----------------------------------------------------------------------------------------------------


def _chain(session: Session, scratch: Scratch, done: Verified, told: Told) -> Seal | None:
    """Each seal follows from the one before it; notes which events it holds. Returns the newest."""
    before, number = START, 0
    one: Seal | None = None
    for row in session.execute(select(seal).order_by(seal.c.id).execution_options(yield_per=50)):
        one = sealer.of_row(row)
        told("seals", done.seals, None)
        done.seals += 1
        if one.id != number + 1:
            done.add([Finding(f"seal {number + 1}", f"It is missing; the next one is {one.id}.")])
        elif chain.head(before, one) != one.head:
            done.add([Finding(f"seal {one.id}", "It does not follow from the seal before it.")])
        before, number = one.head, one.id
        done.add(_sealed(session, scratch, one))
    return one


def _sealed(session: Session, scratch: Scratch, one: Seal) -> Iterator[Finding]:
    where = f"seal {one.id}"
    leaves = chain.leaves_of(one.leaves)
    try:
        events = list(chain.ids_in(_bounded(one.events, len(leaves))))
        chain.read_ranges(one.missing)
    except ValueError as error:
        yield Finding(where, f"The ids in it make no sense: {error}.")
        return
    whole = not leaves or len(leaves[-1]) == LEAF
    if not whole or chain.root(leaves) != one.root:
        yield Finding(where, "Its leaves do not give its root.")
    for id_ in scratch.seal(one.id, zip(events, leaves, strict=False)):
        yield Finding(f"event {id_}", f"It is in seal {one.id} and in an earlier one.")
    if max(events, default=0) > one.last:
        yield Finding(where, f"It holds event {max(events)} and says that {one.last} is the last.")
    yield from _stretches(session, one, leaves[len(events) :])


def _bounded(text: str, most: int) -> list[chain.Range]:
    found = chain.read_ranges(text)
    if sum(last - first + 1 for first, last in found) > most:
        raise ValueError("more events than leaves")
    return found


def _stretches(session: Session, one: Seal, leaves: Sequence[bytes]) -> Iterator[Finding]:
    """The rows of stretches are those that were sealed; what lies there is looked at later."""
    wanted = set(leaves)
    query = select(stretch).where(stretch.c.seal == one.id).order_by(stretch.c.pack, stretch.c.start)
    for row in session.execute(query):
        leaf = chain.stretch_leaf(row.pack, row.start, row.end, row.digest)
        if leaf in wanted:
            wanted.discard(leaf)
        else:
            yield Finding(f"pack {row.pack}, stretch at {row.start}", f"Its row is not what seal {one.id} sealed.")
    if wanted:
        yield Finding(f"seal {one.id}", f"{len(wanted)} of the stretches sealed with it are missing or altered.")


def _heads(session: Session, folder: Path, newest: Seal | None) -> Iterator[Finding]:
    """What was written down outside the database, line by line."""
    last = newest.id if newest else 0
    upto = 0
    for some in _batches(heads.lines(folder), 500):
        ids = [one.seal for _, line in some if (one := heads.read(line)) is not None]
        known = {row.id: row for row in session.execute(select(seal).where(seal.c.id.in_(ids)))}
        for number, line in some:
            where = f"{heads.NAME}, line {number}"
            one = heads.read(line)
            if one is None:
                yield Finding(where, "It is not what was written.")
                continue
            row = known.get(one.seal)
            if row is None:
                says = f"It tells of seal {one.seal}, up to event {one.last}; the database has none: it was cut off."
                yield Finding(where, says)
            elif (row.head.hex(), row.at, row.last) != (one.head, one.at, one.last):
                yield Finding(where, f"Seal {one.seal} is not the one in the database.")
            if one.seal > upto + 1:
                yield Finding(where, f"The lines of seals {upto + 1} to {one.seal - 1} are missing before it.")
            upto = max(upto, one.seal)
    if upto < last:
        yield Finding(heads.NAME, f"It ends at seal {upto}; the database has {last}.")


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    some: list[Any] = []
    for one in items:
        some.append(one)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


# --- the events -----------------------------------------------------------------------------------------------------


def _events(session: Session, scratch: Scratch, newest: Seal | None, done: Verified, told: Told) -> None:
    """Every event is the one that was sealed, none is missing and none too many; each is played."""
    sealed_to = newest.last if newest else 0
    late = _late(newest)
    of = session.scalar(select(func.count()).select_from(event))
    query = (
        select(event, event_detail.c.salt, event_detail.c.details)
        .outerjoin(event_detail, event_detail.c.event == event.c.id)
        .order_by(event.c.id)
        .limit(_EVENTS)
    )
    after = _LOWEST
    while True:
        rows = session.execute(query.where(event.c.id > after)).all()
        last = rows[-1].id if len(rows) == _EVENTS else _HIGHEST
        leaves = scratch.sealed(after + 1 if rows or after > _LOWEST else _LOWEST, last)
        sound = []
        for row in rows:
            done.events += 1
            where = f"event {row.id}"
            known = leaves.pop(row.id, None)
            fine = True
            if known is not None:
                fine = chain.event_leaf(row.id, row.at, row.kind, row.actor, row.subject, row.commitment) == known[1]
                if not fine:
                    done.add([Finding(where, f"It is not what seal {known[0]} sealed.")])
            elif row.id > sealed_to or any(first <= row.id <= end for first, end in late):
                done.unsealed += 1
                if done.unsealed_first is None:
                    done.unsealed_first, done.unsealed_since = row.id, row.at
            else:
                done.add([Finding(where, "It is in no seal, although later ones are.")])
            one = _read_details(row, done)
            if fine and one is not None:
                sound.append(one)
        done.add(
            Finding(f"event {id_}", f"It is missing; seal {of_seal} holds it.") for id_, (of_seal, _) in leaves.items()
        )
        strange = scratch.play(sound)
        done.add(Finding(f"event {id_}", f"What it says makes no sense ({why}).") for id_, why in strange)
        told("events", done.events, of)
        if last == _HIGHEST:
            return
        after = last


def _late(newest: Seal | None) -> list[chain.Range]:
    try:
        return chain.read_ranges(newest.missing) if newest else []
    except ValueError:
        return []


def _read_details(row: Any, done: Verified) -> Any:
    where = f"event {row.id}"
    if row.details is None:
        done.add([Finding(where, "Its details are missing.")])
        return None
    try:
        if chain.commitment(row.salt, row.details) == row.commitment:
            return played(row)
        says = "Its details are not those it was committed with."
    except (ValueError, TypeError) as error:
        says = f"Its details cannot be read: {error}."
    done.add([Finding(where, says)])
    return None


def _orphans(session: Session) -> Iterator[Finding]:
    query = select(event_detail.c.event).where(~select(event.c.id).where(event.c.id == event_detail.c.event).exists())
    for id_ in session.scalars(query):
        yield Finding(f"event {id_}", "There are details without an event.")


# --- the rows ---------------------------------------------------------------------------------------------------------


def _rows(session: Session, scratch: Scratch, table: str, done: Verified) -> None:
    """Every row is what the events say, none is missing and none too many."""
    first = _LOWEST
    try:
        for some in _grouped(session, proof.PROVED[table].rows(), proof.PROVED[table].id):
            last = getattr(some[-1], proof.PROVED[table].id)
            done.rows += len(some)
            done.add(_compared(scratch, table, some, first, last))
            first = last + 1
    except (SQLAlchemyError, TypeError, ValueError, OverflowError) as error:
        done.add([Finding(f"{table}, behind {first - 1}", f"Rows cannot be read: {error}.")])
        return
    done.add(_compared(scratch, table, [], first, _HIGHEST))


def _grouped(session: Session, query: Select[Any], id_: str) -> Iterator[list[Any]]:
    """Rows in lists that end where the leading key changes."""
    some: list[Any] = []
    for row in session.execute(query.execution_options(yield_per=_ROWS)):
        if len(some) >= _ROWS and getattr(row, id_) != getattr(some[-1], id_):
            yield some
            some = []
        some.append(row)
    if some:
        yield some


def _compared(scratch: Scratch, table: str, rows: Sequence[Any], first: int, last: int) -> Iterator[Finding]:
    proved = proof.PROVED[table]
    expected = scratch.expected(table, first, last)
    for row in rows:
        key = proved.key(row)
        id_, _, rest = key.partition("/")
        known = expected.pop((int(id_), rest), None)
        where = f"{table} {key}"
        if known is None:
            yield Finding(where, "No event brought this row.")
        elif proof.digest(table, row._mapping) != known.digest:
            yield Finding(where, f"This row is not what event {known.event} made it.")
    for (number, rest), lost in expected.items():
        where = f"{table} {number}/{rest}" if rest else f"{table} {number}"
        yield Finding(where, f"This row is missing; event {lost.event} made it.")
    if table == "receipt":
        yield from _settled(scratch, [row for row in rows if row.binding is not None])


def _settled(scratch: Scratch, rows: Sequence[Any]) -> Iterator[Finding]:
    told = scratch.settled((row.binding, row.uidvalidity, row.uid) for row in rows)
    for row, said in zip(rows, told, strict=True):
        if said is not None and said != (row.settled_at, row.settlement):
            how = f"{said[1]} at {said[0]}" if said[1] else "not at all"
            yield Finding(f"receipt {row.id}", f"When and how it was settled is not what events say ({how}).")


# --- the bytes --------------------------------------------------------------------------------------------------------

_Piece = tuple[str, Any, frozenset[int] | None]  # which kind, of what, only these


def _packs(session: Session, sample: int | None) -> Iterator[tuple[int, frozenset[int] | None]]:
    """Packs that hold anything, or, for a sample, those that hold the stretches drawn."""
    if sample is not None:
        drawn: dict[int, set[int]] = {}
        for row in session.execute(select(stretch.c.pack, stretch.c.start).order_by(func.random()).limit(sample)):
            drawn.setdefault(row.pack, set()).add(row.start)
        yield from ((number, frozenset(starts)) for number, starts in sorted(drawn.items()))
        return
    numbers = set(session.scalars(select(stretch.c.pack).distinct()))
    after: int | None = _LOWEST
    while after is not None:
        found = session.scalar(select(func.min(blob.c.id)).where(blob.c.id > after))
        if found is not None:
            numbers.add(found >> 32)
        after = (found >> 32 << 32) + (1 << 32) - 1 if found is not None else None
    yield from ((number, None) for number in sorted(numbers))


def _messages(session: Session, sample: int | None) -> list[int]:
    ids = list(session.scalars(select(message.c.id).order_by(message.c.id)))
    return sorted(SystemRandom().sample(ids, min(sample, len(ids)))) if sample is not None else ids


def _cut(items: Sequence[int], size: int) -> Iterator[list[int]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))


def _read(
    archive: Archive, work: Sequence[_Piece], messages: int, workers: int | None, done: Verified, told: Told
) -> None:
    count = workers or (len(os.sched_getaffinity(0)) if messages >= _WORTH_WORKERS else 1)
    finished = 0
    with _doing(archive, work, count) as results:
        for read in results:
            finished += 1
            done.packed += read.bytes if not read.copies else 0
            done.bytes += read.bytes if read.copies else 0
            done.copies += read.copies
            done.add(read.findings)
            told("kept bytes", finished, len(work))


@contextmanager
def _doing(archive: Archive, work: Sequence[_Piece], count: int) -> Iterator[Iterator[Read]]:
    """What each piece of work yields, done here or by other processes, a few ahead."""
    if count == 1:
        yield (_do(archive, piece) for piece in work)
        return
    opened = (archive.folder, archive.key, archive.database_url, archive.blobs_url)
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_open, initargs=opened) as pool:
        yield _handed_out(pool, work, 2 * count)


def _handed_out(pool: ProcessPoolExecutor, work: Sequence[_Piece], ahead: int) -> Iterator[Read]:
    waiting: set[Future[Read]] = set()
    for piece in work:
        waiting.add(pool.submit(_do_there, piece))
        if len(waiting) >= ahead:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in finished)
    yield from (one.result() for one in waiting)


_opened: list[Archive] = []  # in a process of the pool: the archive


def _open(folder: Path, key: InstallationKey, database_url: str, blobs_url: str | None) -> None:
    os.umask(0o077)
    _opened.append(Archive(folder, key, database_url, blobs_url))


def _do_there(piece: _Piece) -> Read:
    return _do(_opened[0], piece)


def _do(archive: Archive, piece: _Piece) -> Read:
    """One piece of work; where rows make no sense at all, its messages one by one."""
    kind, what, only = piece
    try:
        if kind == "pack":
            return kept.read_pack(archive, what, only)
        return kept.read_copies(archive, what) if kind == "copies" else kept.read_whole(archive, _WHOLE[kind], what)
    except Exception as error:  # whatever an altered row leads to is a finding
        if kind == "pack" or len(what) == 1:
            where = f"{_NAMES[kind]} {what if kind == 'pack' else what[0]}"
            return Read(0, 0, (Finding(where, f"It cannot be read: {error}."),))
    parts = [_do(archive, (kind, [one], None)) for one in what]
    findings = tuple(finding for part in parts for finding in part.findings)
    return Read(sum(part.bytes for part in parts), sum(part.copies for part in parts), findings)


_WHOLE = {"quarantined": quarantine, "outgoing": outgoing}  # mails kept in one piece
_NAMES = {"pack": "pack", "copies": "message", "quarantined": "quarantine", "outgoing": "outgoing"}
