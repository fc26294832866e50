"""Watchers: who wants to know what happens to a ticket. Whoever comments or is named in a comment watches by itself."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, and_, select

from ..events import log, proof
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import ticket, user, watcher


def add(session: Session, ticket: int, users: Iterable[int], now: int) -> proof.Digests:
    """Let these watch, too; returns the digests of who did not before, for the event of whatever made them."""
    there = set(session.scalars(select(watcher.c.user).where(watcher.c.ticket == ticket)))
    fresh = sorted(set(users) - there)
    insert_missing(session, watcher, [{"ticket": ticket, "user": one, "since": now} for one in fresh])
    if not fresh:
        return {}
    return proof.stored(session, "watcher", (watcher.c.ticket == ticket) & watcher.c.user.in_(fresh))


def watch(session: Session, ticket: int, who: int, actor: str, now: int) -> bool:
    """Somebody watches from now on; False where that was so."""
    rows = add(session, ticket, [who], now)
    if rows:
        log.write(session, [log.Event("ticket.watched", actor, f"ticket:{ticket}", {"user": who}, rows)], now)
    return bool(rows)


def leave(session: Session, ticket: int, who: int, actor: str, now: int) -> bool:
    """Somebody watches no more; False where that was so."""
    here = (watcher.c.ticket == ticket) & (watcher.c.user == who)
    if not session.execute(watcher.delete().where(here)).rowcount:
        return False
    rows = {"watcher": {f"{ticket}/{who}": None}}
    log.write(session, [log.Event("ticket.left", actor, f"ticket:{ticket}", {"user": who}, rows)], now)
    return True


def joined(who: int) -> ColumnElement[bool]:
    """What joins tickets with this user's watching: the few that are watched lead to their tickets."""
    return and_(watcher.c.ticket == ticket.c.id, watcher.c.user == who)


def among(session: Session, who: int, tickets: Collection[int]) -> set[int]:
    """Which of these tickets this user watches."""
    mine = (watcher.c.user == who) & watcher.c.ticket.in_(list(tickets))
    return set(session.scalars(select(watcher.c.ticket).where(mine)))


def of(session: Session, ticket: int) -> Sequence[tuple[int, str]]:
    """Who watches a ticket: ids and names, by name."""
    query = select(user.c.id, user.c.name).join(watcher, watcher.c.user == user.c.id).where(watcher.c.ticket == ticket)
    return [(row.id, row.name) for row in session.execute(query.order_by(user.c.name, user.c.id))]
