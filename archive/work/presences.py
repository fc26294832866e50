"""Presence: who is looking at a ticket at this moment, or writing there. True of the moment, and no event."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, update

from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import presence, user

LASTS_MS = 15_000  # after the last sign of life
EVERY_MS = 5_000  # a sign of life is written so often at most
FORGOTTEN_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody else who is there."""

    user: int
    name: str
    writing: bool


def fresh(session: Session, ticket: int, who: int, now: int, *, writing: bool) -> bool:
    """Whether it was written not long ago that this user is there: then it need not be again."""
    row = session.execute(select(presence).where(presence.c.ticket == ticket, presence.c.user == who)).first()
    if row is None or now - row.at >= EVERY_MS:
        return False
    was_writing = row.writing_at is not None and now - row.writing_at < LASTS_MS
    return was_writing == writing and (not writing or now - row.writing_at < EVERY_MS)


def note(session: Session, ticket: int, who: int, now: int, *, writing: bool) -> None:
    """This user is there; rows of who has been gone for long are swept away."""
    row = {"ticket": ticket, "user": who, "at": now, "writing_at": now if writing else None}
    if not insert_missing(session, presence, [row]):
        mine = (presence.c.ticket == ticket) & (presence.c.user == who)
        session.execute(update(presence).where(mine).values(at=now, writing_at=row["writing_at"]))
    session.execute(presence.delete().where(presence.c.ticket == ticket, presence.c.at < now - FORGOTTEN_MS))


def others(session: Session, tickets: Collection[int], who: int, now: int) -> list[Present]:
    """Who else is there, whoever writes first."""
    query = (
        select(presence, user.c.name)
        .join(user, user.c.id == presence.c.user)
        .where(presence.c.ticket.in_(list(tickets)), presence.c.user != who, presence.c.at > now - LASTS_MS)
        .order_by(user.c.name)
    )
    found: dict[int, Present] = {}
    for row in session.execute(query):
        writing = row.writing_at is not None and row.writing_at > now - LASTS_MS
        before = found.get(row.user)
        found[row.user] = Present(row.user, row.name, writing or (before is not None and before.writing))
    return sorted(found.values(), key=lambda one: not one.writing)
