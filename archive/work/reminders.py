"""Reminders: at a time somebody is told of a ticket again, or only if it has not been answered by then."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update

from ..events import log, proof
from ..store.archive import Session
from ..store.schema import reminder, seen, ticket

AT_ONCE = 500
TOLD, ANSWERED, WITHDRAWN = "told", "answered", "withdrawn"
_TIME = "time"


@dataclass(frozen=True, slots=True)
class Reminder:
    """Somebody's reminder; UTC ms."""

    id: int
    ticket: int
    at: int
    unless_answered: bool
    told: bool


def add(session: Session, of: int, user: int, at: int, now: int, *, unless_answered: bool) -> int:
    """Remind this user of a ticket; the reminder's id. ValueError where the time is past."""
    if at <= now:
        raise ValueError(at)
    row = {"ticket": of, "user": user, "at": at, "unless_answered": unless_answered, "created_at": now}
    made: int = session.scalar(insert(reminder).values(**row).returning(reminder.c.id)) or 0
    _tell(session, "set", made, of, f"user:{user}", now, {"at": at, "unless_answered": unless_answered})
    return made


def end(session: Session, id_: int, user: int, now: int) -> bool:
    """It is not needed any more, or has been read; False where it is not this user's, or withdrawn already."""
    here = (reminder.c.id == id_) & (reminder.c.user == user) & reminder.c.ended.is_distinct_from(WITHDRAWN)
    found = session.execute(select(reminder).where(here)).first()
    if found is None:
        return False
    session.execute(update(reminder).where(here).values(ended_at=now, ended=WITHDRAWN))
    _tell(session, WITHDRAWN, id_, found.ticket, f"user:{user}", now, {})
    return True


def of_tickets(session: Session, user: int, tickets: Collection[int]) -> list[Reminder]:
    """This user's reminders of these tickets that are still to come, or were told and not put away."""
    open_ones = reminder.c.ended.is_(None) | (reminder.c.ended == TOLD)
    query = select(reminder).where(reminder.c.user == user, reminder.c.ticket.in_(list(tickets)), open_ones)
    rows = session.execute(query.order_by(reminder.c.at, reminder.c.id))
    return [Reminder(row.id, row.ticket, row.at, row.unless_answered, row.ended == TOLD) for row in rows]


def any_due(session: Session, now: int) -> bool:
    """Whether any time has come."""
    due = (reminder.c.at <= now) & reminder.c.ended_at.is_(None)
    return session.scalar(select(reminder.c.id).where(due).limit(1)) is not None


def tell(session: Session, now: int) -> int:
    """What is due: the ticket is unread for who wanted to be reminded, unless it was answered; at most AT_ONCE."""
    due = select(reminder).where(reminder.c.at <= now, reminder.c.ended_at.is_(None))
    rows = session.execute(due.order_by(reminder.c.at).limit(AT_ONCE)).all()
    for row in rows:
        ended = ANSWERED if row.unless_answered and _answered(session, row) else TOLD
        session.execute(update(reminder).where(reminder.c.id == row.id).values(ended_at=now, ended=ended))
        if ended == TOLD:
            session.execute(seen.delete().where(seen.c.user == row.user, seen.c.ticket == row.ticket))
        kind = "due" if ended == TOLD else "needless"
        _tell(session, kind, row.id, row.ticket, _TIME, now, {"user": row.user})
    return len(rows)


def _answered(session: Session, row: Row[Any]) -> bool:
    """Whether somebody of ours has written, or it was done, since the reminder was set."""
    found = session.execute(select(ticket).where(ticket.c.id == row.ticket)).first()
    if found is None:
        return True
    return bool(max(found.answered_at or 0, found.done_at or 0) > row.created_at)


def _tell(session: Session, kind: str, id_: int, of: int, actor: str, now: int, said: dict[str, Any]) -> None:
    rows = proof.of_ids(session, "reminder", [id_])
    log.write(session, [log.Event(f"reminder.{kind}", actor, f"ticket:{of}", {**said, "reminder": id_}, rows)], now)
