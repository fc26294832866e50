"""Sources: what mail was imported from, and which of it has a receipt already."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import cast

from sqlalchemy import insert, select

from ..events import log, proof
from ..store.archive import Session
from ..store.schema import binding, mailbox, receipt, source

MBOX = "mbox"  # mails exactly as they stand between the separators
MBOXRD = "mboxrd"  # the quoting of an mbox undone, as whoever wrote it says it may be
MAILDIR = "maildir"
FOLDER = "folder"  # of files with one mail each
BINDING = "binding"  # of another archive, told of by an export
OUTBOX = "outbox"  # what we sent ourselves; its name is the address it went out from
KINDS = (MBOX, MBOXRD, MAILDIR, FOLDER, BINDING, OUTBOX)

Place = tuple[int, str, bytes]  # source, place in it, SHA-256 of what was there

_CHUNK = 500


def at(session: Session, kind: str, name: str, scope: str, now: int) -> int:
    """The source of this name, made where there is none."""
    query = select(source.c.id).where(source.c.kind == kind, source.c.name == name, source.c.scope == scope)
    found = session.scalar(query)
    if found is not None:
        return cast(int, found)
    made = insert(source).values(kind=kind, name=name, scope=scope, created_at=now).returning(source.c.id)
    added = cast(int, session.scalar(made))
    details, rows = {"kind": kind, "name": name}, proof.of_ids(session, "source", [added])
    log.write(session, [log.Event("source.added", log.OPERATOR, f"source:{added}", details, rows)], now)
    return added


def receipted(session: Session, wanted: Iterable[Place]) -> set[Place]:
    """Which of these have a receipt: from this import or one before it, or from the binding itself."""
    by_source: dict[int, dict[str, set[bytes]]] = {}
    for one, place, sha256 in wanted:
        by_source.setdefault(one, {}).setdefault(place, set()).add(sha256)
    found: set[Place] = set()
    for one, places in by_source.items():
        listed = list(places)
        for start in range(0, len(listed), _CHUNK):
            some = listed[start : start + _CHUNK]
            query = select(receipt.c.place, receipt.c.sha256)
            rows = session.execute(query.where(receipt.c.source == one, receipt.c.place.in_(some)))
            found.update((one, row.place, row.sha256) for row in rows)
        found |= {(one, place, sha256) for place, sha256 in _bound(session, one, places)}
    return found


def _bound(session: Session, of: int, places: dict[str, set[bytes]]) -> Iterable[tuple[str, bytes]]:
    """Of an export's binding: the copies that this archive took from the binding of that name itself."""
    one = session.execute(select(source.c.kind, source.c.name, source.c.scope).where(source.c.id == of)).one()
    if one.kind != BINDING:
        return
    box, _, folder = one.name.partition("/")
    query = select(binding.c.id).join(mailbox, mailbox.c.id == binding.c.mailbox)
    ours = session.scalar(query.where(mailbox.c.name == box, binding.c.folder == folder))
    if ours is None:
        return
    uids: dict[int, list[int]] = {}
    for place in places:
        uidvalidity, uid = numbers(place)
        uids.setdefault(uidvalidity, []).append(uid)
    for uidvalidity, listed in uids.items():
        for start in range(0, len(listed), _CHUNK):
            some = listed[start : start + _CHUNK]
            rows = session.execute(
                select(receipt.c.uid, receipt.c.sha256).where(
                    receipt.c.binding == ours,
                    receipt.c.uidvalidity == uidvalidity,
                    receipt.c.uid.in_(some),
                    receipt.c.scope == one.scope,
                )
            )
            for row in rows:
                yield place_of(uidvalidity, row.uid), row.sha256


def place_of(uidvalidity: int, uid: int) -> str:
    """The place of a binding's copy."""
    return f"{uidvalidity}/{uid}"


def numbers(place: str) -> tuple[int, int]:
    """UIDVALIDITY and UID of a binding's copy."""
    uidvalidity, _, uid = place.partition("/")
    return int(uidvalidity), int(uid)


def title(kind: str, name: str) -> str:
    """A source as people are told of it: a binding by its name, a file by its own, without the folders above it."""
    return name if kind in (BINDING, OUTBOX) else PurePath(name).name or name
