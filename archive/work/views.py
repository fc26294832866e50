"""What a list shows of the tickets of its scopes: by state, by who has them, and what is out of somebody's way."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, exists, func, select, union

from ..people.scopes import Viewer
from ..store.archive import Session
from ..store.schema import seen, snooze, ticket
from . import comments, snoozes, tickets, watching
from .tickets import DONE, NOT_DONE, OPEN, WAITING, Cursor, Ticket

COUNTED = 100  # more than that is not counted exactly


class View(Enum):
    """Which tickets of the scopes of a list."""

    UNASSIGNED = "unassigned"  # open, and nobody's
    OPEN = "open"
    MINE = "mine"  # open, and assigned to who looks
    WATCHING = "watching"  # in any state, watched by who looks
    MENTIONS = "mentions"  # in any state, where a comment names who looks, whether watched or not
    WAITING = "waiting"
    DONE = "done"
    SNOOZED = "snoozed"
    ALL = "all"


NEWS = (View.WATCHING, View.MENTIONS)  # of which those count that somebody has not opened since they last changed


def page(
    session: Session,
    visible_to: Viewer,
    view: View,
    scopes: Collection[str],
    now: int,
    after: Cursor | None = None,
    limit: int = 50,
) -> list[Ticket]:
    """A page of a list, as `tickets.page`; who looks does not see what is out of his way, but under ALL."""
    asleep = _sleeping(session, visible_to.user or 0, now)
    return tickets.page(session, visible_to, scopes, after, limit, _only(visible_to, view, now, asleep), view in NEWS)


def _only(visible_to: Viewer, view: View, now: int, asleep: bool) -> ColumnElement[bool] | None:
    if view is View.ALL:
        return None
    if view is View.DONE:
        return and_(ticket.c.state == DONE, ticket.c.spam.is_not(True))
    user = visible_to.user or 0
    if view is View.SNOOZED:
        return snoozes.joined(user, now)
    if view in NEWS:
        leads = comments.joined(user) if view is View.MENTIONS else watching.joined(user)
        return and_(leads, *([~snoozes.asleep(user, now)] if asleep else []))
    state = WAITING if view is View.WAITING else OPEN
    parts: list[ColumnElement[bool]] = [ticket.c.state == state, ticket.c.spam.is_not(True)]
    if view is View.UNASSIGNED:
        parts.append(ticket.c.assignee.is_(None))
    elif view is View.MINE:
        parts.append(ticket.c.assignee == user)
    if asleep:
        parts.append(~snoozes.asleep(user, now))
    return and_(NOT_DONE, *parts)


def _unread(user: int) -> ColumnElement[bool]:
    read = select(seen.c.ticket).where(seen.c.user == user, seen.c.ticket == ticket.c.id, seen.c.at >= ticket.c.last_at)
    return ~exists(read.correlate(ticket))


def _sleeping(session: Session, user: int, now: int) -> bool:
    """Whether this user has anything out of the way: mostly not, and then nothing need be asked of each row."""
    some = select(snooze.c.ticket).where(snooze.c.user == user, snooze.c.until > now)
    return session.scalar(some.limit(1)) is not None


def counts(
    session: Session, visible_to: Viewer, views: Iterable[View], scopes: Collection[str], now: int
) -> Mapping[View, int]:
    """How many `page` lists, counted up to COUNTED; of NEWS, how many of those have something new for who looks."""
    asleep = _sleeping(session, visible_to.user or 0, now)
    counted = {}
    for view in views:
        some = tickets.visible_rows(visible_to).where(ticket.c.merged_into.is_(None))
        if (only := _only(visible_to, view, now, asleep)) is not None:
            some = some.where(only)
        if view in NEWS:
            some = some.where(_unread(visible_to.user or 0))
        counted[view] = _number(some, tickets.held(visible_to, scopes, view in NEWS))
    if not counted:
        return {}
    return dict(zip(counted, session.execute(select(*counted.values())).one(), strict=True))


def _number(some: Select[Any], held: Sequence[ColumnElement[bool]]) -> ScalarSelect[int]:
    """How many of these are under any of the conditions; what is under two of them is one all the same."""
    each = [some.where(one).limit(COUNTED).subquery() for one in held]
    if len(each) == 1:
        return select(func.count()).select_from(each[0]).scalar_subquery()
    once = union(*(select(one.c.id) for one in each))
    return select(func.count()).select_from(select(once.subquery().c.id).limit(COUNTED).subquery()).scalar_subquery()


def others(session: Session, visible_to: Viewer, some: Collection[Ticket]) -> Mapping[int, list[Ticket]]:
    """By conversation, all tickets on the conversations of these that may be seen: who else works on it. One query."""
    found: dict[int, list[Ticket]] = {}
    for one in tickets.of_conversations(session, visible_to, [each.conversation for each in some]):
        found.setdefault(one.conversation, []).append(one)
    return found
