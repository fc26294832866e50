"""How a process is doing: what waits, and how much came, was done and is left, week by week.

Nothing here reads more than what waits and what happened in the weeks asked for, however old the archive is.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import ColumnElement, and_, func, or_, select

from ..people.scopes import Viewer, visible_ticket
from ..store.archive import Session
from ..store.schema import ticket
from .tickets import NOT_DONE

LISTED = 20  # tickets that wait
COUNTED = 10_000  # up to so many, what is left is counted


@dataclass(frozen=True, slots=True)
class Waiting:
    """A ticket on which somebody outside waits for an answer."""

    id: int
    conversation: int
    subject: str
    people: str
    assignee: int | None
    since: int  # UTC ms
    due_at: int | None


@dataclass(frozen=True, slots=True)
class Week:
    """What happened in a week, and how things stood at its end."""

    begins_at: int  # UTC ms
    came: int  # conversations that began
    answered: int  # of those, the ones that have been answered
    first_answer: int | None  # ms until then, of the middle one
    done: int
    left: int | None  # neither done at its end nor gone; None where too many are left to count


@dataclass(frozen=True, slots=True)
class Figures:
    """A process's figures."""

    open: int
    unassigned: int  # of these
    late: int  # past their due date, and not done
    more: bool  # there are more than were counted
    first_answer: int | None  # ms, the middle one of all weeks
    weeks: list[Week]


def waiting(session: Session, visible_to: Viewer, scope: str, limit: int = LISTED) -> list[Waiting]:
    """The open tickets of a scope that are not answered, the oldest first, so far as they may be seen."""
    if not visible_to.sees(scope):
        return []
    unanswered = or_(ticket.c.answered_at.is_(None), ticket.c.answered_at < ticket.c.incoming_at)
    since = func.coalesce(ticket.c.incoming_at, ticket.c.last_at)
    query = (
        select(ticket, since.label("since"))
        .where(_counted(visible_to, scope), NOT_DONE, ticket.c.state == "open", unanswered)
        .order_by(ticket.c.last_at, ticket.c.id)
        .limit(limit)
    )
    found = [
        Waiting(row.id, row.conversation, row.subject, row.people, row.assignee, row.since, row.due_at)
        for row in session.execute(query)
    ]
    return sorted(found, key=lambda one: (one.since, one.id))


def figures(session: Session, visible_to: Viewer, scope: str, begins: Sequence[int], now: int) -> Figures | None:
    """The figures of a scope over weeks that begin at these times (UTC ms, ascending); None where it is not seen."""
    if not visible_to.sees(scope):
        return None
    weeks = len(begins)
    came, durations = [0] * weeks, [list[int]() for _ in begins]
    # Whatever began since then was last active since then, too: so the list's own index finds it.
    began = select(ticket.c.created_at, ticket.c.first_answer_at).where(
        _counted(visible_to, scope), ticket.c.last_at >= begins[0], ticket.c.created_at >= begins[0]
    )
    for created_at, answered_at in session.execute(began):
        week = bisect_right(begins, created_at) - 1
        came[week] += 1
        if answered_at is not None and answered_at >= created_at:  # before it: imported with its answer
            durations[week].append(answered_at - created_at)
    done = [0] * weeks
    ended = select(ticket.c.done_at).where(_counted(visible_to, scope), ticket.c.done_at >= begins[0])
    for done_at in session.scalars(ended):
        done[bisect_right(begins, done_at) - 1] += 1
    left, unassigned, late = _left(session, visible_to, scope, now)
    more = left >= COUNTED
    at_end: list[int | None] = [None] * weeks
    running = left
    for week in reversed(range(weeks)):
        at_end[week] = None if more else max(running, 0)
        running += done[week] - came[week]
    every = [one for some in durations for one in some]
    return Figures(
        left,
        unassigned,
        late,
        more,
        round(median(every)) if every else None,
        [
            Week(
                begins[n],
                came[n],
                len(durations[n]),
                round(median(durations[n])) if durations[n] else None,
                done[n],
                at_end[n],
            )
            for n in range(weeks)
        ],
    )


def _left(session: Session, visible_to: Viewer, scope: str, now: int) -> tuple[int, int, int]:
    """How many are not done, how many of these are nobody's, and how many are late."""
    some = (
        select(ticket.c.assignee, ticket.c.due_at)
        .where(_counted(visible_to, scope), NOT_DONE)
        .limit(COUNTED)
        .subquery()
    )
    late = func.count().filter(some.c.due_at < now)
    row = session.execute(
        select(func.count(), func.count().filter(some.c.assignee.is_(None)), late).select_from(some)
    ).one()
    return row[0], row[1], row[2]


def _counted(visible_to: Viewer, scope: str) -> ColumnElement[bool]:
    """Tickets of the scope that count: no spam, none that was merged into another, none restricted to others."""
    counted = (ticket.c.scope == scope, ticket.c.merged_into.is_(None), ticket.c.spam.is_not(True))
    return and_(*counted, visible_ticket(visible_to))
