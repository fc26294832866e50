"""Receipts: the proof that a copy of a message reached us, and whether its original has been moved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from ..store.archive import Session
from ..store.schema import quarantine, receipt

CHUNK = 500  # how many ids one statement names

MOVED = "moved"
LEFT = "left"  # the server can neither MOVE nor expunge by UID: a marked copy stays
TAKEN_AWAY = "taken away"  # by someone else, before we moved it (state S5)
NEW_GENERATION = "new generation"  # UIDVALIDITY changed: the original goes by another UID now
SENT = "sent"  # ours: sent from here, or found in a Sent folder, where it stays
IMPORTED = "imported"  # from a file, which stays where it is


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A receipt whose original has not been moved yet, as far as we know."""

    id: int
    uid: int
    sha256: bytes
    size: int


def chunks(values: Iterable[int]) -> Iterable[Sequence[int]]:
    """Values in lists of at most CHUNK."""
    listed = list(values)
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))


def known(session: Session, binding: int, uidvalidity: int, uids: Iterable[int]) -> set[int]:
    """Which of these UIDs have a receipt."""
    found: set[int] = set()
    for some in chunks(uids):
        query = select(receipt.c.uid).where(
            receipt.c.binding == binding, receipt.c.uidvalidity == uidvalidity, receipt.c.uid.in_(some)
        )
        found.update(session.scalars(query))
    return found


def messages(session: Session, binding: int, uidvalidity: int, uids: Iterable[int]) -> dict[int, int]:
    """The message of each of these UIDs that has a receipt."""
    found: dict[int, int] = {}
    for some in chunks(uids):
        query = select(receipt.c.uid, receipt.c.message).where(
            receipt.c.binding == binding, receipt.c.uidvalidity == uidvalidity, receipt.c.uid.in_(some)
        )
        found.update((row.uid, row.message) for row in session.execute(query))
    return found


def met_again(session: Session, binding: int, uidvalidity: int, uids: Iterable[int]) -> set[int]:
    """Which of these UIDs, all of them in the watched folder, have a receipt that says they are not."""
    found: set[int] = set()
    for some in chunks(uids):
        query = select(receipt.c.uid).where(
            receipt.c.binding == binding,
            receipt.c.uidvalidity == uidvalidity,
            receipt.c.uid.in_(some),
            receipt.c.settlement.not_in((LEFT, SENT)),
        )
        found.update(session.scalars(query))
    return found


def returned(session: Session, binding: int, uidvalidity: int, uids: Iterable[int]) -> list[Unsettled]:
    """Which of these UIDs have a receipt that was finished because UIDVALIDITY changed, to this one's loss."""
    found: list[Unsettled] = []
    for some in chunks(uids):
        query = select(receipt.c.id, receipt.c.uid, receipt.c.sha256, receipt.c.size).where(
            receipt.c.binding == binding,
            receipt.c.uidvalidity == uidvalidity,
            receipt.c.uid.in_(some),
            receipt.c.settlement == NEW_GENERATION,
        )
        found += [Unsettled(*row) for row in session.execute(query)]
    return found


def unsettled(session: Session, binding: int, uidvalidity: int) -> list[Unsettled]:
    """Receipts of this generation whose originals are to be moved or looked for."""
    query = select(receipt.c.id, receipt.c.uid, receipt.c.sha256, receipt.c.size).where(
        receipt.c.binding == binding, receipt.c.settled_at.is_(None), receipt.c.uidvalidity == uidvalidity
    )
    return [Unsettled(*row) for row in session.execute(query.order_by(receipt.c.uid))]


def settle(session: Session, binding: int, uidvalidity: int, uids: Iterable[int], how: str, now: int) -> int:
    """Finish receipts whose originals are where they belong, or known to be gone; returns how many were open."""
    settled = 0
    for some in chunks(uids):
        done = session.execute(
            update(receipt)
            .where(
                receipt.c.binding == binding,
                receipt.c.uidvalidity == uidvalidity,
                receipt.c.uid.in_(some),
                receipt.c.settled_at.is_(None),
            )
            .values(settled_at=now, settlement=how)
        )
        settled += done.rowcount
    return settled


def settle_other_generations(session: Session, binding: int, uidvalidity: int, now: int) -> int:
    """Finish what was open under an earlier UIDVALIDITY: those originals are met again under new UIDs."""
    done = session.execute(
        update(receipt)
        .where(receipt.c.binding == binding, receipt.c.settled_at.is_(None), receipt.c.uidvalidity != uidvalidity)
        .values(settled_at=now, settlement=NEW_GENERATION)
    )
    return done.rowcount


QUARANTINE_PASSES = 3  # the first and the next two; then only by its button


def in_quarantine(session: Session, binding: int, uidvalidity: int) -> set[int]:
    """UIDs of mails that could not be recorded and wait in the watched folder."""
    query = select(quarantine.c.uid).where(
        quarantine.c.binding == binding, quarantine.c.uidvalidity == uidvalidity, quarantine.c.resolved_at.is_(None)
    )
    return set(session.scalars(query))


def held_back(session: Session, binding: int, uidvalidity: int) -> set[int]:
    """UIDs in quarantine that are not tried by themselves any more."""
    query = select(quarantine.c.uid).where(
        quarantine.c.binding == binding,
        quarantine.c.uidvalidity == uidvalidity,
        quarantine.c.resolved_at.is_(None),
        quarantine.c.tries >= QUARANTINE_PASSES,
        quarantine.c.again.is_(False),
    )
    return set(session.scalars(query))
