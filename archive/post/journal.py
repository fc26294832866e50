"""The journal of what was sent to mail servers, by session: for whoever a mailbox belongs to, and for a set time.

Passes that found nothing and sent the same commands each time are counted in the binding's own row, and come to the
journal as one entry when something else happens.
"""

import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from ..store.archive import Session
from ..store.schema import binding, journal
from .bindings import Binding

_DAY_MS = 24 * 3600 * 1000
_COUNTED = 10**17  # above every entry's number: what is only counted yet is the newest


@dataclass(frozen=True, slots=True)
class Entry:
    """Commands sent in one session, or in several that were the same and found nothing. Times in UTC ms."""

    session: int
    binding: int | None  # None: the mailbox was tried out
    began_at: int
    ended_at: int
    times: int
    lines: Sequence[str]  # without tags, secrets and literals masked
    archived: int
    moved: int
    refused: bool = False  # we were not let in


def add(session: Session, mailbox: int, entry: Entry, keep_days: int) -> None:
    """Write an entry, after what was counted before it; entries that are older than `keep_days` go."""
    if entry.binding is not None:
        _fold(session, mailbox, entry.binding)
    _write(session, mailbox, entry, _packed(entry))
    session.execute(delete(journal).where(journal.c.ended_at < entry.ended_at - keep_days * _DAY_MS))


def looked(session: Session, of: Binding, entry: Entry) -> None:
    """A pass that found nothing: where it sent what the last one sent, only the binding's row is written."""
    lines = _packed(entry)
    again = update(binding).where(binding.c.id == of.id, binding.c.looks > 0, binding.c.looks_like == lines)
    if session.execute(again.values(looks=binding.c.looks + 1)).rowcount:
        return
    _fold(session, of.mailbox.id, of.id)
    first = {"looks": 1, "looks_since": entry.began_at, "looks_like": lines}
    session.execute(update(binding).where(binding.c.id == of.id).values(**first))


def _fold(session: Session, mailbox: int, of: int) -> None:
    """What was counted becomes an entry."""
    row = session.execute(select(binding).where(binding.c.id == of)).first()
    if row is None or not row.looks:
        return
    _write(session, mailbox, _counted(row), row.looks_like)
    nothing = {"looks": None, "looks_since": None, "looks_like": None}
    session.execute(update(binding).where(binding.c.id == of).values(**nothing))


def _counted(row: Row[Any]) -> Entry:
    since, last = row.looks_since, row.checked_at or row.looks_since
    lines, refused = _unpacked(row.looks_like)
    return Entry(0, row.id, since, max(since, last), row.looks, lines, 0, 0, refused)


def _write(session: Session, mailbox: int, entry: Entry, lines: bytes) -> None:
    row = {"mailbox": mailbox, "binding": entry.binding, "session": entry.session, "began_at": entry.began_at}
    row |= {"ended_at": entry.ended_at, "times": entry.times, "commands": len(entry.lines)}
    row |= {"archived": entry.archived, "moved": entry.moved}
    session.execute(insert(journal).values(**row, lines=lines))


def entries(
    session: Session, mailbox: int, bindings: Collection[int] | None, since: int, before: int | None, limit: int
) -> list[tuple[int, Entry]]:
    """What was sent to a mailbox's server since then (UTC ms), the newest first, each with its number, before a number.

    With `bindings` only what was sent for these; without, also what tried the mailbox out. What is only counted yet
    comes first.
    """
    query = select(journal).where(journal.c.mailbox == mailbox, journal.c.ended_at >= since)
    counted = select(binding).where(binding.c.mailbox == mailbox, binding.c.looks > 0)
    if bindings is not None:
        query = query.where(journal.c.binding.in_(list(bindings)))
        counted = counted.where(binding.c.id.in_(list(bindings)))
    if before is not None:
        query = query.where(journal.c.id < before)
        counted = counted.where(binding.c.id < before - _COUNTED)
    counted = counted.order_by(binding.c.id.desc()).limit(limit)
    found = [(_COUNTED + row.id, _counted(row)) for row in session.execute(counted)]
    for row in session.execute(query.order_by(journal.c.id.desc()).limit(limit - len(found))):
        lines, refused = _unpacked(row.lines)
        entry = Entry(
            row.session, row.binding, row.began_at, row.ended_at, row.times, lines, row.archived, row.moved, refused
        )  # fmt: skip
        found.append((row.id, entry))
    return found


def _packed(entry: Entry) -> bytes:
    lines: object = list(entry.lines)
    return zlib.compress(json.dumps({"refused": lines} if entry.refused else lines, ensure_ascii=False).encode(), 6)


def _unpacked(packed: bytes) -> tuple[list[str], bool]:
    """The commands, and whether we were not let in."""
    said = json.loads(zlib.decompress(packed))
    refused = isinstance(said, dict)
    return [str(one) for one in (said["refused"] if refused else said)], refused
