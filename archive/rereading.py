"""The second reading of kept mail: mail-parser's view beside ours, and a mark where the two disagree."""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from mmap import ACCESS_READ, mmap
from typing import Any

from sqlalchemy import bindparam, func, select, update

from .events import log, proof
from .mail import identity, reader
from .mail.second_reader import WHOLE_BELOW, SecondReader, disagreements
from .post import contents
from .post.contents import Content
from .store.archive import Archive, Session
from .store.dialects import among, hold
from .store.packs import Damaged, Place
from .store.schema import message, receipt

VERSION = 1  # of the second reading: goes up when reading again would say something else
UNREADABLE = 0  # stands for the version where the stored bytes did not come back
_MAPPED = 16 << 20  # bytes; larger contents stay out of memory
_RECEIVED = re.compile(rb"^received[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a pass did."""

    read: int = 0  # messages dealt with
    ambiguous: int = 0  # those of them on which the two readers disagree
    unreadable: int = 0  # those of them whose stored bytes did not come back


def waiting(session: Session) -> int:
    """How many messages have not been read a second time."""
    return session.scalar(select(func.count()).select_from(message).where(message.c.second_reader.is_(None))) or 0


def pass_(archive: Archive, limit: int, clock: Callable[[], int], second: SecondReader | None = None) -> Counts:
    """Read up to `limit` messages that have been read once only, the newest first; nothing read: nothing is left.

    Reads outside a transaction and records in one. Whoever makes many passes hands in a `second` reader that stays.
    """
    if second is None:
        with SecondReader() as own:
            return pass_(archive, limit, clock, own)
    some, keys = _some(archive, limit)
    rows = [_row(archive, keys, one, second) for one in some]
    if rows:
        with archive.intake() as session:
            _record(session, rows, clock())
    marked = sum(row["b_ambiguous"] is not None for row in rows)
    unreadable = sum(row["b_version"] == UNREADABLE for row in rows)
    return Counts(len(rows), marked, unreadable)


def forget(session: Session, now: int) -> int:
    """Let messages be read again that an earlier version read, or whose bytes did not come back then; how many."""
    nothing = {"second_reader": None, "ambiguous": None, "second_reading": None}
    done = session.execute(update(message).where(message.c.second_reader < VERSION).values(nothing))
    if done.rowcount:
        # Replaying it forgets the same: not a line for each, where a new version has everything read anew.
        log.write(session, [log.Event("readings.forgotten", log.OPERATOR, "archive", {"below": VERSION})], now)
    return done.rowcount


@dataclass(frozen=True, slots=True)
class _One:
    """A message to be read, and the copy of it that was received first."""

    message: int
    content: Content
    trace: Place
    scope: str
    reader: int  # version of ours that read it; 0: it could not be read


def _some(archive: Archive, limit: int) -> tuple[list[_One], dict[int, bytes]]:
    """The next messages to read and the keys of their blobs, in few statements."""
    first = select(func.min(receipt.c.id)).where(receipt.c.message == message.c.id).correlate(message).scalar_subquery()
    query = (
        select(message.c.id, message.c.reader, receipt.c.scope, receipt.c.trace)
        .select_from(message)
        .join(receipt, receipt.c.id == first)
        .where(message.c.second_reader.is_(None))
        .order_by(message.c.id.desc())
        .limit(limit)
    )
    with archive.reading() as session:
        rows = session.execute(query).all()
        kept = contents.of(session, [row.id for row in rows])
        traces = contents.places(session, [row.trace for row in rows])
    some = [_One(row.id, kept[row.id], traces[row.trace], row.scope, row.reader) for row in rows]
    return some, archive.keys.get({blob for one in some for blob in (*one.content.blobs, one.trace.blob)})


def _row(archive: Archive, keys: Mapping[int, bytes], one: _One, second: SecondReader) -> dict[str, Any]:
    if not one.reader:  # it ended a worker, or the reader stumbled: nobody reads it again
        said = ["the first reader could not read it"]
        return {"b_id": one.message, "b_version": VERSION, "b_ambiguous": json.dumps(said), "b_reading": None}
    try:
        return {"b_id": one.message, **_second_reading(archive, keys, one, second)}
    except Damaged as error:
        said = [f"its stored bytes could not be read: {error}"]
        return {"b_id": one.message, "b_version": UNREADABLE, "b_ambiguous": json.dumps(said), "b_reading": None}


def _second_reading(archive: Archive, keys: Mapping[int, bytes], one: _One, second: SecondReader) -> dict[str, Any]:
    trace = b"".join(contents.read_blob(archive, keys, one.trace))
    # Of the transport headers the hops alone: the others, Bcc above all, are nobody's business but that copy's.
    hops = b"".join(_RECEIVED.findall(identity.trace_headers(trace)))
    raw = _joined(hops, contents.read(archive, keys, one.content), one)
    mail = reader.read(raw)
    read = second.read(raw, mail)
    enclosed = frozenset(_digests(raw, mail)) if len(raw) <= WHOLE_BELOW else None
    doubts = disagreements(mail, read, enclosed)
    reading: dict[str, Any] = {"defects": read.defects}
    if read.hops:  # they belong to one copy: whose it is decides who may see them
        reading |= {"scope": one.scope, "received": [asdict(hop) for hop in read.hops]}
    return {
        "b_version": VERSION,
        "b_ambiguous": json.dumps(doubts, ensure_ascii=False) if doubts else None,
        "b_reading": json.dumps(reading, ensure_ascii=False) if any(reading.values()) else None,
    }


def _joined(headers: bytes, content: Iterable[bytes], one: _One) -> reader.Raw:
    if one.content.size <= _MAPPED:
        return b"".join((headers, *content))
    with tempfile.TemporaryFile() as file:  # without a name; only while it is read
        file.write(headers)
        file.writelines(content)
        file.flush()
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def _digests(raw: reader.Raw, mail: reader.Mail) -> Iterator[str]:
    for leaf in mail.leaves:
        if leaf.attachment and leaf.container is None:
            digest = hashlib.sha256()
            for chunk in reader.content_chunks(raw, leaf):
                digest.update(chunk)
            yield digest.hexdigest()


def _record(session: Session, rows: Sequence[dict[str, Any]], now: int) -> None:
    """Write what nobody else has read meanwhile."""
    # In the order in which whoever puts them into the index holds them, or each waits for what the other has.
    hold(session, message, [row["b_id"] for row in rows])
    unread = _unread(session, [row["b_id"] for row in rows])
    rows = [row for row in rows if row["b_id"] in unread]
    if not rows:
        return
    session.execute(
        update(message)
        .where(message.c.id == bindparam("b_id"))
        .values(
            second_reader=bindparam("b_version"),
            ambiguous=bindparam("b_ambiguous"),
            second_reading=bindparam("b_reading"),
        ),
        rows,
    )
    read = []
    for row in rows:
        reading = {
            "second_reader": row["b_version"],
            "ambiguous": row["b_ambiguous"],
            "second_reading": row["b_reading"],
        }
        digests = {"second_reading": {proof.SUBJECT: proof.digest("second_reading", reading)}}
        marked = row["b_ambiguous"] is not None
        kind, details = ("message.marked_ambiguous", {"why": row["b_ambiguous"]}) if marked else ("message.reread", {})
        details["version"] = row["b_version"]
        read.append(log.Event(kind, "reader:second", f"message:{row['b_id']}", details, digests))
    log.write(session, read, now)


def _unread(session: Session, ids: Sequence[int]) -> set[int]:
    unread = message.c.second_reader.is_(None) & among(message.c.id, ids, session)
    return set(session.scalars(select(message.c.id).where(unread)))
