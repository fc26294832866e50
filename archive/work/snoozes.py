"""Snoozes: a ticket is out of somebody's way until a time, or until something comes to it. Nobody else is concerned."""

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, and_, exists, select, update

from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import seen, snooze, ticket

AT_ONCE = 500


def put(session: Session, user: int, tickets: Collection[int], until: int, now: int) -> None:
    """Out of the way until then, UTC ms; ValueError where that is past. It is a matter of one person, and no event."""
    if until <= now:
        raise ValueError(until)
    rows = [{"user": user, "ticket": one, "until": until, "at": now} for one in tickets]
    insert_missing(session, snooze, rows)
    mine = (snooze.c.user == user) & snooze.c.ticket.in_(list(tickets))
    session.execute(update(snooze).where(mine).values(until=until, at=now))


def end(session: Session, user: int, tickets: Collection[int]) -> None:
    """Back in the lists now."""
    session.execute(snooze.delete().where(snooze.c.user == user, snooze.c.ticket.in_(list(tickets))))


def joined(user: int, now: int) -> ColumnElement[bool]:
    """What joins tickets with what puts them out of this user's way: nothing has come since, and it is not yet time.

    At most one row a ticket; the few that are asleep lead to their tickets, not every ticket to the few.
    """
    return and_(
        snooze.c.ticket == ticket.c.id,
        snooze.c.user == user,
        snooze.c.until > now,
        snooze.c.at >= ticket.c.last_at,
    )


def asleep(user: int, now: int) -> ColumnElement[bool]:
    """The condition that a ticket is out of this user's way."""
    return exists(select(snooze.c.ticket).where(joined(user, now)).correlate(ticket))


def of_tickets(session: Session, user: int, tickets: Collection[int], now: int) -> Mapping[int, int]:
    """Until when each of these is out of this user's way, UTC ms."""
    query = (
        select(snooze.c.ticket, snooze.c.until)
        .join(ticket, ticket.c.id == snooze.c.ticket)
        .where(snooze.c.user == user, snooze.c.ticket.in_(list(tickets)), snooze.c.until > now)
        .where(snooze.c.at >= ticket.c.last_at)
    )
    return {row.ticket: row.until for row in session.execute(query)}


def count(session: Session, user: int, now: int) -> int:
    """How many tickets this user has out of the way."""
    query = select(snooze.c.ticket).where(snooze.c.user == user, snooze.c.until > now)
    return len(session.execute(query.limit(100)).all())


def any_over(session: Session, now: int) -> bool:
    """Whether anybody's time has come."""
    return session.scalar(select(snooze.c.ticket).where(snooze.c.until <= now).limit(1)) is not None


def bring_back(session: Session, now: int) -> int:
    """What comes back is unread for who had it out of the way; how many, at most AT_ONCE."""
    rows = session.execute(select(snooze).where(snooze.c.until <= now).order_by(snooze.c.until).limit(AT_ONCE)).all()
    for row in rows:
        session.execute(snooze.delete().where(and_(snooze.c.user == row.user, snooze.c.ticket == row.ticket)))
        session.execute(seen.delete().where(and_(seen.c.user == row.user, seen.c.ticket == row.ticket)))
    return len(rows)
