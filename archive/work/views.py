"""What a list shows of the tickets of its scopes: by state, by who has them, and what is out of somebody's way."""

from collections.abc import Collection, Iterable, Mapping
from enum import Enum

from sqlalchemy import Boolean, ColumnElement, and_, func, literal_column, select

from ..people.scopes import Viewer
from ..store.archive import Session
from ..store.schema import snooze, ticket
from . import snoozes, tickets
from .tickets import DONE, OPEN, WAITING, Cursor, Ticket

COUNTED = 100  # more than that is not counted exactly


NOT_DONE = literal_column("ticket.state <> 'done'", Boolean)


class View(Enum):
    """Which tickets of the scopes of a list."""

    UNASSIGNED = "unassigned"  # open, and nobody's
    OPEN = "open"
    MINE = "mine"  # open, and assigned to who looks
    WAITING = "waiting"
    DONE = "done"
    SNOOZED = "snoozed"
    ALL = "all"


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
    return tickets.page(session, visible_to, scopes, after, limit, _only(session, visible_to, view, now))


def _only(session: Session, visible_to: Viewer, view: View, now: int) -> ColumnElement[bool] | None:
    if view is View.ALL:
        return None
    if view is View.DONE:
        return and_(ticket.c.state == DONE, ticket.c.spam.is_not(True))
    user = visible_to.user or 0
    if view is View.SNOOZED:
        return snoozes.asleep(user, now)
    state = WAITING if view is View.WAITING else OPEN
    # A small index holds what is not done; PostgreSQL sees that only where its condition stands here word for word.
    parts: list[ColumnElement[bool]] = [ticket.c.state == state, NOT_DONE, ticket.c.spam.is_not(True)]
    if view is View.UNASSIGNED:
        parts.append(ticket.c.assignee.is_(None))
    elif view is View.MINE:
        parts.append(ticket.c.assignee == user)
    if _sleeping(session, user, now):
        parts.append(~snoozes.asleep(user, now))
    return and_(*parts)


def _sleeping(session: Session, user: int, now: int) -> bool:
    """Whether this user has anything out of the way: mostly not, and then nothing need be asked of each row."""
    some = select(snooze.c.ticket).where(snooze.c.user == user, snooze.c.until > now)
    return session.scalar(some.limit(1)) is not None


def counts(
    session: Session, visible_to: Viewer, views: Iterable[View], scopes: Collection[str], now: int
) -> Mapping[View, int]:
    """How many each list holds, counted up to COUNTED."""
    seen = sorted(one for one in set(scopes) if visible_to.sees(one))
    found: dict[View, int] = {}
    for view in views:
        only = _only(session, visible_to, view, now)
        some = tickets.visible_rows(visible_to).where(ticket.c.scope.in_(seen), ticket.c.merged_into.is_(None))
        some = some if only is None else some.where(only)
        found[view] = session.scalar(select(func.count()).select_from(some.limit(COUNTED).subquery())) or 0
    return found


def others(session: Session, visible_to: Viewer, some: Collection[Ticket]) -> Mapping[int, list[Ticket]]:
    """By conversation, all tickets on the conversations of these that may be seen: who else works on it. One query."""
    found: dict[int, list[Ticket]] = {}
    for one in tickets.of_conversations(session, visible_to, [each.conversation for each in some]):
        found.setdefault(one.conversation, []).append(one)
    return found
