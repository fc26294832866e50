"""Drafts: what somebody has typed about a ticket and not said yet. It is no event.

Nobody else sees it, but for drafts of answers: they are shared with those who work on the ticket.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, update

from ..people.roles import Role
from ..people.scopes import Viewer, visible_ticket
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import draft, ticket, user

KINDS = ("comment", "hand over", "reply")
LONGEST = 100_000  # characters; what is longer is kept so far


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed, and when that was kept (UTC ms)."""

    text: str
    at: int


def put(session: Session, viewer: Viewer, ticket_id: int, kind: str, text: str, now: int) -> bool:
    """Keep what was typed instead of what was kept before; nothing but space removes it.

    False where the viewer does not see such a ticket; then nothing is kept. ValueError for a kind there is not.
    """
    if kind not in KINDS:
        raise ValueError(kind)
    if viewer.user is None or not _seen(session, viewer, ticket_id):
        return False
    if not text.strip():
        remove(session, viewer.user, ticket_id, kind)
        return True
    values = {"text": text[:LONGEST], "at": now}
    row = {"user": viewer.user, "ticket": ticket_id, "kind": kind, **values}
    if not insert_missing(session, draft, [row]):
        session.execute(update(draft).where(_one(viewer.user, ticket_id, kind)).values(**values))
    return True


def _seen(session: Session, viewer: Viewer, ticket_id: int) -> bool:
    found = session.execute(
        select(ticket.c.scope, ticket.c.restriction).where(ticket.c.id == ticket_id, visible_ticket(viewer))
    ).first()
    return found is not None and (viewer.sees(found.scope) or found.restriction in viewer.restrictions)


def get(session: Session, person: int, ticket_id: int, kind: str) -> Draft | None:
    """What this user has typed there, if anything."""
    found = session.execute(select(draft.c.text, draft.c.at).where(_one(person, ticket_id, kind))).first()
    return Draft(found.text, found.at) if found else None


@dataclass(frozen=True, slots=True)
class Theirs:
    """What somebody else has begun to answer."""

    user: int
    name: str
    text: str
    at: int


def shared(session: Session, viewer: Viewer, ticket_id: int) -> list[Theirs]:
    """Answers that others have begun, the latest first; for those who work on the ticket."""
    scope = session.scalar(select(ticket.c.scope).where(ticket.c.id == ticket_id))
    if scope is None or viewer.user is None or not viewer.may(Role.WORKS, scope):
        return []
    if not _seen(session, viewer, ticket_id):
        return []
    query = select(draft, user.c.name).join(user, user.c.id == draft.c.user)
    here = (draft.c.ticket == ticket_id) & (draft.c.kind == "reply") & (draft.c.user != viewer.user)
    rows = session.execute(query.where(here).order_by(draft.c.at.desc(), draft.c.user))
    return [Theirs(row.user, row.name, row.text, row.at) for row in rows]


def may_keep(session: Session, viewer: Viewer, ticket_id: int) -> bool:
    """Whether this viewer keeps drafts about such a ticket."""
    return viewer.user is not None and _seen(session, viewer, ticket_id)


def remove(session: Session, person: int, ticket_id: int, kind: str) -> None:
    """It was said, or is not to be said."""
    session.execute(draft.delete().where(_one(person, ticket_id, kind)))


def of_tickets(session: Session, person: int, ids: Iterable[int]) -> set[int]:
    """Those of these tickets about which this user has typed something that is not said yet."""
    return set(session.scalars(select(draft.c.ticket).where(draft.c.user == person, draft.c.ticket.in_(list(ids)))))


def _one(person: int, ticket_id: int, kind: str) -> ColumnElement[bool]:
    return and_(draft.c.user == person, draft.c.ticket == ticket_id, draft.c.kind == kind)
