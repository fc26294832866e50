"""Which messages stand in the search index, as what, and which have still to be put there in full.

Intake writes words at once; stems, beginnings of words and the text of attachments follow in the background
(`archive.reindexing`). A row of the index can only be taken out by what it was made from, therefore its marks and
whether it is full are written down beside it, and the text of attachments is kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import zstandard
from sqlalchemy import bindparam, delete, exists, insert, select, text, update

from ..store.archive import Session
from ..store.dialects import hold, insert_rows
from ..store.schema import enclosed, enclosed_text, indexed, installation, limited, message
from . import marks
from .backends import of
from .marks import Marks
from .words import VERSION, Words

_CHUNK = 500
_MADE_BY = "search_version"  # of the installation: what makes the rows
_BELOW = "search_below"  # messages with lower ids may be missing from the index; none: all are there
_LAST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Row:
    """How a message stands in the index; without marks it does not."""

    message: int
    version: int
    marks: Marks
    full: bool
    waiting: bool


def rows(session: Session, messages: Iterable[int]) -> dict[int, Row]:
    """How these messages stand in the index; absent where they have never been there."""
    wanted = list(messages)
    found: dict[int, Row] = {}
    for start in range(0, len(wanted), _CHUNK):
        for row in session.execute(select(indexed).where(indexed.c.message.in_(wanted[start : start + _CHUNK]))):
            marked = frozenset(row.marks.split())
            found[row.message] = Row(row.message, row.version, marked, row.full, row.waiting)
    return found


def add(session: Session, new: Sequence[tuple[Words, Marks]]) -> None:
    """Index messages that have never been; what is not full waits to be made so."""
    if new:
        of(session).add(session, new)
        insert_rows(session, indexed, [_row(words, marked) for words, marked in new])


def put(session: Session, changed: Sequence[tuple[Words, Marks, Words | None]]) -> None:
    """Index messages anew: what they yield now, their marks, and as what they were in the index (None: they were not).

    Their marks then are taken from the index.
    """
    before = rows(session, [words.message for words, _, _ in changed])
    of(session).add(session, [(words, marked) for words, marked, old in changed if old is None])
    of(session).replace(
        session,
        [((old, before[old.message].marks), (words, marked)) for words, marked, old in changed if old is not None],
    )
    _write(session, [_row(words, marked) for words, marked, _ in changed])


def leave_out(session: Session, messages: Iterable[int]) -> None:
    """Messages whose stored bytes do not come back stand in the index as they do, or not at all."""
    wanted = list(messages)
    there = rows(session, wanted)
    done = [{"b_message": id_} for id_ in there]
    if done:
        session.execute(update(indexed).where(indexed.c.message == bindparam("b_message")).values(waiting=False), done)
    new = [Row(id_, VERSION, frozenset(), True, False) for id_ in wanted if id_ not in there]
    _write(session, [_values(row) for row in new])


def _row(words: Words, marked: Marks) -> dict[str, object]:
    return _values(Row(words.message, VERSION, marked, words.full, not words.full))


def _values(row: Row) -> dict[str, object]:
    return {
        "message": row.message,
        "version": row.version,
        "marks": " ".join(sorted(row.marks)),
        "full": row.full,
        "waiting": row.waiting,
    }


def _write(session: Session, new: Sequence[dict[str, object]]) -> None:
    if new:
        session.execute(
            delete(indexed).where(indexed.c.message == bindparam("b_message")),
            [{"b_message": row["message"]} for row in new],
        )
        insert_rows(session, indexed, new)


def mark(session: Session, messages: Mapping[int, Callable[[], Words | None]]) -> None:
    """Further copies came: give messages the marks they have now. Each with a function that yields its words as
    intake indexed them, or None where they are not to be had: then it waits to be indexed anew."""
    hold(session, message, messages)  # of two workers that bring copies the second sees the first one's marks
    there = rows(session, messages)
    now = marks.of(session, there)
    changed = [row for row in there.values() if row.marks and row.marks != now[row.message]]
    texts = texts_of(session, [row.message for row in changed if row.full])
    ready: list[tuple[Words, Marks, Marks]] = []
    later: list[int] = []
    for row in changed:
        words = messages[row.message]() if row.version == VERSION else None
        if words is None:
            later.append(row.message)
        else:
            if row.full:
                words = replace(words, enclosed=texts.get(row.message, ""), full=True)
            ready.append((words, row.marks, now[row.message]))
    of(session).change_scopes(session, ready)
    for words, _, after in ready:
        values = {"marks": " ".join(sorted(after))}
        session.execute(update(indexed).where(indexed.c.message == words.message).values(values))
    for start in range(0, len(later), _CHUNK):
        some = later[start : start + _CHUNK]
        session.execute(update(indexed).where(indexed.c.message.in_(some)).values(waiting=True))


# --- what is to be done -----------------------------------------------------------------------------------------------


def outdated(session: Session) -> bool:
    """Whether the index was made by another version, in whole or in part."""
    made_by = session.scalar(select(installation.c.value).where(installation.c.name == _MADE_BY))
    return made_by != str(VERSION)


def begin(session: Session) -> None:
    """Make the index this version's: what another made is taken out, and what is missing will be put there."""
    if session.execute(select(indexed.c.message).where(indexed.c.version != VERSION).limit(1)).first():
        begin_anew(session)
    else:
        _expect_all(session)


