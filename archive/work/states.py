"""What state a ticket is in: open, waiting, done; and what comes back by itself.

           finish                         wait
  ┌────────────────────── open ──────────────────────┐
  ▼                      ▲    ▲                      ▼
done ── somebody outside ┘    └ the date has come, waiting
        writes, or            somebody outside writes,
        open_again            or open_again
"""

from sqlalchemy import ColumnElement, and_, select

from ..store.archive import Session
from ..store.schema import ticket
from . import assigning
from .changes import change
from .tickets import DONE, OPEN, WAITING

AT_ONCE = 500  # tickets that come back in one transaction
TIME = "time"  # who brings back what waited for a date

_AWAKE = {"waiting_until": None, "waiting_answer": None}
_UNDONE = {"done_at": None, "done_by": None, "spam": None}


def finish(session: Session, id_: int, actor: str, now: int, *, revision: int | None = None) -> bool:
    """Done; True where it was not. UTC ms. As all here, rights are the caller's."""
    if _is(session, id_, DONE):
        return False
    values = {"state": DONE, "done_at": now, "done_by": actor, **_AWAKE}
    return change(session, id_, "done", actor, values, now, revision=revision)


def open_again(session: Session, id_: int, actor: str, now: int, *, revision: int | None = None) -> bool:
    """Open; True where it was not. Whoever had it and may not work on it any more has it no more."""
    opened = change(session, id_, "opened", actor, {"state": OPEN, **_UNDONE, **_AWAKE}, now, revision=revision)
    if opened:
        assigning.let_go_of(session, [id_], actor, now)
    return opened


def wait(
    session: Session,
    id_: int,
    actor: str,
    now: int,
    *,
    until: int | None,
    answer: bool = True,
    revision: int | None = None,
) -> bool:
    """Wait until a date (UTC ms), or until somebody outside writes, or for whichever comes first.

    ValueError where it would wait for nothing, or for a date that is past: it would never, or at once, come back.
    """
    if (until is None and not answer) or (until is not None and until <= now):
        raise ValueError(until)
    values = {"state": WAITING, "waiting_until": until, "waiting_answer": answer or None, **_UNDONE}
    said = {"until": until, "answer": answer}  # also what stays as it was, for the history
    return change(session, id_, "waiting", actor, values, now, revision=revision, details=said)


def mark_spam(session: Session, id_: int, actor: str, now: int, *, revision: int | None = None) -> bool:
    """It is spam: done, and no further mail opens it."""
    values = {"state": DONE, "done_at": now, "done_by": actor, "spam": True, **_AWAKE}
    return change(session, id_, "spam", actor, values, now, revision=revision)


def mark_not_spam(session: Session, id_: int, actor: str, now: int, *, revision: int | None = None) -> bool:
    """It is none, and to be worked on, as what is opened again."""
    if session.scalar(select(ticket.c.spam).where(ticket.c.id == id_)) is not True:
        return False
    values = {"state": OPEN, **_UNDONE, **_AWAKE}
    opened = change(session, id_, "not_spam", actor, values, now, revision=revision)
    if opened:
        assigning.let_go_of(session, [id_], actor, now)
    return opened


def _is(session: Session, id_: int, state: str) -> bool:
    return session.scalar(select(ticket.c.state).where(ticket.c.id == id_)) == state


def _due(now: int) -> ColumnElement[bool]:
    return and_(ticket.c.waiting_until.is_not(None), ticket.c.waiting_until <= now)


def somebody_returns(session: Session, now: int) -> bool:
    """Whether any ticket has waited until its date."""
    return session.scalar(select(ticket.c.id).where(_due(now)).limit(1)) is not None


def bring_back(session: Session, now: int) -> int:
    """Open what has waited until its date; how many there were, at most AT_ONCE."""
    due = session.execute(
        select(ticket.c.id, ticket.c.state).where(_due(now)).order_by(ticket.c.waiting_until).limit(AT_ONCE)
    )
    rows = due.all()
    for row in rows:
        change(session, row.id, "returned", TIME, {"state": OPEN if row.state == WAITING else row.state, **_AWAKE}, now)
    return len(rows)
