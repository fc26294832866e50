"""The second reading of kept mail: mail-parser's view beside ours, and a mark where the two disagree."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from mmap import ACCESS_READ, mmap
from typing import Any

from sqlalchemy import bindparam, func, select, update

from .events import log
from .mail import identity, reader
from .mail.second_reader import WHOLE_BELOW, SecondReader, disagreements
from .post import messages
from .store.archive import Archive, Session
from .store.packs import Damaged
from .store.schema import message, receipt

VERSION = 1  # of the second reading: goes up when reading again would say something else
UNREADABLE = 0  # stands for the version where the stored bytes did not come back
_MAPPED = 16 << 20  # bytes; larger contents stay out of memory


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
    with archive.reading() as session:
        wanted = select(message.c.id, message.c.blob).where(message.c.second_reader.is_(None))
        some = session.execute(wanted.order_by(message.c.id.desc()).limit(limit)).all()
    rows = [_row(archive, id_, blob, second) for id_, blob in some]
    if rows:
        with archive.intake() as session:
            _record(session, rows, clock())
    marked = sum(row["b_ambiguous"] is not None for row in rows)
    unreadable = sum(row["b_version"] == UNREADABLE for row in rows)
    return Counts(len(rows), marked, unreadable)


def forget(session: Session) -> int:
    """Let messages be read again that an earlier version read, or whose bytes did not come back then; how many."""
    done = session.execute(update(message).where(message.c.second_reader < VERSION).values(second_reader=None))
    return done.rowcount


def _row(archive: Archive, id_: int, blob: int, second: SecondReader) -> dict[str, Any]:
    try:
        return {"b_id": id_, **_second_reading(archive, id_, blob, second)}
    except Damaged as error:
        said = [f"its stored bytes could not be read: {error}"]
        return {"b_id": id_, "b_version": UNREADABLE, "b_ambiguous": json.dumps(said), "b_reading": None}


def _second_reading(archive: Archive, id_: int, blob: int, second: SecondReader) -> dict[str, Any]:
    raw = _content(archive, blob)
    mail = reader.read(raw)
    read = second.read(raw, mail)
    contents = None
    if len(raw) <= WHOLE_BELOW:
        contents = frozenset(_digests(raw, mail))
    doubts = disagreements(mail, read, contents)
    reading = {"defects": read.defects, **_hops(archive, id_, second)}
    return {
        "b_version": VERSION,
        "b_ambiguous": json.dumps(doubts, ensure_ascii=False) if doubts else None,
        "b_reading": json.dumps(reading, ensure_ascii=False) if any(reading.values()) else None,
    }


def _hops(archive: Archive, id_: int, second: SecondReader) -> dict[str, Any]:
    """The hops of the copy received first, and whose copy it is: nobody else may see them."""
    with archive.reading() as session:
        first = session.execute(
            select(receipt.c.scope, receipt.c.trace).where(receipt.c.message == id_).order_by(receipt.c.id).limit(1)
        ).first()
        if first is None:
            return {}
        headers = identity.trace_headers(b"".join(messages.read_blob(archive, session, first.trace))) + b"\r\n"
    if b"eceived:" not in headers:
        return {}
    hops = second.read(headers, reader.read(headers)).hops
    return {"scope": first.scope, "received": [asdict(hop) for hop in hops]} if hops else {}


def _content(archive: Archive, blob: int) -> reader.Raw:
    with archive.reading() as session:
        size = messages.place_of(session, blob).size
        pieces = messages.read_blob(archive, session, blob)
        if size <= _MAPPED:
            return b"".join(pieces)
        with tempfile.TemporaryFile() as file:  # without a name; only while it is read
            for piece in pieces:
                file.write(piece)
            file.flush()
            return mmap(file.fileno(), 0, access=ACCESS_READ)


def _digests(raw: reader.Raw, mail: reader.Mail) -> Iterator[str]:
    for leaf in mail.leaves:
        if leaf.attachment and leaf.container is None:
            yield hashlib.sha256(reader.content(raw, leaf)).hexdigest()


def _record(session: Session, rows: Sequence[dict[str, Any]], now: int) -> None:
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
    marks = [
        log.Event("message.marked_ambiguous", "reader:second", f"message:{row['b_id']}", {"why": row["b_ambiguous"]})
        for row in rows
        if row["b_ambiguous"] is not None
    ]
    log.write(session, marks, now)