def begin_anew(session: Session) -> None:
    """Empty the index and forget the text of attachments; every message will be put there again, the newest first."""
    of(session).empty(session)
    session.execute(delete(indexed))
    session.execute(delete(enclosed))
    session.execute(delete(enclosed_text))
    session.execute(delete(limited))
    _expect_all(session)


def _expect_all(session: Session) -> None:
    session.execute(delete(installation).where(installation.c.name.in_((_MADE_BY, _BELOW))))
    rows = [{"name": _MADE_BY, "value": str(VERSION)}, {"name": _BELOW, "value": str(_LAST)}]
    session.execute(insert(installation), rows)


def below(session: Session) -> int:
    """Messages with lower ids may be missing from the index; 0: all are there."""
    kept = session.scalar(select(installation.c.value).where(installation.c.name == _BELOW))
    return int(kept) if kept else 0


def reached(session: Session, id_: int) -> None:
    """Messages from this id on are in the index."""
    session.execute(update(installation).where(installation.c.name == _BELOW).values(value=str(id_)))


def waiting(session: Session, limit: int) -> tuple[list[int], list[int]]:
    """The next messages to be put into the index in full: those there that wait, and those missing; newest first."""
    query = select(indexed.c.message).where(indexed.c.waiting).order_by(indexed.c.message.desc()).limit(limit)
    lately = list(session.scalars(query))
    end = below(session)
    missed: list[int] = []
    if len(lately) < limit and end:
        missing = select(message.c.id).where(
            message.c.id < end, ~exists(select(indexed.c.message).where(indexed.c.message == message.c.id))
        )
        missed += session.scalars(missing.order_by(message.c.id.desc()).limit(limit - len(lately)))
    return lately, missed


def left(session: Session) -> int:
    """How many messages have still to be put into the index in full. Counts them."""
    there = session.scalar(text("SELECT count(*) FROM indexed")) or 0
    unready = session.scalar(text("SELECT count(*) FROM indexed WHERE waiting")) or 0
    return (session.scalar(text("SELECT count(*) FROM message")) or 0) - there + unready


# --- text of attachments ----------------------------------------------------------------------------------------------


def texts_of(session: Session, messages: Iterable[int]) -> dict[int, str]:
    """The text of attachments as it stands in the index, by message."""
    wanted = list(messages)
    found: dict[int, list[str]] = {}
    for start in range(0, len(wanted), _CHUNK):
        query = (
            select(enclosed.c.message, enclosed_text.c.text)
            .join(enclosed_text, enclosed_text.c.hash == enclosed.c.hash)
            .where(enclosed.c.message.in_(wanted[start : start + _CHUNK]))
            .order_by(enclosed.c.message, enclosed.c.place)
        )
        for row in session.execute(query):
            found.setdefault(row.message, []).append(_unpacked(row.text))
    return {id_: "\n".join(texts) for id_, texts in found.items()}


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What stands in the index for an attachment, by its keyed hash, and why that is not all of it (None: it is)."""

    hash: bytes
    text: str
    limited: str | None = None


def known_texts(session: Session, hashes: Iterable[bytes]) -> dict[bytes, Enclosed]:
    """The text of attachments that was taken out before, by their keyed hash."""
    wanted = list(hashes)
    found: dict[bytes, Enclosed] = {}
    for start in range(0, len(wanted), _CHUNK):
        query = select(enclosed_text).where(enclosed_text.c.hash.in_(wanted[start : start + _CHUNK]))
        found.update((row.hash, Enclosed(row.hash, _unpacked(row.text), row.limited)) for row in session.execute(query))
    return found


def keep_texts(session: Session, texts: Mapping[int, Sequence[Enclosed]]) -> None:
    """Write down what text of attachments stands in the index, by message."""
    known = set(known_texts(session, {one.hash for some in texts.values() for one in some}))
    new = {one.hash: one for some in texts.values() for one in some if one.hash not in known}
    if new:
        rows = [{"hash": one.hash, "text": _packed(one.text), "limited": one.limited} for one in new.values()]
        session.execute(insert(enclosed_text), rows)
    for id_, some in texts.items():
        session.execute(delete(enclosed).where(enclosed.c.message == id_))
        if some:
            places = [{"message": id_, "place": place, "hash": one.hash} for place, one in enumerate(some)]
            session.execute(insert(enclosed), places)


def keep_limited(session: Session, reasons: Mapping[int, Mapping[str, str]]) -> None:
    """Write down which attachments are not searchable, or not in full: by message, the reason by the leaf's path."""
    for id_, some in reasons.items():
        session.execute(delete(limited).where(limited.c.message == id_))
        if some:
            session.execute(
                insert(limited), [{"message": id_, "path": path, "reason": why} for path, why in some.items()]
            )


def limited_of(session: Session, messages: Iterable[int]) -> dict[int, dict[str, str]]:
    """Which attachments of messages already found to be visible are not searchable, or not in full, and why."""
    wanted = list(messages)
    found: dict[int, dict[str, str]] = {}
    for start in range(0, len(wanted), _CHUNK):
        for row in session.execute(select(limited).where(limited.c.message.in_(wanted[start : start + _CHUNK]))):
            found.setdefault(row.message, {})[row.path] = row.reason
    return found


def _packed(text: str) -> bytes:
    return zstandard.ZstdCompressor().compress(text.encode())


def _unpacked(data: bytes) -> str:
    return zstandard.ZstdDecompressor().decompress(data).decode()
